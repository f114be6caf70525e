"""The preview of a stored email, with sample values, in a frame from which nothing can be run, fetched or opened.

The HTML comes from Migma and counts as hostile. The frame's ``sandbox`` and the policy of its response stop scripts,
forms, windows and fetches, also where the response is opened by itself. Neither stops a link from leading its own
frame or tab away, so links lose their addresses here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.utils.html import escape

from django_migma.html import html_to_text, shorten
from django_migma.variables import render_placeholders

from .sample_values import is_html, shown_values

if TYPE_CHECKING:
    from django_migma.models import StoredEmail

REMOTE = "remote_images"  # parameter of page and frame: load pictures, fonts and styles from other servers
TEXTS = "texts"  # parameter of the frame's address: answer with subject, preheader and plain text as JSON
_CONTENT = {
    False: "style-src 'unsafe-inline'; img-src data:; font-src data:",
    True: "style-src 'unsafe-inline' https: http:; img-src https: http: data:; font-src https: http: data:",
}
_POLICY = (
    "sandbox; default-src 'none'; {content}; form-action 'none'; base-uri 'none'; frame-src 'none'; "
    "frame-ancestors 'self'"
)
_ACTIVE_ATTRIBUTE = re.compile(r"(href|srcdoc|attributename)(?=\s*=)", re.IGNORECASE)
"""``srcdoc`` holds a document whose links are written in entities; SVG can set an ``href`` by ``attributeName``."""
_FRAME = re.compile(r"<(?=(?:i?frame|frameset|fencedframe|object|embed|portal)\b)", re.IGNORECASE)
"""Browsers connect to the address of a frame before a policy forbids to load it, and its owner would notice."""
_LINK_STYLE = "<style>:where([data-href]){color:-webkit-link;text-decoration:underline}</style>"
"""Links without an address still look like links. ``:where`` gives way to any style of the email."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Texts with sample values. ``html`` is empty where the row has no HTML yet."""

    subject: str
    preheader: str
    text: str
    html: str


@dataclass(frozen=True, kw_only=True)
class PreviewFrame:
    """What the include ``preview_frame.html`` needs, as ``frame``, to show the preview of one email.

    ``url`` is the address of the frame, ``open_url`` and ``closed_url`` those with and without pictures from other
    servers, and ``page_url`` is that of the page with the other choice. ``has_dark`` says whether the design has a
    dark version.
    """

    open_url: str
    closed_url: str
    page_url: str
    is_remote: bool
    has_dark: bool

    @property
    def url(self) -> str:
        return self.open_url if self.is_remote else self.closed_url


def make_frame(request: HttpRequest, email: StoredEmail, url: str) -> PreviewFrame | None:
    """Return the frame for the email on the requested page; ``url`` is that of its preview. None without HTML."""
    if not email.html:
        return None
    toggled = request.GET.copy()
    is_remote = bool(toggled.pop(REMOTE, None))
    if not is_remote:
        toggled[REMOTE] = "1"
    return PreviewFrame(
        open_url=f"{url}?{REMOTE}=1",
        closed_url=url,
        page_url=f"{request.path}?{toggled.urlencode()}",
        is_remote=is_remote,
        has_dark="prefers-color-scheme" in email.html,
    )


def make_preview(email: StoredEmail, typed: Mapping[str, str] | None = None) -> Preview:
    """Return the stored email with the values of `shown_values`.

    Values of a name that ends in ``_html`` are put in as they are; the frame is safe against any HTML.
    """
    values = shown_values(email, typed)
    inserted = {name: text if is_html(name) else escape(text) for name, text in values.items()}
    html = render_placeholders(_shorten_html(email.html), inserted)
    return Preview(
        subject=render_placeholders(email.subject, values),
        preheader=render_placeholders(email.preheader, values),
        text=html_to_text(html),
        html=html,
    )


def _shorten_html(html: str) -> str:
    """Return the HTML, cut before a tag if it is long, so that the mark at its end is not inside one."""
    shortened = shorten(html)
    if shortened == html:
        return html
    start, _, mark = shortened.rpartition("\n")
    return start.rpartition("<")[0] + mark


def disarm(html: str) -> str:
    """Return the HTML without frames, and without addresses of links, those of ``<link>`` included.

    No policy governs these in full. Tags and attributes are renamed wherever their names stand, so that no nesting
    and no quoting can hide one.
    """
    return _FRAME.sub("<inert-", _ACTIVE_ATTRIBUTE.sub(r"data-\1", html))


def preview_response(html: str, *, remote: bool) -> HttpResponse:
    """Return the HTML for the frame, with headers that confine it; ``remote`` lets pictures, fonts and styles in."""
    return HttpResponse(
        disarm(html) + _LINK_STYLE,
        headers={
            "Content-Security-Policy": _POLICY.format(content=_CONTENT[remote]),
            "X-Frame-Options": "SAMEORIGIN",
            "X-Content-Type-Options": "nosniff",
            "X-DNS-Prefetch-Control": "off",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, no-store",
        },
    )
