"""`MigmaMessage`, and the status that a send leaves on any message."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import Promise

from .addresses import lower_domain, parse
from .api.errors import InvalidAddress
from .api.types import ACCEPTED_STATUSES

if TYPE_CHECKING:
    from django.db.models import Model


@dataclass(frozen=True, kw_only=True)
class RecipientStatus:
    """The result for one recipient.

    ``status``: ``queued``, ``sent`` or ``processing`` (Migma has accepted the mail), ``fallback`` (the mailer of
    ``FALLBACK`` has), ``waiting`` (it stands in the queue, or goes to that mailer after the commit), ``failed`` (it
    was not accepted), ``unknown`` (it may have been), ``not_attempted``. ``error``: the exception, if there was one.
    ``send_id`` identifies the mail in Migma's logs. ``attempts`` counts requests; ``replayed``: Migma repeated an
    earlier response. ``mailer``: the one of ``FALLBACK`` that was to send the mail.
    """

    status: str
    message_id: str = ""
    send_id: str = ""
    provider: str = ""
    idempotency_key: str = ""
    attempts: int = 0
    replayed: bool = False
    error: BaseException | None = None
    mailer: str = ""

    @property
    def accepted(self) -> bool:
        """Whether Migma, or the mailer of ``FALLBACK``, has accepted the mail."""
        return self.status in ACCEPTED_STATUSES or self.status == "fallback"

    @property
    def in_doubt(self) -> bool:
        """Whether the mail may have been accepted."""
        return self.status == "unknown"

    @property
    def is_done(self) -> bool:
        """Whether sending the message again leaves this recipient out: accepted, or in the queue."""
        return self.accepted or self.status == "waiting"


class MessageStatus:
    """The result for a message: ``recipients`` maps each address, as the message names it, to a `RecipientStatus`.

    ``missing_variables`` are names that the stored email, or the message's own text in a layout, is known to use and
    that some recipient's data lacked; ``stored_email`` is its key or id, where it is known here. ``dropped_features``
    are parts of the message that were left out, by the names of ``IGNORE_UNSUPPORTED_FEATURES``: ``attachments``,
    ``headers:Precedence``. ``is_complete``: accepted for every recipient.
    """

    def __init__(self) -> None:
        self.recipients: dict[str, RecipientStatus] = {}
        self.missing_variables: frozenset[str] = frozenset()
        self.stored_email = ""
        self.dropped_features: frozenset[str] = frozenset()
        self.is_complete = False
        self._nonce = ""

    def __repr__(self) -> str:
        words = ", ".join(sorted(self.status)) or "not sent"
        return f"<MessageStatus: {words}; {len(self.recipients)} recipients>"

    @property
    def status(self) -> set[str]:
        """The status words of all recipients."""
        return {recipient.status for recipient in self.recipients.values()}

    @property
    def message_id(self) -> str | set[str] | None:
        """Migma's id of the message; a set of ids for several recipients; None if there is none."""
        ids = {recipient.message_id for recipient in self.recipients.values() if recipient.message_id}
        if len(self.recipients) == 1:
            return next(iter(ids), None)
        return ids or None

    @property
    def nonce(self) -> str:
        """Distinguishes this mail from all others, for idempotency keys. Made when the mail is first sent."""
        return self._nonce

    @property
    def _is_queued(self) -> bool:
        """Whether some recipients are in the queue, and all others accepted."""
        return "waiting" in self.status and all(recipient.is_done for recipient in self.recipients.values())

    def for_next_send(self, addresses: Iterable[str], *, is_new: bool = False) -> MessageStatus:
        """The status of another send, to these addresses.

        If this one was tried and some recipient is neither accepted nor in the queue, the mail stays the same: it
        keeps its nonce, the other recipients are left out, and those in doubt stay so until a call proves otherwise.
        Otherwise, or with ``is_new``, it is a new mail. The status is a new object, since copies of a message share
        the old one.
        """
        status = MessageStatus()
        status._nonce = uuid.uuid4().hex
        was_tried = any(old.status != "not_attempted" for old in self.recipients.values())
        if was_tried and not self.is_complete and not self._is_queued and not is_new:
            status._nonce = self._nonce
            known = {lower_domain(address): old for address, old in self.recipients.items()}
            found = {address: known[lower_domain(address)] for address in addresses if lower_domain(address) in known}
            status.recipients = {address: old for address, old in found.items() if old.is_done or old.in_doubt}
        return status


