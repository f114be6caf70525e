"""The mail itself as a browser shows it: in an opaque frame, which fetches nothing from elsewhere until asked.

A mail may hold whatever a site's users typed: no scripts, no forms, no same-origin access to the sandbox. Links may
open in new windows. Images may come from this machine, which a developer's own site runs on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.http import HttpResponse

if TYPE_CHECKING:
    from django_migma.sandbox.server import Request

_LOCAL = "http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*"
_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src {sources}; "
    "style-src 'unsafe-inline'{styles}; font-src data:{styles}; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_REMOTE_IMAGE = re.compile(
    r"""(?:\b(?:src|srcset|background|poster)\s*=\s*["']?|\burl\(\s*["']?)\s*(?P<address>(?:https?:)?//[^"'\s>)]+)""",
    re.IGNORECASE,
)
_THIS_MACHINE = re.compile(r"(?:https?:)?//(?:localhost|127\.0\.0\.1)(?:[:/?]|$)", re.IGNORECASE)


def html_page(request: Request, html: str) -> HttpResponse:
    """The mail alone. ``?images=1`` lets it fetch images, styles and fonts from anywhere."""
    asked = request.GET.get("images") == "1"
    sources = f"data: {_LOCAL}" + (" https: http:" if asked else "")
    headers = {
        "Content-Security-Policy": _POLICY.format(sources=sources, styles=" https: http:" if asked else ""),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    # "replace": JSON may carry lone surrogates, which UTF-8 cannot.
    return HttpResponse(html.encode(errors="replace"), content_type="text/html; charset=utf-8", headers=headers)


def remote_images(html: str) -> int:
    """How many different addresses beyond this machine the mail would fetch pictures from."""
    found = {match["address"] for match in _REMOTE_IMAGE.finditer(html)}
    return sum(not _THIS_MACHINE.match(address) for address in found)
