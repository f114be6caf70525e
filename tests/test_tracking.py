"""Tracking: what Migma's logs say comes into the rows, forward only, with few requests and few queries."""

import datetime as dt
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import django
import pytest
import requests
from django.core.mail import EmailMessage
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from django_migma.sandbox.account import RECEIPT, WELCOME
from django_migma.signals import delivery_updated
from django_migma.testing import sandbox
from django_migma.tracking import track
from tests.api.clocks import FakeClock
from tests.conftest import our_mailer

Status = Delivery.Status
QUEUE = "django_migma.backends.queue.EmailBackend"
LOGS = "http://127.0.0.1:9/v1/emails/{}/logs"
ALIAS = "default" if django.VERSION >= (6, 1) else ""
needs_mailers = pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
numbers = itertools.count()
pytestmark = pytest.mark.django_db


def ago(**duration):
    return timezone.now() - dt.timedelta(**duration)


def new_row(**fields):
    """An accepted mail that was sent directly, as the log of such mail has it; not saved."""
    number = next(numbers)
    values = {"alias": ALIAS, "status": Status.ACCEPTED, "recipient": "ada@example.org", "email_id": WELCOME}
    return Delivery(**{"idempotency_key": f"key-{number}", "send_id": f"send-{number}", **values, **fields})


def row(**fields):
    found = new_row(**fields)
    found.save()
    return found


def status_of(delivery):
    return Delivery.objects.get(pk=delivery.pk).status


class Logs:
    """Migma's logs on a faked wire, newest first, in pages of so many."""

    def __init__(self, mock):
        self.mock, self.entries, self.size, self.asked = mock, {}, 100, []

    def says(self, delivery, status, **fields):
        """From now on. There is one entry for each mail."""
        entry = {"tracking_id": delivery.send_id, "status": status, "created_at": delivery.created_at.isoformat()}
        others = [old for old in self.entries.get(delivery.email_id, []) if old["tracking_id"] != delivery.send_id]
        self.entries[delivery.email_id] = [entry | fields, *others]
        self.serve(delivery.email_id)

    def serve(self, email_id):
        self.mock.remove("GET", LOGS.format(email_id))
        self.mock.add_callback("GET", LOGS.format(email_id), lambda request: self._page(email_id, request))

    def fails(self, email_id, answer):
        self.mock.remove("GET", LOGS.format(email_id))
        self.mock.add_callback("GET", LOGS.format(email_id), lambda request: self._refuse(email_id, answer))

    def _refuse(self, email_id, answer):
        self.asked.append(email_id)
        return answer

    def _page(self, email_id, request):
        self.asked.append(email_id)
        query = parse_qs(urlsplit(request.url).query)
        start, found = int(query.get("cursor", ["0"])[0]), self.entries.get(email_id, [])
        end = start + self.size
        data = {"emails": found[start:end], "nextCursor": str(end), "hasMore": end < len(found)}
        return 200, {}, json.dumps({"success": True, "data": data})


