"""One ``send_messages()`` call of the queue backend: messages to rows, in one transaction."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from django.db import router, transaction
from django.db.models import Q
from django.utils import timezone

from django_migma import signals
from django_migma.api.errors import Conflict
from django_migma.message import MessageStatus, RecipientStatus
from django_migma.models import Delivery, StoredEmail
from django_migma.payload import caller_key
from django_migma.unsupported_features import names_stored_email

from .failures import Failures
from .preparation import Preparation

if TYPE_CHECKING:
    import datetime as dt

    from django.core.mail import EmailMessage
    from django.dispatch import Signal

    from django_migma.conf import Config
    from django_migma.stored_emails import Resolver

    from .base import MigmaBackend
    from .fallback import FallbackMailer
    from .outgoing import Call, OutgoingMessage

ROWS_PER_INSERT = 1000
MOST_URGENT = 20  # mails of one call that go before those of larger calls
_WORDS: dict[str, str] = {
    Delivery.Status.WAITING: "waiting",
    Delivery.Status.SENDING: "waiting",
    Delivery.Status.FALLBACK: "fallback",
    Delivery.Status.UNKNOWN: "unknown",
    Delivery.Status.ACCEPTED: "queued",
    Delivery.Status.DELIVERED: "queued",
    Delivery.Status.OPENED: "queued",
    Delivery.Status.CLICKED: "queued",
    Delivery.Status.BOUNCED: "queued",
    Delivery.Status.COMPLAINED: "queued",
    Delivery.Status.SUPPRESSED: "queued",
}
"""What a message's status says of a row; nothing was accepted for the others. Migma's own word is not kept."""


class Enqueuer:
    """State and result of one ``send_messages()`` call.

    Rows are inserted in chunks, so a generator of a million messages takes constant memory. The transaction begins
    with the first chunk: a call of fewer rows holds no lock while its payloads are built. ``uses_savepoint``: a
    failed insert must not break the caller's transaction.
    """

    def __init__(
        self,
        backend: MigmaBackend,
        config: Config,
        resolve: Resolver,
        fallback: FallbackMailer | None,
        *,
        uses_savepoint: bool,
    ) -> None:
        self.sent_count = 0
        self._backend = backend
        self._fail_silently = config.fail_silently
        self._fallback = fallback
        self._preparation = Preparation(backend, config, resolve, fallback)
        self._failures = Failures()
        self._using = router.db_for_write(Delivery)
        self._begin = partial(transaction.atomic, using=self._using, savepoint=uses_savepoint)
        self._transaction = ExitStack()
        self._has_begun = False

        self._pending: list[OutgoingMessage] = []
        self._calls: list[Call] = []  # those of the pending messages
        self._for_fallback: list[OutgoingMessage] = []
        self._earlier: WeakKeyDictionary[MessageStatus, dict[str, RecipientStatus]] = WeakKeyDictionary()
        self._stored_emails: dict[str, int | None] = {}  # rows by the ids at Migma, as far as they were looked up

    def send(self, messages: Iterable[EmailMessage]) -> None:
        """Queue the messages, all or none.

        Raises what the iterable, a receiver of ``pre_send``, the database or an interrupt raises. The messages that
        still exist say then that they were not attempted.
        """
        try:
            with self._transaction:
                for message in messages:
                    self._add(message)
                    if len(self._calls) >= ROWS_PER_INSERT:
                        self._insert(priority=1)
                        self._finish_messages()
                self._insert(priority=1 if self._has_begun or len(self._calls) > MOST_URGENT else 0)
        except BaseException as error:
            self._undo(error if isinstance(error, Exception) else None)
            raise
        self._finish_messages()
        if self._for_fallback:
            transaction.on_commit(self._send_fallback, using=self._using, robust=True)

    def result(self) -> int:
        """The number of messages queued. Raises the error that the caller should see, see `Failures.raise_any`."""
        self._failures.raise_any(self.sent_count, fail_silently=self._fail_silently)
        return self.sent_count

    def _add(self, message: EmailMessage) -> None:
        outgoing = self._preparation.prepare(message)
        if outgoing is None:
            return
        self._earlier[outgoing.status] = dict(outgoing.status.recipients)
        for call in outgoing.calls:
            call.enqueue()
        if self._fallback and outgoing.for_fallback:
            self._keep_for_fallback(outgoing, outgoing.for_fallback, self._fallback.name)
        self._pending.append(outgoing)
        self._calls.extend(outgoing.calls)

    def _keep_for_fallback(self, outgoing: OutgoingMessage, message: EmailMessage, mailer: str) -> None:
        outgoing.for_fallback = _snapshot(message)
        waiting = RecipientStatus(status="waiting", mailer=mailer)
        recipients = outgoing.status.recipients
        recipients.update({address: waiting for address, status in recipients.items() if not status.is_done})
        self._for_fallback.append(outgoing)

    def _insert(self, *, priority: int) -> None:
        """Insert the rows of the pending messages. The first insert begins the transaction."""
        if not self._calls:
            return
        if not self._has_begun:
            self._transaction.enter_context(self._begin())
            self._has_begun = True
        self._look_up_stored_emails()
        now = timezone.now()
        rows = {call: self._row(call, priority, now) for call in self._calls}
        insert = partial(Delivery.objects.using(self._using).bulk_create, batch_size=ROWS_PER_INSERT)
        insert([row for row in rows.values() if not row.caller_key])
        if keyed := {call: row for call, row in rows.items() if row.caller_key}:
            # An IntegrityError would break the caller's transaction.
            insert(list(keyed.values()), ignore_conflicts=True)
            self._compare_with_first(keyed)
        self._calls = []

    def _row(self, call: Call, priority: int, now: dt.datetime) -> Delivery:
        request = call.payload.request
        message = call.outgoing.message
        return Delivery(
            idempotency_key=call.key,
            alias=self._backend.alias or "",
            recipient=call.payload.address.lower()[:320],
            subject=_storable(request.subject, 255),
            from_email=request.from_email[:320],
            stored_email_id=self._stored_emails.get(_chosen_id(call)),
            email_id=request.email_id or "",
            priority=priority,
            due_at=now,
            created_at=now,
            caller_key=_storable(caller_key(message), 255),
            payload=request.body.decode(),
        )

    def _compare_with_first(self, keyed: dict[Call, Delivery]) -> None:
        """Set the status of each call to that of the first row with its key, whoever has inserted it."""
        fields = ("idempotency_key", "status", "payload", "provider", "message_id", "send_id", "attempts")
        rows = Delivery.objects.using(self._using).only(*fields)
        found = rows.in_bulk([call.key for call in keyed], field_name="idempotency_key")
        for call, row in keyed.items():
            first = found.get(call.key, row)
            call.meet(_status_of_first(first, row.payload))

    def _look_up_stored_emails(self) -> None:
        """Find the rows of the stored emails that the pending messages name: one query for new ones."""
        ids = {_chosen_id(call) for call in self._calls} - self._stored_emails.keys() - {""}
        if not ids:
            return
        rows = StoredEmail.objects.using(self._using).filter(Q(email_id__in=ids) | Q(conversation_id__in=ids))
        self._stored_emails.update(dict.fromkeys(ids))
        for pk, email_id, conversation_id in rows.values_list("pk", "email_id", "conversation_id"):
            self._stored_emails.update({str(conversation_id): pk, str(email_id): pk})

    def _finish_messages(self) -> None:
        pending, self._pending = self._pending, []
        for outgoing in pending:
            status = outgoing.status
            recipients = status.recipients.values()
            status.is_complete = not outgoing.refusal and all(recipient.accepted for recipient in recipients)
            self._backend.message_finished(outgoing)
            self.sent_count += any(recipient.is_done for recipient in recipients)
            self._failures.collect(outgoing)
            self._announce(signals.post_enqueue, outgoing)

    def _send_fallback(self) -> None:
        """Hand over what Migma cannot carry, after the commit."""
        if self._fallback:
            for outgoing in self._for_fallback:
                self._fallback.send(outgoing)
                outgoing.status.is_complete = all(one.accepted for one in outgoing.status.recipients.values())
                self._announce(signals.post_send, outgoing)
            self._fallback.close()

    def _announce(self, signal: Signal, outgoing: OutgoingMessage) -> None:
        message, status, alias = outgoing.message, outgoing.status, self._backend.alias
        signals.send_robust(signal, type(self._backend), message=message, status=status, alias=alias)

    def _undo(self, error: Exception | None) -> None:
        """Give each message that still exists the status that it had, since nothing of the call was committed."""
        self.sent_count = 0
        for status, earlier in self._earlier.items():
            status.recipients = {
                address: replace(old, error=error or old.error) if old.status == "not_attempted" else old
                for address, old in earlier.items()
            }


def _chosen_id(call: Call) -> str:
    """Migma's id of the stored email that the message names; empty for a body of its own, also in a layout."""
    request, message = call.payload.request, call.outgoing.message
    return (request.email_id or request.conversation_id or "").lower() if names_stored_email(message) else ""


