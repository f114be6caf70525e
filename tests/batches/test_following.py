"""A batch followed to its end: what Migma says of it, and how long we are patient."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from django_migma.api import AuthenticationError, NotFound, ServerError
from django_migma.batches import BATCH, CAMPAIGN, Batch, BatchCounts, BatchThrottle
from tests.api.clocks import FakeClock
from tests.api.examples import URL, client, refusal

STATUS = f"{URL}/sending/batches/b1"


def batch(clock=None, **about):
    return Batch(client=client(max_retries=0), id="b1", clock=clock or FakeClock(), **about)


def answers(wire, *statuses, **more):
    for status in statuses:
        wire.get(STATUS, json={"success": True, "data": {"status": status, **more}})


def test_a_refresh_reads_all_that_migma_says(wire):
    throttle = {"reason": "limit", "expiresAt": "2030-05-01T09:00:00.000Z", "remainingCount": 4}
    counts = {"totalCount": 9, "queuedCount": 4, "sentCount": 5, "failedCount": 0}
    answers(wire, "throttled", throttle=throttle, error="slow", **counts)
    found = batch().refresh()
    assert (found.status, found.error, found.is_finished) == ("throttled", "slow", False)
    assert found.counts == BatchCounts(total=9, queued=4, sent=5, failed=0)
    resumes_at = datetime(2030, 5, 1, 9, tzinfo=UTC)
    assert found.throttle == BatchThrottle(reason="limit", resumes_at=resumes_at, remaining=4)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"expiresAt": "soon"},
        {"expiresAt": "2030-05-01T09:00:00"},
        {"expiresAt": "2030-99-01T09:00:00Z"},
        {"expiresAt": 7},
    ],
)
def test_a_throttle_is_read_leniently(wire, told):
    answers(wire, "throttled", throttle=told)
    assert batch().refresh().throttle == BatchThrottle()


def test_an_answer_without_words_keeps_what_is_known(wire):
    answers(wire, None)
    found = batch(status="queued", error="old").refresh()
    assert (found.status, found.error, found.counts) == ("queued", "old", BatchCounts())


@pytest.mark.parametrize(
    ("kind", "ends"),
    [(BATCH, {"completed", "partial", "failed"}), (CAMPAIGN, {"sent", "failed", "cancelled"})],
)
def test_the_ends(kind, ends):
    words = [
        "queued",
        "processing",
        "throttled",
        "completed",
        "partial",
        "failed",
        "sent",
        "cancelled",
        "new word",
        "",
    ]
    assert {word for word in words if batch(kind=kind, status=word).is_finished} == ends


def test_waiting_asks_less_and_less_often(wire):
    clock, seen = FakeClock(), []
    answers(wire, *["processing"] * 10, "completed")
    found = batch(clock).wait(on_change=lambda each: seen.append(each.status))
    assert found.is_finished
    assert seen == ["processing"] * 10 + ["completed"]
    assert clock.slept[:3] == [1, 1.5, 2.25]
    assert max(clock.slept) == 15


def test_waiting_ends_with_the_patience_of_the_caller(wire):
    clock = FakeClock()
    answers(wire, "processing")
    assert not batch(clock).wait(10).is_finished
    assert sum(clock.slept) == 10


def test_a_batch_may_be_unknown_for_a_while(wire):
    for _ in range(3):
        wire.get(STATUS, status=404, json=refusal("not yet"))
    answers(wire, "completed")
    assert batch().wait().is_finished


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (503, ServerError)])
def test_after_two_minutes_patience_ends(wire, status, error):
    clock = FakeClock()
    wire.get(STATUS, status=status, json=refusal("no"))
    with pytest.raises(error):
        batch(clock).wait()
    assert 120 <= sum(clock.slept) < 140


def test_every_answer_renews_the_patience(wire):
    clock = FakeClock()
    for _ in range(3):
        for _ in range(6):
            wire.get(STATUS, status=503, json=refusal("no"))
        answers(wire, "processing")
    answers(wire, "completed")
    assert batch(clock).wait().is_finished
    assert sum(clock.slept) > 120


def test_what_is_waited_out_is_told(wire):
    """Minutes without a word would look like a program that hangs."""
    told = []
    wire.get(STATUS, status=404, json=refusal("not yet"))
    wire.get(STATUS, status=503, json=refusal("away"))
    answers(wire, "completed")
    batch().wait(on_error=told.append)
    assert [type(error) for error in told] == [NotFound, ServerError]


def test_other_errors_are_raised_at_once(wire):
    clock = FakeClock()
    wire.get(STATUS, status=401, json=refusal("revoked"))
    with pytest.raises(AuthenticationError):
        batch(clock).wait()
    assert clock.slept == []


def test_a_campaign_has_its_own_status_and_the_counts_of_its_batch(wire):
    found = batch(kind=CAMPAIGN, status="scheduled")
    found.id = "c1"
    wire.get(f"{URL}/campaigns/c1", json={"success": True, "data": {"status": "sending", "batchId": "b1"}})
    answers(wire, "processing", totalCount=3)
    assert (found.refresh().status, found.counts.total) == ("sending", 3)


def test_a_batch_cannot_be_cancelled(wire):
    with pytest.raises(ValueError, match="A batch cannot be cancelled: Migma has no call for it"):
        batch().cancel()
    assert not wire.calls
