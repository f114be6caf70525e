"""What other headers say changes no verdict, and the framing of a body is right or the answer is lost."""

from __future__ import annotations

import math

import pytest

from django_migma.api import NoResponse, RateLimited, SendResult, ServerError, Timeout
from tests.api.servers import raw
from tests.faults.answers import (
    DOUBT,
    GOOD_BODY,
    QUICK,
    YES,
    YES_OR_DOUBT,
    chunks,
    doubtful,
    keeping,
    message,
    refused,
    stub,
)

LOST = doubtful(NoResponse)
DIGITS = b"9" * 5_000


@pytest.fixture(scope="module")
def hostile():
    with stub() as running:
        yield running


IGNORED = [
    b"Set-Cookie: a=b; Expires=Wed, 01 Jan 0000 00:00:00 GMT; Max-Age=-1",
    b"Set-Cookie: a=b; Expires=Thu, 31 Dec 99999999 24:61:61 +9999; Max-Age=" + DIGITS,
    b"Set-Cookie: a=b; Expires=Wed, 01 Jan " + DIGITS + b" 00:00:00 GMT",
    b"Set-Cookie: a=b; Version=" + DIGITS + b'; Port="1,x"; Domain=.[::1]; Path',
    b"Set-Cookie: =; ;;;=\xff\0\x7f",
    b"Set-Cookie: " + b"a" * 60_000,
    b'Set-Cookie2: a="; Version="1',
    b"Location: http://[::1",
    b"Location: \xff\0",
    b"Refresh: 0; url=//elsewhere",
    b"Retry-After: 1e400",
    b"WWW-Authenticate: Negotiate " + b"=" * 60_000,
    b"Proxy-Authenticate: NTLM \0\xff",
    b"Connection: Upgrade, keep-alive, close, \xff",
    b"Upgrade: h2c, websocket",
    b"Keep-Alive: timeout=-1, max=" + DIGITS,
    b'Alt-Svc: h3=":443"; ma=' + DIGITS,
    b"Content-Range: bytes 0-0/" + DIGITS,
    b"Content-Location: \xff",
    b"Date: Thu, 99 Foo 99999 99:99:99 +9999",
    b"Age: -" + DIGITS,
    b"Trailer: Content-Length, Transfer-Encoding",
    b"Content-Type: ",
    b"Content-Type: text/html; charset=\xff\0",
    b"Content-Type: application/json; charset=utf-16",
    b"Content-Type: application/json; charset=idna",
    b'Content-Type: ;;;=;charset==;"',
    b"Content-Type: message/rfc822",
    b"Content-Type: " + b"a/" * 30_000,
    b"Content-Transfer-Encoding: base64",
    b"Content-Disposition: attachment; filename*0*=utf-8''%00",
    b"MIME-Version: 9.9",
    b"From someone@example.org Thu Jan  1 00:00:00 1970",
    b"X: a\r\n b\r\n\tc",
    b"X: \0\x01\x08\x7f",
    b"X: \x85\xa0\x0b\x0c\x1c\x1d\x1e\x80\xff",
    b"X\xff\xfe: y",
    b"Idempotent-Replayed: perhaps\xff",
]


@pytest.mark.parametrize("header", IGNORED, ids=lambda header: ascii(header)[2:42])
def test_a_header_that_does_not_matter_does_not_matter(hostile, header):
    """Cookies, types and all the rest are not ours to understand, and a yes stays a yes."""
    result = hostile.judge(raw(message(GOOD_BODY, header)), YES)
    assert (result.id, result.replayed) == ("m1", False)


BROKEN = [
    b"Content-Type: multipart/mixed",
    b"Content-Type: multipart/mixed; boundary*" + DIGITS + b"=x",
    b"Content-Type: multipart/mixed; boundary*=utf\08''x",
    b"Content-Type: multipart/mixed; boundary*=idna''x",
    b"Content-Type: multipart/mixed; boundary*=undefined''x",
    b"Content-Type: multipart/mixed; boundary*=\xff''%ff",
    b"Content-Type: multipart/mixed; boundary*0=a; boundary*0=b; boundary*x=c; boundary=" + b'"' * 999,
    b"Content-Type: message/delivery-status",
    b"Content-Type: text/html; charset",
    b"a line without a colon",
    b": no name",
    b" a continuation of nothing",
    b"Name with spaces : y",
    b"X: y\rContent-Length: 5",
    b"X: y\nX-Bare: z",
    b"\0",
    b"X: y\r",
]


