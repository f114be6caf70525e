"""One address out of what Django calls an address."""

from __future__ import annotations

import time

import pytest
from django.utils.functional import lazystr
from hypothesis import example, given
from hypothesis import strategies as st

from django_migma.addresses import Address, display_name_error, parse, split
from django_migma.conf import setting_error
from django_migma.exceptions import InvalidAddress

HELP = ". Give one address, such as bob@example.com or Bob <bob@example.com>."
CONTROL = "contains a line break or another control character"
SEVERAL = "holds several addresses, and Migma takes one"
NO_ADDRESS = "is not an address"
NO_DOMAIN = "has a domain that cannot exist"
NOT_ASCII = "has letters outside ASCII before the @, which Migma is not known to take"


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("bob@example.com", "", "bob@example.com"),
        ("  bob@example.com ", "", "bob@example.com"),
        ("<bob@example.com>", "", "bob@example.com"),
        ("Bob <bob@example.com>", "Bob", "bob@example.com"),
        ("Bob B. Bobson <bob@example.com>", "Bob B. Bobson", "bob@example.com"),
        ('"Bobson, Bob" <bob@example.com>', "Bobson, Bob", "bob@example.com"),
        ('"Bob @ home" <bob@example.com>', "Bob @ home", "bob@example.com"),
        ("Jürgen <bob@example.com>", "Jürgen", "bob@example.com"),
        ("=?utf-8?q?J=C3=BCrgen?= <bob@example.com>", "Jürgen", "bob@example.com"),
        ("=?utf-8?b?SsO8cmdlbg==?= <bob@example.com>", "Jürgen", "bob@example.com"),
        ("bob.b+tag@mail.example.com", "", "bob.b+tag@mail.example.com"),
        ("o'neil_{x}@example.com", "", "o'neil_{x}@example.com"),
        ("Bob@Example.COM", "", "Bob@Example.COM"),
        ('"bob b"@example.com', "", '"bob b"@example.com'),
        ('"b@b"@example.com', "", '"b@b"@example.com'),
        ("bob@localhost", "", "bob@localhost"),
        ("bob@under_score.example.com", "", "bob@under_score.example.com"),
        ("bob@xn--strae-oqa.example", "", "bob@xn--strae-oqa.example"),
        ("bob@[192.0.2.1]", "", "bob@[192.0.2.1]"),
        ("bob@[IPv6:2001:db8::1]", "", "bob@[IPv6:2001:db8::1]"),
        (f"bob@{'a' * 63}.com", "", f"bob@{'a' * 63}.com"),
    ],
)
def test_an_address_keeps_its_name_and_its_spelling(text, name, spec):
    """Only the domain goes to Migma in lower case."""
    local, _, domain = spec.rpartition("@")
    wire = f"{local}@{domain.lower()}"
    assert parse(text, "to") == Address(display_name=name, addr_spec=spec, wire=wire)


