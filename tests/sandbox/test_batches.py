"""What becomes of a send to a segment or tag: each status that Migma has a word for."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import batch, get, send


def statuses(sandbox, clock, tag, *, seconds):
    """The status in each second after the send, with the numbers of mails queued, sent and failed."""
    batch_id = send(sandbox, batch(recipientId=tag)).data["batchId"]
    seen = []
    for _ in range(seconds):
        status = get(sandbox, f"/v1/sending/batches/{batch_id}").data
        seen.append((status["status"], status["queuedCount"], status["sentCount"], status["failedCount"]))
        clock.forward(seconds=1)
    return seen


@pytest.mark.parametrize(
    ("tag", "end"),
    [
        (account.COFFEE_LETTER_TAG, ("completed", 0, 248, 0)),
        (account.PARTIAL_TAG, ("partial", 0, 36, 4)),
        (account.FAILED_TAG, ("failed", 0, 0, 40)),
        (account.ENDLESS_TAG, ("processing", 20, 20, 0)),
        (account.EMPTY_TAG, ("completed", 0, 0, 0)),
    ],
)
def test_a_batch_ends_as_the_name_of_its_tag_says(start, clock, tag, end):
    assert statuses(start(clock=clock), clock, tag, seconds=5)[-1] == end


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("partial", ("partial", 0, 224, 24)),
        ("failed", ("failed", 0, 0, 248)),
        ("endless", ("processing", 124, 124, 0)),
    ],
)
def test_a_batch_ends_as_the_switch_says(start, clock, outcome, end):
    sandbox = start(clock=clock, batch_outcome=outcome)
    assert statuses(sandbox, clock, account.COFFEE_LETTER_TAG, seconds=5)[-1] == end


def test_the_name_of_a_tag_wins_over_the_switch(start, clock):
    sandbox = start(clock=clock, batch_outcome="failed")
    assert statuses(sandbox, clock, account.PARTIAL_TAG, seconds=5)[-1][0] == "partial"


def test_a_throttled_batch_waits_and_goes_on(start, clock):
    seen = [status for status, *_ in statuses(start(clock=clock), clock, account.THROTTLED_TAG, seconds=9)]
    assert seen == ["queued", *["throttled"] * 5, *["processing"] * 2, "completed"]


def test_a_throttled_batch_says_why_and_when_it_goes_on(start, clock):
    sandbox = start(clock=clock)
    batch_id = send(sandbox, batch(recipientId=account.THROTTLED_TAG)).data["batchId"]
    clock.forward(seconds=2)
    assert get(sandbox, f"/v1/sending/batches/{batch_id}").data["throttle"] == {
        "throttledAt": "2026-06-01T09:30:01.000Z",
        "expiresAt": "2026-06-01T09:30:06.000Z",
        "resumeCount": 1,
        "reason": "The sending limit of this hour is reached",
        "remainingCount": 20,
        "resumeMessage": "Sending goes on by itself",
    }


def test_what_failed_says_why(start, clock):
    sandbox = start(clock=clock)
    batch_id = send(sandbox, batch(recipientId=account.FAILED_TAG)).data["batchId"]
    clock.forward(seconds=9)
    assert get(sandbox, f"/v1/sending/batches/{batch_id}").data["error"] == "The batch could not be sent"


def test_a_status_may_be_unknown_for_a_while(start, clock):
    sandbox = start(clock=clock, batch_delay=2)
    batch_id = send(sandbox, batch()).data["batchId"]
    assert get(sandbox, f"/v1/sending/batches/{batch_id}").error == f"Batch not found: {batch_id}"
    clock.forward(seconds=2)
    assert get(sandbox, f"/v1/sending/batches/{batch_id}").status == 200


def test_without_steps_a_batch_is_at_its_end_at_once(start, clock):
    assert statuses(start(clock=clock, batch_step=0), clock, account.THROTTLED_TAG, seconds=1)[0][0] == "completed"
