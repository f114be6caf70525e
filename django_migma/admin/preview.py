"""A stored email as its readers will see it, with sample values, in a frame that can do nothing.

The HTML comes from elsewhere, so it is shown as hostile: no script runs, nothing is fetched or submitted, and the
page around it cannot be reached. The frame's ``sandbox`` says so, and so do the headers of the view, which hold
where the view is opened by itself. What no header governs is taken out of the HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.utils.html import escape

from django_migma.html import html_to_text
from django_migma.variables import render_placeholders

from .damage import names_of, whole

if TYPE_CHECKING:
    from django_migma.models import StoredEmail

REMOTE = "remote_images"
"""The parameter that allows what lies elsewhere, on the page and on the view of the frame."""

_CONTENT = {
    False: "style-src 'unsafe-inline'; img-src data:; font-src data:",
    True: "style-src 'unsafe-inline' https: http:; img-src https: http: data:; font-src https: http: data:",
}
_POLICY = (
    "sandbox; default-src 'none'; {content}; form-action 'none'; base-uri 'none'; frame-src 'none'; "
    "frame-ancestors 'self'"
)
# A sandboxed frame may not open windows, so that links which want one do nothing. At the end, where it cannot push
# a doctype off its place; a target counts wherever it stands.
_NO_LINKS = '<base target="_blank">'
_FRAMES = r"(?i)<(/?(?:iframe|object|portal|fencedframe)\b)"
"""Frames are closed by the policy, but what stands in a ``srcdoc`` is its own document with links of its own."""
_VOID = {False: r"(?i)<(?:base|embed|frame|link)\b", True: r"(?i)<(?:base|embed|frame)\b"}
"""No policy governs ``<link rel="preconnect">``, and only the first ``<base>`` counts, which shall be ours."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The texts around the frames, with sample values. ``html`` is empty where there is none yet."""

    subject: str
    preheader: str
    text: str
    html: str


def preview_of(email: StoredEmail) -> Preview:
    """The stored email with its default values, and samples where it has none."""
    values = samples(email)
    html = render_placeholders(email.html, {name: escape(value) for name, value in values.items()})
    return Preview(
        subject=render_placeholders(email.subject, values),
        preheader=render_placeholders(email.preheader, values),
        text=html_to_text(html),
        html=html,
    )


def samples(email: StoredEmail) -> dict[str, str]:
    """A value for each variable: the default, or its name in brackets, such as ``[first name]``."""
    made = {name: f"[{_words(name)}]" for name in names_of(email)}
    defaults = email.default_variables
    if not isinstance(defaults, Mapping):  # a form that was filled in wrongly, on its way back to its user
        return made
    return made | {whole(str(name)): whole(_shown(value)) for name, value in defaults.items()}


def _words(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").replace(".", " ").split()) or name


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def defused(html: str, *, remote: bool) -> str:
    """The HTML without what would reach other servers past the policy; ``remote`` lets links to styles stay.

    What may stand in a head becomes a ``<meta>``, which may stand there too and has no end either: an unknown element
    would end the head and take all that follows into itself.
    """
    return re.sub(_VOID[remote], "<meta", re.sub(_FRAMES, r"<\1-x", html))


def preview_response(html: str, *, remote: bool) -> HttpResponse:
    """The HTML for the frame, with the headers that tie its hands. ``remote`` lets pictures, fonts and styles in."""
    return HttpResponse(
        defused(html, remote=remote) + _NO_LINKS,
        headers={
            "Content-Security-Policy": _POLICY.format(content=_CONTENT[remote]),
            "X-Frame-Options": "SAMEORIGIN",
            "X-Content-Type-Options": "nosniff",
            "X-DNS-Prefetch-Control": "off",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, no-store",
        },
    )
