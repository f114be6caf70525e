"""Test sends: what `MigmaClient.send_test` takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .types import Answer, answer
from .words import is_object_id


@dataclass(frozen=True, kw_only=True)
class TestSendRequest:
    """One POST /v1/emails/test/send: the stored email as it is, to one address, from Migma's own sender."""

    __test__ = False  # no test class, whatever pytest makes of the name

    to: str
    email_id: str | None = None
    conversation_id: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError unless exactly one well-formed id is given."""
        if bool(self.email_id) == bool(self.conversation_id):
            raise ValueError("TestSendRequest needs either email_id or conversation_id.")
        if not is_object_id(self.email_id or self.conversation_id):
            raise ValueError("TestSendRequest: Migma's ids have 24 hex digits.")
        if not self.to:
            raise ValueError("TestSendRequest needs to: the address that gets the test.")

    def to_json(self) -> dict[str, Any]:
        """The body, in Migma's names."""
        chosen = {"emailId": self.email_id} if self.email_id else {"conversationId": self.conversation_id}
        return {"to": self.to} | chosen


@dataclass(frozen=True, kw_only=True)
class TestSendResult(Answer):
    """The answer to a test send. ``sent_at`` is ISO 8601 text."""

    __test__ = False

    message_id: str = answer("messageId")
    conversation_id: str = answer("conversationId")
    email_id: str = answer("emailId")
    sent_to: str = answer("sentTo")
    sent_at: str = answer("sentAt")
    subject: str = answer("subject")
