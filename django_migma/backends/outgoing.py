"""A message on its way, and its calls: one request for each recipient that has not been accepted yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django_migma.api.errors import InvalidResponse, MigmaError
from django_migma.api.responses import redact
from django_migma.api.types import ACCEPTED_STATUSES, SendResult
from django_migma.message import MessageStatus, RecipientStatus
from django_migma.payload import RecipientPayload, idempotency_key

if TYPE_CHECKING:
    from django.core.mail import EmailMessage


@dataclass(kw_only=True, eq=False)
class OutgoingMessage:
    """A message on its way. ``open`` counts the calls that are not over; ``refusal`` is why there are none.

    ``for_fallback`` is what the mailer of ``FALLBACK`` sends instead, ``fallback_error`` its error. ``is_repeat``: an
    earlier send of this mail has not reached all recipients, so its keys may have been used. ``settled`` are the
    recipients that it has reached, and that this one leaves out.
    """

    message: EmailMessage
    status: MessageStatus
    calls: list[Call] = field(default_factory=list)
    open: int = 0
    refusal: Exception | None = None
    for_fallback: EmailMessage | None = None
    fallback_error: Exception | None = None
    is_repeat: bool = False
    settled: frozenset[str] = frozenset()


class Call:
    """One request to make, for one recipient of a message. It keeps the recipient's status.

    ``wait_for_rate``: it waits for rate limits in its own thread, within its own deadline; otherwise the caller's
    thread waits for all calls. ``is_resend``: an earlier request with this key may have been accepted. ``attempts``
    counts requests, ``rate_limited`` how often the call was put back. ``started_at`` and ``ended_at`` are monotonic
    seconds. ``error`` is what the last try failed with. ``email_id`` is the stored email's, as Migma answered.
    """

    def __init__(self, outgoing: OutgoingMessage, payload: RecipientPayload, *, wait_for_rate: bool) -> None:
        self.outgoing = outgoing
        self.payload = payload
        self.wait_for_rate = wait_for_rate
        self.key = ""
        self.is_resend = False
        self.in_flight = False
        self.attempts = 0
        self.rate_limited = 0
        self.started_at = self.ended_at = 0.0
        self.error: BaseException | None = None
        self.email_id = ""
        self._earlier = self.status

    @property
    def status(self) -> RecipientStatus:
        return self.outgoing.status.recipients[self.payload.address]

    def _set_status(self, status: RecipientStatus) -> None:
        self.outgoing.status.recipients[self.payload.address] = status

    def enqueue(self) -> None:
        """Make the key, and note that the mail stands in the queue."""
        self.key = idempotency_key(self.outgoing.message, self.payload, self.outgoing.status.nonce)
        self._set_status(RecipientStatus(status="waiting", idempotency_key=self.key))

    def meet(self, status: RecipientStatus) -> None:
        """Take over what has become of an earlier mail with this key."""
        self.error = status.error
        self._set_status(status)

    def begin(self, now: float) -> None:
        """Make the key, and note that the mail may be accepted from now on."""
        self.key = self.key or idempotency_key(self.outgoing.message, self.payload, self.outgoing.status.nonce)
        self._earlier = self.status
        self.is_resend = self._earlier.in_doubt and self._earlier.idempotency_key == self.key
        self.error, self.started_at, self.in_flight = None, now, True
        self._set_status(RecipientStatus(status="unknown", idempotency_key=self.key, attempts=self.attempts))

    def cancel(self) -> None:
        """Undo `begin`: no thread has made the request."""
        self._set_status(self._earlier)
        self._end()

    def succeed(self, result: SendResult) -> None:
        """Record what Migma answered. A word that is not known to mean accepted leaves doubt."""
        self.attempts += result.attempts
        self.email_id = result.logged_email_id
        self.error = doubtful_success(result, attempts=self.attempts)
        self._set_status(
            RecipientStatus(
                status="unknown" if self.error else result.status or "queued",
                message_id=result.id,
                send_id=result.send_id,
                provider=result.provider,
                idempotency_key=self.key,
                attempts=self.attempts,
                replayed=result.replayed,
                error=self.error,
            )
        )
        self._end()

    def fail(self, error: BaseException) -> None:
        """Record an error. One that is not a `MigmaError` comes from outside and leaves doubt."""
        self.error = error
        if isinstance(error, MigmaError):
            self.attempts += error.attempts
            word = "unknown" if error.may_have_been_accepted else "failed" if self.attempts else "not_attempted"
            status = RecipientStatus(status=word, idempotency_key=self.key, attempts=self.attempts, error=error)
            self._set_status(status)
        else:
            self._set_status(replace(self.status, error=error))
        self._end()

    def _end(self) -> None:
        """Let go of the encoded body, which only a call in flight needs."""
        self.payload.request.drop_body()
        self.in_flight = False


def doubtful_success(result: SendResult, *, attempts: int = 1) -> InvalidResponse | None:
    """Return the error for a success whose status is not known to mean accepted; None for any other success."""
    if not result.status or result.status in ACCEPTED_STATUSES:
        return None
    return InvalidResponse(
        f"Migma reported success with the status {redact(result.status)!r}, which is not known to mean accepted",
        hint="Look the mail up in Migma's logs, or send again: the idempotency key is the same.",
        may_have_been_accepted=True,
        idempotency_key=result.idempotency_key,
        attempts=attempts,
    )
