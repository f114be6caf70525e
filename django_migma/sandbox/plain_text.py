"""A mail's HTML as plain text, for tests and for people who look for a word: what a reader sees, in reading order."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_UNSEEN = {"script", "style", "template", "title"}
_LINES = {
    "address", "article", "aside", "blockquote", "body", "div", "dd", "dl", "dt", "footer", "form", "header", "hr",
    "head", "html", "li", "main", "nav", "ol", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_PARAGRAPHS = {"h1", "h2", "h3", "h4", "h5", "h6", "p"}
_CELLS = {"td", "th"}
_ADDRESSES = ("http://", "https://", "mailto:")
_NEVER_SEEN = re.compile(
    "[\N{SOFT HYPHEN}\N{COMBINING GRAPHEME JOINER}\N{ZERO WIDTH SPACE}-\N{ZERO WIDTH JOINER}\ufeff]"
)
"""What designs fill their preheader with, so that mail programs show nothing after it."""


def plain_text(html: str) -> str:
    """Lines of text, an empty one between paragraphs; a link's address stands in brackets behind its words."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._unseen = 0  # how many elements are open that show nothing
        self._address = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._unseen += tag in _UNSEEN
        self._break(tag)
        if tag == "br":
            self._parts.append("\n")
        elif tag == "img":
            self.handle_data(given.get("alt") or "")
        elif tag == "a":
            self._address = given.get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag == "a" and self._address.startswith(_ADDRESSES):
            self.handle_data(f" [{self._address}]")
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._parts.append(re.sub(r"\s+", " ", _NEVER_SEEN.sub("", data)))

    def _break(self, tag: str) -> None:
        self._parts.append("\n\n" if tag in _PARAGRAPHS else "\n" if tag in _LINES else " " if tag in _CELLS else "")

    def text(self) -> str:
        lines = (re.sub(" +", " ", line).strip() for line in "".join(self._parts).split("\n"))
        return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip()
