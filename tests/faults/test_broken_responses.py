"""A broken response is never taken for more than it says, and raises nothing but a `MigmaError`."""

from __future__ import annotations

import json
import math

import pytest

from django_migma.api import (
    APIError,
    AuthenticationError,
    Conflict,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    NotFound,
    RateLimited,
    ServerError,
    Timeout,
)
from tests.api.servers import raw, whole
from tests.faults.stub_server import (
    DOUBT,
    GOOD,
    GOOD_BODY,
    NO,
    PATIENCE,
    REFUSAL,
    UNCLEAR,
    YES,
    YES_OR_UNCLEAR,
    chunked,
    chunks,
    keeping,
    message,
    zipped,
)

SIZE = len(GOOD_BODY)


def good_with(extra: bytes) -> bytes:
    """A good envelope with this text in its data."""
    return b'{"success": true, "data": {"id": "m1", "status": "queued", "x": %b}}' % extra


BODIES = {
    "empty": (b"", UNCLEAR),
    "white space": (b"   \r\n\t ", UNCLEAR),
    "null": (b"null", UNCLEAR),
    "true": (b"true", UNCLEAR),
    "a number": (b"200", UNCLEAR),
    "a string": (b'"success"', UNCLEAR),
    "the envelope as a string": (json.dumps(GOOD_BODY.decode()).encode(), UNCLEAR),
    "the envelope in a list": (b"[" + GOOD_BODY + b"]", UNCLEAR),
    "an empty object": (b"{}", UNCLEAR),
    "success in capitals": (b'{"Success": true, "SUCCESS": true}', UNCLEAR),
    "success within data only": (b'{"data": {"success": true}}', UNCLEAR),
    "success as a status": (b'{"status": "success", "data": {}}', UNCLEAR),
    "HTML": (b"<html>OK, queued</html>", UNCLEAR),
    "a comma too many": (b'{"success": true,}', UNCLEAR),
    "JSONP": (b"done(" + GOOD_BODY + b")", UNCLEAR),
    "cut short": (GOOD_BODY[:-1], UNCLEAR),
    "garbage behind": (GOOD_BODY + b"x", UNCLEAR),
    "twice": (GOOD_BODY + GOOD_BODY, UNCLEAR),
    "a yes and a no": (GOOD_BODY + REFUSAL, UNCLEAR),
    "white space around": (b"\r\n\t " + GOOD_BODY + b"\n ", YES),
    "no UTF-8": (good_with(b'"\xff"'), UNCLEAR),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD_BODY, YES),
    "UTF-16": (GOOD_BODY.decode().encode("utf-16"), YES_OR_UNCLEAR),
    "a raw NUL in a string": (good_with(b'"\0"'), UNCLEAR),
    "a lone surrogate": (good_with(b'"\xed\xa0\x80"'), YES_OR_UNCLEAR),
    "an integer of 10,000 digits": (good_with(b"9" * 10_000), UNCLEAR),
    "nested too deep": (b"[" * 200_000 + b"]" * 200_000, UNCLEAR),
    "a no": (REFUSAL, NO),
    "a no without a reason": (b'{"success": false}', NO),
    "a no with the data of a yes": (b'{"success": false, "data": {"id": "m1", "status": "sent"}}', NO),
    "a yes with a reason": (b'{"success": true, "error": "no", "code": "X", "data": null}', YES),
    "a yes without data": (b'{"success": true}', YES),
}
STATUSES = {
    400: (InvalidRequest, NO),
    401: (AuthenticationError, NO),
    402: (APIError, NO),
    403: (Forbidden, NO),
    404: (NotFound, NO),
    409: (Conflict, NO | UNCLEAR),  # open without Migma's word for it
    422: (InvalidRequest, NO),
    429: (RateLimited, NO),
    500: (ServerError, UNCLEAR),
    502: (ServerError, UNCLEAR),
    503: (ServerError, NO),
    504: (ServerError, UNCLEAR),
    599: (ServerError, UNCLEAR),
}
ODD_VALUES = (None, 0, -1, 1.5, 10**4000, "", "text", [], ["x"], {}, {"x": [1]})
TEXTS = {
    "2,001 spaces": " " * 2_001,
    "addresses": "ada@example.org and <bob@example.org>, eve%40example.org",
    "a forged log line": "no\r\n2026-01-01 INFO sent\u2028more\x85\x0b\x0c",
    "terminal colours": "\x1b[2J\x1b]0;owned\x07 \x9b31m",
    "text that runs backwards": "\u202egnihton\u202c \u200b\ufeff",
    "no characters": "\0\ud800\udfff",
    "long": "x" * 3_000,
    "an address across the limit": "x" * 990 + " ada@example.org",
    "one word of many at signs": "a@" * 10_000,
    "a template": "{{ secret }} %s %(key)s {0} {error.__class__}",
}


def as_id(value: object) -> str:
    return str(value)[:8]


