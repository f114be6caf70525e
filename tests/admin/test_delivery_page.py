"""The page of a delivery: its verdict, its timeline, its details."""

import datetime as dt
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_migma.admin.delivery_verdict import Action, timeline, verdict, why_not
from django_migma.conf import Config
from django_migma.mailers import Destination, current_destination
from django_migma.models import Delivery

from .conftest import admin_url

Status = Delivery.Status
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
FINAL = set(Status) - {Status.WAITING, Status.SENDING, Status.UNKNOWN, Status.FAILED, Status.CANCELLED}
GONE = Destination(problem="There is no mailer 'news' that uses Migma in MAILERS. Those that do: 'default'.")


@pytest.fixture
def today(mailer):
    """The destination of a mailer whose settings are in order."""
    found = current_destination()
    assert isinstance(found.config, Config)
    return found


@pytest.fixture
def row(today):
    """A row that is in no database. ``hours`` is the age of its first attempt; without it, there was none."""

    def make(status, *, hours=None, in_minutes=0.0, **fields):
        values = {
            "status": status,
            "payload": "{}",
            "due_at": NOW + dt.timedelta(minutes=in_minutes) if status in Delivery.UNFINISHED else None,
            "first_attempt_at": None if hours is None else NOW - dt.timedelta(hours=hours),
            "attempts": 0 if hours is None else 1,
            "account": today.account,
            "created_at": NOW - dt.timedelta(days=2),
        }
        return Delivery(**{**values, **fields})

    return make


WAITS = "It waits for a worker. There is nothing to do."
AGAIN = "Migma has not taken it yet. It is tried again by itself. There is nothing to do."
DOUBTFUL = (
    "Migma may have it. It is tried again with the same key, so that it is not sent twice. There is nothing to do."
)
LATE = (
    "It has been due for a while: either no worker is running, or Migma takes nothing from this account for the "
    "moment. Run manage.py migma_doctor to see which."
)
LOOK = "Look it up at Migma: if it is there, give it up here; if not, send it anew."
TOO_LATE = "It is too late to ask with the same key: another attempt may be a second mail."
LOOK_FIRST = "Its request is not kept. Look it up at Migma before you send it again from the site."
ARRIVAL = "Whether it arrived shows in Migma's dashboard."
OTHER_KEY = "The API key or the API's address has changed since: another attempt may be a second mail."
NOT_KEPT = "Its request is not kept: send it again from the site."
STOPPED = "Nothing was sent: an earlier error stopped the call."
EXPLAINED = "Nothing was sent: the reason is below."
ASK = "Migma answers with the mail that it has, or takes it now."


