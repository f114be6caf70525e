"""Plain text and HTML, the body of a document, and time and memory that grow with the text only."""

from __future__ import annotations

import time
import tracemalloc
from html import unescape
from html.parser import HTMLParser

import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from django_migma.html import (
    body_content,
    escape_placeholders,
    escape_placeholders_in_text,
    escape_tags,
    html_to_text,
    shorten,
    text_to_html,
)


def link(url, text=None):
    return f'<a href="{url}">{text or url}</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Hello", "<p>Hello</p>"),
        ("One\nTwo", "<p>One<br>Two</p>"),
        ("One\r\nTwo\rThree", "<p>One<br>Two<br>Three</p>"),
        ("One\n\nTwo\n\n\n\nThree", "<p>One</p>\n\n<p>Two</p>\n\n<p>Three</p>"),
        ('<b>&amp; "it\'s"', "<p>&lt;b&gt;&amp;amp; &quot;it&#x27;s&quot;</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("", "<p></p>"),
        ("\n\n\nOne\n\n", "<p>One</p>"),
        ("\r\nOne\nTwo\r\n", "<p>One<br>Two</p>"),
        ("  \n\t\n  One\n  \n", "<p>  One</p>"),
        ("\n", "<p></p>"),
    ],
)
def test_text_is_escaped_and_keeps_its_paragraphs(text, html):
    assert text_to_html(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("https://example.com", link("https://example.com")),
        ("HTTP://EXAMPLE.COM/A", link("HTTP://EXAMPLE.COM/A")),
        ("See https://example.com/a.", f"See {link('https://example.com/a')}."),
        ("https://example.com/a, or?", f"{link('https://example.com/a')}, or?"),
        ("https://example.com/a?!...", f"{link('https://example.com/a')}?!..."),
        ("(https://example.com/a)", f"({link('https://example.com/a')})"),
        ("(https://example.com/a).", f"({link('https://example.com/a')})."),
        ("https://example.com/a_(b)", link("https://example.com/a_(b)")),
        ("(https://example.com/a_(b))", f"({link('https://example.com/a_(b)')})"),
        ("[https://example.com/a[1]]", f"[{link('https://example.com/a[1]')}]"),
        ("{https://example.com/{a}}", f"{{{link('https://example.com/{a}')}}}"),
        ("<https://example.com/a>", f"&lt;{link('https://example.com/a')}&gt;"),
        ('"https://example.com/a"', f"&quot;{link('https://example.com/a')}&quot;"),
        ("'https://example.com/a'", f"&#x27;{link('https://example.com/a')}&#x27;"),
        ("https://example.com/o'neil", link("https://example.com/o&#x27;neil")),
        ("https://example.com/?a=1&b=2", link("https://example.com/?a=1&amp;b=2")),
        ("https://example.com/?a=1&amp;b=2", link("https://example.com/?a=1&amp;amp;b=2")),
        ("https://example.com/é", link("https://example.com/é")),
        ("https://a.example https://b.example", f"{link('https://a.example')} {link('https://b.example')}"),
        ("https://a.example\nhttps://b.example", f"{link('https://a.example')}<br>{link('https://b.example')}"),
        ("http://...", f"{link('http://')}..."),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("example.com and bob@example.com", "example.com and bob@example.com"),
        ("https:// alone", "https:// alone"),
    ],
)
def test_web_addresses_are_clickable(text, html):
    """Without the punctuation of the sentence around them."""
    assert text_to_html(text) == f"<p>{html}</p>"


def test_the_html_is_safe_for_templates():
    """They must not escape it again."""
    assert isinstance(text_to_html("a"), SafeString)


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, [name for name, _ in attrs]))
        assert all(value.lower().startswith(("http://", "https://")) for _, value in attrs)


@given(
    st.text()
    | st.lists(st.sampled_from(["<script", ">", "https://a", "/", '"', "'", "&", "<", "(", ")", "\n", " "])).map(
        "".join
    )
)
def test_no_text_becomes_markup(text):
    """Three kinds of tags come out, all ours, and the same each time."""
    html = text_to_html(text)
    assert "<script" not in html
    allowed = [("p", []), ("br", []), ("a", ["href"])]
    assert all(tag in allowed for tag in Tags(html).found)
    assert text_to_html(text) == html


