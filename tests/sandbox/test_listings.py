"""The read-only endpoints have Migma's shapes."""

from __future__ import annotations

import pytest

from django_migma.sandbox import data
from tests.sandbox.asking import get

F = f"projectId={data.FERNHILL}"
COMPLETED = [
    data.SERIES_CONVERSATION,
    data.LAYOUT_CONVERSATION,
    data.PASSWORD_RESET_CONVERSATION,
    data.RECEIPT_CONVERSATION,
    data.WELCOME_CONVERSATION,
]


def listed(sandbox, query):
    return [item["conversationId"] for item in get(sandbox, f"/v1/projects/emails?{F}&{query}").data["emails"]]


def test_projects_have_an_underscored_id_and_are_paged_by_offset(sandbox):
    answer = get(sandbox, "/v1/projects").data
    assert answer["pagination"] == {"total": 2, "limit": 20, "offset": 0, "hasMore": False}
    first, second = answer["projects"]
    assert first == {
        "_id": data.FERNHILL,
        "name": "Fernhill Coffee",
        "description": "A roastery that sends its beans by post.",
        "domain": "fernhill.example",
        "status": "active",
        "logoUrls": [],
        "createdAt": "2026-05-01T08:00:00.000Z",
        "updatedAt": "2026-05-02T08:00:00.000Z",
    }
    assert (second["_id"], second["name"], second["domain"]) == (data.LUMEN, "Lumen Bikes", "lumenbikes.example")


def test_a_page_of_projects_says_whether_more_follow(sandbox):
    first = get(sandbox, "/v1/projects?limit=1").data
    second = get(sandbox, "/v1/projects?limit=1&offset=1").data
    assert [page["pagination"]["hasMore"] for page in (first, second)] == [True, False]
    assert [page["projects"][0]["_id"] for page in (first, second)] == [data.FERNHILL, data.LUMEN]


@pytest.mark.parametrize(("status", "count"), [("active", 2), ("error", 0)])
def test_projects_are_filtered_by_status(sandbox, status, count):
    assert len(get(sandbox, f"/v1/projects?status={status}").data["projects"]) == count


def test_tags_are_a_list_with_their_count_beside_it(sandbox):
    reply = get(sandbox, f"/v1/tags?{F}")
    assert reply.json["count"] == 2
    assert reply.data[0] == {
        "id": data.CUSTOMERS_TAG,
        "name": "customers",
        "color": "#7a4b2a",
        "description": "Everybody who has ordered once",
        "subscriberCount": 1240,
        "createdAt": "2026-05-01T08:00:00.000Z",
        "updatedAt": "2026-05-02T08:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["customers", "newsletter"]),
        ("sortBy=name&sortOrder=desc", ["newsletter", "customers"]),
        ("sortBy=createdAt&sortOrder=asc", ["customers", "newsletter"]),
        ("limit=1", ["customers"]),
        ("limit=1&page=2", ["newsletter"]),
        ("page=3", []),
        ("search=NEWS", ["newsletter"]),
    ],
)
def test_tags_are_sorted_searched_and_paged(sandbox, query, names):
    assert [tag["name"] for tag in get(sandbox, f"/v1/tags?{F}&{query}").data] == names


def test_the_count_of_tags_is_of_all_pages(sandbox):
    assert get(sandbox, f"/v1/tags?{F}&limit=1").json["count"] == 2


def test_segments_are_a_list_with_their_count_beside_it(sandbox):
    reply = get(sandbox, f"/v1/segments?{F}")
    assert reply.json["count"] == 2
    assert reply.data[0] == {
        "id": data.COFFEE_LOVERS,
        "name": "Coffee lovers",
        "description": "Ordered three times or more",
        "filters": {},
        "count": 412,
        "createdAt": "2026-05-01T08:00:00.000Z",
        "updatedAt": "2026-05-02T08:00:00.000Z",
    }


