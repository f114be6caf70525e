"""The read-only endpoints have Migma's shapes."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import get

F = f"projectId={account.FERNHILL}"


def test_projects_have_an_underscored_id_and_are_paged_by_offset(sandbox):
    answer = get(sandbox, "/v1/projects").data
    assert answer["pagination"] == {"total": 2, "limit": 20, "offset": 0, "hasMore": False}
    first, second = answer["projects"]
    assert first == {
        "_id": account.FERNHILL,
        "name": "Fernhill Coffee",
        "description": "A roastery that sends its beans by post.",
        "domain": "fernhill.example",
        "status": "active",
        "logoUrls": [],
        "createdAt": "2026-05-01T08:00:00.000Z",
        "updatedAt": "2026-05-02T08:00:00.000Z",
    }
    assert (second["_id"], second["name"], second["domain"]) == (account.LUMEN, "Lumen Bikes", "lumenbikes.example")


def test_a_page_of_projects_says_whether_more_follow(sandbox):
    first = get(sandbox, "/v1/projects?limit=1").data
    second = get(sandbox, "/v1/projects?limit=1&offset=1").data
    assert [page["pagination"]["hasMore"] for page in (first, second)] == [True, False]
    assert [page["projects"][0]["_id"] for page in (first, second)] == [account.FERNHILL, account.LUMEN]


@pytest.mark.parametrize(("status", "count"), [("active", 2), ("error", 0)])
def test_projects_are_filtered_by_status(sandbox, status, count):
    assert len(get(sandbox, f"/v1/projects?status={status}").data["projects"]) == count


def test_tags_are_a_list_with_their_count_beside_it(sandbox):
    reply = get(sandbox, f"/v1/tags?{F}")
    assert reply.json["count"] == 8
    assert reply.data[0] == {
        "id": account.CUSTOMERS_TAG,
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
        ("limit=2", ["customers", "newsletter"]),
        ("limit=2&search=E&sortBy=name&sortOrder=desc", ["sandbox throttled", "sandbox failed"]),
        ("limit=2&sortBy=createdAt&sortOrder=asc", ["customers", "newsletter"]),
        ("search=letter&sortOrder=desc", ["newsletter", "Coffee letter"]),
        ("limit=1", ["customers"]),
        ("limit=1&page=2", ["newsletter"]),
        ("page=3", []),
        ("search=NEWS", ["newsletter"]),
    ],
)
def test_tags_are_sorted_searched_and_paged(sandbox, query, names):
    assert [tag["name"] for tag in get(sandbox, f"/v1/tags?{F}&{query}").data] == names


def test_the_count_of_tags_is_of_all_pages(sandbox):
    assert get(sandbox, f"/v1/tags?{F}&limit=1").json["count"] == 8


def test_segments_are_a_list_with_their_count_beside_it(sandbox):
    reply = get(sandbox, f"/v1/segments?{F}")
    assert reply.json["count"] == 4
    assert reply.data[0] == {
        "id": account.COFFEE_LOVERS,
        "name": "Coffee lovers",
        "description": "Ordered three times or more",
        "filters": {},
        "count": 412,
        "createdAt": "2026-05-01T08:00:00.000Z",
        "updatedAt": "2026-05-02T08:00:00.000Z",
    }


def test_each_project_has_its_own_recipients_and_emails(sandbox):
    lumen = f"projectId={account.LUMEN}"
    assert [tag["name"] for tag in get(sandbox, f"/v1/tags?{lumen}").data] == ["riders"]
    assert [part["name"] for part in get(sandbox, f"/v1/segments?{lumen}").data] == ["Commuters"]
    assert get(sandbox, f"/v1/projects/emails?{lumen}").data["emails"] == []


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
