"""The failures of one ``send_messages()`` call, and the error that the caller sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from django_migma.api.errors import MigmaError, SendFailed, TemporaryError, TemporarySendFailed

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from .outgoing import OutgoingMessage

MAX_KEPT = 1000  # failures that are kept for SendFailed


class Failures:
    """Collects failures as messages are finished: all are counted, the first 1,000 kept."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[tuple[EmailMessage, BaseException]] = []
        self._may_have_been_accepted = False
        self._are_temporary = True
        self._first_loud: BaseException | None = None

    def collect(self, outgoing: OutgoingMessage) -> None:
        """Add what went wrong with a message whose calls are over."""
        for error in (outgoing.refusal, outgoing.fallback_error, *(call.error for call in outgoing.calls)):
            if error is not None:
                self._add(outgoing, error)

    def _add(self, outgoing: OutgoingMessage, error: BaseException) -> None:
        self.count += 1
        is_fallback = error is outgoing.fallback_error
        is_doubtful = is_fallback and any(recipient.in_doubt for recipient in outgoing.status.recipients.values())
        self._may_have_been_accepted |= is_doubtful or getattr(error, "may_have_been_accepted", False)
        self._are_temporary &= isinstance(error, TemporaryError)
        if len(self._kept) < MAX_KEPT:
            self._kept.append((outgoing.message, error))
        may_be_silent = isinstance(error, MigmaError) or (is_fallback and not isinstance(error, ImproperlyConfigured))
        if not may_be_silent:
            self._first_loud = self._first_loud or error

    def raise_any(self, sent_count: int, *, fail_silently: bool) -> None:
        """Raise the one failure itself, or `SendFailed` for more; nothing if there is none.

        ``fail_silently`` swallows `MigmaError` and the errors of another mailer only: a line break in a subject or a
        wrong type is the site's mistake, and Django's SMTP backend raises it then too.
        """
        if fail_silently and self._first_loud:
            raise self._first_loud
        if fail_silently or not self.count:
            return
        first = self._kept[0][1]
        if self.count == 1:
            raise first
        # The text of an error that is not ours may hold anything.
        first_text = str(first) if isinstance(first, MigmaError) else type(first).__name__
        kind = TemporarySendFailed if self._are_temporary else SendFailed
        raise kind(
            f"{self.count} failures in one call, and {sent_count} messages sent. First: {first_text} "
            "See failures for the others; each message's migma_status tells which recipients to send to again.",
            sent_count=sent_count,
            failed_count=self.count,
            failures=self._kept,
            may_have_been_accepted=self._may_have_been_accepted,
        ) from first