class TestVerdict:
    """One sentence or two, and the one action that is right now."""

    @pytest.mark.parametrize(
        ("status", "fields", "text", "action"),
        [
            ("waiting", {}, WAITS, None),
            ("waiting", {"in_minutes": 60}, WAITS, None),
            ("waiting", {"in_minutes": -1}, WAITS, None),
            ("waiting", {"in_minutes": -3}, LATE, None),
            ("waiting", {"hours": 1, "in_minutes": 5}, AGAIN, None),
            ("waiting", {"hours": 1, "in_minutes": 5, "in_doubt": True}, DOUBTFUL, None),
            ("waiting", {"hours": 1, "in_minutes": -5, "in_doubt": True}, LATE, None),
            ("sending", {"hours": 0, "in_minutes": 1}, "A worker is sending it. There is nothing to do.", None),
            (
                "sending",
                {"hours": 0, "in_minutes": -1},
                "Its worker did not report in time. The next worker tries again with the same key.",
                None,
            ),
            (
                "unknown",
                {"hours": 1, "in_doubt": True},
                f"Migma may have this mail. Try again with the same key until 11/29/2026 10 a.m.: {ASK}",
                Action.RETRY,
            ),
            (
                "unknown",
                {"hours": 24, "in_doubt": True},
                f"Migma may have this mail. {TOO_LATE} {LOOK}",
                Action.CANCEL,
            ),
            (
                "unknown",
                {"hours": 1, "in_doubt": True, "account": "other"},
                f"Migma may have this mail. {OTHER_KEY} {LOOK}",
                Action.CANCEL,
            ),
            (
                "unknown",
                {"hours": 1, "payload": ""},
                f"Migma may have this mail. {LOOK_FIRST}",
                Action.CANCEL,
            ),
            ("unknown", {}, f"Migma may have this mail. Try again with the same key: {ASK}", Action.RETRY),
            (
                "failed",
                {"hours": 100},
                "Migma did not take it: nobody gets it. When the cause is gone, try again with the same key.",
                Action.RETRY,
            ),
            ("failed", {"payload": ""}, f"Migma did not take it: nobody gets it. {NOT_KEPT}", None),
            ("cancelled", {}, "It was given up: nobody gets it.", None),
            ("cancelled", {"in_doubt": True}, "It was given up. Migma may have it all the same.", None),
            ("accepted", {}, "Migma took it; whether it arrived shows in Migma's dashboard.", None),
            (
                "accepted",
                {"replayed": True},
                f"Migma had it already when it was asked again: it was accepted once. {ARRIVAL}",
                None,
            ),
            ("not_attempted", {}, f"{STOPPED} Send it again from the site.", None),
            ("not_attempted", {"errors": [{"text": "x"}]}, f"{EXPLAINED} Send it again from the site.", None),
            (
                "not_attempted",
                {"errors": [{"text": "x"}], "is_test": True},
                f"{EXPLAINED} Send the test again.",
                None,
            ),
            ("of another release", {}, "This status is of another release.", None),
        ],
    )
    def test_by_status_doubt_and_time(self, row, today, status, fields, text, action):
        with timezone.override(dt.UTC):
            found = verdict(row(status, **fields), today, NOW)
        assert (found.text, found.action) == (text, action)

    @pytest.mark.parametrize(
        ("status", "start", "action"),
        [
            ("waiting", "It waits, and no worker can send it:", Action.CANCEL),
            ("unknown", "Migma may have this mail. It cannot be tried again:", None),
            ("failed", "Migma did not take it: nobody gets it.", None),
        ],
    )
    def test_without_its_mailer(self, row, status, start, action):
        found = verdict(row(status), GONE, NOW)
        assert (found.text, found.action) == (f"{start} {GONE.problem}", action)

    @pytest.mark.parametrize("status", sorted(FINAL))
    def test_each_end_has_words_of_its_own(self, row, today, status):
        texts = {verdict(row(other), today, NOW).text for other in FINAL}
        assert len(texts) == len(FINAL)
        assert verdict(row(status), today, NOW).action is None

    @pytest.mark.parametrize("status", Status)
    @pytest.mark.parametrize("in_doubt", [True, False])
    @pytest.mark.parametrize("payload", ["{}", ""])
    @pytest.mark.parametrize("hours", [None, 1, 30])
    def test_the_action_that_it_names_is_possible(self, row, today, status, in_doubt, payload, hours):
        delivery = row(status, in_doubt=in_doubt, payload=payload, hours=hours)
        for destination in (today, GONE):
            action = verdict(delivery, destination, NOW).action
            assert action is None or not why_not(action, delivery, destination, NOW)


class TestWhyNot:
    @pytest.mark.parametrize("status", Status)
    def test_a_action_is_for_some_statuses(self, row, today, status):
        possible = {action.value for action in Action if not why_not(action, row(status), today, NOW)}
        expected = {
            Status.WAITING: {"cancel"},
            Status.FAILED: {"retry", "resend", "cancel"},
            Status.UNKNOWN: {"retry", "resend", "cancel"},
            Status.CANCELLED: {"retry", "resend"},
            Status.BOUNCED: {"resend"},
            Status.COMPLAINED: {"resend"},
            Status.SUPPRESSED: {"resend"},
            Status.NOT_ATTEMPTED: {"resend"},
        }
        assert possible == expected.get(status, set())

    @pytest.mark.parametrize(
        ("action", "status", "fields", "reason"),
        [
            (Action.RETRY, "waiting", {}, "It is on its way already."),
            (Action.RESEND, "sending", {}, "It is on its way already."),
            (Action.RETRY, "delivered", {}, "It is finished: delivered."),
            (Action.RETRY, "bounced", {}, "It is finished: bounced."),
            (Action.RESEND, "opened", {}, "It is finished: opened."),
            (Action.RETRY, "failed", {"payload": ""}, NOT_KEPT),
            (Action.RESEND, "bounced", {"payload": ""}, NOT_KEPT),
            (Action.RETRY, "unknown", {"in_doubt": True, "hours": 24}, TOO_LATE),
            (Action.RETRY, "unknown", {"in_doubt": True, "hours": 1, "account": "other"}, OTHER_KEY),
            (Action.CANCEL, "sending", {}, "A worker is sending it. Wait for the outcome."),
            (Action.CANCEL, "accepted", {}, "It is finished: accepted."),
            (Action.CANCEL, "cancelled", {}, "It is finished: given up."),
            (Action.CANCEL, "novel", {}, "It is finished: novel."),
        ],
    )
    def test_each_refusal_has_a_reason(self, row, today, action, status, fields, reason):
        assert why_not(action, row(status, **fields), today, NOW) == reason

    @pytest.mark.parametrize("action", [Action.RETRY, Action.RESEND])
    def test_a_mailer_that_is_gone_is_named(self, row, action):
        assert why_not(action, row("failed"), GONE, NOW) == GONE.problem


