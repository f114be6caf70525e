"""Answers are read leniently, whatever Migma leaves out, changes or adds."""

from __future__ import annotations

import dataclasses

import pytest

from django_migma.api import BatchStatus, Domain, Email, EmailLog, EmailSummary, GenerationStatus, Project
from django_migma.api import SendResult as Send
from django_migma.api import TestSendResult as TestSend

# Each answer with all documented fields on the wire, and under our names.
ANSWERS = [
    (
        Send,
        {
            "id": "m1",
            "provider": "ses",
            "status": "queued",
            "sentCount": 1,
            "message": "Queued",
            "sendId": "s1",
            "batchId": "b1",
            "emailId": "e1",
            "conversationId": "c1",
        },
        {
            "id": "m1",
            "provider": "ses",
            "status": "queued",
            "sent_count": 1,
            "message": "Queued",
            "send_id": "s1",
            "batch_id": "b1",
            "email_id": "e1",
            "conversation_id": "c1",
        },
    ),
    (
        TestSend,
        {
            "messageId": "m1",
            "conversationId": "c1",
            "emailId": "e1",
            "sentTo": "a@example.org",
            "sentAt": "2026-05-01T08:00:00.000Z",
            "subject": "Hello",
        },
        {
            "message_id": "m1",
            "conversation_id": "c1",
            "email_id": "e1",
            "sent_to": "a@example.org",
            "sent_at": "2026-05-01T08:00:00.000Z",
            "subject": "Hello",
        },
    ),
    (
        BatchStatus,
        {
            "batchId": "b1",
            "recipientType": "tag",
            "recipientId": "t1",
            "provider": "migma",
            "from": "shop@example.com",
            "fromName": "Shop",
            "subject": "Hello",
            "status": "throttled",
            "totalCount": 9,
            "queuedCount": 4,
            "sentCount": 3,
            "failedCount": 2,
            "createdAt": "2026-05-01T08:00:00.000Z",
            "updatedAt": "2026-05-02T08:00:00.000Z",
            "error": "none",
            "throttle": {"reason": "capacity"},
        },
        {
            "batch_id": "b1",
            "recipient_type": "tag",
            "recipient_id": "t1",
            "provider": "migma",
            "from_email": "shop@example.com",
            "from_name": "Shop",
            "subject": "Hello",
            "status": "throttled",
            "total_count": 9,
            "queued_count": 4,
            "sent_count": 3,
            "failed_count": 2,
            "created_at": "2026-05-01T08:00:00.000Z",
            "updated_at": "2026-05-02T08:00:00.000Z",
            "error": "none",
            "throttle": {"reason": "capacity"},
        },
    ),
    (
        Project,
        {
            "_id": "p1",
            "name": "Fernhill",
            "description": "Coffee",
            "status": "active",
            "domain": "fernhill.example",
            "createdAt": "2026-05-01",
            "updatedAt": "2026-05-02",
        },
        {
            "id": "p1",
            "name": "Fernhill",
            "description": "Coffee",
            "status": "active",
            "domain": "fernhill.example",
            "created_at": "2026-05-01",
            "updated_at": "2026-05-02",
        },
    ),
    (
        EmailSummary,
        {
            "conversationId": "c1",
            "title": "Welcome",
            "subject": "Hello",
            "previewText": "Your first bag",
            "status": "completed",
            "screenshotUrl": "https://example.com/a.png",
            "createdAt": "2026-05-01",
            "updatedAt": "2026-05-02",
        },
        {
            "conversation_id": "c1",
            "title": "Welcome",
            "subject": "Hello",
            "preview_text": "Your first bag",
            "status": "completed",
            "screenshot_url": "https://example.com/a.png",
            "created_at": "2026-05-01",
            "updated_at": "2026-05-02",
        },
    ),
    (
        Email,
        {
            "emailId": "e1",
            "conversationId": "c1",
            "messageId": "m1",
            "slot": 2,
            "slotIdx": 1,
            "subject": "Hello",
            "preheader": "Your first bag",
            "html": "<p>Hello",
            "status": "ready",
            "sendOffsetDays": 3,
            "screenshotUrl": "https://example.com/a.png",
            "thumbnailUrl": "https://example.com/b.png",
            "updatedAt": "2026-05-02",
        },
        {
            "email_id": "e1",
            "conversation_id": "c1",
            "message_id": "m1",
            "slot": 2,
            "slot_idx": 1,
            "subject": "Hello",
            "preheader": "Your first bag",
            "html": "<p>Hello",
            "status": "ready",
            "send_offset_days": 3,
            "screenshot_url": "https://example.com/a.png",
            "thumbnail_url": "https://example.com/b.png",
            "updated_at": "2026-05-02",
        },
    ),
    (
        GenerationStatus,
        {
            "conversationId": "c1",
            "status": "completed",
            "error": "none",
            "createdAt": "2026-05-01",
            "updatedAt": "2026-05-02",
            "result": {"emails": [{"emailId": "e1"}, "no email", {"emailId": "e2"}]},
        },
        {
            "conversation_id": "c1",
            "status": "completed",
            "error": "none",
            "created_at": "2026-05-01",
            "updated_at": "2026-05-02",
            "result": {"emails": [{"emailId": "e1"}, "no email", {"emailId": "e2"}]},
            "emails": (Email.from_json({"emailId": "e1"}), Email.from_json({"emailId": "e2"})),
        },
    ),
    (
        EmailLog,
        {
            "id": 7,
            "tracking_id": "s1",
            "domain": "example.com",
            "from_email": "shop@example.com",
            "to_email": "a@example.org",
            "subject": "Hello",
            "status": "clicked",
            "opened_at": "2026-05-01T08:01:00.000Z",
            "clicked_at": "2026-05-01T08:02:00.000Z",
            "open_count": 3,
            "click_count": 1,
            "bounce_type": "none",
            "complaint_type": "none",
            "created_at": "2026-05-01T08:00:00.000Z",
        },
        {
            "id": "7",
            "tracking_id": "s1",
            "domain": "example.com",
            "from_email": "shop@example.com",
            "to_email": "a@example.org",
            "subject": "Hello",
            "status": "clicked",
            "opened_at": "2026-05-01T08:01:00.000Z",
            "clicked_at": "2026-05-01T08:02:00.000Z",
            "open_count": 3,
            "click_count": 1,
            "bounce_type": "none",
            "complaint_type": "none",
            "created_at": "2026-05-01T08:00:00.000Z",
        },
    ),
    (
        Domain,
        {
            "domain": "fernhill.example",
            "status": "verified",
            "region": "eu-west-1",
            "isVerified": True,
            "ownershipVerified": False,
            "isManagedDomain": False,
        },
        {
            "domain": "fernhill.example",
            "status": "verified",
            "region": "eu-west-1",
            "is_verified": True,
            "ownership_verified": False,
            "is_managed": False,
        },
    ),
]
KINDS = [kind for kind, _, _ in ANSWERS]


