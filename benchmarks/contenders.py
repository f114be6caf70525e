"""Who is compared, the Django settings that make each the mailer, and how each sends."""

import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import django
import requests
from django.core import mail

from .messages import PROJECT_ID, SENDER, body, message, order

_DJANGO = ["django.contrib.contenttypes", "django.contrib.auth"]
_AUTHORIZATION = {"Authorization": "Bearer sk_test_benchmark"}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One of ``settings`` (for an origin and a port), ``loop`` (without Django's mail API) and ``start`` is given.

    ``in_flight`` is how many requests it makes at once. ``start`` is a module to import, or apps to set up.
    """

    title: str
    server: str = "http"
    in_flight: int = 1
    settings: Callable[[str, int], dict[str, Any]] | None = None
    loop: Callable[[list[tuple[str, ...]], int], int] | None = None
    start: str | Sequence[str] = ""


def _mailer(backend: str, **options: Any) -> dict[str, Any]:
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    return {"EMAIL_BACKEND": backend} | {f"EMAIL_{name.upper()}": value for name, value in options.items()}


def _migma(concurrency: int) -> Contender:
    def settings(origin: str, port: int) -> dict[str, Any]:
        migma = {"API_URL": f"{origin}/v1", "API_KEY": "sk_test_benchmark", "PROJECT_ID": PROJECT_ID}
        migma |= {"MAX_CONCURRENCY": concurrency} if concurrency != 16 else {}
        return {"INSTALLED_APPS": ["django_migma"], "MIGMA": migma} | _mailer("django_migma.backends.EmailBackend")

    title = "django-migma" if concurrency == 16 else f"django-migma, MAX_CONCURRENCY {concurrency}"
    return Contender(title=title, in_flight=concurrency, settings=settings)


def _anymail(origin: str, port: int) -> dict[str, Any]:
    anymail = {"RESEND_API_URL": f"{origin}/", "RESEND_API_KEY": "re_benchmark"}
    return {"INSTALLED_APPS": ["anymail"], "ANYMAIL": anymail} | _mailer("anymail.backends.resend.EmailBackend")


def _smtp(origin: str, port: int) -> dict[str, Any]:
    backend = "django.core.mail.backends.smtp.EmailBackend"
    return _mailer(backend, host="127.0.0.1", port=port, use_ssl=origin.startswith("https"))


def _requests(orders: list[tuple[str, ...]], port: int) -> int:
    url = f"http://127.0.0.1:{port}/v1/sending"
    with requests.Session() as session:
        session.headers.update(_AUTHORIZATION)
        responses = (session.post(url, json=body(s, html, to), timeout=60) for s, _, html, to in orders)
        return sum(response.json()["success"] for response in responses)


def _http_client(orders: list[tuple[str, ...]], port: int) -> int:
    accepted = 0
    headers = _AUTHORIZATION | {"Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for subject, _, html, recipient in orders:
        connection.request("POST", "/v1/sending", json.dumps(body(subject, html, recipient)).encode(), headers)
        accepted += json.loads(connection.getresponse().read())["success"]
    connection.close()
    return accepted


CONTENDERS = {
    "migma": _migma(16),
    "migma-1": _migma(1),
    "migma-64": _migma(64),
    "anymail": Contender(title="django-anymail (Resend)", settings=_anymail),
    "smtp": Contender(title="Django's SMTP backend", server="smtp", settings=_smtp),
    "requests": Contender(title="bare requests.Session loop", loop=_requests),
    "http.client": Contender(title="bare http.client loop", loop=_http_client),
    "import-migma": Contender(title="import django_migma.backends", start="django_migma.backends"),
    "import-anymail": Contender(title="import anymail.backends.resend", start="anymail.backends.resend"),
    "setup": Contender(title="django.setup() with Django's contenttypes and auth", start=_DJANGO),
    "setup-migma": Contender(title="the same with django_migma", start=[*_DJANGO, "django_migma"]),
    "setup-anymail": Contender(title="the same with anymail", start=[*_DJANGO, "anymail"]),
}


def prepare(contender: str, shape: str, count: int, port: int) -> Callable[[], int]:
    """A function that sends so many messages as this ``shape`` and returns how many were accepted."""
    if shape == "generator":
        return lambda: _connection().send_messages(message(number) for number in range(count))
    if loop := CONTENDERS[contender].loop:
        orders = [order(number) for number in range(count)]
        return lambda: loop(orders, port)
    if shape == "list":
        messages = [message(number) for number in range(count)]
        return lambda: _connection().send_messages(messages)
    calls = [((subject, text, SENDER, [to]), html) for subject, text, html, to in map(order, range(count))]
    return lambda: sum(mail.send_mail(*arguments, html_message=html) for arguments, html in calls)


def _connection() -> Any:
    return mail.mailers.default if django.VERSION >= (6, 1) else mail.get_connection()
