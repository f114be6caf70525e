"""No body, however hostile, makes a send anything but a true yes, a true no, or doubt."""

from __future__ import annotations

import json

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
    SendResult,
    ServerError,
)
from tests.api.servers import whole
from tests.faults.answers import DOUBT, GOOD, GOOD_BODY, YES, YES_OR_DOUBT, Verdict, doubtful, refused, stub


@pytest.fixture(scope="module")
def hostile():
    with stub() as running:
        yield running


UNREADABLE = doubtful(InvalidResponse)
NO = refused(APIError)
MIB = 1024 * 1024


def good_with(extra: bytes) -> bytes:
    """A good envelope with this text in its data."""
    return b'{"success": true, "data": {"id": "m1", "status": "queued", "x": %b}}' % extra


BODIES = {
    "empty": (b"", UNREADABLE),
    "spaces": (b"   \r\n\t ", UNREADABLE),
    "null": (b"null", UNREADABLE),
    "true": (b"true", UNREADABLE),
    "a number": (b"200", UNREADABLE),
    "a string": (b'"success"', UNREADABLE),
    "the envelope as a string": (json.dumps(GOOD_BODY.decode()).encode(), UNREADABLE),
    "an empty list": (b"[]", UNREADABLE),
    "the envelope in a list": (b"[" + GOOD_BODY + b"]", UNREADABLE),
    "an empty object": (b"{}", UNREADABLE),
    "another spelling of success": (b'{"Success": true, "SUCCESS": true}', UNREADABLE),
    "success within data only": (b'{"data": {"success": true}}', UNREADABLE),
    "success as a status": (b'{"status": "success", "data": {}}', UNREADABLE),
    "HTML": (b"<html>OK, queued</html>", UNREADABLE),
    "JavaScript": (b"{success: true}", UNREADABLE),
    "Python": (b"{'success': True}", UNREADABLE),
    "a comma too many": (b'{"success": true,}', UNREADABLE),
    "a comment": (b'{"success": true /* queued */}', UNREADABLE),
    "an anti-hijacking prefix": (b")]}',\n" + GOOD_BODY, UNREADABLE),
    "JSONP": (b"done(" + GOOD_BODY + b")", UNREADABLE),
    "cut short": (GOOD_BODY[:-1], UNREADABLE),
    "garbage behind": (GOOD_BODY + b"x", UNREADABLE),
    "NUL behind": (GOOD_BODY + b"\0", UNREADABLE),
    "twice": (GOOD_BODY + GOOD_BODY, UNREADABLE),
    "two lines of JSON": (GOOD_BODY + b"\n" + GOOD_BODY, UNREADABLE),
    "a yes and a no": (GOOD_BODY + b'{"success": false}', UNREADABLE),
    "white space around": (b"\r\n\t " + GOOD_BODY + b"\n ", YES),
    "no first, yes last": (b'{"success": false, "error": "no", "success": true}', UNREADABLE),
    "yes first, no last": (b'{"success": true, "data": {}, "success": false}', UNREADABLE),
    "yes twice": (b'{"success": true, "success": true}', UNREADABLE),
    "yes twice, once escaped": (b'{"success": false, "succ\\u0065ss": true}', UNREADABLE),
    "two times data": (b'{"success": true, "data": {"status": "failed"}, "data": {}}', UNREADABLE),
    "two times a status": (b'{"success": true, "data": {"status": "failed", "status": "sent"}}', UNREADABLE),
    "doubled deep inside": (good_with(b'[{"a": {"b": 1, "b": 1}}]'), UNREADABLE),
    "NaN": (good_with(b"NaN"), UNREADABLE),
    "Infinity": (good_with(b"Infinity"), UNREADABLE),
    "-Infinity": (good_with(b"-Infinity"), UNREADABLE),
    "NaN beside a no": (b'{"success": false, "data": {"x": NaN}}', UNREADABLE),
    "a number beyond floats": (good_with(b"1e999"), YES_OR_DOUBT),
    "an integer of 10,000 digits": (good_with(b"9" * 10_000), UNREADABLE),
    "a float of 10,000 digits": (good_with(b"9" * 10_000 + b".5"), YES),
    "a number without end": (good_with(b"1" * MIB), UNREADABLE),
    "no UTF-8": (good_with(b'"\xff"'), UNREADABLE),
    "latin-1": (good_with(b'"caf\xe9"'), UNREADABLE),
    "an overlong character": (good_with(b'"\xc0\x80"'), UNREADABLE),
    "a surrogate in UTF-8": (good_with(b'"\xed\xa0\x80"'), UNREADABLE),
    "a character beyond Unicode": (good_with(b'"\xf5\x80\x80\x80"'), UNREADABLE),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD_BODY, YES),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + GOOD_BODY, UNREADABLE),
    "UTF-16": (GOOD_BODY.decode().encode("utf-16"), UNREADABLE),
    "UTF-16 without its mark": (GOOD_BODY.decode().encode("utf-16-le"), UNREADABLE),
    "UTF-32": (GOOD_BODY.decode().encode("utf-32"), UNREADABLE),
    "UTF-7": (b"+AHsAIg-success+ACI-: true}", UNREADABLE),
    "EBCDIC": (GOOD_BODY.decode().encode("cp500"), UNREADABLE),
    "a raw NUL in a string": (good_with(b'"\0"'), UNREADABLE),
    "a raw line break in a string": (good_with(b'"a\nb"'), UNREADABLE),
    "nested too deep": (b"[" * 200_000 + b"]" * 200_000, UNREADABLE),
    "objects nested too deep": (b'{"success": true, "data": ' + b'{"a":' * 100_000, UNREADABLE),
    "a no whose data nest too deep": (
        b'{"success": false, "data": ' + b"[" * 99_999 + b"]" * 99_999 + b"}",
        UNREADABLE,
    ),
    "a plain no": (b'{"success": false, "error": "no"}', NO),
    "a no without reason": (b'{"success": false}', NO),
    "a no with data of a yes": (b'{"success": false, "data": {"id": "m1", "status": "sent"}}', NO),
    "a yes with a reason": (b'{"success": true, "error": "no", "code": "X", "data": null}', YES),
}


