"""Small pictures of the stored emails, drawn from their designs: Migma answers with the address of a thumbnail.

Each shows the colours, the heading, the paragraphs as bars and the button of its HTML. The HTML is the package's own.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.http import HttpResponse

from django_migma.sandbox import account

if TYPE_CHECKING:
    from django_migma.sandbox.server import Request

_WIDTH, _HEIGHT = 240, 300
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=3600",
}
_MARGIN, _INDENT = 16, 34  # of the card and of what is in it, from the left
_LINE = 17  # characters of a heading that fit
_BAR = 46  # characters of a paragraph that one bar stands for
_MAX_BARS = 12


def show(_request: Request, email_id: str) -> HttpResponse:
    """Raises 404 for an unknown email."""
    drawing = draw(account.find_email(email_id)["html"])
    return HttpResponse(drawing.encode(), content_type="image/svg+xml", headers=_HEADERS)


def draw(design: str) -> str:
    """Return an SVG of a design, without script, style or anything from elsewhere."""
    page, card, leaf = _colour(design, "page"), _colour(design, "card"), _colour(design, "leaf")
    hero = _colour(design, "hero", default="")
    heading = textwrap.wrap(_text(design, "h1"), _LINE)
    top, bottom = 58, 58 + 36 + 24 * len(heading)
    parts = [
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{page}"/>',
        f'<circle cx="40" cy="31" r="6" fill="{leaf}"/>',
        f'<text x="52" y="37" font-size="18" fill="#2a211b">Fernhill <tspan fill="{leaf}">Coffee</tspan></text>',
        f'<rect x="{_MARGIN}" y="{top}" width="{_WIDTH - 2 * _MARGIN}" height="{_HEIGHT}" rx="8" fill="{card}"/>',
    ]
    if hero:
        parts.append(
            f'<path d="M{_MARGIN} {bottom}v-{bottom - top - 8}q0-8 8-8h{_WIDTH - 2 * _MARGIN - 16}q8 0 8 8'
            f'V{bottom}z" fill="{hero}"/>'
        )
    ink = "#ffffff" if hero else "#2a211b"
    for number, line in enumerate(heading):
        parts.append(
            f'<text x="{_INDENT}" y="{top + 38 + 24 * number}" font-size="20" fill="{ink}">{html.escape(line)}</text>'
        )
    parts += _bars(design, bottom + 20, leaf)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" font-family="Georgia, serif">{"".join(parts)}</svg>'
    )


def _bars(design: str, top: int, leaf: str) -> Iterator[str]:
    """The paragraphs as bars, and the button where the design has it."""
    y = top
    width = _WIDTH - 2 * _INDENT
    for kind, text in _paragraphs(design):
        if kind == "btn":
            yield f'<rect x="{_INDENT}" y="{y}" width="90" height="22" rx="5" fill="{leaf}"/>'
            y += 36
            continue
        for start in range(0, len(text), _BAR):
            share = min(len(text) - start, _BAR) / _BAR
            yield f'<rect x="{_INDENT}" y="{y}" width="{width * share:.0f}" height="5" rx="2.5" fill="#d3c5b3"/>'
            y += 11
        y += 7


def _paragraphs(design: str) -> Iterator[tuple[str, str]]:
    """The kind and the text of what follows the heading."""
    body = design.partition("</h1>")[2]
    for found in list(re.finditer(r'(?s)<p[ >].*?</p>|class="btn[ "].*?</td>', body))[:_MAX_BARS]:
        yield ("btn" if found[0].startswith("class") else "p"), _plain(found[0])


def _colour(design: str, name: str, default: str = "#f4efe7") -> str:
    """The background of the first element of this class, as its ``style`` has it."""
    found = re.search(rf'class="(?:[\w -]* )?{name}[ "][^>]*?background-color: (#[0-9a-f]{{6}})', design)
    return found[1] if found else default


def _text(design: str, tag: str) -> str:
    found = re.search(rf"(?s)<{tag}[ >].*?</{tag}>", design)
    return _plain(found[0]) if found else ""


def _plain(markup: str) -> str:
    """The text without tags. A placeholder is shown as its name in brackets."""
    text = html.unescape(re.sub(r"<[^>]*>", " ", markup))
    text = re.sub(r"\{\{\s*([\w.-]+)\s*\}\}", lambda found: f"[{found[1].replace('_', ' ')}]", text)
    return re.sub(r"\s+(?=[.,])", "", " ".join(text.split()))
