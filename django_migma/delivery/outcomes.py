"""What becomes of a row: the answer to its request, or a reason to make none, as the row's new fields.

Pure functions, without a database and without a network. Each failed attempt adds an entry to the row's ``errors``:
what `error_messages.error_entry` says, ``wait`` (seconds until the next attempt, or null), ``worker``, and ``ms``
(how long the request took).
"""

from __future__ import annotations

import datetime as dt
import enum
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django_migma import error_messages
from django_migma.api import errors
from django_migma.models.delivery import KEY_LIFETIME, Delivery, with_errors
from django_migma.models.fields import storable

if TYPE_CHECKING:
    from django_migma.api.types import SendResult

JITTER = 0.2  # of a step of the schedule, so that rows which failed together do not come back together
Status = Delivery.Status


class Row(NamedTuple):
    """A claimed row: what a request needs. ``claim`` names the claim, and a mark fits that claim only."""

    pk: int
    idempotency_key: str | None
    payload: str
    attempts: int
    first_attempt_at: dt.datetime | None
    in_doubt: bool
    account: str
    errors: list[dict[str, Any]]
    claim: str
    lease_ends_at: dt.datetime


class Answer(enum.Enum):
    """What an answer says about the row, and about the account."""

    ACCEPTED = enum.auto()
    REFUSED = enum.auto()
    """The row's own fault: the same request will be refused again."""
    UNCLEAR = enum.auto()
    """Migma may have accepted the mail."""
    BLOCKED = enum.auto()
    """Not the row's fault: any other row would have met the same."""
    SUSPECT = enum.auto()
    """Blocked, or the row's own fault, as other rows will show."""
    NOT_NOW = enum.auto()
    """No request was made: a rate limit asks to wait."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """New values for the fields of a row. ``word`` is what a report counts it as, ``reason`` why it has failed.

    ``is_fact``: Migma has accepted the mail, which is true whoever has the row by now. Anything else is written only
    while the row still belongs to the claim.
    """

    row: Row
    word: str
    fields: Mapping[str, Any]
    reason: str = ""

    @property
    def is_fact(self) -> bool:
        return self.word == Status.ACCEPTED


def read_answer(error: BaseException | None) -> Answer:
    """What an error of `MigmaClient.send` says; None is a success."""
    answer = Answer.UNCLEAR
    match error:
        case None:
            answer = Answer.ACCEPTED
        case errors.RateLimited(attempts=0):
            answer = Answer.NOT_NOW
        case errors.NoResponse(was_sent=False) | errors.RateLimited() | errors.AuthenticationError():
            answer = Answer.BLOCKED
        case errors.APIError(status_code=402 | 503):
            answer = Answer.BLOCKED
        case errors.Conflict(code="IDEMPOTENCY_CONFLICT"):
            answer = Answer.REFUSED
        case errors.InvalidRequest() | errors.NotFound() if error.code or error.detail:
            answer = Answer.REFUSED
        case errors.APIError() if not isinstance(error, errors.ServerError | errors.Conflict):
            answer = Answer.SUSPECT  # a 403, or a refusal without a word, which may be a proxy's
    return answer


def refuse_to_send(row: Row, *, now: dt.datetime, account: str, seconds: float) -> Mark | None:
    """Return the mark of a row that must not be posted; None for a row that may be.

    ``account``: `account_digest` of the key that it would be posted with. ``seconds``: how long the request may take.
    """
    if (row.lease_ends_at - now).total_seconds() < seconds:
        return give_back(row, now)  # somebody else may claim it before this request is over
    if not (row.payload and row.idempotency_key):
        return _end(row, now, "Its request is not kept any more")
    if row.first_attempt_at and now - row.first_attempt_at >= KEY_LIFETIME:
        return _end(row, now, "23 hours have passed since the first attempt, and Migma forgets keys after 24")
    if row.in_doubt and row.account != account:
        return _end(row, now, "The API key or API_URL has changed since an attempt that may have succeeded")
    return None


def give_back(row: Row, due_at: dt.datetime, error: Mapping[str, Any] | None = None) -> Mark:
    """Undo the claim: no request was made, or the answer says nothing about the row.

    ``due_at``: now, or the end of a pause that the row ran into, so that another row asks first then.
    """
    fields = {
        "status": Status.WAITING,
        "due_at": due_at,
        "attempts": row.attempts - 1,
        "first_attempt_at": row.first_attempt_at if row.in_doubt else None,  # without doubt, no 23 hours run
        "claimed_by": "",
    }
    if error:
        fields["errors"] = with_errors(row.errors, [error])
    return Mark(row=row, word="given_back", fields=fields)


def accept(row: Row, result: SendResult, now: dt.datetime) -> Mark:
    """Migma has the mail. The request is not needed any more."""
    fields: dict[str, Any] = {
        "status": Status.ACCEPTED,
        "due_at": None,
        "finished_at": now,
        "in_doubt": False,
        "provider": storable(result.provider, 16),
        "message_id": storable(result.id, 64),
        "send_id": storable(result.send_id, 64),
        "replayed": result.replayed,
        "payload": "",
    }
    if result.logged_email_id:  # of mail by the id of a conversation, only Migma knows it
        fields["email_id"] = result.logged_email_id
    return Mark(row=row, word=Status.ACCEPTED, fields=fields)


def put_off(row: Row, now: dt.datetime, error: Mapping[str, Any], schedule: Sequence[float]) -> Mark:
    """Migma may have accepted the mail: try again with the same key, later, and only while the key is safe."""
    first_attempt_at = row.first_attempt_at or now
    step = schedule[min(max(row.attempts, 1), len(schedule)) - 1]
    wait = dt.timedelta(seconds=step * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - spreads load
    due_at = min(now + wait, first_attempt_at + KEY_LIFETIME)
    seconds = max(0, round((due_at - now).total_seconds()))
    fields = {
        "status": Status.WAITING,
        "due_at": due_at,
        "first_attempt_at": first_attempt_at,
        "in_doubt": True,
        "claimed_by": "",
        "errors": with_errors(row.errors, [{**error, "wait": seconds}]),
    }
    return Mark(row=row, word="put_off", fields=fields, reason=error["text"])


def refuse(row: Row, now: dt.datetime, error: Mapping[str, Any], *, in_doubt: bool) -> Mark:
    """The row's own fault, for good; unknown where this answer leaves the doubt of an earlier attempt."""
    status = Status.UNKNOWN if in_doubt else Status.FAILED
    fields = {
        "status": status,
        "due_at": None,
        "finished_at": now,
        "in_doubt": in_doubt,
        "errors": with_errors(row.errors, [error]),
    }
    return Mark(row=row, word=status, fields=fields, reason=error["text"])


def _end(row: Row, now: dt.datetime, text: str) -> Mark:
    """The end of a row without a request."""
    mark = refuse(row, now, error_entry(row, now, errors.MigmaError(text)), in_doubt=row.in_doubt)
    return Mark(row=row, word=mark.word, fields={**mark.fields, "attempts": row.attempts - 1}, reason=text)


def error_entry(row: Row, now: dt.datetime, error: BaseException, *, milliseconds: int = 0) -> dict[str, Any]:
    """An entry for the row's ``errors``."""
    own = {"wait": None, "worker": row.claim.partition("/")[0], "ms": milliseconds}
    return error_messages.error_entry(error, now) | own
