"""What Migma's look-ups answer: batches, projects, emails and domains. Lenient like all answers, see `api.types`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .types import Answer, answer, flag, mapping, number, objects

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class BatchStatus(Answer):
    """GET /v1/sending/batches/{batchId}.

    ``status``: queued, processing, completed, failed, partial or throttled (then ``throttle`` tells why and until
    when). Dates are ISO 8601 text.
    """

    batch_id: str = answer("batchId")
    recipient_type: str = answer("recipientType")
    recipient_id: str = answer("recipientId")
    provider: str = answer("provider")
    from_email: str = answer("from")
    from_name: str = answer("fromName")
    subject: str = answer("subject")
    status: str = answer("status")
    total_count: int | None = answer("totalCount", number)
    queued_count: int | None = answer("queuedCount", number)
    sent_count: int | None = answer("sentCount", number)
    failed_count: int | None = answer("failedCount", number)
    created_at: str = answer("createdAt")
    updated_at: str = answer("updatedAt")
    error: str = answer("error")
    throttle: dict[str, Any] = answer("throttle", mapping)


@dataclass(frozen=True, kw_only=True)
class Project(Answer):
    """A brand. Migma spells its id ``_id``. ``status``: pending, processing, active or error."""

    id: str = answer("_id")
    name: str = answer("name")
    description: str = answer("description")
    status: str = answer("status")
    domain: str = answer("domain")
    created_at: str = answer("createdAt")
    updated_at: str = answer("updatedAt")


@dataclass(frozen=True, kw_only=True)
class EmailSummary(Answer):
    """A line of GET /v1/projects/emails: a conversation. It carries no email id, see `GenerationStatus`."""

    conversation_id: str = answer("conversationId")
    title: str = answer("title")
    subject: str = answer("subject")
    preview_text: str = answer("previewText")
    status: str = answer("status")
    screenshot_url: str = answer("screenshotUrl")
    created_at: str = answer("createdAt")
    updated_at: str = answer("updatedAt")


@dataclass(frozen=True, kw_only=True)
class Email(Answer):
    """A stored email with its content. ``slot`` counts from 1 within a series; ``status`` is ready when usable.

    Variables are not listed by Migma: they are the ``{{name}}`` found in subject, preheader and HTML.
    """

    email_id: str = answer("emailId")
    conversation_id: str = answer("conversationId")
    message_id: str = answer("messageId")
    slot: int | None = answer("slot", number)
    slot_idx: int | None = answer("slotIdx", number)
    subject: str = answer("subject")
    preheader: str = answer("preheader")
    html: str = answer("html")
    status: str = answer("status")
    send_offset_days: int | None = answer("sendOffsetDays", number)
    screenshot_url: str = answer("screenshotUrl")
    thumbnail_url: str = answer("thumbnailUrl")
    updated_at: str = answer("updatedAt")


def _emails(result: object) -> tuple[Email, ...]:
    return tuple(Email.read(item) for item in objects(mapping(result).get("emails")))


@dataclass(frozen=True, kw_only=True)
class GenerationStatus(Answer):
    """GET /v1/projects/emails/{conversationId}/status: ``emails`` in order, empty until ``status`` is completed."""

    conversation_id: str = answer("conversationId")
    status: str = answer("status")
    error: str = answer("error")
    created_at: str = answer("createdAt")
    updated_at: str = answer("updatedAt")
    result: dict[str, Any] = answer("result", mapping)
    emails: tuple[Email, ...] = answer("result", _emails)


@dataclass(frozen=True, kw_only=True)
class Domain(Answer):
    """A sending domain. Migma's list of ``status`` words is not public."""

    domain: str = answer("domain")
    status: str = answer("status")
    region: str = answer("region")
    is_verified: bool | None = answer("isVerified", flag)
    ownership_verified: bool | None = answer("ownershipVerified", flag)
    is_managed: bool | None = answer("isManagedDomain", flag)

    @property
    def usable(self) -> bool:
        """Whether any of the three marks that Migma's documents use says that one may send from it."""
        return bool(self.is_verified or self.ownership_verified or self.status.lower() == "verified")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list. ``total`` is None where Migma does not say; ``has_more`` asks for the next page."""

    items: tuple[T, ...]
    total: int | None = None
    has_more: bool = False
    raw: dict[str, Any] = field(default_factory=dict, repr=False)