@pytest.mark.parametrize(("body", "verdict"), BODIES.values(), ids=BODIES)
def test_a_body_is_taken_for_what_it_says(hostile, body, verdict):
    """And the connection serves the next request."""
    hostile.judge(whole(body), verdict)


def test_the_judge_can_say_no(hostile):
    """What the tests here rest on: an outcome that does not fit its verdict is told."""
    with pytest.raises(AssertionError, match=r"SendResult.* is not Verdict"):
        hostile.judge(whole(GOOD), NO)


ODD = (None, True, 0, -1, 1.5, 10**4000, "", "text", [], ["x"], {}, {"x": [1]})


def named(value: object) -> str:
    return str(value)[:8]


@pytest.mark.parametrize("value", [value for value in ODD if value is not True] + ["true", 1, 1e0], ids=named)
def test_only_true_is_a_yes_and_only_false_a_no(hostile, value):
    hostile.judge(whole(GOOD | {"success": value}), UNREADABLE)


@pytest.mark.parametrize("value", ODD, ids=named)
def test_data_is_an_object_or_missing(hostile, value):
    """Only ``success`` is required of Migma; what stands in the place of data and is none leaves doubt."""
    hostile.judge(whole({"success": True, "data": value}), YES if value is None or isinstance(value, dict) else DOUBT)


def test_data_may_be_missing(hostile):
    assert hostile.judge(whole({"success": True}), YES).id == ""


@pytest.mark.parametrize("value", [*ODD, False, "bounced", "Queued ", "queued\0"], ids=named)
def test_a_status_that_is_no_word_of_migmas_is_not_believed(hostile, value):
    """No word at all counts as queued."""
    hostile.judge(
        whole({"success": True, "data": {"id": "m1", "status": value}}), YES if value in (None, "") else DOUBT
    )


