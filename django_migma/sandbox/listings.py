"""The read-only endpoints: projects, recipients, domains, stored emails, webhook events.

Whether Migma answers an unknown ``projectId`` with 404 or with an empty list is not public: 404 here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_migma.sandbox import data, selection, shapes, stored
from django_migma.sandbox.calls import number, required, word
from django_migma.sandbox.wire import Refusal, success

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_migma.sandbox.calls import Call
    from django_migma.sandbox.wire import Answer

# All that any source names; descriptions are the sandbox's own.
WEBHOOK_EVENTS = {
    "email.generation.started": "An email is being generated",
    "email.generation.completed": "An email was generated",
    "email.generation.failed": "An email could not be generated",
    "email.test.sent": "A test email was sent",
    "project.import.started": "A project import has started",
    "project.import.processing": "A project import is being processed",
    "project.import.completed": "A project was imported",
    "project.import.failed": "A project could not be imported",
    "export.completed": "An export is ready",
    "export.failed": "An export failed",
    "subscriber.added": "A subscriber was added",
    "subscriber.updated": "A subscriber was changed",
    "subscriber.unsubscribed": "A subscriber unsubscribed",
    "subscriber.bulk_imported": "Subscribers were imported",
    "api_key.created": "An API key was created",
    "api_key.revoked": "An API key was revoked",
}


def projects(call: Call) -> Answer:
    """Paged by offset, unlike all other lists."""
    # The list's limits are not public; those of the list of emails are.
    limit = number(call, "limit", default=20, low=1, high=100)
    offset = number(call, "offset", default=0, low=0)
    status = word(call, "status", ("pending", "processing", "active", "error"))
    found = data.PROJECTS if status in (None, "active") else ()
    more = offset + limit < len(found)
    pagination = {"total": len(found), "limit": limit, "offset": offset, "hasMore": more}
    page = [shapes.project(item) for item in found[offset : offset + limit]]
    return success({"projects": page, "pagination": pagination})


def tags(call: Call) -> Answer:
    """``count`` is of all pages together."""
    found = [tag for tag in data.TAGS if tag.project_id == _project(call).id]
    sort = word(call, "sortBy", ("createdAt", "name"))
    backwards = word(call, "sortOrder", ("asc", "desc")) == "desc"
    search = call.request.query.get("search", "").lower()
    found = [tag for tag in found if search in tag.name.lower()]
    found.sort(key=lambda tag: tag.name if sort == "name" else tag.id, reverse=backwards)
    page, _, _ = _page(call, found)
    return success([shapes.tag(tag) for tag in page], count=len(found))


def segments(call: Call) -> Answer:
    owner = _project(call)
    found = [shapes.segment(part) for part in data.SEGMENTS if part.project_id == owner.id]
    return success(found, count=len(found))


def emails(call: Call) -> Answer:
    """Conversations, newest first; their emails are in the status of each."""
    owner = _project(call)
    status = word(call, "status", ("pending", "processing", "completed", "failed"))
    search = call.request.query.get("search", "").lower()
    found = [
        item
        for item in reversed(stored.CONVERSATIONS)
        if item.project_id == owner.id
        and status in (None, item.status)
        and (search in item.title.lower() or any(search in e.subject.lower() for e in item.emails))
    ]
    page, number_of_page, limit = _page(call, found)
    more = number_of_page * limit < len(found)
    pagination = {"total": len(found), "page": number_of_page, "limit": limit, "hasMore": more}
    return success({"emails": [shapes.listed_email(item) for item in page], "pagination": pagination})


def conversation_status(call: Call) -> Answer:
    found = stored.CONVERSATIONS_BY_ID.get(call.ids["conversationId"].lower())
    if found is None:
        raise Refusal(404, f"Conversation not found: {call.ids['conversationId']}")
    return success(shapes.conversation_status(found))


def email(call: Call) -> Answer:
    found = stored.EMAILS_BY_ID.get(call.ids["emailId"].lower())
    if found is None:
        raise Refusal(404, f"Email not found: {call.ids['emailId']}")
    updated_at = stored.CONVERSATIONS_BY_ID[found.conversation_id].created_at
    return success(shapes.email(found, updated_at=updated_at))


def domains(_: Call) -> Answer:
    """A bare array. Whether Migma's holds managed domains too is not stated; here it does not."""
    return success([shapes.domain(item) for item in data.DOMAINS if not item.managed])


def managed_domains(_: Call) -> Answer:
    return success([shapes.domain(item) for item in data.DOMAINS if item.managed])


def webhook_events(_: Call) -> Answer:
    events = [{"type": name, "description": text} for name, text in WEBHOOK_EVENTS.items()]
    return success({"events": events, "total": len(events)})


def _project(call: Call) -> data.Project:
    return selection.project(required(call, "projectId"))


def _page(call: Call, found: Sequence[Any]) -> tuple[Sequence[Any], int, int]:
    limit = number(call, "limit", default=20, low=1, high=100)
    page = number(call, "page", default=1, low=1)
    return found[(page - 1) * limit : page * limit], page, limit
