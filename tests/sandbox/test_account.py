"""Ids must exist and belong together."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import batch, get, send, single

NOWHERE = "f" * 24


def outcome(sandbox, body):
    reply = send(sandbox, body)
    assert sandbox.store.messages() == []
    return reply.status, reply.error


def by_conversation(conversation_id):
    return single(emailId=None, conversationId=conversation_id)


def test_an_unknown_email_is_404(sandbox):
    assert outcome(sandbox, single(emailId=NOWHERE)) == (404, f"Email not found: emailId {NOWHERE}")


def test_an_unknown_conversation_is_404(sandbox):
    expected = (404, f"Conversation not found: conversationId {NOWHERE}")
    assert outcome(sandbox, by_conversation(NOWHERE)) == expected


def test_a_series_asks_for_the_email_id(sandbox):
    text = "conversationId: this is a series of 2 emails; emailId is required"
    assert outcome(sandbox, by_conversation(account.SERIES_CONVERSATION)) == (400, text)


@pytest.mark.parametrize("email_id", [account.SERIES_1, account.SERIES_2])
def test_an_email_of_a_series_goes_out_by_its_own_id(sandbox, email_id):
    assert send(sandbox, single(emailId=email_id)).data["conversationId"] == account.SERIES_CONVERSATION


@pytest.mark.parametrize(
    ("conversation_id", "status"),
    [(account.PROCESSING_CONVERSATION, "processing"), (account.FAILED_CONVERSATION, "failed")],
)
def test_an_unfinished_conversation_cannot_be_sent(sandbox, conversation_id, status):
    text = f"conversationId: this conversation is {status}, not completed"
    assert outcome(sandbox, by_conversation(conversation_id)) == (400, text)


def test_email_and_conversation_must_belong_together(sandbox):
    text = "emailId does not belong to conversationId; emailId alone is enough"
    assert outcome(sandbox, single(conversationId=account.RECEIPT_CONVERSATION)) == (400, text)


def test_an_unknown_project_is_404(sandbox):
    assert outcome(sandbox, single(projectId=NOWHERE)) == (404, f"Project not found: projectId {NOWHERE}")


def test_another_project_than_the_emails_is_400(sandbox):
    text = "projectId is not the project of this email; it may be left out"
    assert outcome(sandbox, single(projectId=account.LUMEN)) == (400, text)


@pytest.mark.parametrize("recipient_id", ["customers", account.RIDERS_TAG, account.COFFEE_LOVERS])
def test_a_tag_must_be_named_by_an_id_of_the_same_project(sandbox, recipient_id):
    text = "Tag not found: recipientId must be the id of a tag of Fernhill Coffee, not its name"
    assert outcome(sandbox, batch(recipientId=recipient_id)) == (404, text)


@pytest.mark.parametrize("kind", ["audience", "segment"])
@pytest.mark.parametrize("recipient_id", ["Coffee lovers", account.COMMUTERS, account.CUSTOMERS_TAG])
def test_a_segment_must_be_named_by_an_id_of_the_same_project(sandbox, kind, recipient_id):
    text = "Segment not found: recipientId must be the id of a segment of Fernhill Coffee, not its name"
    assert outcome(sandbox, batch(recipientType=kind, recipientId=recipient_id)) == (404, text)


def test_ids_of_another_account_may_be_taken_with_a_page_that_lists_the_variables(start):
    sandbox = start(any_id=True)
    assert send(sandbox, single(emailId=NOWHERE, variables={"first_<b>": "Kim"})).status == 200
    assert send(sandbox, by_conversation(NOWHERE)).status == 200
    by_email, by_conversation_id = (message.html for message in sandbox.store.messages())
    assert f"The email {NOWHERE} is stored at Migma" in by_email
    assert "<th align=left>first_&lt;b&gt;</th>" in by_email
    assert "<th align=left>first_name</th><td>Kim</td>" in by_conversation_id


def test_raw_html_of_a_project_of_another_account_may_be_taken(start):
    sandbox = start(any_id=True, accept_template=True)
    send(sandbox, single(emailId=None, template="<p>Hello</p>", projectId=NOWHERE))
    assert [message.html for message in sandbox.store.messages()] == ["<p>Hello</p>"]


@pytest.mark.parametrize("template", ["<p>Hello</p>", ["<p>"], {"a": 1}, 1])
def test_beside_an_id_of_another_account_a_template_is_ignored_whatever_it_is(start, template):
    """One that was no text made every page of the inbox fail."""
    sandbox = start(any_id=True)
    assert send(sandbox, single(emailId=NOWHERE, template=template)).status == 200
    assert f"The email {NOWHERE} is stored at Migma" in sandbox.mails[0].html
    assert get(sandbox, "/").status == 200


def test_taking_any_id_keeps_every_other_rule(start):
    reply = send(start(any_id=True), by_conversation(account.SERIES_CONVERSATION))
    assert (reply.status, reply.error) == (
        400,
        "conversationId: this is a series of 2 emails; emailId is required",
    )
