"""The books of one ``send_messages`` call: what was sent, what failed, and whether going on makes sense."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django_migma import signals
from django_migma.addresses import parse
from django_migma.api.clock import Clock
from django_migma.api.errors import (
    AuthenticationError,
    Forbidden,
    InvalidAddress,
    InvalidResponse,
    MigmaError,
    NoResponse,
    SendFailed,
)
from django_migma.api.texts import shown
from django_migma.api.types import ACCEPTED_STATUSES, SendRequest, SendResult
from django_migma.message import MessageStatus, RecipientStatus, Stage, start_status
from django_migma.signals import send_robust

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

MOST_FAILURES = 1000
"""Failures that are kept for `SendFailed`."""


@dataclass(kw_only=True, eq=False)
class Task:
    """One call to make, and what it came to: a `SendResult` or an exception, None as long as that is open.

    ``repeated`` says that an earlier send under this key may have been accepted.
    """

    job: Job
    address: str
    request: SendRequest
    key: str
    repeated: bool = False
    outcome: SendResult | BaseException | None = None


@dataclass(kw_only=True, eq=False)
class Job:
    """One message on its way. ``open`` counts the calls that are not over; ``refusal`` is why there are none."""

    message: EmailMessage
    status: MessageStatus
    tasks: list[Task] = field(default_factory=list)
    open: int = 0
    refusal: Exception | None = None

    def record(self, task: Task) -> RecipientStatus:
        """Write what a call came to into the message's status."""
        recipient = _recipient_status(task)
        self.status.recipients[task.address] = recipient
        return recipient


def _recipient_status(task: Task) -> RecipientStatus:
    outcome = task.outcome
    if not isinstance(outcome, SendResult):
        # None: interrupted in flight. An error that is none of ours is a bug, after which anything may be true.
        clear = isinstance(outcome, MigmaError) and not outcome.may_have_been_accepted
        attempts = getattr(outcome, "attempts", 0)
        word = "unknown" if not clear else "failed" if attempts else "not_attempted"
        return RecipientStatus(status=word, idempotency_key=task.key, attempts=attempts, error=outcome)
    word = outcome.status or "queued"
    error = None
    if word not in ACCEPTED_STATUSES:
        error = InvalidResponse(
            f"Migma reported success with the status {shown(word)!r}, which is not known to mean accepted",
            hint="Look the mail up in Migma's logs, or send again: the idempotency key is the same.",
            may_have_been_accepted=True,
            idempotency_key=task.key,
            attempts=outcome.attempts,
        )
    return RecipientStatus(
        status="unknown" if error else word,
        message_id=outcome.id,
        send_id=outcome.send_id,
        provider=outcome.provider,
        idempotency_key=task.key,
        attempts=outcome.attempts,
        replayed=outcome.replayed,
        error=error,
    )


class Batch:
    """Counts, failures and the decision to stop. Used by the caller's thread alone."""

    def __init__(self, sender: type, alias: str | None, settled: Callable[[Job], None], clock: Clock) -> None:
        self.sender = sender
        self.alias = alias
        self.clock = clock
        self.sent_count = 0
        self.failed_count = 0
        self.failures: list[tuple[EmailMessage, BaseException]] = []
        self.stopped = False
        self._accepted = False
        self._settled = settled
        self._reached = -math.inf
        self._unreachable_since = math.inf
        self._mistake: BaseException | None = None

    def note(self, recipient: RecipientStatus, retry_deadline: float) -> None:
        """Take in one call's result, and stop where every further call would meet the same."""
        self._accepted = self._accepted or recipient.accepted
        error = recipient.error
        forbidden = isinstance(error, Forbidden) and not self._accepted
        if isinstance(error, AuthenticationError) or forbidden or self._is_unreachable(error, retry_deadline):
            self.stopped = True

    def _is_unreachable(self, error: BaseException | None, retry_deadline: float) -> bool:
        """Whether no connection could be made for a whole deadline, by any of the calls in flight."""
        now = self.clock.monotonic()
        if isinstance(error, MigmaError) and not error.attempts:
            return False  # nothing was asked, and nothing learnt
        if not isinstance(error, NoResponse) or error.may_have_been_accepted:
            self._reached, self._unreachable_since = now, math.inf
            return False
        self._unreachable_since = min(self._unreachable_since, max(error.unreached_since, self._reached))
        # A request gives up a little before its deadline, where the last wait would leave no time for an attempt.
        return now - self._unreachable_since >= retry_deadline - min(1.0, retry_deadline / 2)

    def settle(self, job: Job) -> None:
        """Close the books on a message and tell the receivers."""
        complete = not job.refusal and all(recipient.accepted for recipient in job.status.recipients.values())
        job.status.enter(Stage.COMPLETE if complete else Stage.PARTIAL)
        self._settled(job)
        self.sent_count += any(recipient.accepted for recipient in job.status.recipients.values())
        made = (task for task in job.tasks if task.outcome is not None)
        for error in (job.refusal, *(job.status.recipients[task.address].error for task in made)):
            if error is not None:
                self._add_failure(job.message, error)
        send_robust(signals.post_send, self.sender, message=job.message, status=job.status, alias=self.alias)

    def _add_failure(self, message: EmailMessage, error: BaseException) -> None:
        self.failed_count += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append((message, error))
        if not isinstance(error, MigmaError):
            self._mistake = self._mistake or error

    def result(self, *, fail_silently: bool) -> int:
        """The number of messages sent, or the error that the caller should see.

        Quiet mode swallows `MigmaError` only: a line break in a subject or a wrong type is the site's mistake, and
        Django's SMTP backend raises it in quiet mode too.
        """
        if fail_silently and self._mistake:
            raise self._mistake
        if fail_silently or not self.failed_count:
            return self.sent_count
        first = self.failures[0][1]
        if self.failed_count == 1:
            raise first
        raise SendFailed(
            f"{self.failed_count} failures in one call, and {self.sent_count} messages sent. First: {told(first)} "
            "See failures for the others; each message's migma_status tells which recipients to send to again.",
            sent_count=self.sent_count,
            failed_count=self.failed_count,
            failures=self.failures,
            may_have_been_accepted=any(getattr(error, "may_have_been_accepted", False) for _, error in self.failures),
        ) from first


def told(error: BaseException) -> str:
    """What may be said of an error where strangers read it: the text of one that is not ours may hold anything."""
    return str(error) if isinstance(error, MigmaError) else type(error).__name__


def mark_not_attempted(messages: Iterable[EmailMessage]) -> None:
    """Say of messages that nothing was tried for them."""
    for message in messages:
        mark(message, None)


def mark(message: EmailMessage, error: Exception | None) -> MessageStatus:
    """Say of a message that nothing was tried, and why, for everyone who has not been accepted before."""
    addresses = _names(message)
    status = start_status(message, addresses)
    for address in addresses:
        status.recipients.setdefault(address, RecipientStatus(status="not_attempted", error=error))
    return status


def _names(message: EmailMessage) -> list[str]:
    """The recipients as far as they can be made out: the message may be broken in any way."""
    try:
        return [_name(value) for value in message.recipients()]
    except Exception:  # noqa: BLE001 - this runs while another error is on its way, which must not be hidden
        return []


def _name(value: object) -> str:
    try:
        return parse(value, "address").addr_spec
    except InvalidAddress:
        return str(value)
