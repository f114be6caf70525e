"""The mail itself as a browser shows it: in an opaque frame, which fetches nothing from elsewhere until asked.

A mail may hold whatever a site's users typed: no scripts, no forms, no same-origin access to the sandbox. Links open
in new windows. Images may come from this machine, which a developer's own site runs on.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from django.http import HttpResponse

from django_migma.sandbox.placeholders import find_placeholders

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from django_migma.sandbox.exchanges import Mail
    from django_migma.sandbox.placeholders import RenderedEmail
    from django_migma.sandbox.server import Request

MAX_PARSED = 300_000  # characters that are searched for links, and marked; some readers cut a mail off after 100 kB
_LOCAL = "http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*"
_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: {local}{elsewhere}; "
    "style-src 'unsafe-inline'{elsewhere}; font-src data:{elsewhere}; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_REMOTE_IMAGE = re.compile(
    r"""(?:\b(?:src|srcset|background|poster)\s*+=|\burl\()\s*+["']?\s*+(?P<address>(?:https?:)?//[^"'\s>)]+)""",
    re.IGNORECASE,
)
# Browsers connect to the address of a frame before a policy forbids to load it, and to those of links that are no
# style sheets. No reader's mail program shows frames. A tag begins with "<" and its name, with nothing between them.
_FRAME = r"<(?=(?:i?frame|frameset|fencedframe|object|embed|portal)\b"
_NO_PICTURE = re.compile(_FRAME + r"|link\b(?![^<>]{0,300}\brel\s*=\s*[\"']?stylesheet\b))", re.IGNORECASE)
_FRAME_OR_LINK = re.compile(_FRAME + r"|link\b)", re.IGNORECASE)
_THIS_MACHINE = re.compile(r"(?:https?:)?//(?:localhost|127\.0\.0\.1)(?:[:/?]|$)", re.IGNORECASE)
# What is not text: a comment, an element whose text is not shown or not parsed, and any other tag.
_MARKUP = re.compile(r"<(?:!--|(?P<raw>style|title|script|textarea|xmp|noscript)\b|[a-z/!?])", re.IGNORECASE)
_MARK = (
    '<mark style="background:#ffd54d;color:#3a2a00;outline:2px solid #b7791f;border-radius:2px" '
    'title="no value was given">{}</mark>'
)
# Without it, a link would open inside the frame, where the page's policy blocks other hosts. It works at the end of a
# document, too, and there it cannot disturb the doctype.
_NEW_WINDOWS = '<base target="_blank">'


def html_page(request: Request, html: str) -> HttpResponse:
    """A mail alone. ``?images=1`` lets it fetch images, styles and fonts from anywhere."""
    elsewhere = " https: http:" if request.GET.get("images") == "1" else ""
    headers = {
        "Content-Security-Policy": _POLICY.format(local=_LOCAL, elsewhere=elsewhere),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-DNS-Prefetch-Control": "off",
        "Cache-Control": "no-store",
    }
    shown = (_NO_PICTURE if elsewhere else _FRAME_OR_LINK).sub("<inert-", html)
    # "replace": JSON may carry lone surrogates, which UTF-8 cannot.
    content = shown.encode(errors="replace")
    return HttpResponse(content, content_type="text/html; charset=utf-8", headers=headers)


def framed_page(request: Request, mail: Mail) -> HttpResponse:
    """A mail in its frame, or what it would have been. ``?marks=1`` marks the variables that have no value."""
    html = marked(mail.rendered) if request.GET.get("marks") == "1" else mail.rendered.html
    return html_page(request, html + _NEW_WINDOWS)


def marked(rendered: RenderedEmail) -> str:
    """The HTML with its placeholders without a value in ``<mark>``: in text, since attributes take no elements."""
    shown = replace(rendered, switches=replace(rendered.switches, missing_variables="keep"))
    missing = set(rendered.missing_variables())
    pieces = _pieces(shown.html[:MAX_PARSED])
    marked_part = "".join(_mark(piece, missing) if is_text else piece for is_text, piece in pieces)
    return marked_part + shown.html[MAX_PARSED:]


def _pieces(html: str) -> Iterator[tuple[bool, str]]:
    """Text and markup in turn. What is not closed is markup to the end, so that each character is seen once."""
    position = 0
    while (match := _MARKUP.search(html, position)) is not None:
        yield True, html[position : match.start()]
        position = _end(html, match)
        yield False, html[match.start() : position]
    yield True, html[position:]


def _end(html: str, start: re.Match[str]) -> int:
    if start["raw"]:
        closing = re.compile(rf"</{start['raw']}", re.IGNORECASE).search(html, start.end())
        place = closing.start() if closing else -1
    else:
        mark = "-->" if start[0] == "<!--" else ">"
        place = html.find(mark, start.end())
        place += len(mark) if place >= 0 else 0
    return place if place >= 0 else len(html)


def _mark(text: str, missing: Collection[str]) -> str:
    pieces, position = [], 0
    for name, start, end in find_placeholders(text):
        if name in missing:
            pieces += [text[position:start], _MARK.format(text[start:end])]
            position = end
    return "".join([*pieces, text[position:]])


def remote_images(html: str) -> int:
    """How many different addresses beyond this machine the mail would fetch pictures from."""
    found = {match["address"] for match in _REMOTE_IMAGE.finditer(html)}
    return sum(not _THIS_MACHINE.match(address) for address in found)


@dataclass(kw_only=True)
class Link:
    """A link of a mail. Nothing fetches its address."""

    address: str
    text: str = ""

    @property
    def is_unsubscribe(self) -> bool:
        return (
            re.search("unsubscri|opt-?out|abmelde|desabonn", f"{self.address} {self.text}", re.IGNORECASE) is not None
        )

    @property
    def opens(self) -> bool:
        """Whether the page may offer it to be opened: no scripts, no data."""
        return re.match("https?://|mailto:|tel:", self.address, re.IGNORECASE) is not None


class _LinkFinder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Link] = []
        self._open: Link | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"a", "area"} and given.get("href") is not None:
            self._open = Link(address=str(given["href"]).strip(), text=given.get("alt") or "")
            self.found.append(self._open)
        elif tag == "img" and self._open is not None:
            self._open.text += f" {given.get('alt') or ''}"

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open.text += data


def links(html: str) -> list[Link]:
    """Every link in order, with its text; of very large mails, those of its beginning."""
    finder = _LinkFinder()
    with contextlib.suppress(AssertionError):  # older Pythons give up on malformed declarations
        finder.feed(html[:MAX_PARSED])
    for link in finder.found:
        link.text = " ".join(link.text.split())
    return finder.found
