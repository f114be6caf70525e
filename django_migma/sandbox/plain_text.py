"""A mail's HTML as plain text, for tests and for people who look for a word: what a reader sees, in reading order.

Not with ``html.parser``: in Pythons before summer 2025 its time grows with the square of some inputs (7 seconds for
50 kB of ``<!--``, and a body may have 10 MB). Each match below consumes what it has scanned, so the whole is linear.
"""

from __future__ import annotations

import re
from html import unescape

_MARKUP = re.compile(
    r"""
    <!--.*?(?:-->|\Z)
    | <(?P<raw>style|script|title|template)\b.*?(?:</(?P=raw)\b[^>]*+>?|\Z)
    | <(?P<end>/?)(?P<name>[a-z][^\s/>]*+)(?P<attributes>(?:[^>"']++|"[^"]*"|'[^']*')*+)>?
    | <[!?/][^>]*+>?
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|\bhidden(?=\s|$)", re.IGNORECASE)
_ADDRESSES = ("http://", "https://", "mailto:")
_VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}
_NEWLINES = {
    **dict.fromkeys("div tr table li dt dd section article header footer main form center".split(), 1),  # noqa: SIM905 - readable
    **dict.fromkeys("p ul ol dl pre blockquote hr h1 h2 h3 h4 h5 h6".split(), 2),  # noqa: SIM905 - readable
}
# Preheaders are filled up with these: zero width, soft hyphens, joiners. A space stands for each run of them.
_INVISIBLE = dict.fromkeys([0xAD, 0x34F, 0x61C, *range(0x200B, 0x2010), *range(0x2060, 0x2065), 0xFEFF], " ")


def plain_text(html: str) -> str:
    """Lines of text, an empty one between paragraphs; a link's address stands in brackets behind its words.

    What a style of its own hides, such as a preheader, is left out.
    """
    reader = _Reader()
    position = 0
    for markup in _MARKUP.finditer(html):
        reader.text(html[position : markup.start()])
        position = markup.end()
        if markup["name"]:
            reader.tag(markup["name"].lower(), markup["attributes"], is_end=bool(markup["end"]))
    reader.text(html[position:])
    return reader.result()


class _Reader:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._newlines = 0  # due before the next text
        self._hidden_in = ""  # the name of a hidden element, and how deep we are in elements of that name
        self._depth = 0
        self._href = ""
        self._link_from = 0

    def text(self, source: str) -> None:
        if source and not self._hidden_in:
            self._write(_unescaped(source).translate(_INVISIBLE))

    def tag(self, name: str, attributes: str, *, is_end: bool) -> None:
        if self._hidden_in:
            if name == self._hidden_in:
                self._depth += -1 if is_end else 1
                self._hidden_in = name if self._depth else ""
        elif not is_end and name not in _VOID and _HIDDEN.search(attributes):
            self._hidden_in, self._depth = name, 1
        else:
            self._visible_tag(name, attributes, is_end=is_end)

    def _visible_tag(self, name: str, attributes: str, *, is_end: bool) -> None:
        self._newlines = max(self._newlines, _NEWLINES.get(name, 0))
        if name == "br":
            self._newlines = min(self._newlines + 1, 2)
        elif name in ("td", "th"):
            self._parts.append(" ")
        elif name == "img":
            self.text(_value(_ALT, attributes))
        elif name == "a" and is_end:
            self._end_link()
        elif name == "a":
            self._href, self._link_from = _unescaped(_value(_HREF, attributes)).strip(), len(self._parts)

    def _end_link(self) -> None:
        if not self._href.lower().startswith(_ADDRESSES):
            return
        if "".join(self._parts[self._link_from :]).strip() != self._href:
            self._write(f" [{self._href}]")
        self._href = ""

    def _write(self, text: str) -> None:
        if not text.isspace():
            self._parts.append("\n" * self._newlines)
            self._newlines = 0
        # Each run of white space becomes one space; the two x keep those at the ends.
        self._parts.append(" ".join(f"x{text}x".split())[1:-1])

    def result(self) -> str:
        lines = "".join(self._parts).strip().split("\n")
        return "\n".join(" ".join(line.split()) for line in lines)


def _value(pattern: re.Pattern[str], attributes: str) -> str:
    found = pattern.search(attributes)
    return next(filter(None, found.groups()), "") if found else ""


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a character's number of more digits than Python converts
        return text