@pytest.mark.parametrize(
    ("html", "inner"),
    [
        ("<p>Hi</p>", "<p>Hi</p>"),
        ("", ""),
        ("<html><head><title>T</title></head><body><p>Hi</p></body></html>", "<p>Hi</p>"),
        ("<BODY class=a>\n<p>Hi</p>\n</BODY>", "\n<p>Hi</p>\n"),
        ("<body title='a > b' data-x=\"</body>\">Hi</body>", "Hi"),
        ("<!-- <body>no</body> --><body>Hi</body>", "Hi"),
        ("<body>Hi<!-- </body> --> you</body>", "Hi<!-- </body> --> you"),
        ("<head><script>'<body>'</script></head>\n<body>Hi</body>", "Hi"),
        ("<head><style>/* <body> */</style></head><body>Hi</body>", "Hi"),
        ("<body>one<body>two</body>", "one<body>two"),
        ("<body>Hi", "Hi"),
        ("</body><p>Hi", "</body><p>Hi"),
        ("<body/>Hi", "Hi"),
        ("<html>\r\n<body\n  class='a'\n>\r\nÄ 😀\n</body>\n</html>", "\r\nÄ 😀\n"),
        ("<p>a &lt;body&gt; b</p>", "<p>a &lt;body&gt; b</p>"),
        ("<title><body></title><body>Hi</body>", "Hi"),
        ("<body>Hi</body><!-- never closed </body>", "Hi"),
        ("</body><body>Hi", "Hi"),
        ("<bodyguard>Hi</bodyguard>", "<bodyguard>Hi</bodyguard>"),
        ("Hi <body class='never closed", "Hi <body class='never closed"),
        ("<!DOCTYPE html><html><p>Hi</p></html>", "<!DOCTYPE html><html><p>Hi</p></html>"),
    ],
)
def test_the_body_of_a_document_is_what_a_browser_would_show(html, inner):
    """A fragment stays as it is."""
    assert body_content(html) == inner


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Hi", "Hi"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<h1>One</h1>\n\n\n<div><div><p>Two</p></div></div>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n\n- Two"),
        ("a\n   b\t c <b>d</b>", "a b c d"),
        ("Tom &amp; Ann &lt;3 &#8364;", "Tom & Ann <3 €"),
        ("<style>p{}</style><p>Hi</p><script>alert('x')</script>", "Hi"),
        ("<head><title>T</title></head><body>Hi</body>", "Hi"),
        ("<head><title>T</title><body><p>Hi</p>", "Hi"),
        ("<html><head><meta charset=utf-8><title>T</title><body>Hi</body></html>", "Hi"),
        ("<template>no<template>no</template></template>Hi</style>", "Hi"),
        ("<!-- no -->Hi", "Hi"),
        ('<a href="https://example.com/a">Open</a>!', "Open (https://example.com/a)!"),
        ('<a href="http://example.com/a">Open</a>', "Open (http://example.com/a)"),
        ('<a href="https://example.com">See https://example.com here</a>', "See https://example.com here"),
        ('<a href="https://example.com/?a=1&amp;b=2"><b>Op</b>en</a>', "Open (https://example.com/?a=1&b=2)"),
        ('<a href="mailto:a@example.org">Write</a> <a>none</a> <a href>empty</a>', "Write none empty"),
        ('<a href="https://example.com/a">never closed', "never closed"),
        (
            "<A HREF = 'https://a.example/?b'>Open</A><a name=x href=https://b.example>Open</a>",
            "Open (https://a.example/?b)Open (https://b.example)",
        ),
        ("</a>Hi</p>", "Hi"),
        ("<p title='a > b' data-x=it's>Hi <b title=\"<p>\">you</b></p>", "Hi you"),
        ("1 < 2 <3 > 2", "1 < 2 <3 > 2"),
        ("Hi <!-- a --> all <!-- never <p>closed", "Hi all"),
        ("<!DOCTYPE html><?xml no ?>Hi", "Hi"),
        ("Hi<script>never closed</p>", "Hi"),
        ("Hi <a href='never closed", "Hi"),
        (f"&#{'9' * 5000}; <a href='https://a.example/&#{'9' * 5000};'>a</a>", "\ufffd a (https://a.example/\ufffd)"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "ab\n\nc"),
        ("", ""),
    ],
)
def test_html_as_text_for_readers(html, text):
    """Blocks on lines of their own, links followed by their address, nothing that a browser hides."""
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("html", "neutral"),
    [
        ("{{name}}", "&#123;&#123;name}}"),
        ("{{{name}}}", "&#123;&#123;{name}}}"),
        ("{ {name}} {% tag %} {a}", "{ {name}} {% tag %} {a}"),
        ("{{a}}{{b}}", "&#123;&#123;a}}&#123;&#123;b}}"),
        ("%7B%7Bname%7D%7D", "&#37;7B&#37;7Bname%7D%7D"),
        ("%7b%7Bname%7D%7d", "&#37;7b&#37;7Bname%7D%7d"),
        ("{%7Bname}} %7b{name}}", "&#123;&#37;7Bname}} &#37;7b&#123;name}}"),
        ("%7B {%7D {%", "%7B {%7D {%"),
        ("", ""),
    ],
)
def test_what_a_customer_typed_is_no_placeholder(html, neutral):
    """Neither as braces nor as links spell them; it reads the same in text and in a link."""
    assert escape_placeholders(html) == neutral
    assert unescape(neutral) == html