@pytest.mark.parametrize(
    ("spec", "wire"),
    [
        ("bob@straße.example", "bob@xn--strae-oqa.example"),
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("bob@BÜCHER.example", "bob@xn--bcher-kva.example"),
        ("bob@mail.例え.jp", "bob@mail.xn--r8jz45g.jp"),
        ("bob@ａ.example", "bob@a.example"),  # noqa: RUF001 - a wide a, as Japanese keyboards write it
        ('"b b"@bücher.example', '"b b"@xn--bcher-kva.example'),
    ],
)
def test_a_domain_travels_in_ascii(spec, wire):
    """IDNA 2008: ß stays ß, while Python's own codec would turn it into ss, which is another domain."""
    address = parse(f"Bob <{spec}>", "to")
    assert (address.addr_spec, address.wire, address.display_name) == (spec, wire, "Bob")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bob@example.com\n", CONTROL),
        ("bob@example.com\r\nBcc: eve@example.com", CONTROL),
        ("Bob\rBob <bob@example.com>", CONTROL),
        ("Bob\x00 <bob@example.com>", CONTROL),
        ("Bob\x7f <bob@example.com>", CONTROL),
        ("bob@example.com\t", CONTROL),
        ("=?utf-8?q?Bob=0D=0ABcc=3A_eve?= <bob@example.com>", NO_ADDRESS),
        ("=?utf-8?q?Bob=00?= <bob@example.com>", CONTROL),
        ("bob@example.com, eve@example.com", SEVERAL),
        ("Bob, Eve <bob@example.com>", SEVERAL),
        ("bob@example.com,", SEVERAL),
        ("bob@example.com ,  ", SEVERAL),
        ("bob@example.com, Team:;", NO_ADDRESS),
        ("bob@example.com; eve@example.com", NO_ADDRESS),
        ("Team: bob@example.com;", NO_ADDRESS),
        ("Team: bob@example.com, eve@example.com;", SEVERAL),
        ("undisclosed-recipients:;", NO_ADDRESS),
        ("", NO_ADDRESS),
        ("   ", NO_ADDRESS),
        (None, NO_ADDRESS),
        (17, NO_ADDRESS),
        ("bob", NO_ADDRESS),
        ("@example.com", NO_ADDRESS),
        ("bob@", NO_ADDRESS),
        ("bob@@example.com", NO_ADDRESS),
        ("bob@eve@example.com", NO_ADDRESS),
        ("Bob bob@example.com", NO_ADDRESS),
        ("Bob <bob@example.com", NO_ADDRESS),
        ("bob@example.com>", NO_ADDRESS),
        ("Bob <>", NO_ADDRESS),
        (".bob@example.com", NO_ADDRESS),
        ("bob.@example.com", NO_ADDRESS),
        ("bo..b@example.com", NO_ADDRESS),
        ('""@example.com', NO_ADDRESS),
        ("bob@exam ple.com", NO_ADDRESS),
        ("bob@example(comment).com", NO_ADDRESS),
        ("bob@=?utf-8?q?example?=.com", NO_ADDRESS),
        ("[", NO_ADDRESS),
        ("bob@[", NO_ADDRESS),
        ("bob@example..com", NO_ADDRESS),
        ("bob@example.com.", NO_ADDRESS),
        ("bob@-example.com", NO_DOMAIN),
        ("bob@example-.com", NO_DOMAIN),
        (f"bob@{'a' * 64}.com", NO_DOMAIN),
        ("bob@exa$mple.com", NO_DOMAIN),
        ("bob@☃.example", NO_DOMAIN),
        (f"bob@{'ü' * 70}.example", NO_DOMAIN),
        ("bob@bü_cher.example", NO_DOMAIN),
        ("jürgen@example.com", NOT_ASCII),
        ("Jürgen <jürgen@bücher.example>", NOT_ASCII),
        ("bob@[example]", NO_DOMAIN),
    ],
)
def test_what_is_not_one_address_is_refused(text, problem):
    """The error names the place and never the address, since errors are logged."""
    with pytest.raises(InvalidAddress) as caught:
        parse(text, "The reply_to")
    assert str(caught.value) == f"The reply_to {problem}{HELP}"


@pytest.mark.parametrize(
    "text",
    ["(" * 400_000, "bob@example.com, " * 24_000, "a@" * 200_000, f"{'B' * 1_000} <b@example.com>"],
    ids=["brackets", "addresses", "at signs", "a long name"],
)
def test_more_than_1000_characters_are_refused_before_they_are_parsed(text):
    """Python's parser takes quadratic time: 100 kB took 9 seconds, and this is four times as long."""
    start = time.thread_time()
    assert split(text) == [text]
    with pytest.raises(InvalidAddress, match=r"^to has more than 1,000 characters\. Give one address"):
        parse(text, "to")
    assert time.thread_time() - start < 10


