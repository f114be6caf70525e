"""POST /v1/emails/test/send."""

from __future__ import annotations

import re

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import ask

TO = "tester@example.com"
INVALID = "to: Invalid email address (one address, without a display name)"


def send_test(sandbox, body, **headers):
    return ask(sandbox, "POST", "/v1/emails/test/send", body=body, headers=headers)


@pytest.mark.parametrize("selector", [{"emailId": account.WELCOME}, {"conversationId": account.WELCOME_CONVERSATION}])
def test_a_test_send_answers_what_was_sent_where_and_when(start, selector):
    answer = send_test(start(), {"to": TO, **selector}).data
    assert re.fullmatch(r"[0-9a-f]{24}", answer.pop("messageId"))
    assert answer == {
        "conversationId": account.WELCOME_CONVERSATION,
        "emailId": account.WELCOME,
        "sentTo": TO,
        "sentAt": "2026-06-01T09:30:00.000Z",
        "subject": "Welcome to Fernhill, {{first_name}}",
    }


def test_a_test_send_is_recorded_as_it_is_stored(sandbox):
    answer = send_test(sandbox, {"to": TO, "emailId": account.WELCOME}).data
    [message] = sandbox.store.messages()
    assert message.id == answer["messageId"]
    assert message.endpoint == "POST /v1/emails/test/send"
    assert message.subject == "Welcome to Fernhill, {{first_name}}"
    assert "{{first_name}}" in message.html


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "to is required; emailId or conversationId is required"),
        ({"to": "tester", "emailId": account.WELCOME}, INVALID),
        ({"to": [TO], "emailId": account.WELCOME}, "to must be a string"),
        ({"to": TO, "emailId": "welcome"}, "emailId must be 24 hexadecimal digits"),
        ({"to": TO, "conversationId": "welcome"}, "conversationId must be 24 hexadecimal digits"),
        ({"to": TO}, "emailId or conversationId is required"),
    ],
)
def test_a_broken_rule_is_400_with_its_text(sandbox, body, text):
    reply = send_test(sandbox, body)
    assert (reply.status, reply.error) == (400, text)
    assert reply.json["data"]["problems"] == text.split("; ")
    assert sandbox.store.messages() == []


def test_an_unknown_email_is_404(sandbox):
    reply = send_test(sandbox, {"to": TO, "emailId": "f" * 24})
    assert (reply.status, reply.error) == (404, f"Email not found: emailId {'f' * 24}")


def test_a_series_asks_for_the_email_id(sandbox):
    reply = send_test(sandbox, {"to": TO, "conversationId": account.SERIES_CONVERSATION})
    assert reply.status == 400
    assert reply.error == "conversationId: this is a series of 2 emails; emailId is required"


def test_an_idempotency_key_is_ignored(sandbox):
    headers = {"Idempotency-Key": "k" * 101}
    ids = {send_test(sandbox, {"to": TO, "emailId": account.WELCOME}, **headers).data["messageId"] for _ in range(2)}
    assert len(ids) == 2
    assert [message.idempotency_key for message in sandbox.store.messages()] == [None, None]
