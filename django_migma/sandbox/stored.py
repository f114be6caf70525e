"""The stored emails of the sandbox's account, and the conversations that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from django_migma.sandbox import data


@dataclass(frozen=True, kw_only=True)
class StoredEmail:
    """One email of a conversation; ``slot`` counts from 1."""

    id: str
    conversation_id: str
    slot: int
    subject: str
    preheader: str
    file: str

    @property
    def html(self) -> str:
        return _read_html(self.file)


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What Migma's list of emails lists: one prompt and the one or more emails it led to."""

    id: str
    project_id: str
    title: str
    status: str
    created_at: str
    emails: tuple[StoredEmail, ...] = ()
    error: str | None = None


@cache
def _read_html(file: str) -> str:
    return resources.files("django_migma.sandbox").joinpath("emails", file).read_text("utf-8")


_EMAILS = (
    StoredEmail(
        id=data.WELCOME,
        conversation_id=data.WELCOME_CONVERSATION,
        slot=1,
        subject="Welcome to Fernhill, {{first_name}}",
        preheader="Your first bag is waiting",
        file="welcome.html",
    ),
    StoredEmail(
        id=data.RECEIPT,
        conversation_id=data.RECEIPT_CONVERSATION,
        slot=1,
        subject="Your receipt for order {{order_number}}",
        preheader="Thank you for your order",
        file="receipt.html",
    ),
    StoredEmail(
        id=data.PASSWORD_RESET,
        conversation_id=data.PASSWORD_RESET_CONVERSATION,
        slot=1,
        subject="Choose a new password",
        preheader="The link works for one hour",
        file="password_reset.html",
    ),
    StoredEmail(
        id=data.LAYOUT,
        conversation_id=data.LAYOUT_CONVERSATION,
        slot=1,
        subject="{{subject}}",
        preheader="",
        file="layout.html",
    ),
    StoredEmail(
        id=data.SERIES_1,
        conversation_id=data.SERIES_CONVERSATION,
        slot=1,
        subject="{{first_name}}, a better cup in three minutes",
        preheader="Grind, pour, wait",
        file="series_1_brewing.html",
    ),
    StoredEmail(
        id=data.SERIES_2,
        conversation_id=data.SERIES_CONVERSATION,
        slot=2,
        subject="Which beans are yours?",
        preheader="Light, medium or dark",
        file="series_2_beans.html",
    ),
)
CONVERSATIONS = (
    Conversation(
        id=data.WELCOME_CONVERSATION,
        project_id=data.FERNHILL,
        title="Welcome",
        status="completed",
        created_at="2026-05-04T08:00:00.000Z",
        emails=_EMAILS[0:1],
    ),
    Conversation(
        id=data.RECEIPT_CONVERSATION,
        project_id=data.FERNHILL,
        title="Order receipt",
        status="completed",
        created_at="2026-05-05T08:00:00.000Z",
        emails=_EMAILS[1:2],
    ),
    Conversation(
        id=data.PASSWORD_RESET_CONVERSATION,
        project_id=data.FERNHILL,
        title="Password reset",
        status="completed",
        created_at="2026-05-06T08:00:00.000Z",
        emails=_EMAILS[2:3],
    ),
    Conversation(
        id=data.LAYOUT_CONVERSATION,
        project_id=data.FERNHILL,
        title="Layout for all other mail",
        status="completed",
        created_at="2026-05-07T08:00:00.000Z",
        emails=_EMAILS[3:4],
    ),
    Conversation(
        id=data.SERIES_CONVERSATION,
        project_id=data.FERNHILL,
        title="Coffee at home",
        status="completed",
        created_at="2026-05-08T08:00:00.000Z",
        emails=_EMAILS[4:6],
    ),
    Conversation(
        id=data.PROCESSING_CONVERSATION,
        project_id=data.FERNHILL,
        title="Summer sale",
        status="processing",
        created_at="2026-05-09T08:00:00.000Z",
    ),
    Conversation(
        id=data.FAILED_CONVERSATION,
        project_id=data.FERNHILL,
        title="Gift cards",
        status="failed",
        created_at="2026-05-10T08:00:00.000Z",
        error="The email could not be generated",
    ),
)
EMAILS_BY_ID = {email.id: email for email in _EMAILS}
CONVERSATIONS_BY_ID = {conversation.id: conversation for conversation in CONVERSATIONS}
