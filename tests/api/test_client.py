"""MigmaClient at the wire: what each method sends, and what it makes of the answer."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from responses import matchers

from django_migma import __version__
from django_migma.api import (
    Domain,
    EmailLog,
    EmailSummary,
    InvalidRequest,
    InvalidResponse,
    MigmaClient,
    Project,
    SerializationError,
    TestSendRequest,
)
from tests.api.examples import ACCEPTED, EMAIL_ID, KEY, SENDING, URL, client, refusal, send_request

EVERY_FIELD = {
    "recipient_email": "ada@example.org",
    "from_email": "shop@example.com",
    "from_name": "Example Shop",
    "subject": "Grüße 😀",
    "reply_to": "help@example.com",
    "email_id": EMAIL_ID,
    "template": "<b>Hi</b>",
    "project_id": "p1",
    "variables": {"name": "Zoë", "nested": {"items": [1, 2.5, None, True]}},
    "provider_type": "ses",
    "transactional": True,
    "bcc": ("b@example.org", "c@example.org"),
    "topic_id": "t1",
    "extra": {"later": 1},
}
ON_THE_WIRE = {
    "recipientType": "email",
    "recipientEmail": "ada@example.org",
    "from": "shop@example.com",
    "fromName": "Example Shop",
    "subject": "Grüße 😀",
    "replyTo": "help@example.com",
    "emailId": EMAIL_ID,
    "template": "<b>Hi</b>",
    "projectId": "p1",
    "variables": {"name": "Zoë", "nested": {"items": [1, 2.5, None, True]}},
    "providerType": "ses",
    "transactional": True,
    "bcc": ["b@example.org", "c@example.org"],
    "topicId": "t1",
    "later": 1,
}


def strict(body):
    return [matchers.json_params_matcher(body, strict_match=True)]


def ok(data, **more):
    return {"success": True, "data": data, **more}


def test_a_send_carries_every_field_under_migmas_name(wire):
    wire.post(SENDING, json=ACCEPTED, match=strict(ON_THE_WIRE))
    result = client().send(send_request(**EVERY_FIELD), idempotency_key="order-1")
    assert (result.id, result.status, result.provider) == ("m1", "queued", "migma")
    assert (result.idempotency_key, result.attempts, result.replayed) == ("order-1", 1, False)


def test_a_send_to_a_tag(wire):
    """Recipients by id, content by conversation."""
    body = {
        "recipientType": "tag",
        "recipientId": "t1",
        "from": "shop@example.com",
        "fromName": "Example Shop",
        "subject": "Hello",
        "conversationId": "665f1c2ab7d3e4f5a6c70001",
    }
    wire.post(SENDING, json=ok({"id": "b1", "batchId": "b1"}), match=strict(body))
    request = send_request(
        recipient_type="tag",
        recipient_email=None,
        recipient_id="t1",
        email_id=None,
        conversation_id="665f1c2ab7d3e4f5a6c70001",
    )
    assert client().send(request).batch_id == "b1"


def test_the_headers_of_a_send(wire):
    """These and no others; no compression, no cookie, no trace of the session library's own."""
    wire.post(SENDING, json=ACCEPTED)
    client().send(send_request(), idempotency_key="order-1")
    request = wire.calls[0].request
    agent = request.headers["User-Agent"]
    assert dict(request.headers) == {
        "Authorization": f"Bearer {KEY}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": agent,
        "Idempotency-Key": "order-1",
        "Content-Type": "application/json",
        "Content-Length": str(len(request.body)),
    }
    assert agent.startswith(f"django-migma/{__version__} requests/")


def test_json_travels_as_plain_utf_8(wire):
    """Not as escapes, which would double the size of many languages."""
    wire.post(SENDING, json=ACCEPTED)
    client().send(send_request(subject="Grüße"))
    body = wire.calls[0].request.body
    assert '"subject":"Grüße"'.encode() in body
    assert json.loads(body)["subject"] == "Grüße"


def test_a_key_is_made_where_none_is_given(wire):
    """A new one for each send, and the result tells it."""
    wire.post(SENDING, json=ACCEPTED)
    wire.post(SENDING, json=ACCEPTED)
    keys = [client().send(send_request()).idempotency_key for _ in range(2)]
    assert keys == [call.request.headers["Idempotency-Key"] for call in wire.calls]
    assert len({uuid.UUID(key) for key in keys}) == 2