@pytest.mark.parametrize("header", BROKEN, ids=lambda header: ascii(header)[2:60])
def test_a_head_that_breaks_the_parser_below_us_costs_no_more_than_certainty(hostile, header):
    """`http.client` reads heads as if they were mail, and raises what mail raises."""
    hostile.judge(raw(message(GOOD_BODY, header)), YES_OR_DOUBT)
    hostile.judge(raw(message(b"", header)), DOUBT)


RETRY_AFTER = [
    b"",
    b" ",
    b"-1",
    b"0",
    b"1",
    b"1.5",
    b"1_0",
    b"0x10",
    b"nan",
    b"inf",
    b"-Infinity",
    b"1e999",
    b"1e308",
    b"99999999999999999999",
    DIGITS,
    b"soon",
    b"\xff\0",
    b"\xb2",
    b"1, 2",
    b"Thu, 01 Jan 0000 00:00:00 GMT",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Fri, 31 Dec 9999 23:59:59 -2359",
    b"Sat, 01 Jan 0001 00:00:00 +2359",
    b"Thu, 99 Foo 99999 99:99:99 +9999",
    b"Thu, 01 Jan " + DIGITS + b" 00:00:00 GMT",
    b"Thu, 01 Jan 2026 00:00:00 +" + DIGITS,
    b"1970",
    b",",
    b"Thu,",
    b"((((",
]


@pytest.mark.parametrize("value", RETRY_AFTER, ids=lambda value: ascii(value)[2:40])
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerError)])
def test_a_wait_that_cannot_be_read_is_none(hostile, value, status, kind):
    error = hostile.judge(
        raw(message(b"", b"Retry-After: " + value, status=b"HTTP/1.1 %d x" % status)), refused(kind)
    )
    seconds = getattr(error, "retry_after", None)
    assert seconds is None or 0 <= seconds < math.inf


