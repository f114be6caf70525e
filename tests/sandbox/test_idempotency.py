"""One Idempotency-Key, one mail."""

from __future__ import annotations

import http.client
import json

import pytest

from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import PATIENCE, ask, received, send, sent, single
from tests.sandbox.conftest import HoldingClock


def replayed(reply):
    return reply.headers["Idempotent-Replayed"] == "true"


def test_the_same_request_again_gets_the_same_answer_and_sends_nothing(sandbox):
    first = send(sandbox, single(), idempotency_key="order-1")
    second = send(sandbox, single(), idempotency_key="order-1")
    assert (second.status, second.content) == (200, first.content)
    assert not replayed(first)
    assert replayed(second)
    assert [message.replays for message in sandbox.store.messages()] == [1]


def test_a_replay_counts_for_its_own_message_only(sandbox):
    for key in ("order-1", "order-2", "order-1"):
        send(sandbox, single(), idempotency_key=key)
    assert [message.replays for message in sandbox.store.messages()] == [1, 0]


def test_another_body_is_409_and_the_first_answer_stays(sandbox):
    first = send(sandbox, single(), idempotency_key="order-1")
    other = send(sandbox, single(subject="Other"), idempotency_key="order-1")
    assert (other.status, other.json["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert other.error == "This Idempotency-Key was used with another request body within 24 hours"
    assert send(sandbox, single(), idempotency_key="order-1").content == first.content


def test_the_same_json_in_other_bytes_is_another_body(sandbox):
    send(sandbox, single(), idempotency_key="order-1")
    spaced = json.dumps(single(), indent=1).encode()
    assert send(sandbox, spaced, idempotency_key="order-1").status == 409


def test_without_a_key_every_request_is_a_new_mail(sandbox):
    assert send(sandbox, single()).data["id"] != send(sandbox, single()).data["id"]
    assert len(sandbox.store.messages()) == 2


def test_a_key_lives_for_24_hours(start, clock):
    sandbox = start(clock=clock)
    first = send(sandbox, single(), idempotency_key="order-1")
    clock.forward(hours=23, minutes=59)
    assert replayed(send(sandbox, single(), idempotency_key="order-1"))
    clock.forward(minutes=1)
    again = send(sandbox, single(subject="Other"), idempotency_key="order-1")
    assert again.data["id"] != first.data["id"]
    send(sandbox, single(subject="Other"), idempotency_key="order-1")
    assert [message.replays for message in sandbox.store.messages()] == [1, 1]


def test_a_key_belongs_to_one_api_key(start, clock):
    """Seen at the store, since only one of the sandbox's keys may send."""
    store = start(clock=clock).store.idempotency
    store.begin("full", "order-1", "/v1/sending", b"{}")
    assert store.begin("no_send", "order-1", "/v1/sending", b"[]") is None


@pytest.mark.parametrize("length", [0, 101])
def test_a_key_has_1_to_100_characters(sandbox, length):
    reply = send(sandbox, single(), idempotency_key="k" * length)
    assert (reply.status, reply.error) == (400, "Idempotency-Key must be 1 to 100 characters long")


def test_a_key_of_100_characters_is_fine(sandbox):
    assert send(sandbox, single(), idempotency_key="k" * 100).status == 200


@pytest.mark.parametrize(("changes", "status"), [({"subject": None}, 400), ({"emailId": "f" * 24}, 404)])
def test_a_refusal_is_remembered_too(sandbox, changes, status):
    first = send(sandbox, single(**changes), idempotency_key="order-1")
    second = send(sandbox, single(**changes), idempotency_key="order-1")
    assert (second.status, second.content) == (status, first.content)
    assert replayed(second)
    assert send(sandbox, single(), idempotency_key="order-1").status == 409


def test_a_refusal_frees_the_key_by_switch(start):
    sandbox = start(errors_consume_key=False)
    assert send(sandbox, single(subject=None), idempotency_key="order-1").status == 400
    reply = send(sandbox, single(), idempotency_key="order-1")
    assert reply.status == 200
    assert not replayed(reply)


@pytest.mark.parametrize(("key", "status"), [(None, 401), (KEYS.revoked, 401), (KEYS.no_send, 403)])
def test_refused_keys_never_consume(sandbox, key, status):
    assert send(sandbox, single(), idempotency_key="order-1", key=key).status == status
    assert not replayed(send(sandbox, single(subject="Other"), idempotency_key="order-1"))


def test_a_fault_of_the_sandbox_frees_the_key(start, clock, capsys):
    sandbox = start(clock=clock)
    add_message, sandbox.store.add_message = sandbox.store.add_message, None
    assert send(sandbox, single(), idempotency_key="order-1").status == 500
    sandbox.store.add_message = add_message
    assert send(sandbox, single(), idempotency_key="order-1").status == 200
    assert "TypeError" in capsys.readouterr().err


def test_a_reset_forgets_keys_even_of_running_requests(start):
    clock = HoldingClock()
    sandbox = start(clock=clock)
    clock.is_due = lambda: sandbox.store.idempotency.forgotten_at("full", "order-1")
    with sent(sandbox, single(), idempotency_key="order-1") as connection:
        assert clock.is_holding.wait(PATIENCE)
        sandbox.store.reset()
        clock.go_on.set()
        assert b" 200 OK\r\n" in received(connection, until=b"}}")
    assert sandbox.store.stats()["accepted"] == 1
    assert send(sandbox, single(subject="Other"), idempotency_key="order-1").status == 200


def test_a_replay_after_the_inbox_was_cleared_is_still_a_replay(sandbox):
    send(sandbox, single(), idempotency_key="order-1")
    assert ask(sandbox, "DELETE", "/_sandbox/messages").json == {"deleted": 1}
    assert replayed(send(sandbox, single(), idempotency_key="order-1"))
    assert sandbox.store.messages() == []


def test_keys_can_be_ignored_altogether(start):
    sandbox = start(idempotency=False)
    replies = [send(sandbox, single(), idempotency_key="k" * 101) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 200]
    assert not any(replayed(reply) for reply in replies)
    assert [message.idempotency_key for message in sandbox.store.messages()] == [None, None]
    assert sandbox.store.stats()["accepted"] == 2


def test_a_lost_reply_costs_a_second_mail_where_keys_are_ignored(start):
    sandbox = start(idempotency=False)
    body = single(recipientEmail="half@sandbox.example")
    with pytest.raises(http.client.IncompleteRead):
        send(sandbox, body, idempotency_key="order-1")
    assert send(sandbox, body, idempotency_key="order-1").status == 200
    assert sandbox.store.stats()["accepted"] == 2