def test_each_project_has_its_own_recipients_and_emails(sandbox):
    lumen = f"projectId={data.LUMEN}"
    assert [tag["name"] for tag in get(sandbox, f"/v1/tags?{lumen}").data] == ["riders"]
    assert [part["name"] for part in get(sandbox, f"/v1/segments?{lumen}").data] == ["Commuters"]
    assert get(sandbox, f"/v1/projects/emails?{lumen}").data["emails"] == []


def test_the_list_of_emails_holds_conversations_without_email_ids(sandbox):
    answer = get(sandbox, f"/v1/projects/emails?{F}").data
    assert answer["pagination"] == {"total": 7, "page": 1, "limit": 20, "hasMore": False}
    assert answer["emails"][-1] == {
        "conversationId": data.WELCOME_CONVERSATION,
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
        ("status=processing", [data.PROCESSING_CONVERSATION]),
        ("status=failed", [data.FAILED_CONVERSATION]),
        ("status=pending", []),
        ("search=SALE", [data.PROCESSING_CONVERSATION]),
        ("search=which+beans", [data.SERIES_CONVERSATION]),
        ("status=completed&limit=2&page=2", COMPLETED[2:4]),
    ],
)
def test_emails_are_filtered_searched_and_paged(sandbox, query, ids):
    assert listed(sandbox, query) == ids


@pytest.mark.parametrize(("page", "more"), [(3, True), (4, False)])
def test_a_page_of_emails_says_whether_more_follow(sandbox, page, more):
    pagination = get(sandbox, f"/v1/projects/emails?{F}&limit=2&page={page}").data["pagination"]
    assert pagination == {"total": 7, "page": page, "limit": 2, "hasMore": more}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/v1/tags", "projectId is required"),
        ("/v1/segments", "projectId is required"),
        ("/v1/projects/emails", "projectId is required"),
        ("/v1/projects/emails?projectId=", "projectId is required"),
        (f"/v1/projects/emails?{F}&limit=0", "limit must be a whole number from 1 to 100"),
        (f"/v1/projects/emails?{F}&limit=101", "limit must be a whole number from 1 to 100"),
        (f"/v1/projects/emails?{F}&limit=ten", "limit must be a whole number from 1 to 100"),
        (f"/v1/projects/emails?{F}&limit=", "limit must be a whole number from 1 to 100"),
        (f"/v1/projects/emails?{F}&limit=%C2%B2", "limit must be a whole number from 1 to 100"),
        (f"/v1/projects/emails?{F}&page=0", "page must be a whole number of at least 1"),
        (f"/v1/projects/emails?{F}&page={'9' * 5000}", "page must be a whole number of at least 1"),
        (f"/v1/projects/emails?{F}&status=ready", "status must be one of pending, processing, completed, failed"),
        (f"/v1/tags?{F}&sortBy=color", "sortBy must be one of createdAt, name"),
        (f"/v1/tags?{F}&sortOrder=up", "sortOrder must be one of asc, desc"),
        ("/v1/projects?limit=101", "limit must be a whole number from 1 to 100"),
        ("/v1/projects?offset=-1", "offset must be a whole number of at least 0"),
        ("/v1/projects?status=new", "status must be one of pending, processing, active, error"),
    ],
)
def test_a_bad_query_is_400_with_its_text(sandbox, path, text):
    reply = get(sandbox, path)
    assert (reply.status, reply.error) == (400, text)


@pytest.mark.parametrize("path", ["/v1/tags", "/v1/segments", "/v1/projects/emails"])
def test_an_unknown_project_is_404(sandbox, path):
    reply = get(sandbox, f"{path}?projectId=nowhere")
    assert (reply.status, reply.error) == (404, "Project not found: projectId nowhere")


