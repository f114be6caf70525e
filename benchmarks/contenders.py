"""Who is compared: titles, how many sends each keeps in flight, and the Django settings that make it the mailer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import django

from .orders import PROJECT_ID, SENDER

_OURS = "django_migma.backends.EmailBackend"
_RESEND = "anymail.backends.resend.EmailBackend"
_SMTP = "django.core.mail.backends.smtp.EmailBackend"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server listens: the port on 127.0.0.1, and whether it speaks TLS."""

    port: int
    tls: bool = False

    @property
    def origin(self) -> str:
        """As the start of a URL."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"


Settings = Callable[[Address], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """``loop`` names a bare loop of `sending`; empty where Django's mail API is used, with ``settings``."""

    title: str
    server: str = "http"
    in_flight: int = 1
    loop: str = ""
    settings: Settings = field(default=lambda _: {})


def _mailer(backend: str, **options: Any) -> dict[str, Any]:
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    return {"EMAIL_BACKEND": backend} | {f"EMAIL_{name.upper()}": value for name, value in options.items()}


def _migma(backend: str = _OURS, **migma: Any) -> Settings:
    def settings(address: Address) -> dict[str, Any]:
        reached = {"API_URL": f"{address.origin}/v1", "API_KEY": "sk_test_benchmark", "PROJECT_ID": PROJECT_ID}
        return {"INSTALLED_APPS": ["django_migma"], "MIGMA": reached | migma} | _mailer(backend)

    return settings


def _anymail(backend: str = _RESEND) -> Settings:
    def settings(address: Address) -> dict[str, Any]:
        reached = {"RESEND_API_URL": f"{address.origin}/", "RESEND_API_KEY": "re_benchmark"}
        return {"INSTALLED_APPS": ["anymail"], "ANYMAIL": reached} | _mailer(backend)

    return settings


def _smtp(address: Address) -> dict[str, Any]:
    return _mailer(_SMTP, host="127.0.0.1", port=address.port, use_ssl=address.tls)


CONTENDERS: Mapping[str, Contender] = {
    "migma": Contender(title="django-migma", in_flight=16, settings=_migma()),
    "migma-1": Contender(title="django-migma, MAX_CONCURRENCY 1", settings=_migma(MAX_CONCURRENCY=1)),
    "migma-64": Contender(
        title="django-migma, MAX_CONCURRENCY 64", in_flight=64, settings=_migma(MAX_CONCURRENCY=64)
    ),
    "anymail": Contender(title="django-anymail (Resend)", settings=_anymail()),
    "smtp": Contender(title="Django's SMTP backend", server="smtp", settings=_smtp),
    "requests": Contender(title="bare requests.Session loop", loop="requests"),
    "http.client": Contender(title="bare http.client loop", loop="http.client"),
    "migma-building": Contender(title="django-migma", settings=_migma("benchmarks.building.MigmaBackend")),
    "anymail-building": Contender(
        title="django-anymail (Resend)", settings=_anymail("benchmarks.building.ResendBackend")
    ),
    "mime-building": Contender(title="Django's MIME", settings=lambda _: _mailer("benchmarks.building.MimeBackend")),
}


def django_settings(name: str, address: Address) -> dict[str, Any]:
    """All settings of the process that measures a contender."""
    shared = {"SECRET_KEY": "benchmark", "USE_TZ": True, "DEFAULT_FROM_EMAIL": SENDER}
    return shared | CONTENDERS[name].settings(address)
