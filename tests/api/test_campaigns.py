"""Segments, tags and campaigns at the wire: what each method sends, and what it makes of the answer."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest
from responses import matchers

from django_migma.api import Campaign, CampaignRequest, CampaignStats, Conflict, Segment, SerializationError, Tag
from tests.api.examples import EMAIL_ID, URL, client, refusal

CONVERSATION_ID = "665f1c2ab7d3e4f5a6c70001"
CAMPAIGNS = f"{URL}/campaigns"
REQUIRED = {
    "project_id": "p1",
    "name": "Letter of May",
    "conversation_id": CONVERSATION_ID,
    "from_email": "shop@example.com",
    "from_name": "Example Shop",
    "recipient_type": "audience",
    "recipient_id": "s1",
}
REQUIRED_ON_THE_WIRE = {
    "projectId": "p1",
    "name": "Letter of May",
    "conversationId": CONVERSATION_ID,
    "from": "shop@example.com",
    "fromName": "Example Shop",
    "recipientType": "audience",
    "recipientId": "s1",
}
OPTIONAL = {
    "email_id": EMAIL_ID,
    "subject": "Grüße",
    "preheader_text": "New beans",
    "reply_to": "help@example.com",
    "topic_id": "t1",
    "provider_type": "migma",
    "variables": {"month": "May"},
    "extra": {"later": 1},
}
OPTIONAL_ON_THE_WIRE = {
    "emailId": EMAIL_ID,
    "subject": "Grüße",
    "preheaderText": "New beans",
    "replyTo": "help@example.com",
    "topicId": "t1",
    "providerType": "migma",
    "variables": {"month": "May"},
    "later": 1,
}


def ok(data, **more):
    return {"success": True, "data": data, **more}


def with_key(key):
    return matchers.header_matcher({"Idempotency-Key": key})


def test_segments(wire):
    """A bare array; Migma's ``count`` is the number of contacts."""
    query = [matchers.query_param_matcher({"projectId": "p1"})]
    wire.get(
        f"{URL}/segments", json=ok([{"id": "s1", "name": "VIP", "count": 12}, "no segment"], count=1), match=query
    )
    [segment] = client().list_segments("p1")
    assert (segment.id, segment.name, segment.count) == ("s1", "VIP", 12)
    assert isinstance(segment, Segment)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, {"limit": "100", "page": "1"}),
        ({"limit": 2, "page": 3, "search": "new"}, {"limit": "2", "page": "3", "search": "new"}),
    ],
)
def test_tags(wire, options, query):
    wire.get(
        f"{URL}/tags",
        json=ok([{"id": "t1", "name": "newsletter", "subscriberCount": 7}], count=7),
        match=[matchers.query_param_matcher({"projectId": "p1", **query})],
    )
    page = client().list_tags("p1", **options)
    [tag] = page.items
    assert (tag.id, tag.name, tag.count, page.total) == ("t1", "newsletter", 7, 7)
    assert isinstance(tag, Tag)


@pytest.mark.parametrize(
    ("count", "total", "more"), [(7, 7, True), (6, 6, False), ("7", None, False), (None, None, False)]
)
def test_the_number_of_all_tags_stands_beside_them(wire, count, total, more):
    """``count`` is outside of ``data``; without a usable one there is no next page."""
    wire.get(f"{URL}/tags", json=ok([], count=count))
    page = client().list_tags("p1", limit=2, page=3)
    assert (page.total, page.has_more) == (total, more)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (REQUIRED, REQUIRED_ON_THE_WIRE),
        (REQUIRED | OPTIONAL, REQUIRED_ON_THE_WIRE | OPTIONAL_ON_THE_WIRE),
    ],
    ids=["required", "every field"],
)
def test_a_draft(wire, fields, body):
    match = [matchers.json_params_matcher(body, strict_match=True), with_key("letter-5")]
    wire.post(CAMPAIGNS, json=ok({"id": "c1", "status": "draft", "name": "Letter of May"}), match=match)
    draft = client().create_campaign(CampaignRequest(**fields), idempotency_key="letter-5")
    assert (draft.id, draft.status, draft.name) == ("c1", "draft", "Letter of May")


def test_the_id_of_a_campaign_in_either_spelling(wire):
    wire.get(f"{CAMPAIGNS}/c1", json=ok({"_id": "c1", "batchId": "b1", "status": "sending"}))
    found = client().get_campaign("c1")
    assert (found.id, found.batch_id, found.status) == ("c1", "b1", "sending")
    assert found.raw["_id"] == "c1"


@pytest.mark.parametrize("verb", ["send", "cancel"])
def test_a_deed_without_a_body(wire, verb):
    """Migma documents none."""
    wire.post(f"{CAMPAIGNS}/c%2F1/{verb}", json=ok({"status": "done"}), match=[with_key("k")])
    assert getattr(client(), f"{verb}_campaign")("c/1", idempotency_key="k").status == "done"
    assert wire.calls[0].request.body is None