@given(st.text("{}a &#123;") | st.lists(st.sampled_from(["{", "%7b", "%7B", "a", "}", "%7D", "&#37;"])).map("".join))
def test_no_pair_of_braces_is_left(text):
    for escaped in escape_placeholders(text), escape_placeholders_in_text(text):
        assert "{{" not in escaped.lower().replace("%7b", "{")
    assert escape_placeholders_in_text(text).replace("\u2060", "") == text


def test_a_subject_gets_a_word_joiner():
    """It has no entities."""
    assert escape_placeholders_in_text("{{{a}}} {b}") == "{\u2060{\u2060{a}}} {b}"
    assert escape_placeholders_in_text("%7B%7bname%7D%7D") == "%7B\u2060%7bname%7D%7D"


@pytest.mark.parametrize(
    ("text", "tagless"),
    [('<b>Tom</b> & "Ann"', '&lt;b>Tom&lt;/b> & "Ann"'), ("a << b", "a &lt;&lt; b"), ("a > b", "a > b"), ("", "")],
)
def test_a_layouts_text_can_start_no_tag(text, tagless):
    """Everything else stays, in case Migma escapes it."""
    assert escape_tags(text) == tagless


def test_a_long_text_is_cut_and_says_so():
    """A text part or a preview has 200,000 characters at most, and readers see that something is left out."""
    assert shorten("a" * 200_000) == "a" * 200_000
    assert shorten("a" * 200_001) == "a" * 200_000 + "\n[shortened]"
    assert html_to_text("<p>a</p>" * 100_000) == ("a\n\n" * 66_667)[:200_000] + "\n[shortened]"


UNITS = [
    *("<p ", "<p>", "<div><div>", "</div>", "<!--", "<!-- -->", "<![CDATA[", "<", "</", "<!", "<a href=x>", "<br>"),
    *("<a href=x></a>", '<a href="', "<a href='", '<p ="', "<x a='", "<body ", "<body>", "</body ", "<script>"),
    *("<script ", "</script ", "<title>", "<style>", "&#", "&amp", "{{", "{{ ", "{{a}}", "%7B%7B", "{%7b", "(((("),
    *("http://(((", "http://a ", "https://a.b).", '"', "'", "=", "a\n\n", "\n", "\r\n", " ", "\u0130", "\0"),
]  # fmt: skip
STARTS = {
    "attributes": "<a " + "b " * 500_000 + ">",
    "quotes": "<a " + '"' * 1_000_000,
    "equals signs": "<body " + "=" * 1_000_000,
    "digits": "&#" + "9" * 1_000_000 + ";",
    "long numbers": ("&#" + "9" * 4_200 + ";") * 238,
    "an unclosed script": "<script>" + "</scrip" * 142_857,
    "an unclosed comment": "<!--" + "-" * 1_000_000,
    "a long name": "{{" + "a" * 1_000_000,
    "links in a link": "<a href=http://x>" + "http://y " * 111_111 + "</a>",
}
HOSTILE = {unit: unit * (1_000_000 // len(unit)) for unit in UNITS} | STARTS


@pytest.mark.parametrize("text", HOSTILE.values(), ids=map(repr, HOSTILE))
def test_no_text_of_1_mb_takes_more_than_moments(text):
    """All of this takes less than a second together; what is quadratic takes minutes."""
    start = time.thread_time()
    for convert in text_to_html, html_to_text, body_content, escape_placeholders, escape_placeholders_in_text:
        convert(text)
    assert time.thread_time() - start < 20


def peak_memory(function, *arguments):
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("unit", ["Hello, see http://example.com/a.\nHow are you?\n\n", "a\n\n", "a", "<p>"])
def test_text_becomes_html_in_less_than_ten_bytes_per_character(unit):
    """10 MB in less than 100 MB; a regular expression that keeps a state per character takes 130 bytes for each."""
    assert peak_memory(text_to_html, unit * (2_000_000 // len(unit))) < 20_000_000


@pytest.mark.parametrize("unit", ["<p>Hello</p>\n", "<!-- conditional comment -->", "a", "<body>"])
def test_a_body_is_found_in_less_than_ten_bytes_per_character(unit):
    html = f"<html><body>{unit * (2_000_000 // len(unit))}</body></html>"
    assert peak_memory(body_content, html) < 20_000_000
