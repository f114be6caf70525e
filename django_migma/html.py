"""Between plain text and HTML, and between documents and their parts. Pure functions."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from django.utils.html import escape, linebreaks
from django.utils.safestring import SafeString

_URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_TAG = r"(?:[^<>\"'`]|\"[^<>\"]*\"|'[^<>']*')*"
_SIMPLE_DOCUMENT = re.compile(
    rf"\s*(?:<(?:!doctype|html|head|/head|meta|link)\b{_TAG}>\s*)*"
    rf"<body\b{_TAG}>((?:[^<]|<(?!!|/?(?:script|style|textarea|title|template|xmp|iframe|noembed|noframes|plaintext|body)))*)"
    r"</body\s*>\s*(?:</html\s*>)?\s*",
    re.IGNORECASE,
)
"""A document without anything in which ``<body>`` could stand and mean nothing: no parser is needed for it."""
_HIDDEN = {"head", "style", "script", "title", "template"}
_BLOCKS = {
    *("address", "article", "blockquote", "div", "dl", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
    *("hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul"),
}

_MAX_TEXT = 200_000
"""Characters that a text made from HTML, or shown on a page, may have."""


def shorten(text: str) -> str:
    """The text, or its first 200,000 characters and a last line that says ``[shortened]``."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "\n[shortened]"


def text_to_html(text: str) -> SafeString:
    """Plain text as HTML: escaped, paragraphs and line breaks kept, http(s) addresses clickable.

    Not Django's ``urlize``: its treatment of ``example.com`` changes between Django's versions, with a deprecation
    warning in each mail.
    """
    pieces, position = [], 0
    for match in _URL.finditer(text):
        url = _without_punctuation(match[0])
        pieces += [escape(text[position : match.start()]), f'<a href="{escape(url)}">{escape(url)}</a>']
        position = match.start() + len(url)
    pieces.append(escape(text[position:]))
    return SafeString(linebreaks("".join(pieces), autoescape=False))


def _without_punctuation(url: str) -> str:
    """The address without the full stop or the closing bracket of the sentence around it."""
    unopened = {closing: url.count(closing) - url.count(opening) for opening, closing in ("()", "[]", "{}")}
    end = len(url)
    while url[end - 1] in ".,:;!?'*" or unopened.get(url[end - 1], 0) > 0:
        end -= 1
        if url[end] in unopened:
            unopened[url[end]] -= 1
    return url[:end]


def body_content(html: str) -> str:
    """What stands inside ``<body>`` if this is a whole document, else the HTML as it is."""
    if "<body" not in html.lower():
        return html
    if simple := _SIMPLE_DOCUMENT.fullmatch(html):
        return simple[1]
    finder = _BodyFinder()
    finder.feed(html)
    finder.close()
    return html if finder.start is None else html[finder.start : finder.end]


class _Parser(HTMLParser):
    """Python's parser, but ``<![this]>`` is a comment, as in browsers; some versions raise AssertionError there."""

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        return self.parse_bogus_comment(i, report)


class _BodyFinder(_Parser):
    """Finds ``<body>`` as a browser would: not in comments, scripts or attributes."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[int] = [0]
        self.start: int | None = None
        self.end: int | None = None

    def feed(self, data: str) -> None:
        self._lines += [match.end() for match in re.finditer("\n", data)]
        super().feed(data)

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body" and self.start is None:
            self.start = self._offset() + len(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # <body/> opens like <body>

    def handle_endtag(self, tag: str) -> None:
        if tag == "body" and self.start is not None:
            self.end = self._offset()


def html_to_text(html: str) -> str:
    """HTML as plain text for readers: blocks on lines of their own, links followed by their address."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _TextReader(_Parser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0
        self._link = ("", 0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag == "body":
            self._hidden = 0  # HTML lets the end of <head> go without saying
        elif tag == "a":
            self._link = (dict(attrs).get("href") or "", len(self.pieces))
        elif tag in _BLOCKS or tag == "br":
            self.pieces.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "a":
            self._add_address()
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def _add_address(self) -> None:
        (href, start), self._link = self._link, ("", 0)
        if href.startswith(("http://", "https://")) and href not in "".join(self.pieces[start:]):
            self.pieces.append(f" ({href})")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data.replace("\n", " "))


def escape_placeholders(html: str) -> str:
    """HTML in which ``{{`` reads the same but is no placeholder: what a customer typed must not become a template."""
    return re.sub(r"\{{2,}", lambda braces: "&#123;" * len(braces[0]), html)


def escape_placeholders_in_text(text: str) -> str:
    """The same for a subject, which has no entities: an invisible word joiner between the braces."""
    return re.sub(r"\{(?=\{)", "{\u2060", text)


def escape_tags(text: str) -> str:
    """Text that can start no tag where a layout puts it into its HTML unescaped.

    Only ``<`` is replaced: were Migma to escape variables after all, which is not known, little else would change.
    """
    return text.replace("<", "&lt;")
