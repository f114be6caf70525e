"""What the API returns: batches, campaigns, segments, emails, their logs and so on, and how JSON becomes them.

Reading is lenient: any field may be missing or of another type and reads as empty then; all that Migma sent stays in
``raw``. Field names are those of Migma's OpenAPI excerpts and of its Node SDK, mid 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
_NOT_STORABLE = re.compile("[\ud800-\udfff\0]")  # what UTF-8 cannot write, and what PostgreSQL does not store


def as_str(value: object) -> str:
    """A string as it is, a number as its digits, anything else as empty."""
    if isinstance(value, str):
        return value if value.isprintable() else _NOT_STORABLE.sub("\ufffd", value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def as_int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def as_bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_dicts(value: object) -> list[dict[str, Any]]:
    """The JSON objects of a JSON array; anything else in it is skipped."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def json_field(wire: str, read: Any = as_str) -> Any:
    """A field of a resource: its name in Migma's JSON and the function that reads it."""
    return field(default_factory=lambda: read(None), metadata={"wire": wire, "read": read})


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Base of what the API returns. ``raw`` is the JSON object as received."""

    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: object, **more: Any) -> Self:
        """Read leniently from a JSON value, which should be an object."""
        raw = as_dict(data)
        wired: Any = _wired  # mypy takes no class for hashable here
        known = {name: read(raw.get(wire)) for name, wire, read in wired(cls)}
        return cls(raw=raw, **known, **more)


@cache
def _wired(cls: Any) -> tuple[tuple[str, str, Any], ...]:
    """The fields that come from Migma, each with its name there and the function that reads it."""
    found = ((item.name, item.metadata) for item in fields(cls))
    return tuple((name, about["wire"], about["read"]) for name, about in found if "wire" in about)


@dataclass(frozen=True, kw_only=True)
class BatchStatus(Resource):
    """GET /v1/sending/batches/{batchId}.

    ``status``: queued, processing, completed, failed, partial or throttled (then ``throttle`` says why and until
    when). Dates are ISO 8601 text.
    """

    batch_id: str = json_field("batchId")
    recipient_type: str = json_field("recipientType")
    recipient_id: str = json_field("recipientId")
    provider: str = json_field("provider")
    from_email: str = json_field("from")
    from_name: str = json_field("fromName")
    subject: str = json_field("subject")
    status: str = json_field("status")
    total_count: int | None = json_field("totalCount", as_int)
    queued_count: int | None = json_field("queuedCount", as_int)
    sent_count: int | None = json_field("sentCount", as_int)
    failed_count: int | None = json_field("failedCount", as_int)
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")
    error: str = json_field("error")
    throttle: dict[str, Any] = json_field("throttle", as_dict)


@dataclass(frozen=True, kw_only=True)
class Segment(Resource):
    """An item of GET /v1/segments: a saved selection of contacts. ``count`` is their number, or None."""

    id: str = json_field("id")
    name: str = json_field("name")
    description: str = json_field("description")
    count: int | None = json_field("count", as_int)
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")


@dataclass(frozen=True, kw_only=True)
class Tag(Resource):
    """An item of GET /v1/tags. ``count`` is the number of contacts with the tag, or None."""

    id: str = json_field("id")
    name: str = json_field("name")
    description: str = json_field("description")
    color: str = json_field("color")
    count: int | None = json_field("subscriberCount", as_int)
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")


@dataclass(frozen=True, kw_only=True)
class Campaign(Resource):
    """A campaign: a send to a segment or tag that is first a draft, and may have a time.

    ``status``: draft, pending_review, scheduled, sending, throttled, ab_testing, sent, failed or cancelled.
    ``batch_id`` is there once it is being sent. What Migma answers to a send, a schedule or a cancel is not
    documented: fields that it leaves out are empty.
    """

    id: str = json_field("id")
    name: str = json_field("name")
    status: str = json_field("status")
    batch_id: str = json_field("batchId")
    scheduled_at: str = json_field("scheduledAt")
    sent_at: str = json_field("sentAt")
    completed_at: str = json_field("completedAt")
    error: str = json_field("error")
    triggered_by: str = json_field("triggeredBy")
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")

    @classmethod
    def from_json(cls, data: object, **more: Any) -> Self:
        """Read leniently. No source says how Migma spells a campaign's id; a project's has an underscore."""
        found = super().from_json(data, **more)
        return found if found.id else replace(found, id=as_str(found.raw.get("_id")))


@dataclass(frozen=True, kw_only=True)
class CampaignStats(Resource):
    """GET /v1/campaigns/{id}/stats. Migma caches it, so it may lag. Rates are percentages, 0 to 100."""

    total_sent: int | None = json_field("totalSent", as_int)
    total_delivered: int | None = json_field("totalDelivered", as_int)
    unique_opens: int | None = json_field("uniqueOpens", as_int)
    total_opens: int | None = json_field("totalOpens", as_int)
    unique_clicks: int | None = json_field("uniqueClicks", as_int)
    total_clicks: int | None = json_field("totalClicks", as_int)
    unsubscribes: int | None = json_field("unsubscribes", as_int)
    bounces: int | None = json_field("bounces", as_int)
    open_rate: float | None = json_field("openRate", as_number)
    click_rate: float | None = json_field("clickRate", as_number)
    last_updated: str = json_field("lastUpdated")


@dataclass(frozen=True, kw_only=True)
class Project(Resource):
    """A project, which is a brand. Migma spells its id ``_id``. ``status``: pending, processing, active or error."""

    id: str = json_field("_id")
    name: str = json_field("name")
    description: str = json_field("description")
    status: str = json_field("status")
    domain: str = json_field("domain")
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")


@dataclass(frozen=True, kw_only=True)
class EmailSummary(Resource):
    """An item of GET /v1/projects/emails: a conversation. It carries no email id, see `GenerationStatus`."""

    conversation_id: str = json_field("conversationId")
    title: str = json_field("title")
    subject: str = json_field("subject")
    preview_text: str = json_field("previewText")
    status: str = json_field("status")
    screenshot_url: str = json_field("screenshotUrl")
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")


@dataclass(frozen=True, kw_only=True)
class Email(Resource):
    """A stored email with its content. ``slot`` counts from 1 within a series; ``status`` is ready when usable.

    Variables are not listed by Migma: they are the ``{{name}}`` found in subject, preheader and HTML.
    """

    email_id: str = json_field("emailId")
    conversation_id: str = json_field("conversationId")
    message_id: str = json_field("messageId")
    slot: int | None = json_field("slot", as_int)
    slot_idx: int | None = json_field("slotIdx", as_int)
    subject: str = json_field("subject")
    preheader: str = json_field("preheader")
    html: str = json_field("html")
    status: str = json_field("status")
    send_offset_days: int | None = json_field("sendOffsetDays", as_int)
    screenshot_url: str = json_field("screenshotUrl")
    thumbnail_url: str = json_field("thumbnailUrl")
    updated_at: str = json_field("updatedAt")


def _emails(result: object) -> tuple[Email, ...]:
    return tuple(Email.from_json(item) for item in as_dicts(as_dict(result).get("emails")))


@dataclass(frozen=True, kw_only=True)
class GenerationStatus(Resource):
    """GET /v1/projects/emails/{conversationId}/status: ``emails`` in order, empty until ``status`` is completed."""

    conversation_id: str = json_field("conversationId")
    status: str = json_field("status")
    error: str = json_field("error")
    created_at: str = json_field("createdAt")
    updated_at: str = json_field("updatedAt")
    result: dict[str, Any] = json_field("result", as_dict)
    emails: tuple[Email, ...] = json_field("result", _emails)


@dataclass(frozen=True, kw_only=True)
class EmailLog(Resource):
    """An item of GET /v1/emails/{emailId}/logs: one mail of a stored email, and what has become of it.

    ``tracking_id`` should be the ``send_id`` of the send: that is inferred from a comment in Migma's SDK. ``status``:
    sent, delivered, opened, clicked, bounced, complained or suppressed. Dates are ISO 8601 text, empty for what has
    not happened.
    """

    id: str = json_field("id")
    tracking_id: str = json_field("tracking_id")
    domain: str = json_field("domain")
    from_email: str = json_field("from_email")
    to_email: str = json_field("to_email")
    subject: str = json_field("subject")
    status: str = json_field("status")
    opened_at: str = json_field("opened_at")
    clicked_at: str = json_field("clicked_at")
    open_count: int | None = json_field("open_count", as_int)
    click_count: int | None = json_field("click_count", as_int)
    bounce_type: str = json_field("bounce_type")
    complaint_type: str = json_field("complaint_type")
    created_at: str = json_field("created_at")


@dataclass(frozen=True, kw_only=True)
class Domain(Resource):
    """A sending domain. Migma's list of ``status`` words is not public."""

    domain: str = json_field("domain")
    status: str = json_field("status")
    region: str = json_field("region")
    is_verified: bool | None = json_field("isVerified", as_bool)
    ownership_verified: bool | None = json_field("ownershipVerified", as_bool)
    is_managed: bool | None = json_field("isManagedDomain", as_bool)

    @property
    def usable(self) -> bool:
        """Whether any of the three marks that Migma's documents use says that one may send from it."""
        return bool(self.is_verified or self.ownership_verified or self.status.lower() == "verified")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list.

    ``items`` is a tuple. ``total`` counts all pages, or is None if Migma does not say. ``has_more``: there is a next
    page. ``next_cursor`` asks for it in lists that have cursors, and is empty in others. ``raw`` is the JSON object
    around the list.
    """

    items: tuple[T, ...]
    total: int | None = None
    has_more: bool = False
    next_cursor: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: dict[str, Any], items: tuple[T, ...]) -> Self:
        """Read what the JSON object around a list says about its pages."""
        paging = as_dict(data.get("pagination"))
        total = as_int(paging.get("total"))
        if total is None:
            total = as_int(data.get("total"))
        has_more = paging.get("hasMore", data.get("hasMore")) is True  # beside the list where it has cursors
        return cls(items=items, total=total, has_more=has_more, next_cursor=as_str(data.get("nextCursor")), raw=data)
