"""Messages and counters of accepted sends."""

from __future__ import annotations

from tests.sandbox.asking import ask, batch, get, send, single


def test_accepted_sends_are_counted_beyond_what_is_kept(start):
    sandbox = start(max_messages=2)
    for number in range(4):
        send(sandbox, single(subject=str(number)))
    send(sandbox, batch())
    send(sandbox, {})
    assert len(sandbox.store.messages()) == 2
    assert sandbox.store.stats()["accepted"] == 5


def test_a_test_send_counts_as_accepted(sandbox):
    body = {"to": "tester@example.com", "emailId": single()["emailId"]}
    ask(sandbox, "POST", "/v1/emails/test/send", body=body)
    assert sandbox.store.stats()["accepted"] == 1


def test_a_replay_does_not_count_as_accepted(sandbox):
    for _ in range(3):
        send(sandbox, single(), idempotency_key="order-1")
    assert sandbox.store.stats()["accepted"] == 1


def test_clearing_the_messages_keeps_the_counters_and_a_reset_does_not(sandbox):
    sandbox.faults.script("500")
    send(sandbox, single())
    send(sandbox, single())
    sandbox.store.clear_messages()
    stats = get(sandbox, "/_sandbox/stats").json
    assert (stats["accepted"], stats["faults"]) == (1, {"500": 1})
    sandbox.store.reset()
    stats = sandbox.store.stats()
    assert (stats["accepted"], stats["faults"]) == (0, {})


def test_a_replay_of_a_message_that_is_no_longer_kept_is_still_a_replay(start):
    sandbox = start(max_messages=1)
    for key in ("order-1", "order-2"):
        send(sandbox, single(), idempotency_key=key)
    assert send(sandbox, single(), idempotency_key="order-1").headers["Idempotent-Replayed"] == "true"
    assert [message.replays for message in sandbox.store.messages()] == [0]


def test_replays_count_for_the_newest_message_under_a_key_when_the_older_one_goes(start, clock):
    sandbox = start(clock=clock, max_messages=2)
    send(sandbox, single(), idempotency_key="order-1")
    clock.forward(hours=24)
    for key in ("order-1", "order-2", "order-1"):
        send(sandbox, single(), idempotency_key=key)
    assert [message.replays for message in sandbox.store.messages()] == [1, 0]