def refusal(status, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, headers, json.dumps({"success": False, "error": "No"})


@pytest.fixture
def logs(wire):
    return Logs(wire.mock)


@pytest.fixture
def updates():
    """Collect what ``delivery_updated`` tells."""
    found = []

    def receive(sender, delivery, previous, **kwargs):
        found.append((delivery.pk, previous, delivery.status))

    delivery_updated.connect(receive)
    yield found
    delivery_updated.disconnect(receive)


class TestForwardOnly:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["sent", "delivered", "opened", "clicked"], "clicked"),
            (["clicked", "opened", "delivered", "sent"], "clicked"),
            (["queued", "processing"], "accepted"),
            (["delivered", "bounced"], "bounced"),
            (["clicked", "complained"], "complained"),
            (["suppressed"], "suppressed"),
            (["bounced", "delivered", "complained"], "bounced"),
            (["Opened"], "opened"),
        ],
    )
    def test_a_row_follows_the_words_and_never_goes_back(self, logs, words, expected):
        delivery = row()
        for word in words:
            logs.says(delivery, word)
            track()
        assert status_of(delivery) == expected

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(st.lists(st.sampled_from([*Status, "sent", "queued", "deferred", "", "accepted\0"]), max_size=6))
    @example(["delivered", "waiting", "failed", "cancelled"])
    def test_whatever_migma_says_a_row_never_goes_back(self, logs, words):
        order = ["accepted", "delivered", "opened", "clicked", "bounced", "complained", "suppressed"]
        delivery = row()
        before = "accepted"
        for word in words:
            logs.says(delivery, word)
            track()
            after = status_of(delivery)
            assert after in order
            assert order.index(after) >= order.index(before)
            assert after == before or before not in order[-3:]
            before = after
        delivery.delete()

    @pytest.mark.parametrize(
        "status", sorted({*Status} - {Status.ACCEPTED, Status.DELIVERED, Status.OPENED, Status.CLICKED})
    )
    def test_other_rows_are_left_alone(self, logs, status):
        due_at = timezone.now() if status in Delivery.UNFINISHED else None
        delivery = row(status=status, due_at=due_at)
        logs.says(row(send_id="another"), "delivered")
        logs.says(delivery, "clicked")
        track()
        assert status_of(delivery) == status


class TestUpdates:
    def test_a_change_is_announced_and_a_look_alone_is_not(self, logs, updates, django_capture_on_commit_callbacks):
        changed, same = row(), row(status=Status.OPENED)
        logs.says(changed, "delivered")
        logs.says(same, "opened")
        with django_capture_on_commit_callbacks(execute=True):
            result = track()
        assert updates == [(changed.pk, "accepted", "delivered")]
        assert result.changes == {"delivered": 1}
        assert Delivery.objects.filter(tracked_at__isnull=False).count() == 2

    @pytest.mark.parametrize("word", ["delivered", "sent"])
    def test_a_tracker_that_was_faster_wins(self, logs, updates, django_capture_on_commit_callbacks, word):
        """The other one moves one of two rows between our look and our update."""
        slow, taken = row(), row()
        logs.says(slow, word)
        logs.says(taken, word)

        def be_faster(execute, sql, parameters, many, context):
            if sql.startswith("UPDATE") and taken.status == "accepted":
                taken.status = "opened"
                taken.save()
            return execute(sql, parameters, many, context)

        with django_capture_on_commit_callbacks(execute=True), connection.execute_wrapper(be_faster):
            track()
        assert status_of(taken) == "opened"
        assert updates == ([(slow.pk, "accepted", "delivered")] if word == "delivered" else [])


class TestMatching:
    def test_rows_are_matched_by_the_send_id_and_not_by_the_address(self, logs):
        ours, other = row(), row(email_id=RECEIPT)
        logs.serve(RECEIPT)
        logs.says(ours, "delivered", to_email=ours.recipient)
        logs.says(new_row(send_id="", created_at=timezone.now()), "bounced", to_email=ours.recipient)
        logs.says(new_row(send_id="somebody else's"), "bounced", to_email=ours.recipient)
        result = track()
        assert (status_of(ours), status_of(other)) == ("delivered", "accepted")
        assert result.missing == 1

    def test_a_word_that_is_not_known_changes_nothing_and_is_told_once(self, logs):
        first, second = row(), row()
        logs.says(first, "DEFERRED")
        logs.says(second, "deferred")
        result = track()
        assert result.unknown_statuses == {"deferred"}
        assert {status_of(first), status_of(second)} == {"accepted"}

    def test_mail_without_the_id_of_an_email_or_a_send_is_counted(self, logs):
        row(email_id="")
        row(send_id="")
        row(send_id="", is_test=True)
        row(send_id="", status=Status.FAILED)
        result = track()
        assert (result.untracked, result.pages) == (2, 0)