FIELDS = ("id", "provider", "message", "sendId", "batchId", "emailId", "conversationId", "sentCount")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", ODD, ids=named)
def test_odd_fields_beside_the_status_change_nothing(hostile, field, value):
    """Each reads as text, or as a number, or as nothing."""
    result = hostile.judge(whole({"success": True, "data": GOOD["data"] | {field: value}}), YES)
    assert isinstance(result, SendResult)
    assert type(result.sent_count) in {int, type(None)}
    texts = (result.id, result.provider, result.message, result.send_id, result.batch_id, result.email_id)
    assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize("field", ["error", "message", "code", "count", "metadata", "status", "", "\ud800"])
@pytest.mark.parametrize("value", ODD, ids=named)
def test_odd_fields_beside_success_change_nothing(hostile, field, value):
    hostile.judge(whole(GOOD | {field: value}), YES)
    hostile.judge(whole({"success": False} | {field: value}), NO)


@pytest.mark.parametrize("text", [chr(0xD800), f"a{chr(0xDFFF)}b", chr(0), chr(0xDC00) + chr(0xD83D)], ids=ascii)
def test_what_is_no_text_does_not_come_through(hostile, text):
    """UTF-8 cannot write a lone surrogate, PostgreSQL does not store NUL: the caller would fail after the yes."""
    result = hostile.judge(
        whole({"success": True, "data": GOOD["data"] | {"id": text, "message": text, text: [text]}}), YES
    )
    for found in (result.id, result.message, json.dumps(result.raw, ensure_ascii=False)):
        assert "\0" not in found.encode().decode()


HOSTILE_WORDS = {
    "addresses": "ada@example.org and <bob@example.org>, eve%40example.org",
    "a forged log line": "no\r\n2026-01-01 INFO sent\u2028more\x85\x0b\x0c",
    "colours of a terminal": "\x1b[2J\x1b]0;owned\x07 \x9b31m",
    "text that runs backwards": "\u202egnihton\u202c \u200b\ufeff",
    "characters that are none": "\0\ud800\udfff",
    "long": "x" * 3_000,
    "one word of many at signs": "a@" * 10_000,
    "quotes": '"' * 10_000,
    "a template": "{{ secret }} %s %(key)s {0} {error.__class__}",
}
STATUSES = {
    400: refused(InvalidRequest),
    401: refused(AuthenticationError),
    402: refused(APIError),
    403: refused(Forbidden),
    404: refused(NotFound),
    409: Verdict(no=True, doubt=True, kind=Conflict),  # without Migma's word for it, open
    422: refused(InvalidRequest),
    429: refused(RateLimited),
    499: refused(APIError),
    500: doubtful(ServerError),
    502: doubtful(ServerError),
    503: refused(ServerError),
    504: doubtful(ServerError),
    599: doubtful(ServerError),
}


@pytest.mark.parametrize("field", ["error", "code", "message", "data"])
@pytest.mark.parametrize("words", HOSTILE_WORDS.values(), ids=HOSTILE_WORDS)
def test_the_words_of_a_refusal_can_be_logged_whatever_they_are(hostile, words, field):
    """One bearable line without addresses or control characters: `answers.check_error` looks."""
    content = {words: [words]} if field == "data" else words
    for status, verdict in {200: NO, **STATUSES}.items():
        hostile.judge(whole({"success": False, field: content}, f"{status} No"), verdict)


@pytest.mark.parametrize(("status", "verdict"), STATUSES.items())
def test_a_status_of_refusal_says_no_whatever_the_body_says(hostile, status, verdict):
    """Even where the envelope says ``success: true``."""
    for body in (GOOD_BODY, *(body for body, _ in BODIES.values())):
        hostile.judge(whole(body, f"{status} No"), verdict)


@pytest.mark.parametrize("depth", [50, 200, 400, 900, 5_000, 20_000])
def test_a_refusal_with_deep_data_can_be_handed_on(hostile, depth):
    """Parsers, copies and pickles each have another limit: what is too deep for one of them is not kept."""
    body = b'{"success": false, "data": {"x": ' + b"[" * depth + b"]" * depth + b"}}"
    hostile.judge(whole(body, "400 No"), refused(InvalidRequest))