def _storable(text: str, length: int) -> str:
    """A text for a column that people read. PostgreSQL stores no NUL; the request keeps it, escaped as JSON does."""
    return text.replace("\0", "\ufffd")[:length]


def _status_of_first(first: Delivery, payload: str) -> RecipientStatus:
    """The status of a mail with a key of the caller's, from the first row that has the key."""
    word, key = _WORDS.get(first.status, "failed"), first.idempotency_key or ""
    if first.payload and first.payload != payload:
        error = _conflict("The queue has a mail with this idempotency key and another body", Conflict.hint, key)
        return RecipientStatus(status="failed", idempotency_key=key, error=error)
    if word in {"failed", "unknown"}:
        reason = f"This idempotency key belongs to delivery {first.pk}, whose status is {first.status}"
        hint = "Try that one again in the admin, or use a new key for a new mail."
        error = _conflict(reason, hint, key, may_have_been_accepted=word == "unknown")
        return RecipientStatus(status=word, idempotency_key=key, error=error)
    return RecipientStatus(
        status=word,
        message_id=first.message_id,
        send_id=first.send_id,
        provider=first.provider,
        idempotency_key=key,
        attempts=first.attempts,
    )


def _conflict(reason: str, hint: str, key: str, *, may_have_been_accepted: bool = False) -> Conflict:
    return Conflict(
        reason,
        hint=hint,
        code="IDEMPOTENCY_CONFLICT",
        idempotency_key=key,
        may_have_been_accepted=may_have_been_accepted,
    )


def _snapshot(message: EmailMessage) -> EmailMessage:
    """The message as it is now. The caller may use the object for another mail before the commit."""
    kept = copy.copy(message)
    for name, value in vars(message).items():
        if isinstance(value, list | dict):
            setattr(kept, name, value.copy())
    return kept
