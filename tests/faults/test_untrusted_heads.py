"""No status line and no header, however hostile, makes a send anything but a true yes, a true no, or doubt."""

from __future__ import annotations

import zlib

import pytest

from django_migma.api import APIError, AuthenticationError, InvalidRequest, InvalidResponse, NoResponse, RateLimited
from tests.api.servers import raw, whole
from tests.faults.answers import (
    DOUBT,
    GOOD,
    GOOD_BODY,
    YES,
    YES_OR_DOUBT,
    doubtful,
    keeping,
    message,
    refused,
    stub,
    zipped,
)

LOST = doubtful(NoResponse)
UNREADABLE = doubtful(InvalidResponse)
REFUSAL = b'{"success": false, "error": "no"}'


@pytest.fixture(scope="module")
def hostile():
    with stub() as running:
        yield running


STATUS_LINES = {
    b"HTTP/1.1 200": YES,
    b"HTTP/1.1 200 ": YES,
    b"HTTP/1.1 200 Not OK at all": YES,
    b"HTTP/1.1 200 \xff\xfe\x80 \x1b[31m": YES,
    b"HTTP/1.0 200 OK": YES,
    b"HTTP/1.1 200 " + b"x" * 70_000: LOST,
    b"": LOST,
    b"200 OK": LOST,
    b"HTTP/1.1": LOST,
    b"HTTP/1.1 ": LOST,
    b"HTTP/1.1 OK": LOST,
    b"HTTP/1.1 OK 200": LOST,
    b"HTTP/1.1 20x OK": LOST,
    b"HTTP/1.1 2e2 OK": LOST,
    b"HTTP/1.1 200.0 OK": LOST,
    b"HTTP/1.1 0xc8 OK": LOST,
    b"HTTP/1.1 \xb2\xb0\xb0 OK": LOST,
    b"HTTP/1.1 000 OK": LOST,
    b"HTTP/1.1 99 OK": LOST,
    b"HTTP/1.1 -200 OK": LOST,
    b"HTTP/1.1 1000 OK": LOST,
    b"HTTP/1.1 " + b"9" * 5_000 + b" OK": LOST,
    b"HTTP/9.9 200 OK": LOST,
    b"HTTP/2 200 OK": LOST,
    b"HTTP/1.1200 OK": LOST,
    b"http/1.1 200 OK": LOST,
    b"HTTPS/1.1 200 OK": LOST,
    b"ICY 200 OK": LOST,
    b"RTSP/1.0 200 OK": LOST,
    b" HTTP/1.1 200 OK": YES_OR_DOUBT,
    b"\xef\xbb\xbfHTTP/1.1 200 OK": LOST,
    b"\0HTTP/1.1 200 OK": LOST,
    b"SSH-2.0-OpenSSH_9.6": LOST,
    b"\x15\x03\x01\x00\x02\x02\x28": LOST,
    b"POST /v1/sending HTTP/1.1": LOST,
    b"HTTP/1.1\t200\tOK": YES_OR_DOUBT,
    b"HTTP/1.1   200   OK": YES_OR_DOUBT,
    b"HTTP/1.1 +200 OK": YES_OR_DOUBT,
    b"HTTP/1.1 2_00 OK": YES_OR_DOUBT,
    b"HTTP/1.1 0200 OK": YES_OR_DOUBT,
    b"HTTP/1.x 200 OK": YES_OR_DOUBT,
    b"HTTP/0.9 200 OK": YES_OR_DOUBT,
}


@pytest.mark.parametrize(("line", "verdict"), STATUS_LINES.items(), ids=lambda value: ascii(value)[:32])
def test_a_status_line_is_read_or_the_answer_is_lost(hostile, line, verdict):
    hostile.judge(raw(message(status=line)), verdict)


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 207, 226, 250, 299])
def test_any_status_of_success_may_carry_the_envelope(hostile, status):
    hostile.judge(whole(GOOD, f"{status} x"), YES)
    hostile.judge(whole(REFUSAL, f"{status} x"), refused(APIError))
    hostile.judge(whole(b"", f"{status} x"), UNREADABLE)


