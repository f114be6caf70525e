"""Stored emails are listed, polled and fetched in Migma's shapes."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import get

F = f"projectId={account.FERNHILL}"
COMPLETED = [
    account.SERIES_CONVERSATION,
    account.LAYOUT_CONVERSATION,
    account.PASSWORD_RESET_CONVERSATION,
    account.RECEIPT_CONVERSATION,
    account.WELCOME_CONVERSATION,
]


def listed(sandbox, query):
    return [item["conversationId"] for item in get(sandbox, f"/v1/projects/emails?{F}&{query}").data["emails"]]


def test_the_list_of_emails_holds_conversations_without_email_ids(sandbox):
    answer = get(sandbox, f"/v1/projects/emails?{F}").data
    assert answer["pagination"] == {"total": 7, "page": 1, "limit": 20, "hasMore": False}
    assert answer["emails"][-1] == {
        "conversationId": account.WELCOME_CONVERSATION,
        "title": "Welcome",
        "subject": "Welcome to Fernhill, {{first_name}}",
        "previewText": "Your first bag is waiting",
        "status": "completed",
        "screenshotUrl": None,
        "createdAt": "2026-05-04T08:00:00.000Z",
        "updatedAt": "2026-05-04T08:00:00.000Z",
    }
    assert answer["emails"][0]["subject"] is None


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("status=completed", COMPLETED),
        ("status=processing", [account.PROCESSING_CONVERSATION]),
        ("status=failed", [account.FAILED_CONVERSATION]),
        ("status=pending", []),
        ("search=SALE", [account.PROCESSING_CONVERSATION]),
        ("search=which+beans", [account.SERIES_CONVERSATION]),
        ("status=completed&limit=2&page=2", COMPLETED[2:4]),
    ],
)
def test_emails_are_filtered_searched_and_paged(sandbox, query, ids):
    assert listed(sandbox, query) == ids


@pytest.mark.parametrize(("page", "more"), [(3, True), (4, False)])
def test_a_page_of_emails_says_whether_more_follow(sandbox, page, more):
    pagination = get(sandbox, f"/v1/projects/emails?{F}&limit=2&page={page}").data["pagination"]
    assert pagination == {"total": 7, "page": page, "limit": 2, "hasMore": more}


def test_a_completed_conversation_has_its_emails_with_their_ids(sandbox):
    answer = get(sandbox, f"/v1/projects/emails/{account.WELCOME_CONVERSATION}/status").data
    result = answer.pop("result")
    assert answer == {
        "conversationId": account.WELCOME_CONVERSATION,
        "status": "completed",
        "createdAt": "2026-05-04T08:00:00.000Z",
        "updatedAt": "2026-05-04T08:00:00.000Z",
    }
    [email] = result.pop("emails")
    html = result.pop("html")
    assert "{{shop_url}}" in html
    assert email == {
        "id": account.WELCOME,
        "emailId": account.WELCOME,
        "conversationId": account.WELCOME_CONVERSATION,
        "messageId": None,
        "slotIdx": 0,
        "slot": 1,
        "subject": "Welcome to Fernhill, {{first_name}}",
        "preheader": "Your first bag is waiting",
        "html": html,
        "status": "ready",
        "screenshotUrl": None,
        "thumbnailUrl": f"{sandbox.url}/thumbnails/{account.WELCOME}.svg",
    }
    assert result == {
        "subject": email["subject"],
        "previewText": email["preheader"],
        "screenshotUrl": None,
        "screenshotFullUrl": None,
        "stats": {"imageCount": 0, "buttonCount": 1, "estimatedLength": "short", "colors": []},
        "languages": ["en"],
    }


def test_a_series_has_its_plan_and_its_emails_in_order(sandbox):
    result = get(sandbox, f"/v1/projects/emails/{account.SERIES_CONVERSATION}/status").data["result"]
    assert result["seriesPlan"] == {"name": "Coffee at home", "count": 2}
    places = [(email["emailId"], email["slotIdx"], email.get("sendOffsetDays")) for email in result["emails"]]
    assert places == [(account.SERIES_1, 0, None), (account.SERIES_2, 1, 3)]


def test_an_unfinished_conversation_has_no_result(sandbox):
    answer = get(sandbox, f"/v1/projects/emails/{account.PROCESSING_CONVERSATION}/status").data
    assert answer["status"] == "processing"
    assert {"result", "error"}.isdisjoint(answer)


def test_a_failed_conversation_has_an_error(sandbox):
    answer = get(sandbox, f"/v1/projects/emails/{account.FAILED_CONVERSATION}/status").data
    assert (answer["status"], answer["error"]) == ("failed", "The email could not be generated")
    assert "result" not in answer


def test_an_unknown_conversation_is_404(sandbox):
    reply = get(sandbox, "/v1/projects/emails/nothing/status")
    assert (reply.status, reply.error) == (404, "Conversation not found: conversationId nothing")


def test_one_email_has_its_html_but_no_list_of_variables(sandbox):
    answer = get(sandbox, f"/v1/emails/{account.SERIES_2.upper()}").data
    assert "{{first_name}}" in answer.pop("html")
    assert answer == {
        "id": account.SERIES_2,
        "emailId": account.SERIES_2,
        "conversationId": account.SERIES_CONVERSATION,
        "messageId": None,
        "slotIdx": 1,
        "slotUuid": None,
        "subject": "Which beans are yours?",
        "preheader": "Light, medium or dark",
        "status": "ready",
        "screenshotUrl": None,
        "thumbnailUrl": f"{sandbox.url}/thumbnails/{account.SERIES_2}.svg",
        "warnings": [],
        "updatedAt": "2026-05-08T08:00:00.000Z",
    }


def test_an_unknown_email_is_404(sandbox):
    reply = get(sandbox, "/v1/emails/nothing")
    assert (reply.status, reply.error) == (404, "Email not found: emailId nothing")
