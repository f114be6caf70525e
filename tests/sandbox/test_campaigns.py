"""Campaigns: a draft, then sent, scheduled or cancelled, each once per Idempotency-Key."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS, ApiError
from tests.sandbox.asking import ask, get

SOON = "2026-06-01T09:31:00.000Z"  # a minute after the tests' clock begins


def draft(**changes):
    """The body of a good campaign; a change of None removes the field."""
    body = {
        "projectId": account.FERNHILL,
        "name": "Letter of June",
        "conversationId": account.WELCOME_CONVERSATION,
        "from": "hello@fernhill.example",
        "fromName": "Fernhill Coffee",
        "recipientType": "tag",
        "recipientId": account.COFFEE_LETTER_TAG,
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def post(sandbox, path, body=None, *, idempotency_key=None, **options):
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return ask(sandbox, "POST", f"/v1/campaigns{path}", body=body, headers=headers, **options)


def made(sandbox, **changes):
    return post(sandbox, "", draft(**changes)).data["id"]


def status(sandbox, campaign_id):
    return get(sandbox, f"/v1/campaigns/{campaign_id}").data["status"]


def test_a_draft_is_shown_as_it_is(start, clock):
    sandbox = start(clock=clock)
    found = post(sandbox, "", draft(replyTo="help@fernhill.example")).data
    assert found == {
        "id": found["id"],
        "projectId": account.FERNHILL,
        "name": "Letter of June",
        "conversationId": account.WELCOME_CONVERSATION,
        "from": "hello@fernhill.example",
        "fromName": "Fernhill Coffee",
        "replyTo": "help@fernhill.example",
        "recipientType": "tag",
        "recipientId": account.COFFEE_LETTER_TAG,
        "subject": "Welcome to Fernhill, {{first_name}}",
        "status": "draft",
        "scheduledAt": None,
        "scheduledTimezone": "UTC",
        "batchId": None,
        "sentAt": None,
        "triggeredBy": "api",
        "createdAt": "2026-06-01T09:30:00.000Z",
        "updatedAt": "2026-06-01T09:30:00.000Z",
    }
    assert get(sandbox, f"/v1/campaigns/{found['id']}").data == found
    assert sandbox.store.messages() == []


def test_a_campaign_is_sent_once_and_followed_as_a_batch(start, clock):
    sandbox = start(clock=clock)
    campaign_id = made(sandbox, subject="New beans")
    sent = post(sandbox, f"/{campaign_id}/send").data
    assert sent["status"] == "sending"
    [message] = sandbox.store.messages()
    assert (message.id, message.subject, message.recipients) == (sent["batchId"], "New beans", 248)
    assert get(sandbox, f"/v1/sending/batches/{sent['batchId']}").data["status"] == "queued"
    clock.forward(seconds=5)
    assert status(sandbox, campaign_id) == "sent"
    again = post(sandbox, f"/{campaign_id}/send")
    assert (again.status, again.error) == (
        400,
        "The campaign is sent: only a draft or a scheduled one can be changed",
    )


@pytest.mark.parametrize(
    ("tag", "word"),
    [(account.FAILED_TAG, "failed"), (account.THROTTLED_TAG, "throttled"), (account.PARTIAL_TAG, "sent")],
)
def test_a_campaign_has_the_status_of_its_batch(start, clock, tag, word):
    sandbox = start(clock=clock)
    campaign_id = made(sandbox, recipientId=tag)
    post(sandbox, f"/{campaign_id}/send")
    clock.forward(seconds=4)
    assert status(sandbox, campaign_id) == word


def test_a_scheduled_campaign_is_sent_when_its_moment_has_come(start, clock):
    sandbox = start(clock=clock)
    campaign_id = made(sandbox)
    found = post(
        sandbox, f"/{campaign_id}/schedule", {"scheduledAt": SOON, "scheduledTimezone": "Europe/Berlin"}
    ).data
    assert (found["status"], found["scheduledAt"], found["scheduledTimezone"]) == ("scheduled", SOON, "Europe/Berlin")
    clock.forward(seconds=59)
    assert (status(sandbox, campaign_id), sandbox.store.messages()) == ("scheduled", [])
    clock.forward(seconds=1)
    assert status(sandbox, campaign_id) == "sending"
    [message] = sandbox.store.messages()
    assert message.received_at == clock.now


def test_a_cancelled_campaign_is_never_sent(start, clock):
    sandbox = start(clock=clock)
    campaign_id = made(sandbox)
    post(sandbox, f"/{campaign_id}/schedule", {"scheduledAt": SOON})
    assert post(sandbox, f"/{campaign_id}/cancel").data["status"] == "cancelled"
    clock.forward(hours=1)
    assert (status(sandbox, campaign_id), sandbox.store.messages()) == ("cancelled", [])


def test_the_list_has_the_campaigns_of_a_project_newest_first(start, clock):
    sandbox = start(clock=clock)
    first, second = made(sandbox), made(sandbox, name="Letter of July")
    data = get(sandbox, f"/v1/campaigns?projectId={account.FERNHILL}").data
    assert ([each["id"] for each in data["campaigns"]], data["total"]) == ([second, first], 2)
    assert get(sandbox, f"/v1/campaigns?projectId={account.LUMEN}").data == {"campaigns": [], "total": 0}


def test_statistics_follow_the_batch(start, clock):
    sandbox = start(clock=clock)
    campaign_id = made(sandbox)
    assert get(sandbox, f"/v1/campaigns/{campaign_id}/stats").data["totalSent"] == 0
    post(sandbox, f"/{campaign_id}/send")
    clock.forward(seconds=5)
    found = get(sandbox, f"/v1/campaigns/{campaign_id}/stats").data
    assert (found["totalSent"], found["uniqueOpens"], found["openRate"], found["uniqueClicks"]) == (248, 62, 25, 12)


def test_a_repeat_under_its_key_makes_no_second_draft(start):
    sandbox = start()
    first, second = (post(sandbox, "", draft(), idempotency_key="letter") for _ in range(2))
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(sandbox.store.campaigns()) == 1


def test_a_repeated_schedule_or_send_gets_the_first_answer(start):
    sandbox = start()
    campaign_id = made(sandbox)
    for path, body in (("schedule", {"scheduledAt": SOON}), ("send", None)):
        first, second = (post(sandbox, f"/{campaign_id}/{path}", body, idempotency_key=path) for _ in range(2))
        assert (second.status, second.content) == (200, first.content)
    assert len(sandbox.store.messages()) == 1


def test_a_key_serves_one_path(start):
    """A verb has no body, and must not get the answer of another verb."""
    sandbox = start()
    campaign_id = made(sandbox)
    post(sandbox, f"/{campaign_id}/send", idempotency_key="k")
    assert post(sandbox, f"/{campaign_id}/cancel", idempotency_key="k").json["code"] == "IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"projectId": None}, "projectId is required"),
        ({"name": " "}, "name must not be blank"),
        ({"conversationId": None}, "conversationId is required"),
        (
            {"conversationId": account.SERIES_CONVERSATION},
            "conversationId: this is a series of 2 emails; emailId is required",
        ),
        ({"from": "hello"}, "from: Invalid email address (one address, without a display name)"),
        ({"recipientType": "segment"}, "recipientType must be one of audience, tag"),
        ({"recipientId": ""}, "recipientId must not be empty"),
        ({"variables": []}, "variables must be an object"),
        ({"projectId": account.LUMEN}, "projectId is not the project of this email; it may be left out"),
    ],
)
def test_what_is_wrong_with_a_campaign_shows_in_its_draft(sandbox, changes, error):
    reply = post(sandbox, "", draft(**changes))
    assert (reply.status, reply.error) == (400, error)


def test_a_tag_goes_by_its_id(sandbox):
    assert post(sandbox, "", draft(recipientId="Coffee letter")).status == 404


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "scheduledAt is required"),
        ({"scheduledAt": "soon"}, "scheduledAt must be a time in ISO 8601 with its offset"),
        ({"scheduledAt": "2026-06-01T09:31:00"}, "scheduledAt must be a time in ISO 8601 with its offset"),
        ({"scheduledAt": "2026-06-01T09:30:00Z"}, "scheduledAt must be in the future"),
        (
            {"scheduledAt": SOON, "scheduledTimezone": "Fernhill"},
            "scheduledTimezone must be a name such as Europe/Berlin",
        ),
        (
            {"scheduledAt": SOON, "scheduledTimezone": "../x"},
            "scheduledTimezone must be a name such as Europe/Berlin",
        ),
    ],
)
def test_a_time_that_cannot_be_is_refused(start, clock, body, error):
    sandbox = start(clock=clock)
    reply = post(sandbox, f"/{made(sandbox)}/schedule", body)
    assert (reply.status, reply.error) == (400, error)


@pytest.mark.parametrize("path", ["", "/stats", "/send", "/schedule", "/cancel"])
def test_an_unknown_campaign_is_404(sandbox, path):
    body = {"scheduledAt": "2999-01-01T00:00:00Z"} if path == "/schedule" else None
    reply = ask(sandbox, "GET" if path in {"", "/stats"} else "POST", f"/v1/campaigns/nothing{path}", body=body)
    assert (reply.status, reply.error) == (404, "Campaign not found: nothing")


@pytest.mark.parametrize(("key", "statuses"), [(KEYS.no_send, (403, 200)), (KEYS.revoked, (401, 401))])
def test_campaigns_need_permissions(sandbox, key, statuses):
    """To write one may become a send, so a key that may only read is refused."""
    reading = get(sandbox, f"/v1/campaigns?projectId={account.FERNHILL}", key=key)
    assert (post(sandbox, "", draft(), key=key).status, reading.status) == statuses


def test_a_campaign_is_a_mail_of_the_inbox_once_it_is_sent_or_scheduled(start):
    sandbox = start()
    first, second = made(sandbox, subject="Now"), made(sandbox, subject="Later")
    post(sandbox, f"/{first}/send", idempotency_key="a")
    post(sandbox, f"/{first}/send", idempotency_key="a")
    post(sandbox, f"/{second}/schedule", {"scheduledAt": SOON})
    later, now = sandbox.store.inbox.mails()
    assert (now.subject, now.recipient, now.attempts) == ("Now", "tag Coffee letter, 248 recipients", 2)
    assert (later.subject, later.is_accepted) == ("Later", True)
    for mail in (now, later):
        assert get(sandbox, f"/mail/{mail.id}?tab=requests").status == 200


@pytest.mark.parametrize("tab", ["json", "requests"])
def test_the_request_of_a_campaign_is_shown_and_copied_with_its_id(sandbox, tab):
    campaign_id = made(sandbox)
    post(sandbox, f"/{campaign_id}/send")
    [mail] = sandbox.store.inbox.mails()
    shown = get(sandbox, f"/mail/{mail.id}?tab={tab}").content.decode()
    assert f"POST /v1/campaigns/{campaign_id}/send HTTP/1.1" in shown
    assert f"curl -X POST {sandbox.api_url}/campaigns/{campaign_id}/send" in shown


def test_faults_strike_campaigns_too(start):
    """A lost reply to the draft, and one to the schedule: one campaign."""
    sandbox = start()
    sandbox.faults.script("lost", "ok", "503")
    with pytest.raises(ConnectionError):
        post(sandbox, "", draft(), idempotency_key="draft")
    campaign_id = post(sandbox, "", draft(), idempotency_key="draft").data["id"]
    assert post(sandbox, f"/{campaign_id}/send").status == 503
    assert post(sandbox, f"/{campaign_id}/send").data["status"] == "sending"
    assert len(sandbox.store.campaigns()) == 1


def test_of_two_changes_at_the_same_time_one_is_refused(start):
    sandbox = start()
    made(sandbox)
    [seen_by_both] = sandbox.store.campaigns()
    sandbox.store.change_campaign(seen_by_both, is_cancelled=True)
    with pytest.raises(ApiError, match="changed by another request at the same time"):
        sandbox.store.change_campaign(seen_by_both, is_cancelled=False)