@pytest.mark.parametrize("status", [204, 205])
@pytest.mark.parametrize("answer", [raw, keeping])
def test_a_status_without_content_says_nothing(hostile, status, answer):
    """205 may not have a body; whoever reads one all the same finds a clear word in it."""
    line = b"HTTP/1.1 %d x" % status
    hostile.judge(answer(message(b"", status=line)), UNREADABLE)
    hostile.judge(answer(message(status=line)), UNREADABLE if status == 204 else YES_OR_DOUBT)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308, 399])
@pytest.mark.parametrize(
    "location", [b"", b"http://127.0.0.1:1/", b"/v1/sending", b"http://[::1", b"\xff", b"//", b"javascript:1"]
)
def test_a_redirect_is_no_yes_whatever_it_carries(hostile, status, location):
    for body in (GOOD_BODY, REFUSAL, b""):
        answer = message(body, b"Location: " + location, status=b"HTTP/1.1 %d x" % status)
        hostile.judge(raw(answer), UNREADABLE)
        hostile.judge(keeping(answer), UNREADABLE)


@pytest.mark.parametrize("status", [600, 700, 999])
def test_a_status_beyond_http_leaves_doubt(hostile, status):
    hostile.judge(raw(message(status=b"HTTP/1.1 %d x" % status)), DOUBT)


INTERIM = {
    "100, then the answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + message(), YES),
    "100 with a header": (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + message(), YES),
    "100 ten times": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10 + message(), YES),
    "101, then the answer": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n" + message(), YES_OR_DOUBT),
    "102, then the answer": (b"HTTP/1.1 102 Processing\r\n\r\n" + message(), YES_OR_DOUBT),
    "103, then the answer": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + message(), YES_OR_DOUBT),
    "103 and no more": (b"HTTP/1.1 103 Early Hints\r\n\r\n", UNREADABLE),
    "199 and no more": (b"HTTP/1.1 199 x\r\n\r\n", UNREADABLE),
    "103 with a body": (message(status=b"HTTP/1.1 103 Early Hints"), DOUBT),
    "103, then a no": (b"HTTP/1.1 103 x\r\n\r\n" + message(REFUSAL, status=b"HTTP/1.1 400 x"), UNREADABLE),
}