def test_a_replay_is_told(wire):
    wire.post(SENDING, json=ACCEPTED, headers={"Idempotent-Replayed": "True"})
    wire.post(SENDING, json=ACCEPTED, headers={"Idempotent-Replayed": "false"})
    assert client().send(send_request(), idempotency_key="a").replayed is True
    assert client().send(send_request(), idempotency_key="a").replayed is False


@pytest.mark.parametrize("data", [None, {}, {"status": None}])
def test_a_success_without_data_is_a_success(wire, data):
    """Only ``success`` is required, as Migma's schema has it."""
    wire.post(SENDING, json=ok(data))
    result = client().send(send_request())
    assert (result.id, result.status, result.raw) == ("", "", data or {})


@pytest.mark.parametrize("data", [[], "queued", 1, True, {"status": 1}, {"status": ["queued"]}, {"status": True}])
def test_a_success_of_another_shape_leaves_doubt(wire, data):
    wire.post(SENDING, json=ok(data))
    with pytest.raises(InvalidResponse) as caught:
        client().send(send_request(), idempotency_key="a")
    assert str(caught.value) == (
        "Migma reported success, but in a form that is not known. "
        "Check that API_URL is Migma's API and that no proxy answers in its place. Idempotency key: a"
    )
    assert (caught.value.may_have_been_accepted, caught.value.idempotency_key, caught.value.attempts) == (
        True,
        "a",
        1,
    )


@pytest.mark.parametrize("key", ["k" * 101, "schlüssel", "line\nbreak", "tab\t", "\x7f", " leading", "trailing "])
def test_a_key_that_no_header_carries_unchanged_is_refused(wire, key):
    """HTTP strips the spaces at both ends: two different keys would become one."""
    with pytest.raises(ValueError, match=r"^An idempotency key has at most 100 printable ASCII characters"):
        client().send(send_request(), idempotency_key=key)
    assert not wire.calls


@pytest.mark.parametrize("key", ["k" * 100, "a", "order 1/2: {new}"])
def test_any_other_key_is_sent_as_it_is(wire, key):
    wire.post(SENDING, json=ACCEPTED, match=[matchers.header_matcher({"Idempotency-Key": key})])
    assert client().send(send_request(), idempotency_key=key).idempotency_key == key


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"a": float("nan")}, "Out of range float values are not JSON compliant"),
        ({"a": {1, 2}}, "Object of type set is not JSON serializable"),
        ({"a": "\ud800"}, "a lone surrogate: it is no text that UTF-8 can carry"),
    ],
)
def test_what_json_cannot_express_is_not_sent(wire, variables, problem):
    with pytest.raises(SerializationError) as caught:
        client().send(send_request(variables=variables))
    assert str(caught.value).startswith(f"The request cannot be written as JSON: {problem}")
    assert str(caught.value).endswith(". Pass plain JSON values.")
    assert caught.value.__context__ is None
    assert not wire.calls


def test_a_structure_that_holds_itself_is_not_sent(wire):
    looped = {}
    looped["self"] = looped
    with pytest.raises(SerializationError, match="Circular reference detected"):
        client().send(send_request(variables=looped))
    deep = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(SerializationError, match=r"cannot be written as JSON: .*recursion"):
        client().send(send_request(variables={"deep": deep}))
    assert not wire.calls


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"email_id": EMAIL_ID}, {"to": "ada@example.org", "emailId": EMAIL_ID}),
        ({"conversation_id": EMAIL_ID}, {"to": "ada@example.org", "conversationId": EMAIL_ID}),
    ],
)
def test_a_test_send(wire, fields, body):
    """Its body, and no idempotency key: none is documented."""
    wire.post(
        f"{URL}/emails/test/send", json=ok({"messageId": "m1", "sentTo": "ada@example.org"}), match=strict(body)
    )
    result = client().send_test(TestSendRequest(to="ada@example.org", **fields))
    assert (result.message_id, result.sent_to) == ("m1", "ada@example.org")
    assert "Idempotency-Key" not in wire.calls[0].request.headers


