"""One ``send_messages()`` call of the queue backend: messages to rows, in one transaction."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from django.db import router, transaction
from django.utils import timezone

from django_migma import signals
from django_migma.api.credentials import account_digest
from django_migma.api.errors import Conflict
from django_migma.message import MessageStatus, RecipientStatus
from django_migma.models import Delivery, StoredEmail
from django_migma.models.delivery import MAX_CALLER_KEY
from django_migma.models.fields import storable
from django_migma.payload import caller_key
from django_migma.unsupported_features import names_stored_email

from .failures import Failures
from .preparation import Preparation
from .wake_ups import wake_on_commit

if TYPE_CHECKING:
    from django.core.mail import EmailMessage
    from django.dispatch import Signal

    from django_migma.conf import Config
    from django_migma.stored_emails import Resolver

    from .base import MigmaBackend
    from .delivery_log import DeliveryLog
    from .fallback import FallbackMailer
    from .outgoing import Call, OutgoingMessage

ROWS_PER_INSERT = 1000
MOST_URGENT = 20  # mails of one call that go before those of larger calls
_BULK = 1

_Status = Delivery.Status
_WORDS: dict[str, str] = {
    **dict.fromkeys([_Status.WAITING, _Status.SENDING], "waiting"),
    **dict.fromkeys([_Status.ACCEPTED, _Status.DELIVERED, _Status.OPENED, _Status.CLICKED], "queued"),
    **dict.fromkeys([_Status.BOUNCED, _Status.COMPLAINED, _Status.SUPPRESSED], "queued"),
    _Status.FALLBACK: "fallback",
    _Status.UNKNOWN: "unknown",
}
"""What a message's status says of an earlier row: ``failed`` for all others. Rows do not keep Migma's own word."""
_LEFT_BY_THE_LOG = (_Status.FAILED, _Status.UNKNOWN, _Status.NOT_ATTEMPTED)


class _Pending(NamedTuple):
    """A message whose rows are not inserted yet.

    ``key`` is the caller's. ``stored_id``: Migma's id of the stored email that the message names; empty for a body of
    its own, also in a layout.
    """

    outgoing: OutgoingMessage
    key: str = ""
    stored_id: str = ""


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
        log: DeliveryLog | None = None,
        uses_savepoint: bool,
    ) -> None:
        self.sent_count = 0
        self._backend = backend
        self._config = config
        self._fallback = fallback
        self._log = log
        self._preparation = Preparation(backend, config, resolve, fallback)
        self._failures = Failures()
        self._using = router.db_for_write(Delivery)
        self._rows = Delivery.objects.using(self._using)
        self._begin = partial(transaction.atomic, using=self._using, savepoint=uses_savepoint)
        self._transaction = ExitStack()
        self._has_begun = False

        self._pending: list[_Pending] = []
        self._row_count = 0  # of the pending messages
        self._for_fallback: list[OutgoingMessage] = []
        self._earlier: WeakKeyDictionary[MessageStatus, dict[str, RecipientStatus]] = WeakKeyDictionary()
        self._stored_emails: dict[str, int | None] = {"": None}  # rows by Migma's ids, as far as they were looked up

    def send(self, messages: Iterable[EmailMessage]) -> None:
        """Queue the messages, all or none.

        Raises what the iterable, a receiver of ``pre_send``, the database or an interrupt raises. The messages that
        still exist say then that they were not attempted.
        """
        try:
            with self._transaction:
                for message in messages:
                    self._add(message)
                    if self._row_count >= ROWS_PER_INSERT:
                        self._insert(priority=_BULK)
                        self._finish_messages()
                self._insert(priority=_BULK if self._has_begun or self._row_count > MOST_URGENT else 0)
                if self._has_begun:
                    wake_on_commit(self._config.queue.engine, self._using)
        except BaseException as error:
            self._undo(error if isinstance(error, Exception) else None)
            raise
        self._finish_messages()
        if (fallback := self._fallback) and self._for_fallback:
            transaction.on_commit(lambda: self._send_fallback(fallback), using=self._using, robust=True)

    def result(self) -> int:
        """The number of messages queued. Raises the error that the caller should see, see `Failures.raise_any`."""
        self._failures.raise_any(self.sent_count, fail_silently=self._config.fail_silently)
        return self.sent_count

    def _add(self, message: EmailMessage) -> None:
        outgoing = self._preparation.prepare(message)
        if outgoing is None:
            return
        self._earlier[outgoing.status] = dict(outgoing.status.recipients)
        if self._fallback and outgoing.for_fallback:
            self._keep_for_fallback(outgoing, outgoing.for_fallback, self._fallback.name)
        for call in outgoing.calls:
            call.enqueue()
        self._row_count += len(outgoing.calls)
        self._pending.append(_read(outgoing) if outgoing.calls else _Pending(outgoing))

    def _keep_for_fallback(self, outgoing: OutgoingMessage, message: EmailMessage, mailer: str) -> None:
        outgoing.for_fallback = _snapshot(message)
        waiting = RecipientStatus(status="waiting", mailer=mailer)
        recipients = outgoing.status.recipients
        recipients.update({address: waiting for address, status in recipients.items() if not status.is_done})
        self._for_fallback.append(outgoing)

    def _insert(self, *, priority: int) -> None:
        """Insert the rows of the pending messages. The first insert begins the transaction."""
        if not self._row_count:
            return
        if not self._has_begun:
            self._transaction.enter_context(self._begin())
            self._has_begun = True
        self._find_stored_emails()
        rows, keyed = [], {}
        for call, row in self._make_rows(priority):
            if row.caller_key or call.outgoing.is_repeat:
                keyed[call] = row
            else:
                rows.append(row)
        self._rows.bulk_create(rows, batch_size=ROWS_PER_INSERT)
        if keyed:
            # An IntegrityError would break the caller's transaction.
            self._rows.bulk_create(keyed.values(), batch_size=ROWS_PER_INSERT, ignore_conflicts=True)
            self._compare_with_first(keyed)
        self._row_count = 0

    def _make_rows(self, priority: int) -> Iterator[tuple[Call, Delivery]]:
        now, alias = timezone.now(), self._backend.alias or ""
        for outgoing, key, stored_id in self._pending:
            for call in outgoing.calls:
                request = call.payload.request
                yield (
                    call,
                    Delivery(
                        idempotency_key=call.key,
                        alias=alias,
                        recipient=storable(call.payload.address.lower(), 320),
                        subject=storable(request.subject, 255),
                        from_email=storable(request.from_email, 320),
                        stored_email_id=self._stored_emails[stored_id],
                        email_id=request.email_id or "",
                        priority=priority,
                        due_at=now,
                        created_at=now,
                        caller_key=storable(key, MAX_CALLER_KEY),
                        payload_digest=hashlib.sha256(request.body).hexdigest() if key else "",
                        payload=request.body.decode(),
                    ),
                )

    def _compare_with_first(self, keyed: dict[Call, Delivery]) -> None:
        """Set the status of each call to that of the first row with its key, whoever has inserted it."""
        first_rows = self._rows.in_bulk([call.key for call in keyed], field_name="idempotency_key")
        for call, row in keyed.items():
            first = first_rows.get(call.key, row)  # not visible to an older snapshot of the caller's transaction
            if first.status in _LEFT_BY_THE_LOG and not first.payload:
                self._take_over(first, row)
            else:
                call.meet(_status_of_first(first, row))

    def _take_over(self, first: Delivery, row: Delivery) -> None:
        """Queue a mail whose direct send the log has noted as failed or in doubt, in the row that it has."""
        names = ("alias", "priority", "due_at", "payload", "payload_digest")
        doubt = {
            "first_attempt_at": first.first_attempt_at or first.created_at,
            "account": first.account or account_digest(self._config.api_url, self._config.api_key),
        }
        self._rows.filter(pk=first.pk, status=first.status).update(
            status=_Status.WAITING,
            finished_at=None,
            **{name: getattr(row, name) for name in names},
            **(doubt if first.in_doubt else {}),
        )

    def _find_stored_emails(self) -> None:
        """Find the rows of the stored emails that the pending messages name: one query for new ones."""
        if new := {pending.stored_id for pending in self._pending} - self._stored_emails.keys():
            found = StoredEmail.objects.using(self._using).keys_by_id(new)
            self._stored_emails.update(dict.fromkeys(new) | found)

    def _finish_messages(self) -> None:
        pending, self._pending = self._pending, []
        for outgoing, _key, _stored_id in pending:
            recipients = outgoing.status.recipients.values()
            outgoing.status.is_complete = not outgoing.refusal and all(recipient.accepted for recipient in recipients)
            self._backend.message_finished(outgoing)
            self.sent_count += any(recipient.is_done for recipient in recipients)
            self._failures.collect(outgoing)
            self._announce(signals.post_enqueue, outgoing)

    def _send_fallback(self, fallback: FallbackMailer) -> None:
        """Hand over what Migma cannot carry, after the commit. Its rows are those of a direct send."""
        for outgoing in self._for_fallback:
            fallback.send(outgoing)
            if self._log:
                self._log.add(outgoing)
            outgoing.status.is_complete = all(one.accepted for one in outgoing.status.recipients.values())
            self._announce(signals.post_send, outgoing)
        if self._log:
            self._log.write()
        fallback.close()

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


def _read(outgoing: OutgoingMessage) -> _Pending:
    request, stored_id = outgoing.calls[0].payload.request, ""
    if names_stored_email(outgoing.message):
        stored_id = (request.email_id or request.conversation_id or "").lower()
    return _Pending(outgoing, caller_key(outgoing.message), stored_id)


def _status_of_first(first: Delivery, row: Delivery) -> RecipientStatus:
    """The status of a mail whose key may have a row already. ``row`` is the one that it would get."""
    word, key = _WORDS.get(first.status, "failed"), row.idempotency_key or ""
    reason = hint = ""
    if first.payload_digest and first.payload_digest != row.payload_digest:
        word = "failed"
        reason, hint = "The queue has a mail with this idempotency key and another body", Conflict.hint
    elif word in {"failed", "unknown"}:
        reason = f"This idempotency key belongs to delivery {first.pk}, whose status is {first.status}"
        hint = "Try that one again in the admin, or use a new key for a new mail."
    return RecipientStatus(
        status=word,
        message_id=first.message_id,
        send_id=first.send_id,
        provider=first.provider,
        idempotency_key=key,
        attempts=first.attempts,
        error=_conflict(reason, hint, key, is_in_doubt=word == "unknown") if reason else None,
    )


def _conflict(reason: str, hint: str, key: str, *, is_in_doubt: bool) -> Conflict:
    return Conflict(
        reason,
        hint=hint,
        code="IDEMPOTENCY_CONFLICT",
        idempotency_key=key,
        may_have_been_accepted=is_in_doubt,
    )


def _snapshot(message: EmailMessage) -> EmailMessage:
    """The message as it is now. The caller may use the object for another mail before the commit."""
    kept = copy.copy(message)
    for name, value in vars(message).items():
        if isinstance(value, list | dict):
            setattr(kept, name, value.copy())
    return kept
