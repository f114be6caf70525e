"""GET /v1/emails/{emailId}/logs: single sends with their outcomes, paged by cursor."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import ask, batch, get, send, single

LOGS = f"/v1/emails/{account.WELCOME}/logs"


def subjects(sandbox, query=""):
    return [row["subject"] for row in get(sandbox, LOGS + query).data["emails"]]


def status_of(sandbox, recipient):
    """The status of the only mail to an address."""
    rows = get(sandbox, LOGS).data["emails"]
    [status] = [row["status"] for row in rows if row["to_email"] == recipient]
    return status


def test_a_row_has_the_shape_of_migmas(start, clock):
    sandbox = start(clock=clock)
    answer = send(sandbox, single(recipientEmail="Clicked@Sandbox.example")).data
    clock.forward(seconds=10)
    page = get(sandbox, LOGS).data
    [row] = page.pop("emails")
    assert page == {"nextCursor": None, "hasMore": False}
    assert isinstance(row.pop("id"), int)
    assert row == {
        "tracking_id": answer["sendId"],
        "domain": "fernhill.example",
        "from_email": "hello@fernhill.example",
        "to_email": "Clicked@Sandbox.example",
        "subject": "Welcome, Kim",
        "status": "clicked",
        "opened_at": "2026-06-01T09:30:02.000Z",
        "clicked_at": "2026-06-01T09:30:03.000Z",
        "open_count": 1,
        "click_count": 1,
        "bounce_type": None,
        "complaint_type": None,
        "created_at": "2026-06-01T09:30:00.000Z",
    }


@pytest.mark.parametrize(
    ("recipient", "statuses"),
    [
        ("reader@example.com", ["sent", "delivered", "delivered", "delivered"]),
        ("delivered@sandbox.example", ["sent", "delivered", "delivered", "delivered"]),
        ("opened@sandbox.example", ["sent", "delivered", "opened", "opened"]),
        ("clicked@sandbox.example", ["sent", "delivered", "opened", "clicked"]),
        ("bounced@sandbox.example", ["sent", "bounced", "bounced", "bounced"]),
        ("complained@sandbox.example", ["sent", "delivered", "complained", "complained"]),
        ("suppressed@sandbox.example", ["suppressed", "suppressed", "suppressed", "suppressed"]),
        ("bounced@elsewhere.example", ["sent", "delivered", "delivered", "delivered"]),
    ],
)
def test_the_recipient_asks_for_an_outcome(start, clock, recipient, statuses):
    sandbox = start(clock=clock, outcome_delay=60)
    send(sandbox, single(recipientEmail=recipient))
    found = []
    for _ in statuses:
        found.append(status_of(sandbox, recipient))
        clock.forward(seconds=60)
    assert found == statuses


@pytest.mark.parametrize(
    ("recipient", "types"),
    [("bounced@sandbox.example", ("Permanent", None)), ("complained@sandbox.example", (None, "abuse"))],
)
def test_bounces_and_complaints_have_a_type(start, recipient, types):
    sandbox = start(outcome_delay=0)
    send(sandbox, single(recipientEmail=recipient))
    [row] = get(sandbox, LOGS).data["emails"]
    assert (row["bounce_type"], row["complaint_type"]) == types


def test_without_a_delay_the_last_word_comes_at_once(start):
    sandbox = start(outcome_delay=0)
    send(sandbox, single(recipientEmail="clicked@sandbox.example"))
    assert status_of(sandbox, "clicked@sandbox.example") == "clicked"


def test_a_mail_stands_in_the_logs_after_a_delay_and_for_30_days(start, clock):
    sandbox = start(clock=clock, log_delay=90)
    send(sandbox, single(subject="Hello"))
    clock.forward(seconds=89)
    assert subjects(sandbox) == []
    clock.forward(seconds=1)
    assert subjects(sandbox) == ["Hello"]
    clock.forward(days=30, seconds=-91)
    assert subjects(sandbox) == ["Hello"]
    clock.forward(seconds=1)
    assert subjects(sandbox) == []


def test_pages_follow_each_other_newest_first_while_mail_is_sent(sandbox):
    for number in range(5):
        send(sandbox, single(subject=str(number)))
    first = get(sandbox, f"{LOGS}?limit=2").data
    send(sandbox, single(subject="5"))
    second = get(sandbox, f"{LOGS}?limit=2&cursor={first['nextCursor']}").data
    third = get(sandbox, f"{LOGS}?limit=2&cursor={second['nextCursor']}").data
    pages = [[row["subject"] for row in page["emails"]] for page in (first, second, third)]
    assert pages == [["4", "3"], ["2", "1"], ["0"]]
    assert [page["hasMore"] for page in (first, second, third)] == [True, True, False]
    assert third["nextCursor"] is None


def test_a_page_has_20_rows_unless_asked(sandbox):
    for number in range(21):
        send(sandbox, single(subject=str(number)))
    assert len(subjects(sandbox)) == 20
    assert len(subjects(sandbox, "?limit=100")) == 21


def test_a_filter_finds_the_present_status(start):
    sandbox = start(outcome_delay=0)
    send(sandbox, single(subject="good"))
    send(sandbox, single(subject="bad", recipientEmail="bounced@sandbox.example"))
    send(sandbox, single(subject="better", recipientEmail="opened@sandbox.example"))
    assert subjects(sandbox, "?status=bounced") == ["bad"]
    assert subjects(sandbox, "?status=delivered") == ["good"]


def test_only_single_sends_of_that_email_are_listed(start):
    sandbox = start(outcome_delay=0)
    send(sandbox, single(emailId=account.RECEIPT))
    send(sandbox, batch())
    ask(sandbox, "POST", "/v1/emails/test/send", body={"to": "a@example.com", "emailId": account.WELCOME})
    send(sandbox, single(subject="this one", emailId=None, conversationId=account.WELCOME_CONVERSATION))
    assert subjects(sandbox) == ["this one"]


def test_logs_outlive_the_list_of_messages_and_not_a_reset(sandbox):
    send(sandbox, single(subject="Hello"))
    sandbox.store.clear_messages()
    assert subjects(sandbox) == ["Hello"]
    sandbox.store.reset()
    assert subjects(sandbox) == []


def test_the_newest_are_kept(start):
    sandbox = start(max_messages=2)
    for number in range(3):
        send(sandbox, single(subject=str(number)))
    assert subjects(sandbox) == ["2", "1"]


def test_raw_html_and_ids_that_the_sandbox_does_not_know(start):
    sandbox = start(any_id=True, accept_template=True)
    unknown = "AAAAAAAAAAAAAAAAAAAAAAAA"
    send(sandbox, single(emailId=unknown, subject="unknown"))
    send(sandbox, single(emailId=None, template="<p>Hi", projectId=account.FERNHILL))
    rows = get(sandbox, f"/v1/emails/{unknown.lower()}/logs").data["emails"]
    assert [row["subject"] for row in rows] == ["unknown"]


def test_the_tracking_id_may_be_another_id(start):
    sandbox = start(tracking_id="id")
    answer = send(sandbox, single()).data
    [row] = get(sandbox, LOGS).data["emails"]
    assert row["tracking_id"] == answer["id"] != answer["sendId"]


def test_a_key_that_may_read_is_enough_and_none_is_not(sandbox):
    assert get(sandbox, LOGS, key=KEYS.no_send).status == 200
    assert get(sandbox, LOGS, key=None).status == 401


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (f"{LOGS}?limit=0", 400, "limit must be a whole number from 1 to 100"),
        (f"{LOGS}?limit=101", 400, "limit must be a whole number from 1 to 100"),
        (
            f"{LOGS}?status=spam_report",
            400,
            "status must be one of delivered, opened, clicked, bounced, complained, suppressed, sent",
        ),
        (f"{LOGS}?cursor=nowhere", 400, "cursor is not one that this list has given"),
        (f"{LOGS}?cursor=", 400, "cursor is not one that this list has given"),
        (
            "/v1/emails/665f1c2ab7d3e4f5a6b7ffff/logs",
            404,
            "Email not found: emailId 665f1c2ab7d3e4f5a6b7ffff",
        ),
    ],
)
def test_a_bad_request_is_refused_with_its_text(sandbox, path, status, text):
    reply = get(sandbox, path)
    assert (reply.status, reply.error) == (status, text)
