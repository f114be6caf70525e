"""The sandbox's own endpoints show the accepted messages."""

from __future__ import annotations

import pytest

from tests.sandbox.asking import ask, get, send, single


def test_the_overview_has_switches_keys_and_endpoints(sandbox):
    send(sandbox, single())
    answer = get(sandbox, "/_sandbox/", key=None).json
    assert answer["api_url"] == sandbox.api_url == f"{sandbox.url}/v1"
    assert answer["keys"] == {
        "full": sandbox.keys.full,
        "no_send": sandbox.keys.no_send,
        "revoked": sandbox.keys.revoked,
    }
    assert answer["switches"] == {
        "accept_template": False,
        "escape_variables": False,
        "missing_variables": "keep",
        "subject_variables": True,
        "verified_domains": [],
        "errors_consume_key": True,
        "tracking_id": "sendId",
        "log_delay": 0.0,
        "batch_outcome": "completed",
        "batch_step": 1.0,
        "batch_delay": 0.0,
        "outcome_delay": 1.0,
        "idempotency": True,
        "rate": "",
        "fault_rate": 0.0,
        "fault_seed": None,
        "fault_kinds": [],
        "any_id": False,
        "max_messages": 500,
    }
    assert answer["messages"] == 1
    assert answer["stats"]["sending_posts"] == 1
    assert "POST /v1/sending" in answer["endpoints"]
    assert "GET /_sandbox/messages/{messageId}/html" in answer["endpoints"]


def test_messages_are_listed_newest_last_without_their_html(start, clock):
    sandbox = start(clock=clock)
    assert get(sandbox, "/_sandbox/messages").json == {"total": 0, "messages": []}
    first, second = (send(sandbox, single(subject=subject)).data for subject in ("{{first_name}}", "two"))
    listed = get(sandbox, "/_sandbox/messages", key=None).json
    assert listed["total"] == 2
    assert [message["id"] for message in listed["messages"]] == [first["id"], second["id"]]
    assert listed["messages"][0] == {
        "id": first["id"],
        "html_url": f"{sandbox.url}/mail/{first['id']}",
        "received_at": "2026-06-01T09:30:00.000Z",
        "endpoint": "POST /v1/sending",
        "key_name": "full",
        "idempotency_key": None,
        "replays": 0,
        "subject": "Kim",
        "body": single(subject="{{first_name}}"),
        "answer": first,
    }


def test_a_limit_keeps_the_newest(sandbox):
    for subject in ("one", "two", "three"):
        send(sandbox, single(subject=subject))
    answer = get(sandbox, "/_sandbox/messages?limit=2").json
    assert [message["subject"] for message in answer["messages"]] == ["two", "three"]
    assert answer["total"] == 3


def test_a_bad_limit_is_400(sandbox):
    reply = get(sandbox, "/_sandbox/messages?limit=0")
    assert (reply.status, reply.error) == (400, "limit must be a whole number of at least 1")


def test_one_message_comes_with_its_html(sandbox):
    message_id = send(sandbox, single()).data["id"]
    answer = get(sandbox, f"/_sandbox/messages/{message_id}").json
    assert answer["id"] == message_id
    assert "https://fernhill.example/shop" in answer["html"]


@pytest.mark.parametrize("tail", ["", "/html"])
def test_an_unknown_message_is_404(sandbox, tail):
    reply = get(sandbox, f"/_sandbox/messages/nothing{tail}")
    assert (reply.status, reply.error) == (404, "Message not found: nothing (only the newest are kept)")


def test_the_html_of_a_message_cannot_run_anything_in_the_browser(sandbox):
    message_id = send(sandbox, single()).data["id"]
    reply = get(sandbox, f"/_sandbox/messages/{message_id}/html", key=None)
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = reply.headers["Content-Security-Policy"].split("; ")
    sandboxed = "sandbox allow-popups allow-popups-to-escape-sandbox"  # links may open, nothing may run
    assert {sandboxed, "default-src 'none'", "form-action 'none'", "base-uri 'none'"} <= set(policy)
    assert not any("script" in directive for directive in policy)
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.content.decode() == sandbox.store.message(message_id).html


def test_half_a_surrogate_pair_does_not_break_the_page(sandbox):
    message_id = send(sandbox, single(variables={"first_name": "\ud83d", "shop_url": ""})).data["id"]
    assert get(sandbox, f"/_sandbox/messages/{message_id}/html").status == 200
    assert get(sandbox, "/_sandbox/messages").json["messages"][0]["subject"] == "Welcome, \ud83d"


def test_messages_can_be_cleared(sandbox):
    send(sandbox, single())
    assert ask(sandbox, "DELETE", "/_sandbox/messages", key=None).json == {"deleted": 1}
    assert get(sandbox, "/_sandbox/messages").json["messages"] == []


def test_stats_count_by_template_and_count_refused_requests_too(sandbox):
    send(sandbox, {})
    send(sandbox, single(), key=None)
    get(sandbox, "/v1/emails/one")
    get(sandbox, "/v1/emails/two")
    ask(sandbox, "PUT", "/v1/domains")
    get(sandbox, "/v1/nowhere")
    assert get(sandbox, "/_sandbox/stats", key=None).json == {
        "connections": 6,
        "requests": {
            "POST /v1/sending": 2,
            "GET /v1/emails/{emailId}": 2,
            "PUT /v1/domains": 1,
            "GET (unknown path)": 1,
        },
        "sending_posts": 2,
        "accepted": 0,
        "faults": {},
    }


def test_looking_at_the_sandbox_counts_nowhere(sandbox):
    for path in ("/", "/_sandbox/", "/_sandbox/messages", "/_sandbox/faults", "/nowhere", "/v1"):
        get(sandbox, path)
    assert sandbox.store.stats() == {
        "connections": 0,
        "requests": {},
        "sending_posts": 0,
        "accepted": 0,
        "faults": {},
    }
