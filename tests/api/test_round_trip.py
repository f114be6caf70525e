"""Every method of MigmaClient against the real sandbox, over real sockets."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_migma.api import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    TestSendRequest,
)
from django_migma.api.errors import AuthenticationError
from django_migma.sandbox import account
from django_migma.sandbox.server import Sandbox
from tests.api.examples import client as make_client
from tests.api.examples import send_request

SENDER = "hello@fernhill.example"


@pytest.fixture(scope="module")
def running():
    """Its clock stands still: a batch moves on by it."""
    with Sandbox(clock=lambda: datetime(2030, 5, 1, tzinfo=UTC)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running):
    running.store.reset()
    return running


@pytest.fixture
def client(sandbox):
    return make_client(sandbox.api_url, sandbox.keys.full)


def test_send_to_one(sandbox, client):
    """Accepted, stored, and repeated without a second mail."""
    request = send_request(from_email=SENDER, email_id=account.WELCOME, variables={"first_name": "Ada"})
    result = client.send(request, idempotency_key="order-1")
    [stored] = sandbox.store.messages()
    assert result.id == stored.id
    assert (result.status, result.provider, result.sent_count) == ("queued", "migma", 1)
    assert result.send_id
    assert (result.email_id, result.conversation_id) == (account.WELCOME, account.WELCOME_CONVERSATION)
    again = client.send(request, idempotency_key="order-1")
    assert (again.id, again.replayed) == (result.id, True)
    assert len(sandbox.store.messages()) == 1


def test_send_to_a_tag_and_follow_the_batch(client):
    request = send_request(
        recipient_type="tag",
        recipient_email=None,
        recipient_id=account.CUSTOMERS_TAG,
        from_email=SENDER,
        email_id=account.WELCOME,
    )
    sent = client.send(request)
    status = client.batch_status(sent.batch_id)
    assert status.batch_id == sent.batch_id == sent.id
    assert (status.recipient_type, status.recipient_id) == ("tag", account.CUSTOMERS_TAG)
    assert (status.from_email, status.from_name, status.subject) == (SENDER, "Example Shop", "Hello")
    assert status.total_count == status.queued_count + status.sent_count == 1240
    assert (status.status, status.failed_count) == ("queued", 0)


def test_send_test(sandbox, client):
    result = client.send_test(TestSendRequest(to="ada@example.org", email_id=account.RECEIPT))
    assert result.message_id == sandbox.store.messages()[0].id
    assert (result.sent_to, result.email_id) == ("ada@example.org", account.RECEIPT)
    assert result.conversation_id == account.RECEIPT_CONVERSATION
    assert result.subject.startswith("Your receipt")
    assert result.sent_at


def test_list_projects_page_by_page(client):
    first = client.list_projects(limit=1)
    second = client.list_projects(limit=1, offset=1)
    assert [first.items[0].id, second.items[0].id] == [account.FERNHILL, account.LUMEN]
    assert (first.total, first.has_more, second.has_more) == (2, True, False)
    assert (first.items[0].name, first.items[0].status) == ("Fernhill Coffee", "active")


def test_list_emails_page_by_page(client):
    pages = [client.list_emails(account.FERNHILL, limit=4, page=number) for number in (1, 2)]
    assert [len(page.items) for page in pages] == [4, 3]
    assert [page.has_more for page in pages] == [True, False]
    assert pages[0].total == 7
    [receipt] = client.list_emails(account.FERNHILL, status="completed", search="RECEIPT").items
    assert (receipt.conversation_id, receipt.title) == (account.RECEIPT_CONVERSATION, "Order receipt")


@pytest.mark.parametrize(
    ("conversation", "status", "emails"),
    [
        (account.SERIES_CONVERSATION, "completed", [(account.SERIES_1, 1), (account.SERIES_2, 2)]),
        (account.PROCESSING_CONVERSATION, "processing", []),
        (account.FAILED_CONVERSATION, "failed", []),
    ],
)
def test_generation_status(client, conversation, status, emails):
    found = client.generation_status(conversation)
    assert (found.conversation_id, found.status) == (conversation, status)
    assert [(email.email_id, email.slot) for email in found.emails] == emails
    assert bool(found.error) is (status == "failed")


def test_get_email(client):
    email = client.get_email(account.WELCOME)
    assert (email.email_id, email.conversation_id) == (account.WELCOME, account.WELCOME_CONVERSATION)
    assert email.subject == "Welcome to Fernhill, {{first_name}}"
    assert (email.status, email.preheader) == ("ready", "Your first bag is waiting")
    assert "{{first_name}}" in email.html


def test_list_domains(client):
    assert [(item.domain, item.usable, item.is_managed) for item in client.list_domains()] == [
        ("fernhill.example", True, False),
        ("lumenbikes.example", False, False),
    ]
    assert [item.domain for item in client.list_domains(managed=True)] == ["fernhill.migma.email"]


def test_refusals_become_errors(sandbox, client):
    """The sandbox's own refusals, one of each kind."""
    good = send_request(from_email=SENDER)
    client.send(good, idempotency_key="order-1")
    with pytest.raises(Conflict, match="Idempotency key: order-1"):
        client.send(send_request(from_email=SENDER, subject="Other"), idempotency_key="order-1")
    with pytest.raises(InvalidRequest, match="Migma answered 400"):
        client.send(send_request(from_email=SENDER, recipient_email="nonsense"))
    with pytest.raises(NotFound, match="Migma answered 404"):
        client.get_email("0" * 24)
    with pytest.raises(Forbidden, match="lacks the permission email:send"):
        make_client(sandbox.api_url, sandbox.keys.no_send).send(good)
    with pytest.raises(AuthenticationError, match="Invalid API key"):
        make_client(sandbox.api_url, "sk_of_nobody").send(good)
    assert len(sandbox.store.messages()) == 1


def test_a_hundred_sends_share_one_connection(sandbox, client):
    """Kept alive between calls; the sandbox counts."""
    before = sandbox.store.stats()["connections"]
    for _ in range(100):
        client.send(send_request(from_email=SENDER))
    assert sandbox.store.stats()["connections"] - before == 1
    assert len(sandbox.store.messages()) == 100
