"""What an answer, or the lack of one, means for a row."""

import datetime as dt

import pytest

from django_migma.api import errors
from django_migma.delivery import outcomes
from django_migma.delivery.outcomes import Answer, Row

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
SCHEDULE = (15, 60)


def row(**values):
    """A row as a claim returns it."""
    defaults = {
        "pk": 1,
        "idempotency_key": "key",
        "payload": "{}",
        "attempts": 1,
        "first_attempt_at": NOW,
        "in_doubt": False,
        "account": "this",
        "errors": [],
        "claim": "host-1-ab/1",
        "lease_ends_at": NOW + dt.timedelta(seconds=60),
    }
    return Row(**defaults | values)


def not_sent(error):
    """The error of a request that has not left."""
    error.was_sent = False
    return error


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (None, Answer.ACCEPTED),
        (errors.InvalidRequest("x", status_code=400, detail="bad"), Answer.REFUSED),
        (errors.InvalidRequest("x", status_code=422, code="BAD"), Answer.REFUSED),
        (errors.NotFound("x", status_code=404, detail="no such email"), Answer.REFUSED),
        (errors.NotFound("x", status_code=404), Answer.SUSPECT),
        (errors.Conflict("x", status_code=409, code="IDEMPOTENCY_CONFLICT"), Answer.REFUSED),
        (errors.Conflict("x", status_code=409), Answer.UNCLEAR),
        (errors.Conflict("x", status_code=409, code="IN_PROGRESS"), Answer.UNCLEAR),
        (errors.AuthenticationError("x", status_code=401), Answer.BLOCKED),
        (errors.APIError("x", status_code=402, detail="no credit"), Answer.BLOCKED),
        (errors.Forbidden("x", status_code=403, detail="no"), Answer.SUSPECT),
        (errors.APIError("x", status_code=405), Answer.SUSPECT),
        (errors.RateLimited("x", status_code=429, attempts=1), Answer.BLOCKED),
        (errors.RateLimited("x", attempts=0), Answer.NOT_NOW),
        (errors.ServerError("x", status_code=503), Answer.BLOCKED),
        (errors.ServerError("x", status_code=500), Answer.UNCLEAR),
        (not_sent(errors.NoResponse("x", may_have_been_accepted=True)), Answer.BLOCKED),
        (errors.Timeout("x"), Answer.UNCLEAR),
        (errors.InvalidResponse("x"), Answer.UNCLEAR),
        (MemoryError(), Answer.UNCLEAR),
    ],
)
def test_an_answer_is_about_the_row_or_about_the_account(error, answer):
    """Only a clear refusal of this request ends the row; what any row would meet does not."""
    assert outcomes.read_answer(error) is answer


def put_off(claimed, error=None):
    entry = outcomes.error_entry(claimed, NOW, error or errors.ServerError("Migma answered 500", status_code=500))
    return outcomes.put_off(claimed, NOW, entry, SCHEDULE).fields


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 15), (2, 60), (3, 60), (9, 60)])
def test_the_schedule_goes_by_attempts_and_its_last_step_repeats(attempts, seconds):
    """A fifth more or less, so that rows which failed together spread."""
    waits = {(put_off(row(attempts=attempts))["due_at"] - NOW).total_seconds() for _ in range(50)}
    assert 0.8 * seconds <= min(waits) < max(waits) <= 1.2 * seconds


def test_no_attempt_is_planned_beyond_the_23_hours():
    """The row comes up when its key has become too old, and is then closed."""
    fields = put_off(row(first_attempt_at=NOW - dt.timedelta(hours=22, minutes=59, seconds=50)))
    assert fields["due_at"] == NOW + dt.timedelta(seconds=10)
    assert fields["in_doubt"] is True


def test_each_failed_attempt_is_told():
    """What happened, when, and how long the wait is; of a stranger's error only its type."""
    error = errors.ServerError("Migma answered 500 OOPS: no", status_code=500, code="OOPS")
    [entry] = put_off(row(), error)["errors"]
    assert entry.pop("wait") in range(12, 19)
    assert entry == {
        "time": "2026-06-01T12:00:00+00:00",
        "status": 500,
        "code": "OOPS",
        "text": "Migma answered 500 OOPS: no",
        "worker": "host-1-ab",
        "ms": 0,
    }
    assert put_off(row(), ValueError("to anna@example.org"))["errors"][0]["text"] == "ValueError"


@pytest.mark.parametrize(("errors_before", "kept"), [([{"n": n} for n in range(30)], 20), ("broken", 1)])
def test_the_last_twenty_errors_are_kept(errors_before, kept):
    """Whatever stood in the column before."""
    assert len(put_off(row(errors=errors_before))["errors"]) == kept


@pytest.mark.parametrize(
    ("values", "word", "reason"),
    [
        ({"payload": ""}, "failed", "not kept"),
        ({"idempotency_key": None}, "failed", "not kept"),
        ({"in_doubt": True, "first_attempt_at": NOW - dt.timedelta(hours=23)}, "unknown", "23 hours"),
        ({"first_attempt_at": NOW - dt.timedelta(hours=23)}, "failed", "23 hours"),
        ({"in_doubt": True, "account": "other"}, "unknown", "has changed"),
    ],
)
def test_a_row_that_must_not_be_posted_ends_without_a_request(values, word, reason):
    """The claim does not count as an attempt."""
    mark = outcomes.refuse_to_send(row(**values), now=NOW, account="this", seconds=13)
    assert (mark.word, mark.fields["attempts"], mark.fields["due_at"]) == (word, 0, None)
    assert reason in mark.reason
    assert mark.fields["errors"][0]["text"] == mark.reason


@pytest.mark.parametrize("values", [{}, {"account": "other"}, {"in_doubt": True}, {"first_attempt_at": None}])
def test_a_row_without_doubt_goes_out_under_a_new_key(values):
    """As does one in doubt under the same."""
    assert outcomes.refuse_to_send(row(**values), now=NOW, account="this", seconds=13) is None


def test_a_lease_that_is_nearly_over_begins_no_request():
    """Another worker may claim the row before the answer is here; the row goes back, and nothing else is decided."""
    nearly_over = row(lease_ends_at=NOW + dt.timedelta(seconds=12), payload="")
    mark = outcomes.refuse_to_send(nearly_over, now=NOW, account="this", seconds=13)
    assert mark.word == "given_back"


@pytest.mark.parametrize(("in_doubt", "first"), [(False, None), (True, NOW)])
def test_giving_back_undoes_the_claim(in_doubt, first):
    """Only a row in doubt has 23 hours that run."""
    fields = outcomes.give_back(row(in_doubt=in_doubt), NOW).fields
    assert fields == {
        "status": "waiting",
        "due_at": NOW,
        "attempts": 0,
        "first_attempt_at": first,
        "claimed_by": "",
    }