def status_of(message: EmailMessage) -> MessageStatus:
    """The status that a message carries; an empty one is attached if there is none."""
    status = getattr(message, "migma_status", None)
    return status if isinstance(status, MessageStatus) else attach(message, MessageStatus())


def start_status(message: EmailMessage, addresses: Iterable[str], *, is_new: bool = False) -> MessageStatus:
    """Attach the status for another send to these addresses, see `MessageStatus.for_next_send`."""
    return attach(message, status_of(message).for_next_send(addresses, is_new=is_new))


def mark_not_attempted(message: EmailMessage, error: BaseException | None = None) -> MessageStatus:
    """Note that nothing was tried, and why, for every recipient that has not been accepted before."""
    addresses = _recipients(message)
    status = start_status(message, addresses)
    for address in addresses:
        status.recipients.setdefault(address, RecipientStatus(status="not_attempted", error=error))
    return status


def _recipients(message: EmailMessage) -> list[str]:
    """The recipients as far as they can be read: the message may be broken in any way."""
    try:
        return [_addr_spec(value) for value in message.recipients()]
    except Exception:  # noqa: BLE001 - this runs while another error is on its way, which must not be hidden
        return []


def _addr_spec(value: object) -> str:
    try:
        return parse(value, "address").addr_spec
    except InvalidAddress:
        return str(value)


def attach(message: EmailMessage, status: MessageStatus) -> MessageStatus:
    """Attach a status to a message, under our name and under django-anymail's."""
    message.migma_status = message.anymail_status = status  # type: ignore[attr-defined]
    return status


def get_attribute(message: EmailMessage, name: str) -> Any:
    """An attribute of ours, or None if it is missing, None, Anymail's ``UNSET`` or empty."""
    value = getattr(message, name, None)
    if value is None:
        return None
    if isinstance(value, Promise):
        value = str(value)
    unset = isinstance(value, type) and value.__name__ == "UNSET"
    empty = isinstance(value, str | list | tuple | dict | set) and not value
    return None if unset or empty else value


class MigmaMessage(EmailMultiAlternatives):
    """An `EmailMultiAlternatives` that takes Migma's attributes as keywords. Any `EmailMessage` may carry them too.

    ``template_id``: a stored email: its id (24 hex digits), its key in ``STORED_EMAILS`` or in its row, or a
    `StoredEmail`; an integer is taken for its string. The message's own body is not sent then. ``conversation_id``: a
    conversation that holds one email, instead. ``merge_global_data``: variables for all recipients; ``merge_data``:
    the same by address. ``esp_extra``: further fields of the request body. ``idempotency_key``: makes repeats safe
    across processes for 24 hours; one per logical mail. An explicit ``Message-ID`` header does the same where
    there is none. The other attributes are refused on sending, unless ``IGNORE_UNSUPPORTED_FEATURES`` drops them.
    """

    def __init__(
        self,
        *args: Any,
        template_id: str | int | Model | None = None,
        conversation_id: str | None = None,
        merge_data: Mapping[str, Mapping[str, Any]] | None = None,
        merge_global_data: Mapping[str, Any] | None = None,
        esp_extra: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        send_at: Any = None,
        track_opens: bool | None = None,
        track_clicks: bool | None = None,
        envelope_sender: str | None = None,
        merge_headers: Mapping[str, Mapping[str, str]] | None = None,
        merge_metadata: Mapping[str, Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.template_id = template_id
        self.conversation_id = conversation_id
        self.merge_data = merge_data
        self.merge_global_data = merge_global_data
        self.esp_extra = esp_extra
        self.idempotency_key = idempotency_key
        self.tags = tags
        self.metadata = metadata
        self.send_at = send_at
        self.track_opens = track_opens
        self.track_clicks = track_clicks
        self.envelope_sender = envelope_sender
        self.merge_headers = merge_headers
        self.merge_metadata = merge_metadata
        self.migma_status = self.anymail_status = MessageStatus()
