"""The account's data in the shapes of Migma's answers.

Field names from its Node SDK's types of mid 2026 and, for domains, from the examples of its docs pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_migma.sandbox import data

if TYPE_CHECKING:
    from django_migma.sandbox.stored import Conversation, StoredEmail

Shape = dict[str, Any]

_DATES = {"createdAt": "2026-05-01T08:00:00.000Z", "updatedAt": "2026-05-02T08:00:00.000Z"}


def project(item: data.Project) -> Shape:
    about = {"name": item.name, "description": item.description, "domain": item.domain}
    return {"_id": item.id, **about, "status": "active", "logoUrls": [], **_DATES}


def tag(item: data.Tag) -> Shape:
    about = {"name": item.name, "color": item.color, "description": item.description}
    return {"id": item.id, **about, "subscriberCount": item.subscribers, **_DATES}


def segment(item: data.Segment) -> Shape:
    about = {"name": item.name, "description": item.description, "filters": {}}
    return {"id": item.id, **about, "count": item.contacts, **_DATES}


def domain(item: data.Domain) -> Shape:
    return {
        "domain": item.domain,
        "region": "eu-west-1",
        "status": "verified" if item.verified else "pending",
        "isVerified": item.verified,
        "ownershipVerified": item.verified,
        "isManagedDomain": item.managed,
        "dkimStatus": "SUCCESS" if item.verified else "PENDING",
        "dnsRecords": [],
        "createdAt": _DATES["createdAt"],
        "verifiedAt": _DATES["updatedAt"] if item.verified else None,
    }


def listed_email(item: Conversation) -> Shape:
    """An item of the list of emails: a conversation, without any ``emailId``."""
    first = item.emails[0] if item.emails else None
    return {
        "conversationId": item.id,
        "title": item.title,
        "subject": first.subject if first else None,
        "previewText": first.preheader if first else None,
        "status": item.status,
        "screenshotUrl": None,
        "createdAt": item.created_at,
        "updatedAt": item.created_at,
    }


def conversation_status(item: Conversation) -> Shape:
    """What polling a conversation answers; ``result`` is there once it is completed."""
    dates = {"createdAt": item.created_at, "updatedAt": item.created_at}
    shape: Shape = {"conversationId": item.id, "status": item.status, **dates}
    if item.error is not None:
        shape["error"] = item.error
    if item.emails:
        shape["result"] = _result(item)
    return shape


def _result(item: Conversation) -> Shape:
    first = item.emails[0]
    result: Shape = {
        "subject": first.subject,
        "previewText": first.preheader,
        "html": first.html,
        "emails": [_email_of_result(email) for email in item.emails],
        "screenshotUrl": None,
        "screenshotFullUrl": None,
        "stats": {"imageCount": 0, "buttonCount": 1, "estimatedLength": "short", "colors": []},
        "languages": ["en"],
    }
    if len(item.emails) > 1:
        result["seriesPlan"] = {"name": item.title, "count": len(item.emails)}
    return result


def _email_of_result(email: StoredEmail) -> Shape:
    about = {"id": email.id, **_identity(email), "slot": email.slot, **_content(email)}
    if email.slot > 1:
        about["sendOffsetDays"] = 3 * (email.slot - 1)
    return about


def email(item: StoredEmail, *, updated_at: str) -> Shape:
    """One stored email. The newest types have no list of its variables, so there is none here."""
    about = {"id": item.id, **_identity(item), "slotUuid": None, **_content(item)}
    return {**about, "warnings": [], "updatedAt": updated_at}


def _identity(email: StoredEmail) -> Shape:
    place = {"conversationId": email.conversation_id, "slotIdx": email.slot - 1}
    return {"emailId": email.id, "messageId": None, **place}


def _content(email: StoredEmail) -> Shape:
    words = {"subject": email.subject, "preheader": email.preheader, "html": email.html}
    return {**words, "status": "ready", "screenshotUrl": None, "thumbnailUrl": None}