@pytest.mark.parametrize(("data", "verdict"), INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("answer", [raw, keeping])
def test_an_interim_answer_is_not_the_answer(hostile, data, verdict, answer):
    hostile.judge(answer(data), verdict)


CUT = {
    "in the version": (b"HTT", LOST),
    "in the status": (b"HTTP/1.1 20", LOST),
    "after the status": (b"HTTP/1.1 200", UNREADABLE),
    "after the status line": (b"HTTP/1.1 200 OK\r\n", UNREADABLE),
    "in a header": (b"HTTP/1.1 200 OK\r\nContent-Le", UNREADABLE),
    "before the empty line": (b"HTTP/1.1 200 OK\r\nContent-Length: 70\r\n", LOST),
    "after the head": (b"HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n", LOST),
    "in the head of a refusal": (b"HTTP/1.1 400 No\r\nContent-Le", refused(InvalidRequest)),
    "one line break short": (message(GOOD_BODY).replace(b"\r\n\r\n", b"\r\n"), DOUBT),
    "nothing but the body": (GOOD_BODY, LOST),
    "nothing but line breaks": (b"\r\n" * 100, LOST),
    "one byte": (b"\xff", LOST),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", LOST),
}


@pytest.mark.parametrize(("data", "verdict"), CUT.values(), ids=CUT)
def test_a_head_that_is_cut_short_is_no_yes(hostile, data, verdict):
    hostile.judge(raw(data), verdict)


FLOODS = {
    "200 headers": ([b"X-%d: y" % number for number in range(200)], DOUBT),
    "5,000 headers": ([b"X-%d: y" % number for number in range(5_000)], DOUBT),
    "5,000 times the same": ([b"X: y"] * 5_000, DOUBT),
    "one of 60 KiB": ([b"X: " + b"y" * 60 * 1024], YES),
    "one of 70 KiB": ([b"X: " + b"y" * 70 * 1024], DOUBT),
    "90 of 60 KiB": ([b"X: " + b"y" * 60 * 1024] * 90, YES),
    "a name of 70 KiB": ([b"X" * 70 * 1024 + b": y"], DOUBT),
    "a folded one of 99 lines": ([b"X: y", *[b" y"] * 97], YES),
    "a folded one of 5,000 lines": ([b"X: y", *[b" y"] * 5_000], DOUBT),
}


@pytest.mark.parametrize(("headers", "verdict"), FLOODS.values(), ids=FLOODS)
def test_a_flood_of_headers_is_not_read_to_its_end(hostile, headers, verdict):
    hostile.judge(raw(message(GOOD_BODY, *headers)), verdict)


ENCODINGS = {
    "identity": (b"identity", GOOD_BODY, YES),
    "empty": (b"", GOOD_BODY, YES),
    "gzip": (b"gzip", zipped(GOOD_BODY), YES),
    "gzip in capitals": (b"GZIP", zipped(GOOD_BODY), YES),
    "gzip of a no": (b"gzip", zipped(REFUSAL), refused(APIError)),
    "gzip of two members": (b"gzip", zipped(GOOD_BODY[:9]) + zipped(GOOD_BODY[9:]), YES),
    "gzip of a yes and a no": (b"gzip", zipped(GOOD_BODY) + zipped(REFUSAL), UNREADABLE),
    "gzip of gzip": (b"gzip", zipped(zipped(GOOD_BODY)), UNREADABLE),
    "gzip without any": (b"gzip", GOOD_BODY, UNREADABLE),
    "gzip of nothing": (b"gzip", b"", UNREADABLE),
    "gzip cut in the body": (b"gzip", zipped(GOOD_BODY)[:30], UNREADABLE),
    "gzip with a wrong sum": (b"gzip", zipped(GOOD_BODY)[:-8] + b"\0" * 8, UNREADABLE),
    "gzip with a flipped bit": (b"gzip", zipped(GOOD_BODY)[:20] + b"\xff" + zipped(GOOD_BODY)[21:], UNREADABLE),
    "gzip without its sum": (b"gzip", zipped(GOOD_BODY)[:-8], YES_OR_DOUBT),
    "gzip with garbage behind": (b"gzip", zipped(GOOD_BODY) + b"garbage", YES_OR_DOUBT),
    "gzip with zeros behind": (b"gzip", zipped(GOOD_BODY) + b"\0" * 100, YES_OR_DOUBT),
    "x-gzip": (b"x-gzip", zipped(GOOD_BODY), YES_OR_DOUBT),
    "deflate": (b"deflate", zlib.compress(GOOD_BODY), YES_OR_DOUBT),
    "br": (b"br", b"\x0b\x02\x80{}\x03", UNREADABLE),
    "zstd": (b"zstd", b"\x28\xb5\x2f\xfd\x04\x00", UNREADABLE),
    "compress": (b"compress", b"\x1f\x9d\x90", UNREADABLE),
    "twice": (b"gzip, gzip", zipped(zipped(GOOD_BODY)), YES_OR_DOUBT),
    "a thousand times": (b",".join([b"gzip"] * 1_000), zipped(GOOD_BODY), UNREADABLE),
    "unknown": (b"rot13", b'{"fhpprff": gehr}', UNREADABLE),
    "unknown beside what is plain": (b"br", GOOD_BODY, YES_OR_DOUBT),
    "no token": (b"\xff\0;q=1", GOOD_BODY, YES_OR_DOUBT),
}


@pytest.mark.parametrize(("encoding", "body", "verdict"), ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("answer", [raw, keeping])
def test_an_encoding_is_undone_or_refused(hostile, encoding, body, verdict, answer):
    hostile.judge(answer(message(body, b"Content-Encoding: " + encoding)), verdict)


@pytest.mark.parametrize("encoding", [b"br", b"gzip", b"rot13"])
@pytest.mark.parametrize(
    ("status", "verdict"),
    [(400, refused(InvalidRequest)), (401, refused(AuthenticationError)), (429, refused(RateLimited))],
)
def test_a_refusal_in_an_encoding_that_cannot_be_read_is_that_refusal(hostile, encoding, status, verdict):
    """Its status alone is clear."""
    hostile.judge(
        raw(message(b"\xff\xfe", b"Content-Encoding: " + encoding, status=b"HTTP/1.1 %d x" % status)), verdict
    )
