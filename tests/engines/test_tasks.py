"""django.tasks as the engine: one wake-up for a commit, and passes that deliver."""

import datetime as dt
import logging
import time

import pytest
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from django_migma import engines
from django_migma.backends import wake_ups
from django_migma.models import Delivery

from .conftest import TASKS

pytest.importorskip(TASKS)

OK = (200, {"success": True, "data": {"id": "m1", "status": "queued"}})
BROKEN = (500, {"success": False, "error": "oops"})


def send():
    return send_mail("Hello", "Text", None, ["a@example.org"])


def statuses():
    return sorted(Delivery.objects.values_list("status", flat=True))


@pytest.fixture
def deliver(engine, settings):
    """The task. Its backend keeps what is enqueued, and runs nothing."""
    settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.dummy.DummyBackend"}}
    engine("tasks")
    from django_migma.engines.tasks import deliver

    return deliver


@pytest.fixture
def enqueued(deliver):
    return deliver.get_backend().results


class TestHandOver:
    def test_a_commit_wakes_the_engine_once(self, enqueued):
        with transaction.atomic():
            for _ in range(3):
                send()
            assert enqueued == []
        assert len(enqueued) == 1

    def test_a_send_outside_a_transaction_wakes_it_at_once(self, enqueued):
        send()
        assert len(enqueued) == 1

    def test_a_rollback_wakes_nobody(self, enqueued):
        with transaction.atomic():
            send()
            transaction.set_rollback(True)
        assert enqueued == []
        assert statuses() == []

    def test_a_savepoint_that_is_rolled_back_takes_its_wake_up_along(self, enqueued):
        with transaction.atomic():
            with transaction.atomic():
                send()
                transaction.set_rollback(True)
            send()
        assert len(enqueued) == 1
        assert statuses() == ["waiting"]

    def test_what_has_no_rows_wakes_nobody(self, enqueued):
        send_mail("Hello", "Text", None, [])
        assert enqueued == []

    def test_many_commits_wake_it_once_a_second(self, enqueued):
        send()
        send()
        assert len(enqueued) == 1
        wake_ups._not_before.clear()  # as if they were over
        send()
        assert len(enqueued) == 2

    def test_a_pass_lingers_for_longer_than_wake_ups_are_left_out(self, monkeypatch):
        """Or rows that are committed just after a pass has ended would wait for the sweep."""
        monkeypatch.undo()
        assert engines.LINGER > wake_ups.DEBOUNCE

    def test_a_broken_engine_breaks_no_send(self, enqueued, settings, caplog, monkeypatch):
        """It is logged, and left alone for half a minute: each try may hold up a request."""
        monkeypatch.setattr(wake_ups, "DEBOUNCE", 0.0)
        settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.dummy.DummyBackend", "QUEUES": ["other"]}}
        assert send() == 1
        assert send() == 1
        assert statuses() == ["waiting", "waiting"]
        [record] = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage().startswith("The engine django_migma.engines.tasks could not be woken (InvalidTask")
        assert "migma_deliver --once" in record.getMessage()

    def test_from_a_log_record_it_is_said_on_stderr(self, enqueued, settings, caplog, capsys):
        """A log line would cause the next mail."""

        class Sending(logging.Handler):
            def emit(self, record):
                send()

        settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.dummy.DummyBackend", "QUEUES": ["other"]}}
        logger = logging.Logger("shop")
        logger.addHandler(Sending())
        logger.error("broken")
        assert caplog.records == []
        assert "django_migma: The engine django_migma.engines.tasks could not be woken" in capsys.readouterr().err


class TestPasses:
    def test_a_pass_delivers_what_waits(self, deliver, enqueued, wire):
        wire.answers(OK)
        send()
        send()
        deliver.call()
        assert statuses() == ["accepted", "accepted"]
        assert len(enqueued) == 1

    def test_a_backend_that_runs_tasks_at_once_delivers_within_the_send(self, deliver, wire, settings):
        settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.immediate.ImmediateBackend"}}
        wire.answers(OK)
        send()
        assert statuses() == ["accepted"]

    def test_a_pass_whose_time_is_up_hands_over_to_another(self, deliver, enqueued, wire, monkeypatch):
        monkeypatch.setattr(engines, "BUDGET", 0.0)
        send()
        deliver.call()
        assert statuses() == ["waiting"]
        assert [result.task.run_after for result in enqueued] == [None, None]

    def test_a_row_that_is_put_off_gets_one_wake_up_of_its_own(self, deliver, enqueued, wire):
        """The earliest of those that the pass has put off, once, also if the next pass meets another."""
        wire.answers(BROKEN)
        send()
        send()
        began = timezone.now()
        deliver.call()
        took = timezone.now() - began
        [first, second] = Delivery.objects.order_by("due_at")
        [_, deferred] = enqueued
        late = deferred.task.run_after - first.due_at
        assert -dt.timedelta(milliseconds=1) <= late <= took  # it counts from when it is told
        assert deferred.task.run_after > began + dt.timedelta(seconds=5)
        Delivery.objects.filter(pk=second.pk).update(due_at=timezone.now())
        deliver.call()
        assert len(enqueued) == 2

    def test_a_backend_that_cannot_defer_leaves_it_to_the_sweep(self, deliver, wire, settings):
        settings.TASKS = {"default": {"BACKEND": f"{TASKS}.backends.immediate.ImmediateBackend"}}
        wire.answers(BROKEN)
        send()
        assert statuses() == ["waiting"]
        assert len(wire.mock.calls) == 1

    def test_of_two_threads_one_delivers_and_looks_once_more(self, deliver, wire, monkeypatch):
        monkeypatch.setattr(engines, "LINGER", 0.3)
        woken = []

        def answer(request):
            engines.run_pass(woken.append)  # in a thread, which has no table of deliveries; to wait would be for ever
            return 200, {}, '{"success": true, "data": {"id": "m1", "status": "queued"}}'

        wire.mock.add_callback("POST", "http://127.0.0.1:9/v1/sending", callback=answer)
        send()
        started = time.monotonic()
        deliver.call()
        assert statuses() == ["accepted"]
        assert time.monotonic() - started > 0.6
        assert woken == []


@pytest.mark.django_db
def test_a_test_case_commits_nothing_and_hands_nothing_over(deliver, enqueued, django_capture_on_commit_callbacks):
    """Django's helper runs what would follow a commit."""
    with transaction.atomic(), django_capture_on_commit_callbacks(execute=True) as callbacks:
        send()
        send()
        assert enqueued == []
    assert len(callbacks) == 1
    assert len(enqueued) == 1