def test_batch_status(wire):
    wire.get(f"{URL}/sending/batches/b1", json=ok({"batchId": "b1", "sentCount": 3}), match=strict_query({}))
    status = client().batch_status("b1")
    assert (status.batch_id, status.sent_count) == ("b1", 3)
    assert "Content-Type" not in wire.calls[0].request.headers


def strict_query(query):
    return [matchers.query_param_matcher(query, strict_match=True)]


@pytest.mark.parametrize(
    ("options", "query"),
    [({}, {"limit": "20", "offset": "0"}), ({"limit": 5, "offset": 10}, {"limit": "5", "offset": "10"})],
)
def test_list_projects(wire, options, query):
    """Paged by offset; what is no project is passed over."""
    data = {"projects": [{"_id": "p1"}, None, {"_id": "p2"}], "pagination": {"total": 7, "hasMore": True}}
    wire.get(f"{URL}/projects", json=ok(data), match=strict_query(query))
    page = client().list_projects(**options)
    assert page.items == (Project.from_json({"_id": "p1"}), Project.from_json({"_id": "p2"}))
    assert (page.total, page.has_more, page.raw) == (7, True, data)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {"projectId": "p1", "limit": "20", "page": "1"}),
        (
            {"limit": 100, "page": 3, "status": "completed", "search": "café & co"},
            {"projectId": "p1", "limit": "100", "page": "3", "status": "completed", "search": "café & co"},
        ),
    ],
)
def test_list_emails(wire, options, query):
    """Paged by number; filters that are empty are not sent."""
    data = {"emails": [{"conversationId": "c1"}], "pagination": {"total": 1, "hasMore": False}}
    wire.get(f"{URL}/projects/emails", json=ok(data), match=strict_query(query))
    page = client().list_emails("p1", **options)
    assert page.items == (EmailSummary.from_json({"conversationId": "c1"}),)
    assert (page.total, page.has_more) == (1, False)


@pytest.mark.parametrize(
    ("data", "total", "more"),
    [
        ({"pagination": {"total": 0, "hasMore": False}, "total": 9}, 0, False),
        ({"total": 9}, 9, False),
        ({"pagination": {"hasMore": True}}, None, True),
        ({"pagination": {"total": "7", "hasMore": "yes"}}, None, False),
        ({"pagination": []}, None, False),
        ({}, None, False),
        ([], None, False),
        (None, None, False),
    ],
)
def test_paging_is_read_leniently(wire, data, total, more):
    wire.get(f"{URL}/projects", json=ok(data))
    page = client().list_projects()
    assert (page.items, page.total, page.has_more) == ((), total, more)


def test_generation_status(wire):
    data = {
        "conversationId": "665f1c2ab7d3e4f5a6c70001",
        "status": "completed",
        "result": {"emails": [{"emailId": "e1"}]},
    }
    wire.get(f"{URL}/projects/emails/c1/status", json=ok(data))
    found = client().generation_status("c1")
    assert (found.status, [email.email_id for email in found.emails]) == ("completed", ["e1"])


def test_get_email(wire):
    wire.get(f"{URL}/emails/e1", json=ok({"emailId": "e1", "html": "<p>Hi"}))
    email = client().get_email("e1")
    assert (email.email_id, email.html) == ("e1", "<p>Hi")


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {"limit": "100"}),
        (
            {"limit": 5, "cursor": "a+b/c=", "status": "bounced"},
            {"limit": "5", "cursor": "a+b/c=", "status": "bounced"},
        ),
    ],
)
def test_email_logs(wire, options, query):
    """Paged by cursor; what is empty is not sent."""
    data = {"emails": [{"id": 7, "tracking_id": "s1", "status": "delivered"}, 3], "nextCursor": "c2", "hasMore": True}
    wire.get(f"{URL}/emails/e1/logs", json=ok(data), match=strict_query(query))
    page = client().email_logs("e1", **options)
    assert page.items == (EmailLog.from_json({"id": 7, "tracking_id": "s1", "status": "delivered"}),)
    assert (page.has_more, page.next_cursor, page.raw) == (True, "c2", data)


