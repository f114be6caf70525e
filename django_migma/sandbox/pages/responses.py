"""The responses of the pages: rendered templates with their headers, redirects, errors and static files.

Django's template engine over the package's own folder: autoescape is on, and no setting of a site is read. A template
is given ready texts, since filters such as ``date`` would want settings.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.template import Context, Engine

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from datetime import datetime

    from django_migma.sandbox.server import Request

_FOLDER = Path(__file__).parent.parent
_STATIC = {
    "sandbox.css": "text/css; charset=utf-8",
    "sandbox.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": a browser then sends "Origin: null" with forms, and deeds are checked by their origin.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NAVIGATION = (("mail", "/", "Mail"), ("faults", "/faults", "Faults"), ("emails", "/emails", "Stored emails"),
               ("setup", "/setup", "Set-up"))  # fmt: skip


@cache
def _engine() -> Engine:
    return Engine(dirs=[str(_FOLDER / "templates")])


def render(
    request: Request, template: str, *, status: int = 200, area: str = "", headers: dict[str, str] | None = None,
    **context: Any,
) -> HttpResponse:  # fmt: skip
    """A page, or a part of one, from ``templates/sandbox``. ``area`` is the page's place in the navigation."""
    page = _engine().get_template(f"sandbox/{template}").render(_context(request, area, context))
    # "replace": JSON may carry lone surrogates, which UTF-8 cannot.
    content = page.encode(errors="replace")
    return HttpResponse(
        content,
        status=status,
        content_type="text/html; charset=utf-8",
        headers=_HEADERS | {"X-Sandbox": request.sandbox.store.id} | (headers or {}),
    )


def _context(request: Request, area: str, context: dict[str, Any]) -> Context:
    sandbox = request.sandbox
    armed = len(sandbox.faults.state()["script"])
    counts = {"mail": len(sandbox.store.inbox.mails()), "faults": f"{armed} armed" if armed else ""}
    shared = {
        "navigation": [
            {"name": name, "address": address, "label": label, "count": counts.get(name, ""), "here": name == area}
            for name, address, label in _NAVIGATION
        ],
        "sandbox_id": sandbox.store.id,
        "url": sandbox.url,
        "versions": _digests(),
    }
    return Context(shared | context, use_l10n=False, use_tz=False)


def see_other(address: str) -> HttpResponse:
    """After a deed: the browser asks for a page, and reloading that does not repeat the deed."""
    # Not Django's own redirect: newer ones refuse an address of 16,384 characters, and a search may be as long.
    return HttpResponse(status=303, content_type="text/plain", headers={"Location": address})


def error_page(request: Request, error: ApiError) -> HttpResponse:
    """What a person is shown where a program would get an error envelope."""
    title = {404: "There is nothing here"}.get(error.status, "That was not possible")
    return render(request, "error.html", status=error.status, headers=error.headers, title=title, text=str(error))


def not_found(request: Request) -> HttpResponse:
    raise ApiError(404, f"Not found: {request.path[:200]}")


def static(_request: Request, name: str) -> HttpResponse:
    """One of the pages' own files; pages ask for it with its digest in the query, so a browser may keep it."""
    if name not in _STATIC:
        raise ApiError(404, f"Not found: /static/{name[:100]}")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(_static_file(name), content_type=_STATIC[name], headers=headers)


@cache
def _static_file(name: str) -> bytes:
    return (_FOLDER / "static" / name).read_bytes()


@cache
def _digests() -> dict[str, str]:
    """By the ending of a static file."""
    return {name.partition(".")[2]: hashlib.sha256(_static_file(name)).hexdigest()[:12] for name in _STATIC}


def clock_time(moment: datetime, now: datetime) -> str:
    """Such as ``19:24:55`` of today, else with the day: ``24 Nov, 19:24``; in the machine's time zone."""
    moment, now = moment.astimezone(), now.astimezone()
    return f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment.day} {moment:%b, %H:%M}"
