"""`MigmaMessage`, and the status that a send leaves on any message."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import Promise

from .api.types import ACCEPTED_STATUSES

if TYPE_CHECKING:
    from django.db.models import Model


@dataclass(frozen=True, kw_only=True)
class RecipientStatus:
    """What became of one recipient.

    ``status``: ``queued``, ``sent`` or ``processing`` (Migma has it), ``failed`` (Migma does not), ``unknown`` (it
    may), ``not_attempted``. ``error`` is the exception where there was one. ``send_id`` tracks the mail in Migma's
    logs. ``attempts`` counts requests; ``replayed`` says that Migma repeated the answer to an earlier one.
    """

    status: str
    message_id: str = ""
    send_id: str = ""
    provider: str = ""
    idempotency_key: str = ""
    attempts: int = 0
    replayed: bool = False
    error: BaseException | None = None

    @property
    def accepted(self) -> bool:
        """Whether Migma has taken the mail."""
        return self.status in ACCEPTED_STATUSES

    @property
    def in_doubt(self) -> bool:
        """Whether Migma may have taken the mail."""
        return self.status == "unknown"


class Stage(Enum):
    """How far a mail has come: never sent, calls under way, not accepted for everybody, accepted for everybody."""

    NEW = "new"
    OPEN = "open"
    PARTIAL = "partial"
    COMPLETE = "complete"


class MessageStatus:
    """What became of a message: ``recipients`` maps each address, as the message names it, to a `RecipientStatus`.

    ``missing_variables`` are names that the stored email is known to use and that somebody's call did not bring;
    ``stored_email`` is its key or id, where it is known here.
    """

    def __init__(self) -> None:
        self.recipients: dict[str, RecipientStatus] = {}
        self.missing_variables: frozenset[str] = frozenset()
        self.stored_email = ""
        self._nonce = ""
        self._stage = Stage.NEW

    def __repr__(self) -> str:
        words = ", ".join(sorted(self.status)) or "not sent"
        return f"<MessageStatus: {words}; {len(self.recipients)} recipients>"

    @property
    def status(self) -> set[str]:
        """The words of all recipients."""
        return {recipient.status for recipient in self.recipients.values()}

    @property
    def message_id(self) -> str | set[str] | None:
        """Migma's id of the message; a set of them for several recipients, None where there is none."""
        ids = {recipient.message_id for recipient in self.recipients.values() if recipient.message_id}
        if len(self.recipients) == 1:
            return next(iter(ids), None)
        return ids or None

    @property
    def nonce(self) -> str:
        """Sets this mail apart from all others, for the idempotency keys. Made when the mail is first sent."""
        return self._nonce

    def begin_again(self, addresses: Iterable[str]) -> MessageStatus:
        """The status of another send, to these addresses.

        Where this one failed in part, the mail stays the same: it keeps its nonce, who has been accepted is not
        called again, and who may have been stays in doubt until a call says more. Otherwise it is a new mail. So it
        is while this one is still under way, as the same object may stand twice in a list. The status is a new object
        each time, since copies of a message share the old one.
        """
        status = MessageStatus()
        status._nonce, status._stage = uuid.uuid4().hex, Stage.PARTIAL
        tried = any(old.status != "not_attempted" for old in self.recipients.values())
        if self._stage is Stage.PARTIAL and tried:
            status._nonce = self._nonce
            known = {_mailbox(address): old for address, old in self.recipients.items()}
            found = {address: known[_mailbox(address)] for address in addresses if _mailbox(address) in known}
            status.recipients = {address: old for address, old in found.items() if old.accepted or old.in_doubt}
        return status

    def enter(self, stage: Stage) -> None:
        """Note how far the mail has come."""
        self._stage = stage


def _mailbox(address: str) -> str:
    """The address with its domain in lower case: the same mailbox in another spelling."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def status_of(message: EmailMessage) -> MessageStatus:
    """The status that a message carries; an empty one is attached where there is none."""
    status = getattr(message, "migma_status", None)
    return status if isinstance(status, MessageStatus) else attach(message, MessageStatus())


def start_status(message: EmailMessage, addresses: Iterable[str]) -> MessageStatus:
    """Attach the status for another send to these addresses, see `MessageStatus.begin_again`."""
    return attach(message, status_of(message).begin_again(addresses))


def attach(message: EmailMessage, status: MessageStatus) -> MessageStatus:
    """Hang a status on a message, under our name and under django-anymail's."""
    message.migma_status = message.anymail_status = status  # type: ignore[attr-defined]
    return status


def get_attribute(message: EmailMessage, name: str) -> Any:
    """An attribute of ours, or None where it says nothing: not there, None, Anymail's ``UNSET``, empty."""
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

    ``template_id``: a stored email: its id (24 hex digits), the key of a `StoredEmail`, or a `StoredEmail`; the
    message's own body then stays behind.
    ``conversation_id``: a conversation that holds one email, instead. ``merge_global_data``: variables for everybody;
    ``merge_data``: the same by address. ``esp_extra``: further fields of the request body. ``idempotency_key``: makes
    repeats safe across processes for 24 hours; one per logical mail. The others are refused when the message is sent,
    unless ``IGNORE_UNSUPPORTED_FEATURES`` drops them.
    """

    def __init__(
        self,
        *args: Any,
        template_id: str | Model | None = None,
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