@pytest.mark.parametrize(
    ("moment", "on_the_wire"),
    [
        (datetime(2030, 5, 1, 9, 30, tzinfo=UTC), "2030-05-01T09:30:00.000Z"),
        (datetime(2030, 5, 1, 9, 30, tzinfo=timezone(timedelta(hours=2))), "2030-05-01T07:30:00.000Z"),
    ],
)
def test_a_schedule(wire, moment, on_the_wire):
    """The moment in UTC, and the zone that people see."""
    body = {"scheduledAt": on_the_wire, "scheduledTimezone": "Europe/Berlin"}
    match = [matchers.json_params_matcher(body, strict_match=True), with_key("k")]
    wire.post(f"{CAMPAIGNS}/c1/schedule", json=ok({"id": "c1", "status": "scheduled"}), match=match)
    found = client().schedule_campaign("c1", moment, timezone="Europe/Berlin", idempotency_key="k")
    assert found.status == "scheduled"


def test_a_schedule_without_a_time_zone_is_refused(wire):
    with pytest.raises(ValueError, match=r"^scheduled_at must be aware: give it a time zone\.$"):
        client().schedule_campaign("c1", datetime(2030, 5, 1))
    assert not wire.calls


def test_stats(wire):
    wire.get(f"{CAMPAIGNS}/c1/stats", json=ok({"totalSent": 40, "openRate": 12.5, "clickRate": 3, "bounces": "?"}))
    stats = client().campaign_stats("c1")
    assert (stats.total_sent, stats.open_rate, stats.click_rate, stats.bounces) == (40, 12.5, 3, None)
    assert isinstance(stats, CampaignStats)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("create_campaign", [CampaignRequest(**REQUIRED)]), ("send_campaign", ["c1"]), ("cancel_campaign", ["c1"])],
)
def test_a_key_that_cannot_travel_is_refused(wire, method, arguments):
    with pytest.raises(ValueError, match=r"^An idempotency key has at most 100 printable ASCII characters\.$"):
        getattr(client(), method)(*arguments, idempotency_key="ü")
    assert not wire.calls


def test_a_lost_answer_is_asked_for_again_under_the_same_key(wire):
    """So that one draft comes of it."""
    wire.post(CAMPAIGNS, status=503, json=refusal("busy"))
    wire.post(CAMPAIGNS, json=ok({"id": "c1"}))
    assert client().create_campaign(CampaignRequest(**REQUIRED)).id == "c1"
    first, second = (call.request.headers["Idempotency-Key"] for call in wire.calls)
    assert first == second


def test_a_key_that_was_used_for_another_body(wire):
    wire.post(CAMPAIGNS, status=409, json=refusal("used", code="IDEMPOTENCY_CONFLICT"))
    with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
        client().create_campaign(CampaignRequest(**REQUIRED), idempotency_key="letter-5")


def test_what_json_cannot_express_is_not_sent(wire):
    with pytest.raises(SerializationError, match="cannot be written as JSON"):
        client().create_campaign(CampaignRequest(**REQUIRED, variables={"a": object()}))
    assert not wire.calls


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"project_id": ""}, ValueError, "CampaignRequest needs project_id."),
        ({"name": ""}, ValueError, "CampaignRequest needs name."),
        ({"recipient_id": ""}, ValueError, "CampaignRequest needs recipient_id."),
        ({"recipient_type": "segment"}, ValueError, "recipient_type must be one of audience, tag, not 'segment'."),
        (
            {"provider_type": "x"},
            ValueError,
            "provider_type must be one of ses, resend, sendgrid, mailgun, migma, not 'x'.",
        ),
        ({"conversation_id": "7"}, ValueError, "CampaignRequest: conversation_id must be 24 hex digits, not '7'."),
        ({"email_id": "7"}, ValueError, "CampaignRequest: email_id must be 24 hex digits, not '7'."),
        ({"subject": 7}, TypeError, "subject must be str, not int."),
        ({"variables": []}, TypeError, "variables must be Mapping, not list."),
    ],
)
def test_a_draft_that_breaks_a_rule_cannot_be_made(changes, error, problem):
    with pytest.raises(error) as caught:
        CampaignRequest(**(REQUIRED | changes))
    assert str(caught.value) == problem


def test_requests_do_not_change():
    request = CampaignRequest(**REQUIRED)
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.name = "Other"


@pytest.mark.parametrize("data", [None, [], "x", {"id": 7, "status": None}])
def test_answers_are_read_leniently(wire, data):
    """No source says what the verbs answer."""
    wire.post(f"{CAMPAIGNS}/c1/send", json=ok(data))
    found = client().send_campaign("c1")
    assert isinstance(found, Campaign)
    assert found.status == ""