def test_a_completed_conversation_has_its_emails_with_their_ids(sandbox):
    answer = get(sandbox, f"/v1/projects/emails/{data.WELCOME_CONVERSATION}/status").data
    result = answer.pop("result")
    assert answer == {
        "conversationId": data.WELCOME_CONVERSATION,
        "status": "completed",
        "createdAt": "2026-05-04T08:00:00.000Z",
        "updatedAt": "2026-05-04T08:00:00.000Z",
    }
    [email] = result.pop("emails")
    html = result.pop("html")
    assert "{{shop_url}}" in html
    assert email == {
        "id": data.WELCOME,
        "emailId": data.WELCOME,
        "conversationId": data.WELCOME_CONVERSATION,
        "messageId": None,
        "slotIdx": 0,
        "slot": 1,
        "subject": "Welcome to Fernhill, {{first_name}}",
        "preheader": "Your first bag is waiting",
        "html": html,
        "status": "ready",
        "screenshotUrl": None,
        "thumbnailUrl": None,
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
    result = get(sandbox, f"/v1/projects/emails/{data.SERIES_CONVERSATION}/status").data["result"]
    assert result["seriesPlan"] == {"name": "Coffee at home", "count": 2}
    places = [(email["emailId"], email["slotIdx"], email.get("sendOffsetDays")) for email in result["emails"]]
    assert places == [(data.SERIES_1, 0, None), (data.SERIES_2, 1, 3)]


def test_an_unfinished_conversation_has_no_result(sandbox):
    answer = get(sandbox, f"/v1/projects/emails/{data.PROCESSING_CONVERSATION}/status").data
    assert answer["status"] == "processing"
    assert {"result", "error"}.isdisjoint(answer)


def test_a_failed_conversation_has_an_error(sandbox):
    answer = get(sandbox, f"/v1/projects/emails/{data.FAILED_CONVERSATION}/status").data
    assert (answer["status"], answer["error"]) == ("failed", "The email could not be generated")
    assert "result" not in answer


def test_an_unknown_conversation_is_404(sandbox):
    reply = get(sandbox, "/v1/projects/emails/nothing/status")
    assert (reply.status, reply.error) == (404, "Conversation not found: nothing")


def test_one_email_has_its_html_but_no_list_of_variables(sandbox):
    answer = get(sandbox, f"/v1/emails/{data.SERIES_2.upper()}").data
    assert "{{first_name}}" in answer.pop("html")
    assert answer == {
        "id": data.SERIES_2,
        "emailId": data.SERIES_2,
        "conversationId": data.SERIES_CONVERSATION,
        "messageId": None,
        "slotIdx": 1,
        "slotUuid": None,
        "subject": "Which beans are yours?",
        "preheader": "Light, medium or dark",
        "status": "ready",
        "screenshotUrl": None,
        "thumbnailUrl": None,
        "warnings": [],
        "updatedAt": "2026-05-08T08:00:00.000Z",
    }


def test_an_unknown_email_is_404(sandbox):
    reply = get(sandbox, "/v1/emails/nothing")
    assert (reply.status, reply.error) == (404, "Email not found: nothing")


def test_domains_are_a_bare_array(sandbox):
    verified, pending = get(sandbox, "/v1/domains").data
    assert verified == {
        "domain": "fernhill.example",
        "region": "eu-west-1",
        "status": "verified",
        "isVerified": True,
        "ownershipVerified": True,
        "isManagedDomain": False,
        "dkimStatus": "SUCCESS",
        "dnsRecords": [],
        "createdAt": "2026-05-01T08:00:00.000Z",
        "verifiedAt": "2026-05-02T08:00:00.000Z",
    }
    assert (pending["domain"], pending["status"]) == ("lumenbikes.example", "pending")
    assert (pending["isVerified"], pending["verifiedAt"]) == (False, None)


def test_managed_domains_are_a_list_of_their_own(sandbox):
    [managed] = get(sandbox, "/v1/domains/managed").data
    assert (managed["domain"], managed["isManagedDomain"]) == ("fernhill.migma.email", True)


def test_all_sixteen_webhook_events_are_listed_and_none_is_of_delivery(sandbox):
    answer = get(sandbox, "/v1/webhooks/events").data
    types = [event["type"] for event in answer["events"]]
    assert answer["total"] == len(types) == 16
    assert "email.test.sent" in types
    assert all(event["description"] for event in answer["events"])
    assert not any("deliver" in name or "bounce" in name for name in types)