@pytest.mark.parametrize(("body", "allowed"), BODIES.values(), ids=BODIES)
def test_a_body_is_taken_for_what_it_says(stub, body, allowed):
    stub.check(whole(body), allowed)


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_an_error_status_counts_whatever_the_body_says(stub, status, expected):
    """Even where the envelope says ``success: true``."""
    kind, allowed = expected
    for body in (GOOD_BODY, *(body for body, _ in BODIES.values())):
        assert type(stub.check(whole(body, f"{status} No"), allowed)) is kind


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_any_success_status_may_carry_the_envelope(stub, status):
    stub.check(whole(GOOD, f"{status} x"), YES)
    stub.check(whole(REFUSAL, f"{status} x"), NO)
    stub.check(whole(b"", f"{status} x"), UNCLEAR)


@pytest.mark.parametrize("status", [204, 300, 302, 304, 307, 399, 103, 199, 600, 999])
@pytest.mark.parametrize("answer", [raw, keeping])
def test_any_other_status_leaves_doubt(stub, status, answer):
    """No content, redirects, interim responses, and numbers beyond HTTP."""
    line = b"HTTP/1.1 %d x" % status
    for body in (GOOD_BODY, REFUSAL, b""):
        stub.check(answer(message(body, b"Location: /v1/sending", status=line)), UNCLEAR)


@pytest.mark.parametrize("value", [*ODD_VALUES, "true", 1], ids=as_id)
def test_only_true_is_a_yes_and_only_false_a_no(stub, value):
    stub.check(whole(GOOD | {"success": value}), UNCLEAR)


@pytest.mark.parametrize("value", ODD_VALUES, ids=as_id)
def test_values_of_wrong_types_do_no_harm(stub, value):
    """Data that is no object, or a status that is no word of Migma's, leaves doubt; other fields change nothing."""
    stub.check(whole(GOOD | {"data": value}), YES if value is None or isinstance(value, dict) else UNCLEAR)
    stub.check(whole(GOOD | {"data": {"status": value}}), YES if value in (None, "") else UNCLEAR)
    for field in ("id", "provider", "message", "sendId", "sentCount"):
        result = stub.check(whole(GOOD | {"data": GOOD["data"] | {field: value}}), YES)
        assert {type(text) for text in (result.id, result.provider, result.message, result.send_id)} == {str}
    for field in ("error", "message", "code"):
        stub.check(whole(GOOD | {field: value}), YES)
        stub.check(whole({"success": False} | {field: value}), NO)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\0"], ids=ascii)
def test_a_result_holds_only_text_that_a_database_can_store(stub, text):
    """UTF-8 cannot write a lone surrogate, PostgreSQL does not store NUL: the caller would fail after the yes."""
    result = stub.check(whole(GOOD | {"data": GOOD["data"] | {"id": text, "message": text}}), YES)
    assert "\0" not in f"{result.id}{result.message}".encode().decode()