class TestPages:
    def test_pages_are_followed_until_all_rows_are_found(self, logs):
        for number in range(40, 30, -1):
            logs.says(new_row(created_at=ago(minutes=number)), "delivered")
        deliveries = [row(created_at=ago(minutes=number)) for number in range(6, 0, -1)]
        for delivery in deliveries:
            logs.says(delivery, "delivered")
        for number in range(7, 12):
            logs.says(new_row(created_at=ago(minutes=20 - number)), "delivered")
        logs.size = 4
        result = track()
        assert {status_of(delivery) for delivery in deliveries} == {"delivered"}
        assert (result.pages, result.emails, result.left, result.missing) == (3, 1, 0, 0)

    def test_a_mail_that_slides_to_the_next_page_is_not_taken_for_another_one(self, logs):
        first, second = row(created_at=ago(minutes=9)), row()
        logs.says(first, "delivered")
        logs.says(second, "delivered")
        logs.entries[WELCOME].insert(1, logs.entries[WELCOME][0])
        logs.size = 1
        track()
        assert status_of(first) == "delivered"

    def test_a_page_that_is_older_than_every_row_looked_for_is_the_last(self, logs):
        lost = row(created_at=ago(hours=3))
        for hours in (9, 8, 7, 6, 5, 2):
            logs.says(new_row(created_at=ago(hours=hours)), "delivered")
        logs.size = 2
        result = track()
        assert (result.pages, result.missing, status_of(lost)) == (2, 1, "accepted")

    @pytest.mark.parametrize("created_at", ["yesterday", "", "2020-01-01T00:00:00", None, "2020-13-41T00:00:00Z"])
    def test_a_time_that_cannot_be_read_ends_nothing(self, logs, created_at):
        delivery = row()
        logs.says(delivery, "delivered")
        logs.says(new_row(), "delivered", created_at=created_at)
        logs.size = 1
        assert track().pages == 2
        assert status_of(delivery) == "delivered"

    def test_an_empty_page_in_between_ends_nothing(self, logs):
        delivery = row()
        logs.says(delivery, "delivered")
        entries = logs.entries[WELCOME]
        logs.entries[WELCOME] = ["no mail", *entries]
        logs.size = 1
        track()
        assert status_of(delivery) == "delivered"

    def test_a_page_without_cursor_is_the_last(self, wire):
        row()
        data = {"emails": [], "nextCursor": None, "hasMore": True}
        wire.mock.get(LOGS.format(WELCOME), json={"success": True, "data": data})
        assert track().pages == 1

    def test_stored_emails_take_turns(self, logs):
        logs.size = 1
        for number in range(5):
            logs.says(row(created_at=ago(minutes=9 - number)), "delivered")
        logs.says(row(email_id=RECEIPT), "delivered")
        result = track(max_pages=3)
        assert sorted(logs.asked[:2]) == [WELCOME, RECEIPT]
        assert logs.asked[2:] == [WELCOME]
        assert (result.pages, result.emails, result.left) == (3, 1, 1)
        assert result.changes == {"delivered": 3}

    def test_the_email_looked_at_longest_ago_comes_first(self, logs):
        row(tracked_at=ago(minutes=5))
        row(email_id=RECEIPT, tracked_at=ago(minutes=9))
        never = row(email_id="665f1c2ab7d3e4f5a6b70009")
        for email_id in (WELCOME, RECEIPT, never.email_id):
            logs.serve(email_id)
        track()
        assert logs.asked == [never.email_id, RECEIPT, WELCOME]


