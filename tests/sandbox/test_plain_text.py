"""HTML of mails as text: what a reader sees, in lines, and no input that takes long."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.plain_text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("no markup", "no markup"),
        ("<p>Hello <b>Kim</b>,</p>\n\n<p>the kettle\n is on.</p>", "Hello Kim,\n\nthe kettle is on."),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<ul><li>beans</li><li>milk</li></ul>", "beans\nmilk"),
        ("<table><tr><td>Beans</td><td>12.00</td></tr><tr><td>Total</td><td>15</td></tr></table>",
         "Beans 12.00\nTotal 15"),
        ("<h1>Welcome</h1>Come in", "Welcome\n\nCome in"),
        ("a &lt;b&gt; &amp; c&nbsp;d", "a <b> & c d"),
        ("<head><title>T</title><style>p > a {}</style></head><script>if (a<b) {}</script>x", "x"),
        ("<!-- <p>not this</p> -->x<!--[if mso]><td><![endif]-->y", "xy"),
        ("<!doctype html><?xml?><![CDATA[a]]>x", "x"),
        ("x<style>never closed", "x"),
        ("x<!-- never closed", "x"),
        ("x<a href=never closed", "x"),
        ("one<br><br><br>two<br> <p>three</p>", "one\n\ntwo\n\nthree"),
        ("1 < 2", "1 < 2"),
        ("<ul><li>One<li>Two</ul>", "One\nTwo"),
        ('<img src="x.png" alt="A kettle"> and <img src="y.png">', "A kettle and"),
        ("<head><meta charset=utf-8><body>No end of the head", "No end of the head"),
        ("</style>Ends that nothing began</script></p>", "Ends that nothing began"),
        ("Preheader&zwnj;&nbsp;&zwnj;&nbsp;&#847;\ufeff<p>Mail</p>", "Preheader\n\nMail"),
    ],
)  # fmt: skip
def test_markup_becomes_lines(html, text):
    assert plain_text(html) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://a.example/?b=1&amp;c=2">Shop</a>', "Shop [https://a.example/?b=1&c=2]"),
        ("<a class=x href='https://a.example/'>Shop</a> now", "Shop [https://a.example/] now"),
        ("<a href=https://a.example/>Shop</a>", "Shop [https://a.example/]"),
        ("<a href=https://a.example/>https://a.example/</a>", "https://a.example/"),
        ('<a href="https://a.example/"><img src=i alt="Our shop"></a>', "Our shop [https://a.example/]"),
        ('<a href="https://a.example/"><img src=i></a>', "[https://a.example/]"),
        ('<a href="#top">Up</a> <a href="">Here</a> <a name=x>there</a></a>', "Up Here there"),
        ('<a title="a > b" href="https://a.example/">Shop</a>', "Shop [https://a.example/]"),
    ],
)
def test_links_keep_their_address(html, text):
    assert plain_text(html) == text


@pytest.mark.parametrize(
    "html",
    [
        '<div style="display: none; max-height: 0">Preheader</div>x',
        "<div hidden><div>a</div><br>b</div>x",
        "<p style='DISPLAY:NONE'>a <b>b</p>x",
        "x&zwnj;&#8203;&shy;",
    ],
)
def test_what_is_hidden_is_left_out(html):
    assert plain_text(html) == "x"


def test_a_number_of_5000_digits_is_no_character():
    digits = "1" * 5000
    assert plain_text(f"&#{digits};") == f"&#{digits};"


def test_a_stored_email_reads_well():
    text = plain_text(account.find_email(account.WELCOME)["html"])
    assert text.startswith("Fernhill Coffee\n\nWelcome\n\nHello {{first_name}},\nthe kettle is on.\n\n")
    assert "\nVisit the shop\n" in text
    assert "\n\n\n" not in text


HOSTILE = ["<!--", "<", "</", "<a ", "<a x='", "<a x=\"'>", "<style>", "</a>", "<a href=x><b>", "<b> </b>", "&#1"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_much_of_one_hostile_piece_ends(unit):
    """Quadratic time would be hours."""
    assert isinstance(plain_text(unit * (300_000 // len(unit))), str)