def found(answer, names):
    return {name: getattr(answer, name) for name in names}


def wire_fields(kind):
    return [item for item in dataclasses.fields(kind) if "wire" in item.metadata]


@pytest.mark.parametrize(("kind", "wire", "expected"), ANSWERS)
def test_every_documented_field_is_read(kind, wire, expected):
    assert {item.name for item in wire_fields(kind)} == expected.keys()
    answer = kind.from_json(wire)
    assert found(answer, expected) == expected
    assert answer.raw == wire


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [{}, None, [], "text", 7, [{"id": "m1"}]])
def test_an_answer_without_fields_reads_as_empty(kind, data):
    """Nothing that Migma leaves out is an error."""
    answer = kind.from_json(data)
    assert not any(getattr(answer, item.name) for item in wire_fields(kind))
    assert answer == kind()
    assert answer.raw == {}


@pytest.mark.parametrize(("kind", "wire", "expected"), ANSWERS)
def test_a_field_of_another_type_reads_as_empty_and_stays_in_raw(kind, wire, expected):
    odd = dict.fromkeys(wire, 1.5)
    answer = kind.from_json(odd)
    assert not any(found(answer, expected).values())
    assert answer.raw == odd


@pytest.mark.parametrize(("kind", "wire", "expected"), ANSWERS)
def test_unknown_fields_stay_in_raw(kind, wire, expected):
    """What Migma adds later can be used before we know it."""
    answer = kind.from_json(wire | {"brandNew": [1]})
    assert answer.raw["brandNew"] == [1]
    assert found(answer, expected) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_raw_is_not_shown(kind):
    """The repr of an answer stays readable."""
    assert "brandNew" not in repr(kind.from_json({"brandNew": 1}))


@pytest.mark.parametrize(
    ("wire", "usable"),
    [
        ({"isVerified": True}, True),
        ({"ownershipVerified": True}, True),
        ({"status": "verified"}, True),
        ({"status": "VERIFIED"}, True),
        ({"status": "pending", "isVerified": False, "ownershipVerified": False}, False),
        ({"status": "unverified"}, False),
        ({}, False),
    ],
)
def test_a_domain_is_usable_when_any_mark_says_so(wire, usable):
    assert Domain.from_json(wire).usable is usable