SIZE = len(GOOD_BODY)
FRAMES = {
    "two equal lengths": ([b"Content-Length: %d" % SIZE] * 2, YES_OR_DOUBT),
    "two equal lengths in one": ([b"Content-Length: %d, %d" % (SIZE, SIZE)], YES_OR_DOUBT),
    "two lengths, the right one first": ([b"Content-Length: %d" % SIZE, b"Content-Length: 5"], DOUBT),
    "two lengths, the right one last": ([b"Content-Length: 5", b"Content-Length: %d" % SIZE], DOUBT),
    "two lengths in one": ([b"Content-Length: 5, %d" % SIZE], DOUBT),
    "a negative length": ([b"Content-Length: -5"], YES_OR_DOUBT),
    "a length in letters": ([b"Content-Length: all"], YES_OR_DOUBT),
    "an empty length": ([b"Content-Length: "], YES_OR_DOUBT),
    "a hexadecimal length": ([b"Content-Length: 0x%x" % SIZE], YES_OR_DOUBT),
    "a length with a plus": ([b"Content-Length: +%d" % SIZE], YES_OR_DOUBT),
    "a length with a fraction": ([b"Content-Length: %d.0" % SIZE], YES_OR_DOUBT),
    "a length of 5,000 digits": ([b"Content-Length: " + DIGITS], YES_OR_DOUBT),
    "a huge length": ([b"Content-Length: 9223372036854775808"], LOST),
    "one byte too long": ([b"Content-Length: %d" % (SIZE + 1)], LOST),
    "no length": ([], YES),
    "a length of zero": ([b"Content-Length: 0"], DOUBT),
    "one byte too short": ([b"Content-Length: %d" % (SIZE - 1)], DOUBT),
    "chunked, and it is not": ([b"Transfer-Encoding: chunked"], DOUBT),
    "chunked and a length, and it is not chunked": (
        [b"Transfer-Encoding: chunked", b"Content-Length: %d" % SIZE],
        DOUBT,
    ),
    "an unknown transfer encoding": ([b"Transfer-Encoding: rot13"], YES_OR_DOUBT),
    "two transfer encodings": ([b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"], YES_OR_DOUBT),
}


@pytest.mark.parametrize(("headers", "verdict"), FRAMES.values(), ids=FRAMES)
def test_the_end_of_a_body_is_known_or_the_answer_is_in_doubt(hostile, headers, verdict):
    hostile.judge(raw(message(GOOD_BODY, *headers, length=False)), verdict)


HALF = GOOD_BODY[:20]
CHUNKED = {
    "one": (chunks(GOOD_BODY), YES),
    "two": (chunks(HALF, GOOD_BODY[20:]), YES),
    "byte by byte": (chunks(*(bytes([byte]) for byte in GOOD_BODY)), YES),
    "with extensions": (b'%x;a="b;c";d\r\n%b\r\n0;z\r\n\r\n' % (SIZE, GOOD_BODY), YES),
    "with trailers": (chunks(GOOD_BODY, trailer=b"Content-Length: 5\r\nSet-Cookie: a=b\r\n"), YES),
    "sizes in capitals and zeros": (b"%08X\r\n%b\r\n000\r\n\r\n" % (SIZE, GOOD_BODY), YES),
    "none": (b"0\r\n\r\n", DOUBT),
    "nothing": (b"", LOST),
    "without an end": (b"%x\r\n%b\r\n" % (SIZE, GOOD_BODY), LOST),
    "without the last line": (b"%x\r\n%b\r\n0\r\n" % (SIZE, GOOD_BODY), YES_OR_DOUBT),
    "cut short": (b"%x\r\n%b" % (SIZE, HALF), LOST),
    "cut between two": (b"14\r\n%b\r\n" % HALF, LOST),
    "ended too early": (chunks(HALF), DOUBT),
    "a size too large": (b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE + 2, GOOD_BODY), DOUBT),
    "a size too small": (b"5\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, LOST),
    "a size in letters": (b"zz\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, LOST),
    "no size": (b"\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, LOST),
    "a negative size": (b"-%x\r\n%b\r\n0\r\n\r\n" % (SIZE, GOOD_BODY), LOST),
    "a size beyond memory": (b"f" * 60_000 + b"\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, LOST),
    "a size with a prefix": (b"0x%x\r\n%b\r\n0\r\n\r\n" % (SIZE, GOOD_BODY), YES_OR_DOUBT),
    "a size line of 70 KiB": (b"%x;%b\r\n%b\r\n0\r\n\r\n" % (SIZE, b"x" * 70 * 1024, GOOD_BODY), LOST),
    "no line break between": (b"%x\r\n%b0\r\n\r\n" % (SIZE, GOOD_BODY), DOUBT),
    "a trailer of 70 KiB": (chunks(GOOD_BODY, trailer=b"X: " + b"y" * 70 * 1024 + b"\r\n"), YES_OR_DOUBT),
}


@pytest.mark.parametrize(("body", "verdict"), CHUNKED.values(), ids=CHUNKED)
def test_chunks_are_whole_or_the_answer_is_in_doubt(hostile, body, verdict):
    hostile.judge(raw(message(body, b"Transfer-Encoding: chunked", length=False)), verdict)


@pytest.mark.parametrize("header", [b"Content-Length: 5", b"Content-Length: 99999", b"Content-Length: x"])
def test_chunks_count_more_than_a_length(hostile, header):
    """RFC 9112, 6.3."""
    hostile.judge(raw(message(chunks(GOOD_BODY), header, b"Transfer-Encoding: chunked", length=False)), YES_OR_DOUBT)


@pytest.mark.parametrize(
    "data", [message()[:-1], message(b"%x\r\n%b" % (SIZE, GOOD_BODY), b"Transfer-Encoding: chunked", length=False)]
)
def test_a_body_that_stops_without_an_end_runs_into_the_timeout(hostile, data):
    hostile.judge(keeping(data), doubtful(Timeout), timeout=QUICK)


def test_a_replay_is_told_apart(hostile):
    result = hostile.judge(raw(message(GOOD_BODY, b"Idempotent-Replayed: TRUE")), YES)
    assert isinstance(result, SendResult)
    assert result.replayed
