"""What one answer comes to: status, headers and body in, a reply or an error out."""

from __future__ import annotations

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
)
from tests.api.examples import ACCEPTED, EMAIL_ID, SENDING, as_json, client, refusal, send_request

CLASSES = [
    (400, InvalidRequest),
    (401, AuthenticationError),
    (402, APIError),
    (403, Forbidden),
    (404, NotFound),
    (409, Conflict),
    (418, APIError),
    (422, InvalidRequest),
    (429, RateLimited),
    (500, ServerError),
    (501, ServerError),
    (503, ServerError),
    (599, ServerError),
]


def refused(wire, status=400, *, key="order-1", **answer):
    """The error that a client without retries raises for this answer to a send."""
    wire.post(SENDING, status=status, **answer)
    with pytest.raises(APIError) as caught:
        client(max_retries=0).send(send_request(), idempotency_key=key)
    return caught.value


@pytest.mark.parametrize(("status", "kind"), CLASSES)
def test_a_status_becomes_its_error(wire, status, kind):
    """With everything that Migma said, and what to do next."""
    body = refusal("Something is wrong", code="SOME_CODE", data={"field": "subject"})
    error = refused(wire, status, json=body)
    assert type(error) is kind
    assert str(error).startswith(f"Migma answered {status} SOME_CODE: Something is wrong. {kind.hint}")
    assert kind.hint
    assert (error.status_code, error.code, error.detail) == (status, "SOME_CODE", "Something is wrong")
    assert error.data == {"field": "subject"}
    assert (error.attempts, error.idempotency_key) == (1, "order-1")


def test_success_false_in_a_200_is_a_refusal(wire):
    """With that status; final, and nothing was accepted."""
    wire.post(SENDING, json=refusal("Domain not verified", code="DOMAIN"))
    with pytest.raises(APIError) as caught:
        client().send(send_request())
    assert type(caught.value) is APIError
    assert str(caught.value) == (
        "Migma answered 200 DOMAIN: Domain not verified. "
        "Correct what Migma names; the account's settings are in its dashboard."
    )
    assert (caught.value.status_code, caught.value.attempts) == (200, 1)
    assert caught.value.may_have_been_accepted is False


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"error": "plain"}, "plain"),
        ({"error": {"message": "nested"}}, "nested"),
        ({"message": "beside"}, "beside"),
        ({"error": "", "message": "beside"}, "beside"),
        ({"error": 17}, "17"),
        ({"error": ["list"]}, ""),
        ({"error": {"message": ["list"]}}, ""),
        ({"error": None}, ""),
        ({}, ""),
        ([], ""),
        ("text", ""),
        (None, ""),
    ],
)
def test_migmas_reason_is_found_where_it_stands(wire, body, detail):
    error = refused(wire, json=body)
    assert error.detail == detail
    assert str(error).startswith(f"Migma answered 400: {detail or 'no reason given'}. Correct")


@pytest.mark.parametrize("field", ["code", "data"])
@pytest.mark.parametrize("value", [None, ["x"], 1.5, True])
def test_odd_fields_of_a_refusal_read_as_empty(wire, field, value):
    error = refused(wire, json=refusal(**{field: value}))
    assert (error.code, error.data) == ("", {})


@pytest.mark.parametrize("status", [400, 502, 503])
@pytest.mark.parametrize(
    "body", [b"<html><h1>Bad gateway</h1> from nginx</html>", b"", b"{", b"\xff\xfe", b"[" * 100_000]
)
def test_an_error_page_of_a_proxy_is_an_error_of_that_status(wire, status, body):
    """Its HTML goes nowhere."""
    error = refused(wire, status, body=body)
    assert (error.status_code, error.detail, error.data) == (status, "", {})
    assert str(error).startswith(f"Migma answered {status}: no reason given. ")