class TestTimeline:
    def test_it_tells_from_writing_to_the_next_attempt(self, row):
        errors = [
            {
                "time": "2026-11-28T10:00:03+00:00",
                "status": 503,
                "code": "UNAVAILABLE",
                "text": "Migma asks to wait",
                "wait": 5,
                "worker": "web1",
                "ms": 48,
            },
            {
                "time": "2026-11-28T10:00:08+00:00",
                "status": 0,
                "code": "",
                "text": "no answer",
                "wait": None,
                "ms": 0,
            },
        ]
        events = timeline(row("waiting", hours=2, in_minutes=4, errors=errors))
        assert [(event.title, event.text, event.aside, event.group.name) for event in events] == [
            ("Written", "", "", "quiet"),
            ("Not taken 503 UNAVAILABLE", "Migma asks to wait", "next attempt after 5 s, worker web1, 48 ms", "bad"),
            ("Not taken", "no answer", "", "doubt"),
            ("Next attempt, with the same key", "", "", "waiting"),
        ]
        assert events[1].time == dt.datetime(2026, 11, 28, 10, 0, 3, tzinfo=dt.UTC)
        assert [event.is_ahead for event in events] == [False, False, False, True]
        assert events[-1].time == NOW + dt.timedelta(minutes=4)

    @pytest.mark.parametrize(
        "errors",
        [
            None,
            "text",
            {"time": "now"},
            [None, 3, "text", []],
            [{}],
            [{"time": "yesterday", "status": {}, "text": 3, "wait": "5", "ms": "48", "worker": None, "code": None}],
            [{"time": 1764000000, "more": 1}],
        ],
    )
    def test_it_reads_rows_of_another_release(self, row, errors):
        events = timeline(row("failed", errors=errors))
        assert (events[0].title, events[-1].title) == ("Written", "failed")
        assert all(event.time is None for event in events[1:])

    @pytest.mark.parametrize(
        ("status", "fields", "last"),
        [
            ("waiting", {}, ("First attempt", "", "")),
            ("sending", {}, ("being sent", "the worker has until then to report", "")),
            (
                "sending",
                {"claimed_by": "web1-4711/3"},
                ("being sent", "the worker has until then to report", "worker web1-4711"),
            ),
            ("accepted", {}, ("accepted", "", "")),
            ("accepted", {"replayed": True}, ("accepted", "Migma had it from an earlier attempt", "")),
            ("accepted", {"finished_at": NOW, "tracked_at": NOW}, ("accepted", "", "")),
            ("opened", {"finished_at": NOW, "tracked_at": NOW}, ("opened", "as Migma's log says", "")),
            ("novel", {}, ("novel", "", "")),
        ],
    )
    def test_its_last_line_is_where_the_row_stands(self, row, status, fields, last):
        event = timeline(row(status, **fields))[-1]
        assert (event.title, event.text, event.aside) == last

    @pytest.mark.parametrize(
        ("due_at", "words"), [(None, "now"), (-1, "now"), (0.5, "in less than a minute"), (4.5, "in 4 minutes")]
    )
    def test_what_comes_next_is_said_in_minutes(self, row, due_at, words):
        due_at = due_at and timezone.now() + dt.timedelta(minutes=due_at)
        assert timeline(row("waiting", due_at=due_at))[-1].ahead.replace("\xa0", " ") == words

    def test_a_tracked_row_was_accepted_before(self, row):
        events = timeline(row("bounced", finished_at=NOW, tracked_at=NOW + dt.timedelta(hours=1)))
        assert [(event.title, event.group.name) for event in events] == [
            ("Written", "quiet"),
            ("accepted", "good"),
            ("bounced", "bad"),
        ]