@pytest.mark.parametrize("field", ["error", "code", "message", "data"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_text_of_a_refusal_can_be_logged(stub, text, field):
    """One short line without addresses or control characters, see `stub_server.check_error`."""
    content = {"success": False, field: {text: [text]} if field == "data" else text}
    stub.check(whole(content), NO)
    for status, (kind, allowed) in STATUSES.items():
        assert type(stub.check(whole(content, f"{status} No"), allowed)) is kind


@pytest.mark.parametrize(
    "value",
    [b"1e400", b"nan", b"-inf", b"-5", b"9" * 5_000, b"Fri, 31 Dec 9999 23:59:59 -2359", b"1970", b",", b"\xff"],
)
@pytest.mark.parametrize("status", [429, 503])
def test_an_unreadable_retry_after_is_ignored(stub, value, status):
    line = b"HTTP/1.1 %d x" % status
    error = stub.check(raw(message(b"", b"Retry-After: " + value, status=line)), NO)
    assert getattr(error, "retry_after", None) is None or 0 <= error.retry_after < math.inf


CUT = {
    "before the first byte": (b"", UNCLEAR),
    "in the version": (b"HTT", UNCLEAR),
    "in the status": (b"HTTP/1.1 20", UNCLEAR),
    "after the status line": (b"HTTP/1.1 200 OK\r\n", UNCLEAR),
    "in a header": (b"HTTP/1.1 200 OK\r\nContent-Le", UNCLEAR),
    "after the headers": (b"HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n", UNCLEAR),
    "in the body": (message()[:-1], UNCLEAR),
    "in the headers of a refusal": (b"HTTP/1.1 400 No\r\nContent-Le", NO),
    "after an interim response": (b"HTTP/1.1 100 Continue\r\n\r\n", UNCLEAR),
    "after an interim response, whole": (b"HTTP/1.1 100 Continue\r\n\r\n" + message(), YES),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", UNCLEAR),
    "nothing but the body": (GOOD_BODY, UNCLEAR),
}


@pytest.mark.parametrize(("data", "allowed"), CUT.values(), ids=CUT)
def test_a_response_that_is_cut_short_is_no_yes(stub, data, allowed):
    stub.check(raw(data), allowed)


FRAMES = {
    "no length": ([], YES),
    "one byte too long": ([b"Content-Length: %d" % (SIZE + 1)], UNCLEAR),
    "one byte too short": ([b"Content-Length: %d" % (SIZE - 1)], UNCLEAR),
    "zero": ([b"Content-Length: 0"], UNCLEAR),
    "huge": ([b"Content-Length: 9223372036854775808"], UNCLEAR),
    "negative": ([b"Content-Length: -5"], YES_OR_UNCLEAR),
    "in letters": ([b"Content-Length: all"], YES_OR_UNCLEAR),
    "two equal ones": ([b"Content-Length: %d" % SIZE] * 2, YES_OR_UNCLEAR),
    "two, the right one first": ([b"Content-Length: %d" % SIZE, b"Content-Length: 5"], UNCLEAR),
    "two, the right one last": ([b"Content-Length: 5", b"Content-Length: %d" % SIZE], UNCLEAR),
    "chunked, and it is not": ([b"Transfer-Encoding: chunked"], UNCLEAR),
    "an unknown transfer encoding": ([b"Transfer-Encoding: rot13"], YES_OR_UNCLEAR),
}


@pytest.mark.parametrize(("headers", "allowed"), FRAMES.values(), ids=FRAMES)
def test_a_body_whose_end_is_not_known_is_no_yes(stub, headers, allowed):
    stub.check(raw(message(GOOD_BODY, *headers, length=False)), allowed)


HALF, REST = GOOD_BODY[:20], GOOD_BODY[20:]
CHUNKED = {
    "one": (chunks(GOOD_BODY), YES),
    "byte by byte": (chunks(*(bytes([byte]) for byte in GOOD_BODY)), YES),
    "with extensions": (b'%x;a="b;c";d\r\n%b\r\n0;z\r\n\r\n' % (SIZE, GOOD_BODY), YES),
    "with trailers": (chunks(GOOD_BODY, trailer=b"Content-Length: 5\r\nX: y\r\n"), YES),
    "none": (chunks(), UNCLEAR),
    "nothing": (b"", UNCLEAR),
    "without an end": (b"%x\r\n%b\r\n" % (SIZE, GOOD_BODY), UNCLEAR),
    "cut short": (b"%x\r\n%b" % (SIZE, HALF), UNCLEAR),
    "cut between two": (b"14\r\n%b\r\n" % HALF, UNCLEAR),
    "ended too early": (chunks(HALF), UNCLEAR),
    "a size too large": (b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE + 2, GOOD_BODY), UNCLEAR),
    "a size too small": (b"5\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, UNCLEAR),
    "a size in letters": (b"zz\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, UNCLEAR),
    "a negative size": (b"-%x\r\n%b\r\n0\r\n\r\n" % (SIZE, GOOD_BODY), UNCLEAR),
    "a size beyond memory": (b"f" * 60_000 + b"\r\n%b\r\n0\r\n\r\n" % GOOD_BODY, UNCLEAR),
}


@pytest.mark.parametrize(("body", "allowed"), CHUNKED.values(), ids=CHUNKED)
def test_chunks_that_are_not_whole_are_no_yes(stub, body, allowed):
    stub.check(raw(chunked(body)), allowed)


@pytest.mark.parametrize("data", [message()[:-1], chunked(b"%x\r\n%b" % (SIZE, GOOD_BODY))])
def test_a_body_that_stops_without_an_end_is_a_timeout(stub, data):
    assert type(stub.check(keeping(data), UNCLEAR, timeout=(PATIENCE, 0.1))) is Timeout


def test_a_content_encoding_is_undone_or_the_response_is_unclear(stub):
    """We ask for none; a proxy may use one all the same."""
    gzip = b"Content-Encoding: gzip"
    stub.check(raw(message(zipped(GOOD_BODY), gzip)), YES)
    assert type(stub.check(raw(message(GOOD_BODY, gzip)), UNCLEAR)) is InvalidResponse
    assert type(stub.check(raw(message(b"\xff", gzip, status=b"HTTP/1.1 401 No")), NO)) is AuthenticationError


def test_a_replay_is_recognised(stub):
    assert stub.check(raw(message(GOOD_BODY, b"Idempotent-Replayed: TRUE")), YES).replayed
    assert not stub.check(raw(message(GOOD_BODY, b"Idempotent-Replayed: perhaps\xff")), YES).replayed


def test_the_check_fails_where_the_conclusion_is_wrong(stub):
    """What the tests here rest on."""
    with pytest.raises(AssertionError, match=r"SendResult.* is not {'refused'}"):
        stub.check(whole(GOOD), NO)
    with pytest.raises(AssertionError, match=r"APIError.* is not {'doubt'}"):
        stub.check(whole(REFUSAL), {DOUBT})