class TestLooks:
    @pytest.mark.parametrize(
        ("age", "last_look", "is_due"),
        [
            ({"minutes": 1}, {"seconds": 5}, True),
            ({"hours": 5}, {"hours": 1.9}, False),
            ({"hours": 5}, {"hours": 2.1}, True),
            ({"days": 3}, {"hours": 11.9}, False),
            ({"days": 3}, {"hours": 12.1}, True),
            ({"days": 20}, {"hours": 47}, False),
            ({"days": 20}, {"hours": 49}, True),
            ({"days": 29.9}, None, True),
            ({"days": 30.1}, None, False),
        ],
    )
    def test_the_older_a_row_the_longer_until_the_next_look(self, logs, age, last_look, is_due):
        logs.serve(WELCOME)
        row(created_at=ago(**age), tracked_at=last_look and ago(**last_look))
        assert track().pages == is_due
        assert track().pages == (is_due and age == {"minutes": 1})

    def test_a_look_at_an_old_row_counts_for_all_rows_on_the_way(self, logs):
        old = row(created_at=ago(days=6), tracked_at=ago(hours=13))
        young = row(created_at=ago(hours=3), tracked_at=ago(hours=1))
        logs.says(old, "delivered")
        logs.says(young, "opened")
        assert track().changes == {"delivered": 1, "opened": 1}
        assert track().pages == 0

    def test_rows_that_stand_in_no_log_are_looked_for_at_the_same_pace(self, logs):
        logs.serve(WELCOME)
        Delivery.objects.bulk_create([new_row(created_at=ago(hours=2)) for _ in range(1_005)])
        assert track().missing == 1_005
        assert track().pages == 0

    @pytest.mark.parametrize("status", ["bounced", "complained", "suppressed"])
    def test_what_is_final_is_not_looked_at_again(self, logs, status):
        logs.serve(WELCOME)
        row(status=status)
        assert track().pages == 0

    def test_a_site_without_time_zones(self, logs):
        with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
            lost, found = row(created_at=ago(hours=2)), row()
            for entry, hours in ((lost, 4), (found, 0)):
                logs.says(
                    entry, "delivered", created_at=(dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)).isoformat()
                )
            logs.entries[WELCOME][1]["tracking_id"] = "another"
            logs.says(new_row(send_id="third"), "sent", created_at="2020-01-01T00:00:00Z")
            logs.entries[WELCOME].append(logs.entries[WELCOME].pop(0))
            logs.size = 1
            result = track()
        assert (result.pages, result.missing, status_of(found)) == (2, 1, "delivered")


