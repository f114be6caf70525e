"""The answer to an accepted send, and the message that is kept."""

from __future__ import annotations

import re

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import batch, get, send, single

HEX_ID = re.compile(r"[0-9a-f]{24}")


def test_a_single_send_answers_with_its_ids(sandbox):
    answer = send(sandbox, single()).data
    assert HEX_ID.fullmatch(answer.pop("id"))
    assert HEX_ID.fullmatch(answer.pop("sendId"))
    assert answer == {
        "provider": "migma",
        "status": "queued",
        "sentCount": 1,
        "message": "Email queued",
        "emailId": account.WELCOME,
        "conversationId": account.WELCOME_CONVERSATION,
    }


def test_the_message_id_is_not_the_tracking_id(sandbox):
    answer = send(sandbox, single()).data
    assert answer["id"] != answer["sendId"]


def test_the_provider_asked_for_is_the_provider_used(sandbox):
    assert send(sandbox, single(providerType="ses")).data["provider"] == "ses"


@pytest.mark.parametrize(
    ("kind", "recipient_id", "size"),
    [
        ("tag", account.NEWSLETTER_TAG, 3875),
        ("segment", account.COFFEE_LOVERS, 412),
        ("audience", account.COFFEE_LOVERS.upper(), 412),
    ],
)
def test_a_batch_answers_with_its_batch_id(sandbox, kind, recipient_id, size):
    answer = send(sandbox, batch(recipientType=kind, recipientId=recipient_id)).data
    assert HEX_ID.fullmatch(answer["id"])
    assert answer == {
        "id": answer["id"],
        "batchId": answer["id"],
        "provider": "migma",
        "status": "queued",
        "message": f"Batch of {size} queued",
        "emailId": account.WELCOME,
        "conversationId": account.WELCOME_CONVERSATION,
    }


def test_raw_html_goes_out_by_switch_and_echoes_no_email(start):
    sandbox = start(accept_template=True)
    body = single(emailId=None, template="<p>Hi {{first_name}}</p>", projectId=account.LUMEN)
    answer = send(sandbox, body).data
    assert {"emailId", "conversationId"}.isdisjoint(answer)
    assert sandbox.store.message(answer["id"]).html == "<p>Hi Kim</p>"


def test_an_accepted_message_is_recorded_with_everything_but_the_key(start, clock):
    sandbox = start(clock=clock)
    body = single(shoeSize=43)
    answer = send(sandbox, body, idempotency_key="order-1").data
    [message] = sandbox.store.messages()
    assert message.id == answer["id"]
    assert message.received_at == clock.now
    assert message.endpoint == "POST /v1/sending"
    assert message.key_name == "full"
    assert message.idempotency_key == "order-1"
    assert message.body == body
    assert message.answer == answer
    assert message.replays == 0
    assert message.subject == "Welcome, Kim"
    assert "Kim" in message.html
    assert KEYS.full not in repr(message)


def test_only_the_newest_messages_and_batches_are_kept(start):
    sandbox = start(max_messages=2)
    ids = [send(sandbox, batch()).data["id"] for _ in range(3)]
    assert [message.id for message in sandbox.store.messages()] == ids[1:]
    statuses = [get(sandbox, f"/v1/sending/batches/{batch_id}").status for batch_id in ids]
    assert statuses == [404, 200, 200]


def test_a_batch_is_queued_then_processing_then_completed(start, clock):
    sandbox = start(clock=clock)
    batch_id = send(sandbox, batch(transactional=True)).data["batchId"]
    seen = []
    for _ in range(4):
        status = get(sandbox, f"/v1/sending/batches/{batch_id}").data
        seen.append((status["status"], status["queuedCount"], status["sentCount"]))
        clock.forward(seconds=1)
    assert seen == [("queued", 1240, 0), ("processing", 620, 620), ("processing", 620, 620), ("completed", 0, 1240)]


def test_the_status_of_a_batch_echoes_its_send(start, clock):
    sandbox = start(clock=clock)
    batch_id = send(sandbox, batch()).data["batchId"]
    assert get(sandbox, f"/v1/sending/batches/{batch_id}").data == {
        "batchId": batch_id,
        "recipientType": "tag",
        "recipientId": account.CUSTOMERS_TAG,
        "provider": "migma",
        "from": "hello@fernhill.migma.email",
        "fromName": "Fernhill Coffee",
        "subject": "New beans",
        "status": "queued",
        "totalCount": 1240,
        "queuedCount": 1240,
        "sentCount": 0,
        "failedCount": 0,
        "createdAt": "2026-06-01T09:30:00.000Z",
        "updatedAt": "2026-06-01T09:30:00.000Z",
    }


def test_an_unknown_batch_is_404(sandbox):
    reply = get(sandbox, "/v1/sending/batches/nothing")
    assert (reply.status, reply.error) == (404, "Batch not found: nothing")


def test_a_single_send_is_no_batch(sandbox):
    message_id = send(sandbox, single()).data["id"]
    assert get(sandbox, f"/v1/sending/batches/{message_id}").status == 404