@pytest.mark.parametrize(
    ("data", "more", "cursor"),
    [
        ({"nextCursor": None, "hasMore": False}, False, ""),
        ({"nextCursor": 40, "hasMore": True}, True, "40"),
        ({"nextCursor": "c2", "hasMore": "yes"}, False, "c2"),
        ({"emails": {}, "nextCursor": ["c2"]}, False, ""),
        ([], False, ""),
    ],
)
def test_cursors_are_read_leniently(wire, data, more, cursor):
    wire.get(f"{URL}/emails/e1/logs", json=ok(data))
    page = client().email_logs("e1")
    assert (page.items, page.has_more, page.next_cursor) == ((), more, cursor)


@pytest.mark.parametrize(("options", "path"), [({}, "/domains"), ({"managed": True}, "/domains/managed")])
def test_list_domains(wire, options, path):
    """A bare array; what is no domain is passed over."""
    wire.get(f"{URL}{path}", json=ok([{"domain": "a.example"}, 3]))
    assert client().list_domains(**options) == (Domain.from_json({"domain": "a.example"}),)


BY_ID = {
    "batch_status": "/sending/batches/{}",
    "generation_status": "/projects/emails/{}/status",
    "get_email": "/emails/{}",
    "email_logs": "/emails/{}/logs?limit=100",
}


@pytest.mark.parametrize("method", BY_ID)
@pytest.mark.parametrize(
    ("value", "quoted"), [("a/b", "a%2Fb"), ("a b?c#d", "a%20b%3Fc%23d"), ("é", "%C3%A9"), ("%2e", "%252e")]
)
def test_an_id_cannot_leave_its_place_in_the_path(wire, method, value, quoted):
    url = URL + BY_ID[method].format(quoted)
    wire.get(url, json=ok({}))
    getattr(client(), method)(value)
    assert wire.calls[0].request.url == url


@pytest.mark.parametrize("method", [*BY_ID, "list_emails"])
@pytest.mark.parametrize("value", ["", None, 12, b"e1", ".", ".."])
def test_what_cannot_be_an_id_is_refused(wire, method, value):
    """The dots name other paths, however they are written."""
    with pytest.raises(ValueError, match=r"^An id must be a string"):
        getattr(client(), method)(value)
    assert not wire.calls


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_a_slash_at_the_end_of_the_address_makes_no_difference(wire, url):
    wire.get(f"{URL}/emails/e1", json=ok({}))
    client(url).get_email("e1")
    assert wire.calls[0].request.url == f"{URL}/emails/e1"


@pytest.mark.parametrize(
    ("key", "options", "problem"),
    [
        ("", {}, "The API key is empty."),
        (None, {}, "The API key must be a string or a callable that returns one, not NoneType."),
        ("sk_1\n", {}, "The API key contains white space"),
        (KEY, {"api_url": "http://api.migma.test"}, "The API address sends the API key unencrypted"),
        (KEY, {"api_url": "nonsense"}, "The API address must look like https://api.migma.ai/v1."),
    ],
)
def test_a_client_that_cannot_work_cannot_be_made(key, options, problem):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}") as caught:
        MigmaClient(key, **options)
    assert "sk_1" not in str(caught.value)


def test_the_address_is_migmas_unless_told(wire):
    wire.get("https://api.migma.ai/v1/emails/e1", json=ok({}))
    MigmaClient(KEY).get_email("e1")
    assert wire.calls[0].request.url == "https://api.migma.ai/v1/emails/e1"


def test_http_where_it_is_allowed(wire):
    wire.get("http://sandbox:8026/v1/emails/e1", json=ok({"emailId": "e1"}))
    assert client("http://sandbox:8026/v1", allow_http=True).get_email("e1").email_id == "e1"


def test_a_key_has_succeeded_once_a_mail_was_accepted(wire):
    """Not by a refusal and not by a look-up; and for all clients of this key and host, but for no other."""
    wire.post(SENDING, json=refusal(), status=400)
    wire.get(f"{URL}/emails/e1", json=ok({}))
    wire.post(SENDING, json=ACCEPTED)
    first, second = client(), client()
    with pytest.raises(InvalidRequest, match="Migma answered 400: no"):
        first.send(send_request())
    first.get_email("e1")
    assert (first.has_succeeded, second.has_succeeded) == (False, False)
    first.send(send_request())
    assert (first.has_succeeded, second.has_succeeded) == (True, True)
    assert not client(key="another").has_succeeded
    assert not client("https://other.migma.test/v1").has_succeeded