def test_the_reason_is_one_line_of_bearable_length(wire):
    error = refused(wire, json=refusal("a\n b\r\n\tc" + " x" * 1000))
    shown = str(error).removeprefix("Migma answered 400: ").removesuffix(f". {InvalidRequest.hint}")
    assert shown == "a b c" + " x" * 147 + " …"
    assert len(error.detail) > 1000


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("Unknown recipient ada@example.org", "Unknown recipient <address>"),
        ("'ada@example.org' and <bob@example.org>, (c@d)", "<address> and <address> <address>"),
        ("ada%40example.org is suppressed", "<address> is suppressed"),
        ("recipient:ada+tag@mail.example.org;", "<address>"),
        ("äda@exämple.org", "<address>"),
        ("Use @ or not", "Use <address> or not"),
    ],
)
def test_addresses_are_masked_in_the_text_and_kept_in_the_detail(wire, detail, shown):
    """Errors are logged; a recipient's address has no business in a log."""
    error = refused(wire, json=refusal(detail))
    assert str(error) == f"Migma answered 400: {shown}. {InvalidRequest.hint}"
    assert error.detail == detail


@pytest.mark.parametrize(
    ("key", "echo"),
    [
        ("sk_live_1234", b"sk_live_1234"),
        ("sk_live_\u00e9", "sk_live_\u00e9".encode()),
    ],
)
def test_a_key_that_migma_echoes_is_masked_everywhere(wire, key, echo):
    body = b'{"success":false,"error":"Bad key %b","code":"%b","data":{"keys":["%b"],"%b":1}}' % ((echo,) * 4)
    wire.post(SENDING, status=403, body=body)
    with pytest.raises(Forbidden) as caught:
        client(key=key).send(send_request())
    assert key not in str(caught.value)
    assert "Bad key ********." in str(caught.value)
    assert (caught.value.detail, caught.value.code) == ("Bad key ********", "********")
    assert caught.value.data == {"keys": ["********"], "********": 1}


def test_a_key_that_migma_echoes_in_a_success_is_masked(wire):
    wire.post(SENDING, json={"success": True, "data": {"message": "for sk_live_1234"}})
    result = client(key="sk_live_1234").send(send_request())
    assert result.message == "for ********"
    assert result.raw == {"message": "for ********"}


def test_a_key_in_the_type_of_an_unreadable_answer_is_not_shown(wire):
    wire.post(SENDING, body="", content_type="text/html; for=sk_live_1234")
    with pytest.raises(InvalidResponse) as caught:
        client(key="sk_live_1234", max_retries=0).send(send_request())
    assert "sk_live_1234" not in str(caught.value)


UNREADABLE = {
    "html": b"<html>Welcome to the hotel</html>",
    "empty": b"",
    "half": b'{"success": true, "data"',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "bad utf-8": b'{"success": true, "a": "\xff"}',
    "list": b"[]",
    "null": b"null",
    "no success": b'{"data": {}}',
    "empty object": b"{}",
    "text": as_json({"success": "true"}),
    "one": as_json({"success": 1}),
    "null success": as_json({"success": None}),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_a_success_that_is_no_envelope_is_unreadable(wire, body):
    """It may have been accepted: tried again with the key, and said so in the end."""
    for _ in range(3):
        wire.post(SENDING, status=201, body=body, content_type="text/html")
    with pytest.raises(InvalidResponse) as caught:
        client(max_retries=2).send(send_request(), idempotency_key="order-1")
    assert str(caught.value) == (
        f"The response with status 201 is not Migma's: no JSON envelope ({len(body)} bytes of text/html) "
        f"(after 3 attempts). {InvalidResponse.hint} Idempotency key: order-1"
    )
    assert (caught.value.status_code, caught.value.may_have_been_accepted) == (201, True)


def test_an_unreadable_success_may_be_whole_the_next_time(wire):
    wire.post(SENDING, body="<html>")
    wire.post(SENDING, json=ACCEPTED, headers={"Idempotent-Replayed": "true"})
    result = client().send(send_request())
    assert (result.id, result.attempts, result.replayed) == ("m1", 2, True)


def test_a_look_up_reads_no_html_either(wire):
    wire.get(f"https://api.migma.test/v1/emails/{EMAIL_ID}", body="<html>")
    with pytest.raises(InvalidResponse, match="no JSON envelope \\(6 bytes of text/plain\\)"):
        client(max_retries=0).get_email(EMAIL_ID)
