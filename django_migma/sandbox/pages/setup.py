"""/setup: settings to paste, keys, the switches in force with what each decides, counters, and a fresh start."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import django
from django.http.request import split_domain_port

from django_migma.sandbox import account
from django_migma.sandbox.faults import DEFAULT_KINDS
from django_migma.sandbox.host_and_origin import is_loopback
from django_migma.sandbox.options import Switches, flag_of
from django_migma.sandbox.pages.forms import FieldError, do
from django_migma.sandbox.pages.responses import render
from django_migma.sandbox.protocol import KEYS

if TYPE_CHECKING:
    from django.http import HttpResponse

    from django_migma.sandbox.pages.forms import Form
    from django_migma.sandbox.server import Request, Sandbox

_SETTINGS = """\
{mailer}
MIGMA = {{
    "API_URL": "{url}/v1",{allow_http}
    "API_KEY": "{key}",
    "FROM_EMAIL": "Fernhill Coffee <hello@fernhill.example>",
    "LAYOUT_EMAIL_ID": "{layout}",
}}"""
_MAILER = 'MAILERS = {"default": {"BACKEND": "django_migma.backends.EmailBackend"}}'
_OLDER_MAILER = 'EMAIL_BACKEND = "django_migma.backends.EmailBackend"'
_WITHOUT_VALUE = {"fault_kinds": "default", "fault_seed": "any"}
_HAS_MAILERS = django.VERSION >= (6, 1)


def settings_to_paste(url: str, *, has_mailers: bool = _HAS_MAILERS) -> str:
    """Settings that lead a site to the sandbox at this address.

    ``has_mailers``: for Django 6.1 and newer, else for older ones.
    """
    mailer = _MAILER if has_mailers else _OLDER_MAILER
    allow_http = "" if is_loopback(urlsplit(url).hostname or "") else '\n    "ALLOW_HTTP": True,'
    return _SETTINGS.format(url=url, allow_http=allow_http, key=KEYS.full, layout=account.LAYOUT, mailer=mailer)


def _address(request: Request) -> str:
    """The sandbox's own, unless the reader came by another: from another machine, or through a container's port."""
    host: str = request.META["HTTP_HOST"]  # it was looked at: see ``host_and_origin``
    name, port = split_domain_port(host)
    is_own = is_loopback(name.strip("[]")) and port == str(request.sandbox.port)
    return request.sandbox.url if is_own else f"http://{host}"


def first_steps(request: Request) -> dict[str, str]:
    """What the empty inbox shows."""
    return {
        "settings": settings_to_paste(_address(request)),
        "shell": "python manage.py sendtestemail you@example.com",
        "email": account.WELCOME,
    }


def page(
    request: Request, *, status: int = 200, typed: Form | None = None, errors: Form | None = None
) -> HttpResponse:
    """GET /setup, and what comes back with an error after a form."""
    sandbox = request.sandbox
    older, newer = "Django 5.2 and 6.0", "Django 6.1 and newer"
    return render(
        request,
        "setup.html",
        area="setup",
        status=status,
        settings=settings_to_paste(_address(request)),
        versions_of_settings=newer if _HAS_MAILERS else older,
        other_settings=_OLDER_MAILER if _HAS_MAILERS else _MAILER,
        other_versions=older if _HAS_MAILERS else newer,
        keys=_keys(sandbox),
        switches=_switches(sandbox),
        counters=_counters(sandbox),
        mails=len(sandbox.store.inbox.mails()),
        errors=errors or {},
    )


def deed(request: Request) -> HttpResponse:
    """POST /setup."""
    return do(request, {"forget": _forget}, page)


def _forget(sandbox: Sandbox, form: Form) -> str:
    if not form.get("sure"):
        raise FieldError("sure", "Tick the box first: what is forgotten does not come back.")
    sandbox.store.reset()
    sandbox.faults.clear()
    return "/"


def _keys(sandbox: Sandbox) -> list[dict[str, str]]:
    return [
        {"name": "full", "key": sandbox.keys.full, "meaning": "May do everything."},
        {
            "name": "no_send",
            "key": sandbox.keys.no_send,
            "meaning": "May read, not send: a send is refused with 403.",
        },
        {"name": "revoked", "key": sandbox.keys.revoked, "meaning": "Is refused with 401."},
    ]


def _switches(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Those that try an unknown first."""
    faults = sandbox.faults.state()
    now = vars(sandbox.switches) | {
        "rate": sandbox.store.rate_limiter.rate,
        "fault_rate": faults["fault_rate"],
        "fault_seed": faults["fault_seed"] if faults["fault_rate"] else None,
        "fault_kinds": () if (kinds := tuple(faults["fault_kinds"])) == DEFAULT_KINDS else kinds,
    }
    shown = [
        {
            "flag": flag_of(switch),
            "value": _written(now[switch.name], is_inverse=switch.metadata.get("action") == "store_false")
            or _WITHOUT_VALUE.get(switch.name, "none"),
            "is_changed": now[switch.name] != switch.default,
            "unknown": switch.metadata["unknown"],
            "help": switch.metadata["help"],
        }
        for switch in fields(Switches)
    ]
    return sorted(shown, key=lambda switch: not switch["unknown"])


def _written(value: object, *, is_inverse: bool) -> str:
    """Empty for no value. ``is_inverse``: the option turns something off."""
    if isinstance(value, bool):
        return "on" if value != is_inverse else "off"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _counters(sandbox: Sandbox) -> list[tuple[str, int]]:
    stats = sandbox.store.stats()
    return [
        ("Connections", stats["connections"]),
        ("Accepted sends", stats["accepted"]),
        *stats["requests"].items(),
        *((f"Fault {word}", count) for word, count in stats["faults"].items()),
    ]