class TestTrouble:
    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (refusal(429, Retry_After="60"), "Migma answered 429: No. Wait 60 s, then try again."),
            (refusal(401), "Migma answered 401: No."),
            (refusal(403), "Give the API key the permission email:read in Migma's dashboard."),
            (refusal(500), "Migma answered 500: No."),
            (requests.ConnectionError(OSError("Connection refused")), "Check API_URL, DNS, proxy and firewall"),
            ((200, {}, "<h1>Sign in"), "is not Migma's"),
        ],
        ids=["rate limit", "key", "permission", "server", "network", "proxy"],
    )
    def test_it_ends_the_run_for_the_key(self, logs, answer, problem):
        deliveries = row(), row(email_id=RECEIPT)
        for email_id in (WELCOME, RECEIPT):
            logs.fails(email_id, answer)
        result = track(clock=FakeClock())
        assert (result.pages, result.emails, result.left) == (1, 0, 2)
        [line] = result.problems
        assert problem in line
        assert line.startswith(f"mailer {ALIAS!r}: " if ALIAS else "EMAIL_BACKEND: ")
        assert Delivery.objects.filter(tracked_at=None).count() == len(deliveries)

    def test_a_short_rate_limit_is_waited_for(self, wire):
        delivery, url = row(), LOGS.format(WELCOME)
        wire.mock.get(url, status=429, json={"success": False}, headers={"Retry-After": "2"})
        data = {"emails": [{"tracking_id": delivery.send_id, "status": "delivered"}]}
        wire.mock.get(url, json={"success": True, "data": data})
        clock = FakeClock()
        result = track(clock=clock)
        assert (result.problems, status_of(delivery), sum(clock.slept)) == ([], "delivered", 2)

    @pytest.mark.parametrize("status", [400, 404])
    def test_an_email_that_migma_does_not_know_keeps_no_other_waiting(self, logs, status):
        row(created_at=ago(hours=3))
        other = row(email_id=RECEIPT)
        logs.fails(WELCOME, refusal(status))
        logs.says(other, "delivered")
        result = track()
        assert (result.pages, result.emails, result.left, status_of(other)) == (2, 1, 1, "delivered")
        assert f"stored email {WELCOME}: Migma answered {status}" in result.problems[0]
        assert track().pages == 1, "asked for again like any other, not in each run"

    def test_rows_of_a_mailer_that_is_gone_are_told(self, logs):
        row(alias="gone")
        row(alias="gone", email_id=RECEIPT)
        ours = row()
        logs.says(ours, "delivered")
        result = track()
        [line] = result.problems
        assert line.startswith("mailer 'gone': no such mailer uses Migma, and its 2 mails were not looked at. ")
        assert line.endswith("Put it back into the settings, or delete its rows.")
        assert (status_of(ours), result.left, result.is_misconfigured) == ("delivered", 2, False)

    def test_settings_that_cannot_be_used_are_told(self, migma, mailer):
        migma(API_KEY="two words")
        row()
        result = track()
        assert (result.pages, result.left, result.is_misconfigured) == (0, 1, True)
        assert "MIGMA['API_KEY'] contains white space" in result.problems[0]

    @needs_mailers
    def test_a_key_is_asked_once_for_all_its_mailers_and_fails_alone(self, logs):
        mailers = {
            "default": {},
            "news": {},
            "other": {"api_key": "another", "api_url": "http://127.0.0.1:8/v1"},
            "unused": {"api_key": lambda: pytest.fail("no row needs this key")},
        }
        ours = {
            alias: {"BACKEND": "django_migma.backends.EmailBackend", "OPTIONS": options}
            for alias, options in mailers.items()
        }
        logs.mock.get("http://127.0.0.1:8/v1/emails/" + WELCOME + "/logs", status=401, json={"success": False})
        with override_settings(MAILERS=ours):
            first, second, other = row(), row(alias="news"), row(alias="other")
            logs.says(first, "delivered")
            logs.says(second, "opened")
            result = track()
        assert [status_of(delivery) for delivery in (first, second, other)] == ["delivered", "opened", "accepted"]
        assert (result.pages, result.emails, result.left) == (2, 1, 1)
        assert result.problems[0].startswith("mailer 'other': Migma answered 401")


def test_two_trackers_in_turn_change_each_row_once(logs, updates, django_capture_on_commit_callbacks):
    delivery = row()
    logs.says(delivery, "bounced")
    with django_capture_on_commit_callbacks(execute=True):
        assert [track().changes.total() for _ in range(2)] == [1, 0]
    assert updates == [(delivery.pk, "accepted", "bounced")]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="one connection at a time in memory")
@pytest.mark.django_db(transaction=True)
def test_two_trackers_at_once_announce_each_change_once(logs, updates):
    deliveries = [row() for _ in range(300)]
    for delivery, word in zip(deliveries, itertools.cycle(["delivered", "opened", "clicked"]), strict=False):
        logs.says(delivery, word)
    both_have_read = threading.Barrier(2)
    page = logs._page

    def wait_for_both(email_id, request):
        both_have_read.wait(120)
        return page(email_id, request)

    logs._page = wait_for_both
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: track_and_close(), range(2)))
    assert sum(result.changes.total() for result in results) == len(updates) == len(deliveries)


def track_and_close():
    try:
        return track()
    finally:
        connection.close()


def test_100_000_rows_take_a_few_queries_a_page(logs):
    add_many_rows(100_000)
    send_ids = Delivery.objects.order_by("-pk").values_list("send_id", flat=True)
    words = itertools.cycle(["delivered", "opened", "bounced", "sent"])
    sent_at = ago(minutes=50).isoformat()
    logs.entries[WELCOME] = [
        {"tracking_id": send_id, "status": next(words), "created_at": sent_at} for send_id in send_ids[:5_000]
    ]
    logs.serve(WELCOME)
    with CaptureQueriesContext(connection) as queries:
        result = track(max_pages=20)
    assert (result.pages, result.left, result.changes.total()) == (20, 1, 1_500)
    per_page = 1 + 3 * (4 if connection.features.uses_savepoints else 3)  # one look; a transaction for each change
    assert len(queries) < 20 * (per_page + 4) + 40, "and some for the start"