PARSER_FAILURES = {
    "comments in comments": "(" * 900 + "bob@example.com",
    "an unclosed bracket": "bob@[ ",
    "an encoded word before a bracket": "a=?utf-8?q?=?utf-8?b?x=example.com@[ ",
    "a quote inside a comment": '(IPv6:").example.com\\\\@a:',
    "a lone surrogate": "bob\udcff@example.com",
    "a lone surrogate in the domain": "bob@ex\udcffample.com",
    "a lone surrogate in the name": "Bob\udcff <bob@example.com>",
}


@pytest.mark.parametrize("text", PARSER_FAILURES.values(), ids=PARSER_FAILURES)
def test_what_pythons_parser_fails_on_is_refused_too(text):
    """Python's parser raises various errors; a lone surrogate could not be sent."""
    with pytest.raises(InvalidAddress, match=r"^to (is not an address|has a domain that cannot exist)\. Give one"):
        parse(text, "to")


PIECES = st.sampled_from([
    *'@.,;:<>()[]"\\ \t=?_-',
    *("a", "bob", "example.com", "=?utf-8?q?", "=?utf-8?b?", "?=", "=0a", "ü", "IPv6:", "::1", "xn--"),
    *("\udcff", "\x85", "\u2028", "\u200b", "\xa0", "\u3002"),
])  # fmt: skip


NEAR_MISSES = st.tuples(
    st.text(max_size=5) | PIECES, st.sampled_from(["bob@", "b@ü.example ", "<b@a.example>"]), PIECES
)


@example("Bob <bob@example.com>")
@example("bob@example.com\n")
@given(st.text() | st.lists(PIECES, max_size=14).map("".join) | NEAR_MISSES.map("".join))
def test_any_text_is_parsed_or_refused(text):
    """No other error than InvalidAddress comes out, and what is accepted can be sent."""
    try:
        address = parse(text, "to")
    except InvalidAddress as error:
        assert str(error).startswith("to ")  # noqa: PT017 - both ways out are promises
    else:
        assert address.wire.rpartition("@")[2].isascii()
        assert not any(character in address.wire + address.display_name for character in "\r\n\0")
        assert address.wire.encode()


@given(st.emails())
def test_whatever_the_standards_allow_is_accepted(spec):
    local, _, domain = spec.rpartition("@")
    address = parse(spec, "to")
    assert (address.addr_spec, address.wire) == (spec, f"{local}@{domain.lower()}")


def test_spellings_of_one_mailbox_are_one_address_for_migma():
    """Domains are the same in any case and encoding; local parts need not be."""
    wire = parse("Bob@Bücher.EXAMPLE", "to").wire
    assert wire == "Bob@xn--bcher-kva.example"
    assert parse("B <Bob@xn--bcher-KVA.example>", "to").wire == wire
    assert parse("bob@bücher.example", "to").wire != wire


def test_lazy_text_is_an_address_as_well():
    assert parse(lazystr("Bob <bob@example.com>"), "to").addr_spec == "bob@example.com"


@pytest.mark.parametrize(
    "name", ["Shop\nBcc: eve@example.com", "Shop\r", "Shop\0", "Shop\x7f", "Shop\x85", "Shop\u2028"]
)
def test_a_display_name_has_no_control_character(name):
    """It stands in a header, where a line break starts another one."""
    assert display_name_error(name) == "contains a line break or another control character"


@pytest.mark.parametrize("name", ["", "Shop", "Jürgen's 😀 Shop, Ltd.", lazystr("Shop")])
def test_any_other_display_name_is_all_right(name):
    assert display_name_error(name) == ""


def test_a_name_with_half_a_character_is_refused_before_it_is_sent(migma):
    """As of an environment variable in another encoding; it would end a list in the middle."""
    assert display_name_error("Caf\udce9") == "contains half a character, which UTF-8 cannot carry"
    migma(FROM_NAME="Caf\udce9")
    assert setting_error("FROM_NAME", {}) == "contains half a character, which UTF-8 cannot carry"