def text_of(client, delivery):
    response = client.get(admin_url("change", delivery.pk, model="delivery"))
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


class TestPage:
    def test_it_shows_verdict_timeline_details_and_the_right_action(self, admin_client, mailer, deliver, welcome):
        row = deliver("failed", stored_email=welcome, caller_key="order-1", errors=[{"status": 400, "text": "no"}])
        text = text_of(admin_client, row)
        assert ">Your receipt to ada@example.org</h2>" in text
        assert "When the cause is gone, try again with the same key." in text
        retry = f"{admin_url('retry', model='delivery')}?ids={row.pk}"
        assert f'<a class="button" href="{retry}">Try again with the same key…</a>' in text
        for action in ("resend", "cancel"):
            assert f'<li><a href="{admin_url(action, model="delivery")}?ids={row.pk}">' in text
        assert "<strong>Not taken 400</strong>: no" in text
        assert "order-1" in text
        assert row.idempotency_key in text
        assert f'<a href="{admin_url("change", welcome.pk)}">' in text
        assert "mail of the site" in text

    def test_it_shows_the_exact_request_while_it_is_kept(self, admin_client, mailer, deliver):
        text = text_of(admin_client, deliver("failed", payload=json.dumps({"subject": "Grüße"}, ensure_ascii=False)))
        assert "<summary>Exact request</summary>" in text
        assert "22 bytes are sent as they are kept" in text
        assert "{ &quot;subject&quot;: &quot;Grüße&quot; }" in text
        assert "no &lt;JSON&gt;" in text_of(admin_client, deliver("failed", payload="no <JSON>"))
        assert "Exact request" not in text_of(admin_client, deliver("accepted", payload=""))

    def test_a_test_and_a_row_without_subject_and_mailer_have_words(self, admin_client, mailer, deliver):
        text = text_of(admin_client, deliver("accepted", is_test=True, subject="", alias="", idempotency_key=None))
        assert "a test" in text
        assert "(no subject) to ada@example.org" in text
        assert ">EMAIL_BACKEND<" in text

    def test_a_mailer_that_is_gone_is_named_in_place_of_the_button(self, admin_client, mailer, deliver, migma):
        migma(API_KEY="")
        text = text_of(admin_client, deliver("failed"))
        assert "nothing can be sent without a key" in text
        assert 'class="button"' not in text

    def test_the_sandbox_has_a_link(self, admin_client, mailer, migma, deliver):
        row = deliver("accepted", message_id="m/1")
        link = '<a href="http://127.0.0.1:9/mail/m%2F1">See it in the sandbox</a>'
        assert link in text_of(admin_client, row)
        migma(API_URL="https://api.migma.ai/v1")
        assert "See it in the sandbox" not in text_of(admin_client, row)

    def test_a_row_takes_as_many_queries_with_many_repeats_as_with_one(self, admin_client, mailer, deliver):
        row = deliver("failed")
        row.send_anew()
        text_of(admin_client, row)
        with CaptureQueriesContext(connection) as one:
            text_of(admin_client, row)
        for _number in range(5):
            row.send_anew()
        with CaptureQueriesContext(connection) as six:
            assert text_of(admin_client, row).count("repeated by the delivery") == 6
        assert len(six) == len(one)

    def test_the_stored_email_leads_to_its_deliveries(self, admin_client, person, mailer, deliver, welcome):
        page = admin_url("change", welcome.pk)
        link = f'<a href="{admin_url("changelist", model="delivery")}?stored_email={welcome.pk}">Deliveries</a>'
        assert link in admin_client.get(page).content.decode()
        assert link not in person("view").get(page).content.decode(), "who may not see deliveries"