def add_many_rows(number):
    """So many accepted rows of one email, made by the database."""
    Delivery.objects.bulk_create(new_row(created_at=ago(minutes=50)) for _ in range(1_000))
    columns = [item.column for item in Delivery._meta.local_fields if not item.primary_key]
    with connection.cursor() as cursor:
        while (count := Delivery.objects.count()) < number:
            new = f"'{count}-' || id"
            chosen = [new if column in {"idempotency_key", "send_id"} else column for column in columns]
            cursor.execute(
                f"INSERT INTO django_migma_delivery ({', '.join(columns)}) "
                f"SELECT {', '.join(chosen)} FROM django_migma_delivery ORDER BY id LIMIT {number - count}"
            )


OUTCOMES = ["delivered", "opened", "clicked", "bounced", "complained", "suppressed"]


def send_for_each_outcome(count=1):
    """Mail of a stored email to recipients that ask the sandbox for each outcome."""
    for outcome in OUTCOMES * count:
        message = EmailMessage("Welcome", "", None, [f"{outcome}@sandbox.example"])
        message.template_id = WELCOME
        message.send()


def recipients_by_status():
    """Of each status, the recipients that have it."""
    found = {}
    for status, recipient in Delivery.objects.values_list("status", "recipient"):
        found.setdefault(status, set()).add(recipient)
    return found


@pytest.mark.django_db(transaction=True)
class TestSandbox:
    def test_from_a_direct_send_to_the_outcome(self, migma, updates):
        migma(DELIVERY_LOG=True)
        with sandbox(outcome_delay=0):
            send_for_each_outcome(count=40)
            result = track()
        assert recipients_by_status() == {outcome: {f"{outcome}@sandbox.example"} for outcome in OUTCOMES}
        assert (result.pages, result.missing, result.changes) == (3, 0, dict.fromkeys(OUTCOMES, 40))
        assert {previous for _, previous, _ in updates} == {"accepted"}
        assert len(updates) == 240

    def test_from_the_queue_to_the_outcome_while_the_worker_goes_on(self):
        with sandbox(outcome_delay=0), override_settings(**our_mailer(backend=QUEUE)):
            send_for_each_outcome()
            assert track().pages == 0
            Deliverer().run(idle=0)
            send_for_each_outcome()
            assert track().changes == dict.fromkeys(OUTCOMES, 1)
            Deliverer().run(idle=0)
            assert track().changes == dict.fromkeys(OUTCOMES, 1)
        assert recipients_by_status() == {outcome: {f"{outcome}@sandbox.example"} for outcome in OUTCOMES}

    def test_a_mail_that_is_not_in_the_logs_yet_is_found_later(self, migma):
        migma(DELIVERY_LOG=True)
        with sandbox(outcome_delay=0, log_delay=3_600) as running:
            send_for_each_outcome()
            assert track().missing == 6
            running.store.clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
            assert track().missing == 0
        assert recipients_by_status().keys() == set(OUTCOMES)

    def test_without_a_tracking_id_that_fits_nothing_is_guessed(self, migma):
        migma(DELIVERY_LOG=True)
        with sandbox(outcome_delay=0, tracking_id="id"):
            send_for_each_outcome()
            result = track()
        assert (result.missing, result.changes) == (6, {})
        assert recipients_by_status().keys() == {"accepted"}

    def test_a_limit_of_migmas_ends_the_run(self, migma):
        migma(DELIVERY_LOG=True)
        with sandbox(outcome_delay=0, rate="1/h"):
            message = EmailMessage("Welcome", "", None, ["bounced@sandbox.example"])
            message.template_id = WELCOME
            message.send()
            result = track()
            assert (result.left, result.pages, result.changes) == (1, 1, {})
            assert "Migma answered 429: Rate limit exceeded" in result.problems[0]
