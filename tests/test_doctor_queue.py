"""What a checkup finds about the queue: what waits, whether a worker takes it, and what a person has to decide."""

import datetime as dt

import django
import pytest
from django.test import override_settings
from django.utils import timezone

from django_migma.doctor import run_checkup
from django_migma.models import Delivery
from django_migma.sandbox.account import LAYOUT
from tests.conftest import our_mailer

QUEUE = "django_migma.backends.queue.EmailBackend"
NAMES = {"deliveries", "queue", "worker", "mail in doubt"}
ALIAS = "default" if django.VERSION >= (6, 1) else ""
Status = Delivery.Status


def ago(**duration):
    return timezone.now() - dt.timedelta(**duration)


def findings():
    """The findings of the queue's section, in order."""
    return [finding for finding in run_checkup() if finding.name in NAMES]


def found():
    return [(finding.name, finding.status, finding.text) for finding in findings()]


def row(status=Status.WAITING, **fields):
    """Make a row of the default mailer that has waited for ten seconds."""
    due_at = ago(seconds=10) if status in Delivery.UNFINISHED else None
    values = {"alias": ALIAS, "recipient": "ada@example.org", "created_at": ago(seconds=10), "due_at": due_at}
    return Delivery.objects.create(**values | {"status": status, **fields})


@pytest.fixture
def queued(migma_sandbox):
    """A site whose mailer uses the queue."""
    with override_settings(**our_mailer(backend=QUEUE)):
        yield


def error(text, **age):
    return [{"time": ago(**age).isoformat(), "status": 401, "code": "", "text": text, "wait": None}]


@pytest.mark.django_db
class TestMailThatWaits:
    def test_nothing_is_said_where_nothing_is_queued(self, migma_sandbox):
        row(Status.ACCEPTED)
        assert found() == []

    def test_an_empty_queue_is_fine(self, queued):
        row(Status.FAILED)
        assert found() == [("queue", "ok", "no mail waits")]

    def test_mail_is_counted_with_its_age(self, queued):
        row()
        assert found() == [("queue", "ok", "1 mail to be sent, the oldest written 0 minutes ago")]
        row(Status.SENDING, created_at=ago(minutes=3), due_at=ago(seconds=-50))
        assert found() == [("queue", "ok", "2 mails to be sent, the oldest written 3 minutes ago")]

    def test_mail_that_the_direct_backend_left_to_a_worker_counts_too(self, migma_sandbox):
        """It was queued before the settings were changed, and a worker sends it all the same."""
        row(created_at=ago(minutes=1))
        assert found() == [("queue", "ok", "1 mail to be sent, the oldest written 1 minute ago")]

    def test_mail_of_a_mailer_that_is_gone_is_an_error(self, queued):
        row(alias="news", due_at=ago(hours=9))
        [overview, finding] = findings()
        assert overview.status == "ok"
        assert finding.status == "error"
        text = "1 mail to be sent by the mailer 'news', which is not in the settings or does not use Migma"
        assert finding.text == text
        assert "give these deliveries up" in finding.advice

    def test_mail_of_a_mailer_whose_settings_are_wrong_is_an_error(self, queued, migma):
        migma(TIMEOUT="long")
        row()
        name = f"the mailer {ALIAS!r}" if ALIAS else "EMAIL_BACKEND"
        [_, (section, status, text)] = found()
        assert (section, status) == ("queue", "error")
        assert text.startswith(f"1 mail to be sent by {name}, whose settings cannot be used: ")
        assert "MIGMA['TIMEOUT'] must be seconds above 0" in text

    def test_mail_in_doubt_is_left_to_a_person(self, queued):
        row(Status.UNKNOWN)
        row(Status.UNKNOWN)
        assert found()[1:] == [("mail in doubt", "warning", "nobody knows whether Migma accepted 2 mails")]


@pytest.mark.django_db
class TestTheWorker:
    def test_a_few_minutes_are_no_news(self, queued):
        row(due_at=ago(minutes=4))
        assert [name for name, _, _ in found()] == ["queue"]

    def test_mail_that_nobody_takes_is_an_error(self, queued):
        row(due_at=ago(minutes=12))
        row(Status.SENDING, due_at=ago(minutes=11))
        [_, finding] = findings()
        assert (finding.name, finding.status) == ("worker", "error")
        assert finding.text == "mail has been due for 12 minutes, and no worker has taken it"
        assert finding.advice.startswith("Run manage.py migma_deliver")

    def test_what_was_sent_long_ago_or_directly_is_no_sign_of_a_worker(self, queued):
        row(due_at=ago(hours=3))
        row(Status.ACCEPTED, claimed_by="host-1-abcd/1", finished_at=ago(hours=2))
        row(Status.ACCEPTED, finished_at=ago(minutes=1))
        assert found()[1] == ("worker", "error", "mail has been due for 3 hours, and no worker has taken it")

    @pytest.mark.parametrize(
        ("status", "times"), [(Status.SENDING, {"due_at": -1}), (Status.ACCEPTED, {"finished_at": 1})]
    )
    def test_a_worker_that_is_behind_is_a_warning(self, queued, status, times):
        row(due_at=ago(days=3))
        row(status, claimed_by="host-1-abcd/1", **{name: ago(minutes=minutes) for name, minutes in times.items()})
        assert found()[1] == ("worker", "warning", "mail has been due for 3 days, and a worker is sending")

    def test_a_mailer_that_pauses_is_a_warning_with_the_last_answer(self, queued):
        row(due_at=ago(minutes=30))
        row(errors=error("Migma answered 503", minutes=3))
        row(errors=error("Migma answered 401", minutes=1))
        text = "mail has been due for 30 minutes, and the last answer was: Migma answered 401"
        assert found()[1] == ("worker", "warning", text)

    def test_an_answer_of_long_ago_is_not_the_reason(self, queued):
        row(due_at=ago(minutes=30), errors=error("Migma answered 401", minutes=29))
        assert found()[1] == ("worker", "error", "mail has been due for 30 minutes, and no worker has taken it")


@pytest.mark.usefixtures("no_deliveries_table")
class TestWithoutTheTable:
    def test_the_queue_needs_it(self, queued):
        [finding] = findings()
        assert (finding.name, finding.status) == ("deliveries", "error")
        assert finding.text.startswith("the table of deliveries cannot be read (")
        assert finding.advice == "Check the database, and run manage.py migrate."

    def test_the_log_needs_it(self, migma_sandbox, migma):
        migma(DELIVERY_LOG=True)
        assert [name for name, _, _ in found()] == ["deliveries"]

    def test_the_direct_backend_does_not(self, migma_sandbox):
        assert found() == []


@pytest.mark.django_db
def test_a_real_mail_does_not_wait_in_the_queue(queued, migma_sandbox, migma):
    """Whoever asks for one wants to see what Migma answers."""
    migma(LAYOUT_EMAIL_ID=LAYOUT)
    [outcome] = [finding for finding in run_checkup(send_to="ada@example.org") if finding.name == "real test"]
    assert outcome.text.startswith("The sandbox accepted it.")
    assert len(migma_sandbox.store.messages()) == 1
    assert not Delivery.objects.exists()


@pytest.mark.django_db
@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
def test_the_options_of_a_mailer_hold_for_a_real_mail_too(migma_sandbox, migma):
    key = migma_sandbox.keys.no_send
    with override_settings(**our_mailer({"api_key": key}, backend=QUEUE)):
        [outcome] = [finding for finding in run_checkup(send_to="ada@example.org") if finding.name == "real test"]
    assert outcome.status == "error"
    assert "email:send" in outcome.text
