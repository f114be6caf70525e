"""The preview of a stored email, with sample values, in a frame from which nothing can be run, fetched or opened.

The HTML comes from Migma and counts as hostile. The frame's ``sandbox`` and the policy of its response stop scripts,
forms, windows and fetches, also where the response is opened by itself. Neither stops a link from leading its own
frame or tab away, so links lose their addresses here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.utils.html import escape

from django_migma.conf import get_setting
from django_migma.html import html_to_text, shorten
from django_migma.stored_emails import DeclaredEmails
from django_migma.variables import render_placeholders

if TYPE_CHECKING:
    from django_migma.models import StoredEmail

REMOTE = "remote_images"  # parameter of page and frame: load pictures, fonts and styles from other servers
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
_LINK_STYLE = "<style>:where([data-href]){color:-webkit-link;text-decoration:underline}</style>"
"""Links without an address still look like links. ``:where`` gives way to any style of the email."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Texts with sample values. ``html`` is empty where the row has no HTML yet."""

    subject: str
    preheader: str
    text: str
    html: str


def make_preview(email: StoredEmail) -> Preview:
    """Return the stored email with its default values, and samples for the other variables."""
    values = sample_values(email)
    html = render_placeholders(_shorten_html(email.html), {name: escape(value) for name, value in values.items()})
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


def sample_values(email: StoredEmail) -> dict[str, str]:
    """Return a value for each variable: its sample or default, or its name in brackets, such as ``[first name]``."""
    samples = {name: f"[{re.sub('[-_. ]+', ' ', name).strip() or name}]" for name in email.variable_names}
    defaults = email.default_variables
    if not isinstance(defaults, Mapping):  # from a form that is shown again with its errors
        return samples
    given = {**defaults, **_declared_variables(email)}
    return samples | {name: _as_text(value) for name, value in given.items()}


def _declared_variables(email: StoredEmail) -> dict[str, object]:
    """What the settings declare for the key of the row: values for all mail, and those for previews."""
    for declared in DeclaredEmails(get_setting("STORED_EMAILS", {})).usable():
        if declared.name == email.key:
            return {**declared.default_variables, **declared.sample_variables}
    return {}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def disarm(html: str) -> str:
    """Return the HTML without addresses of links, those of ``<link>`` included, which no policy governs in full.

    The attributes are renamed wherever their names stand, so that no nesting and no quoting can hide one.
    """
    return _ACTIVE_ATTRIBUTE.sub(r"data-\1", html)


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
