"""Plain text to HTML and back, the body of a document, and text that must not become a placeholder or a tag.

Bodies may contain what users typed, so everything here takes linear time and little memory: regular expressions that
do not backtrack, and no parser, since Python's takes quadratic time on unclosed tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape, unescape
from io import StringIO
from itertools import product
from typing import Any

from django.utils.safestring import SafeString

from .variables import render_placeholders, value_to_text

_MAX_TEXT = 200_000  # characters that a text made from HTML, or shown on a page, may have

_URL = r"(?i)https?://[^\s<>\"]+"
_BRACES = ("{", "%7b", "%7B")  # as links spell it, too: Migma replaces placeholders in both spellings

# As in browsers: what is never closed goes on to the end, and a quote counts behind an equals sign only.
_ATTRIBUTES = r"""(?>[^>=]++|=\s*+"[^"]*+"?|=\s*+'[^']*+'?|=)*+"""
_HIDDEN = r"<!--.*?(?:-->|\Z)|<(?P<hidden>script|style|title|template)\b.*?(?:</(?P=hidden)\s*+>|\Z)"
_TAG = rf"<(?P<closing>/?)(?P<name>[a-z][^\s/>]*+)(?P<attributes>{_ATTRIBUTES})>?"
_MARKUP = rf"(?is){_HIDDEN}|<[!?][^>]*+>?|{_TAG}"
_WEB_ADDRESS = r"""(?i)\shref\s*+=\s*+(?:"(https?:[^"]*+)|'(https?:[^']*+)|(https?:[^\s>]*+))"""
_BLOCKS = {
    *("address", "article", "blockquote", "br", "div", "dl", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header"),
    *("hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul"),
}


def shorten(text: str) -> str:
    """Return the text, or its first 200,000 characters and a last line that says ``[shortened]``."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "\n[shortened]"


def text_to_html(text: str) -> SafeString:
    """Return plain text as HTML: escaped, paragraphs and line breaks kept, http(s) addresses clickable.

    Empty lines at its beginning and its end are left out.

    Not Django's ``urlize``: its treatment of ``example.com`` changes between Django's versions, with a deprecation
    warning in each mail. Not its ``linebreaks``: it makes a string of each paragraph, 500 MB for 10 MB of short ones.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    text = re.sub(r"\A\s*\n", "", text)  # templates leave empty lines at the top; the indent of the first line stays
    html, position = StringIO(), 0
    for match in re.finditer(_URL, text):
        url = escape(_trim_url(match[0]))
        html.write(escape(text[position : match.start()]) + f'<a href="{url}">{url}</a>')
        position = match.start() + len(_trim_url(match[0]))
    html.write(escape(text[position:]))
    return SafeString(f"<p>{_break_lines(html.getvalue())}</p>")


def _trim_url(url: str) -> str:
    """The address without the full stop or the closing bracket of the sentence around it."""
    unopened = {closing: url.count(closing) - url.count(opening) for opening, closing in ("()", "[]", "{}")}
    end = len(url)
    while url[end - 1] in ".,:;!?'*" or unopened.get(url[end - 1], 0) > 0:
        end -= 1
        if url[end] in unopened:
            unopened[url[end]] -= 1
    return url[:end]


def _break_lines(html: str) -> str:
    while "\n\n\n" in html:
        html = html.replace("\n\n\n", "\n\n")
    return html.replace("\n\n", "</p>\r\r<p>").replace("\n", "<br>").replace("\r", "\n")


def body_content(html: str) -> str:
    """Return the content of ``<body>`` if this is a whole document, else the HTML as it is.

    A ``<body>`` inside a comment, a script or a style does not count; one inside the attribute of another tag would.
    """
    visible = re.sub(rf"(?is){_HIDDEN}", lambda found: " " * len(found[0]), html)
    start = re.search(rf"(?i)<body(?=[\s/>]){_ATTRIBUTES}(>?)", visible)
    if start is None or not start[1]:
        return html
    ends = [end.start() for end in re.finditer(r"(?i)</body(?=[\s/>])", visible) if end.start() >= start.end()]
    return html[start.end() : ends[-1] if ends else None]


def html_to_text(html: str) -> str:
    """Return HTML as plain text for readers: blocks on lines of their own, links followed by their address.

    What browsers hide is left out. The text is cut as by `shorten`.
    """
    html = re.sub(r"&#\d{100,}+;?", "\ufffd", html)  # no character; Python refuses to read more than 4,300 digits
    pieces: list[str] = []
    position, href, link_start = 0, "", 0
    for markup in re.finditer(_MARKUP, html):
        if markup.start() > position:
            pieces.append(_one_line(html[position : markup.start()]))
        position, name = markup.end(), (markup["name"] or "").lower()
        if name == "a":
            if markup["closing"] and href and href not in "".join(pieces[link_start:]):
                pieces.append(f" ({href})")
            href, link_start = "" if markup["closing"] else _web_address(markup["attributes"]), len(pieces)
        elif name in _BLOCKS:
            pieces.append("\n- " if name == "li" and not markup["closing"] else "\n")
    pieces.append(_one_line(html[position:]))
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return shorten(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip())


def _one_line(html: str) -> str:
    return unescape(html).replace("\n", " ")


def _web_address(attributes: str) -> str:
    found = re.search(_WEB_ADDRESS, attributes)
    return unescape(found[1] or found[2] or found[3]) if found else ""


def fill_placeholders(html: str, variables: Mapping[str, Any]) -> str:
    """Return HTML with values in place of its placeholders, escaped unless they are a ``SafeString``."""
    texts = {name: value_to_text(value) for name, value in variables.items()}
    return render_placeholders(
        html, {name: text if isinstance(text, SafeString) else escape(text) for name, text in texts.items()}
    )


def fill_placeholders_in_text(text: str, variables: Mapping[str, Any]) -> str:
    """Return text with values in place of its placeholders."""
    return render_placeholders(text, {name: value_to_text(value) for name, value in variables.items()})


def escape_placeholders(html: str) -> str:
    """Return HTML that reads the same, without ``{{`` and ``%7B%7B``: what a customer types is not a template."""
    for pair in map("".join, product(_BRACES, repeat=2)):
        html = html.replace(pair, pair.replace("{", "&#123;").replace("%", "&#37;"))
    return html


def escape_placeholders_in_text(text: str) -> str:
    """Return text that reads the same, with an invisible word joiner between braces: a subject has no entities."""
    for first, second in product(_BRACES, repeat=2):
        while first + second in text:  # twice at most, for braces in a row
            text = text.replace(first + second, f"{first}\u2060{second}")
    return text


def escape_tags(text: str) -> str:
    """Return text that cannot start a tag where a layout puts it into its HTML unescaped.

    Whether Migma escapes variables is not known. Only ``<`` is replaced, so that a second escaping does little harm.
    """
    return text.replace("<", "&lt;")
