"""Tracking: what Migma's logs say comes into the rows, forward only, with few requests and few queries."""

import datetime as dt
import itertools
import json
from urllib.parse import parse_qs, urlsplit

import django
import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_migma.models import Delivery
from django_migma.sandbox.account import RECEIPT, WELCOME
from django_migma.signals import delivery_updated
from django_migma.tracking import track

Status = Delivery.Status
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

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
