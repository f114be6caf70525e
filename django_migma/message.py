"""`MigmaMessage`, and the status that a send leaves on any message."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives

from .api.types import ACCEPTED_STATUSES

ATTRIBUTES = (
    "template_id",
    "conversation_id",
    "merge_data",
    "merge_global_data",
    "esp_extra",
    "idempotency_key",
    "tags",
    "metadata",
    "send_at",
    "track_opens",
    "track_clicks",
    "envelope_sender",
    "merge_headers",
    "merge_metadata",
)
"""What may be set on any `EmailMessage`. The names are django-anymail's; the last eight are refused when set."""


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
    error: Exception | None = None

    @property
    def accepted(self) -> bool:
        """Whether Migma has taken the mail."""
        return self.status in ACCEPTED_STATUSES


class MessageStatus:
    """What became of a message: ``recipients`` maps each address, as the message names it, to a `RecipientStatus`."""

    def __init__(self) -> None:
        self.recipients: dict[str, RecipientStatus] = {}
        self.nonce = uuid.uuid4().hex
        """Sets this mail apart from all others, for the idempotency keys."""

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

    def accepted(self, address: str) -> bool:
        """Whether Migma has taken the mail to this address."""
        return address in self.recipients and self.recipients[address].accepted


def begin(message: EmailMessage, addresses: Iterable[str]) -> MessageStatus:
    """The status for another send to these addresses: the one of a send that failed in part, else a new one.

    A send that failed in part is taken up where it stopped: who has been accepted is not called again. Where everyone
    has been, it is a new mail.
    """
    wanted = list(addresses)
    status = getattr(message, "migma_status", None)
    if not isinstance(status, MessageStatus) or all(map(status.accepted, wanted)):
        status = MessageStatus()
    status.recipients = {address: status.recipients[address] for address in wanted if status.accepted(address)}
    attach(message, status)
    return status


def attach(message: EmailMessage, status: MessageStatus) -> None:
    """Hang a status on a message, under our name and under django-anymail's."""
    message.migma_status = message.anymail_status = status  # type: ignore[attr-defined]


def attribute(message: EmailMessage, name: str) -> Any:
    """An attribute of `ATTRIBUTES`, or None where it says nothing: not there, None, Anymail's ``UNSET``, empty."""
    value = getattr(message, name, None)
    unset = isinstance(value, type) and value.__name__ == "UNSET"
    empty = isinstance(value, str | list | tuple | dict | set) and not value
    return None if unset or empty else value


class MigmaMessage(EmailMultiAlternatives):
    """An `EmailMultiAlternatives` that takes Migma's attributes as keywords. Any `EmailMessage` may carry them too.

    ``template_id``: the id of a stored email (24 hex digits); the message's own body then stays behind.
    ``conversation_id``: a conversation that holds one email, instead. ``merge_global_data``: variables for everybody;
    ``merge_data``: the same by address. ``esp_extra``: further fields of the request body. ``idempotency_key``: makes
    repeats safe across processes for 24 hours; one per logical mail. The others are refused when the message is sent,
    unless ``IGNORE_UNSUPPORTED_FEATURES`` drops them.
    """

    def __init__(
        self,
        *args: Any,
        template_id: str | None = None,
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
