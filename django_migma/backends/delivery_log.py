"""The log of mail that is sent directly: one row of `Delivery` for each recipient, where ``DELIVERY_LOG`` is on.

The dispatcher adds each message that is over. Receivers of ``post_send`` could not write these rows: the sender, the
subject and the stored email are those of the request, and the setting may be an option of the backend itself.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from django.db import IntegrityError, router, transaction
from django.utils import timezone

from django_migma.api.credentials import account_digest
from django_migma.api.types import ACCEPTED_STATUSES
from django_migma.error_messages import error_entry
from django_migma.models import Delivery, StoredEmail
from django_migma.models.delivery import MAX_CALLER_KEY
from django_migma.models.fields import storable
from django_migma.payload import caller_key
from django_migma.unsupported_features import names_stored_email

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from django_migma.api.types import SendRequest
    from django_migma.conf import Config

    from .outgoing import Call, OutgoingMessage

ROWS_PER_WRITE = 1000

logger = logging.getLogger("django_migma")


class Entry(NamedTuple):
    """A row to write, and Migma's id of the stored email that its message names, or an empty string."""

    row: Delivery
    stored_id: str


class DeliveryLog:
    """Collects the rows of one ``send_messages()`` call and writes them in groups.

    The mail has been sent, so nothing here may raise or spoil the caller's transaction: rows are written in a
    savepoint. The first failure is logged, and no more is written in this call, since each try may take a database's
    whole timeout.
    """

    def __init__(self, alias: str | None, config: Config, *, test_batch: str = "", test_row: int = 0) -> None:
        self._alias = storable(alias or "", 64)
        self._config = config
        self._test_batch = test_batch
        self._test_row = test_row
        self._entries: dict[object, Entry] = {}
        self._stored_emails: dict[str, int | None] = {}
        self._has_failed = False

    def add(self, outgoing: OutgoingMessage) -> None:
        """Note what became of each recipient of a message. Writes what is collected when it is enough."""
        if self._has_failed:
            return
        now = timezone.now()
        for entry in self._read(outgoing, now):
            key = entry.row.idempotency_key or object()
            if key in self._entries:  # the same mail twice in one call
                self._entries[key].row.bring_forward(entry.row)
            else:
                self._entries[key] = entry
        if len(self._entries) >= ROWS_PER_WRITE:
            self.write()

    def write(self) -> None:
        """Write what is collected."""
        entries, self._entries = list(self._entries.values()), {}
        if not entries:
            return
        try:
            self._write(entries)
        except Exception as error:  # noqa: BLE001 - a database fails in many ways, and test runners forbid it
            self._has_failed = True
            logger.warning(
                "The table of deliveries lacks %d rows of mail that was sent, and the rest of this call (%s). Check "
                "the database, and run manage.py migrate.",
                len(entries),
                type(error).__name__,
            )

    def _write(self, entries: list[Entry]) -> None:
        database = router.db_for_write(Delivery)
        rows = [entry.row for entry in entries]
        try:
            with transaction.atomic(using=database):
                self._find_stored_emails(entries, database)
                if self._test_row:
                    rows[0].pk = self._test_row
                    rows.pop(0).save(using=database)
                Delivery.objects.using(database).bulk_create(rows)
        except IntegrityError:  # a mail with this key has a row, since it was sent before
            with transaction.atomic(using=database):
                _update_or_insert(rows, database)

    def _find_stored_emails(self, entries: list[Entry], database: str) -> None:
        """Fill in the stored emails. One query for those that this call has not met yet."""
        if new := {entry.stored_id for entry in entries} - self._stored_emails.keys() - {""}:
            found = StoredEmail.objects.using(database).keys_by_id(new)
            self._stored_emails.update(dict.fromkeys(new) | found)
        for row, stored_id in entries:
            row.stored_email_id = self._stored_emails.get(stored_id)

    def _read(self, outgoing: OutgoingMessage, now: dt.datetime) -> Iterator[Entry]:
        if outgoing.calls:
            for call in outgoing.calls:
                yield self._entry(outgoing, call.payload.address, call, now)
            return
        for address, recipient in outgoing.status.recipients.items():
            is_settled = recipient.is_done if outgoing.refusal else address in outgoing.settled
            if not is_settled:
                yield self._entry(outgoing, address, None, now)

    def _entry(self, outgoing: OutgoingMessage, address: str, call: Call | None, now: dt.datetime) -> Entry:
        request = call.payload.request if call else None
        recipient = outgoing.status.recipients[address]
        subject, from_email, key = _texts(outgoing.message, request)
        row = Delivery(
            idempotency_key=recipient.idempotency_key or None,
            alias=self._alias,
            recipient=storable(address.lower(), 320),
            subject=storable(subject, 255),
            from_email=storable(from_email, 320),
            email_id=(request and request.email_id) or (call and call.email_id) or "",
            status=Delivery.Status.ACCEPTED if recipient.status in ACCEPTED_STATUSES else recipient.status,
            attempts=recipient.attempts,
            in_doubt=recipient.in_doubt,
            provider=storable(recipient.provider, 16),
            message_id=storable(recipient.message_id, 64),
            send_id=storable(recipient.send_id, 64),
            replayed=recipient.replayed,
            errors=[error_entry(recipient.error, now)] if recipient.error else [],
            created_at=now,
            finished_at=now,
            batch=self._test_batch,
            is_test=bool(self._test_batch),
            caller_key=storable(key, MAX_CALLER_KEY),
        )
        if recipient.in_doubt and recipient.idempotency_key:
            row.first_attempt_at = now
            row.account = account_digest(self._config.api_url, self._config.api_key)
        if request is None or not names_stored_email(outgoing.message):
            return Entry(row, "")
        return Entry(row, (request.email_id or request.conversation_id or "").lower())


def _texts(message: EmailMessage, request: SendRequest | None) -> tuple[str, str, str]:
    """Subject, sender and the caller's key. Without a request, the message may be refused for any of them."""
    if request is not None:
        return request.subject, request.from_email, caller_key(message)
    return (
        _readable(lambda: message.subject),
        _readable(lambda: message.from_email),
        _readable(lambda: caller_key(message)),
    )


def _readable(read: Callable[[], object]) -> str:
    try:
        return str(read() or "")
    except Exception:  # noqa: BLE001 - the message may be broken in any way
        return ""


def _update_or_insert(rows: list[Delivery], database: str) -> None:
    """Bring the rows forward that exist, and insert the others."""
    keys = [row.idempotency_key for row in rows if row.idempotency_key]
    known = Delivery.objects.using(database).defer("payload").in_bulk(keys, field_name="idempotency_key")
    new = []
    for row in rows:
        if existing := known.get(row.idempotency_key):
            existing.bring_forward(row)
        else:
            row.pk = None  # set by the attempt that was rolled back
            new.append(row)
    # Of the same mail, sent twice at the same moment, the row that is written first stays.
    Delivery.objects.using(database).bulk_create(new, ignore_conflicts=True)
