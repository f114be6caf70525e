"""Celery as the engine, with a broker in memory."""

import datetime as dt
import subprocess
import sys

import pytest
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from django_migma.models import Delivery

celery = pytest.importorskip("celery")


@pytest.fixture
def app(engine):
    """The site's Celery app."""
    engine("celery")
    app = celery.Celery("shop", broker="memory://")
    app.set_default()
    yield app
    messages(app)
    app.close()


@pytest.fixture
def deliver(app):
    from django_migma.engines.celery import deliver

    return deliver


def messages(app):
    """The tasks that wait at the broker: their names, when they may run, and whether their result is ignored."""
    found = []
    with app.connection_for_read() as broker, broker.SimpleQueue("celery") as waiting:
        while waiting.qsize():
            message = waiting.get(timeout=1)
            message.ack()
            found.append((message.headers["task"], message.headers["eta"], message.headers["ignore_result"]))
    return found


def send():
    return send_mail("Hello", "Text", None, ["a@example.org"])


def test_a_commit_enqueues_one_task_whose_result_nobody_keeps(app):
    with transaction.atomic():
        send()
        send()
        assert messages(app) == []
    assert messages(app) == [("django_migma.deliver", None, True)]


def test_the_task_delivers(deliver, wire):
    wire.accepts()
    send()
    deliver.apply().get()
    assert [row.status for row in Delivery.objects.all()] == ["accepted"]


def test_a_row_that_is_put_off_is_a_task_with_a_countdown(app, deliver, wire):
    wire.answers((500, {"success": False, "error": "oops"}))
    send()
    messages(app)
    began = timezone.now()
    deliver.apply().get()
    took = timezone.now() - began
    [(_name, eta, _)] = messages(app)
    late = dt.datetime.fromisoformat(eta) - Delivery.objects.get().due_at
    assert -dt.timedelta(milliseconds=1) <= late <= took  # Celery counts from when it is told


def test_a_broker_that_is_down_breaks_no_send(app, caplog):
    """One attempt, and none for half a minute. The log has no password of the broker's."""
    app.conf.broker_url = "redis://:secret@127.0.0.1:1"
    assert send() == 1
    assert send() == 1
    assert Delivery.objects.count() == 2
    [record] = [record for record in caplog.records if record.name == "django_migma"]
    assert "could not be woken (OperationalError)" in record.getMessage()
    assert "secret" not in record.getMessage()
    app.conf.broker_url = "memory://"


def test_a_worker_finds_the_task():
    """By the call that the documents of Celery show for Django."""
    code = (
        "import celery, django; django.setup(); app = celery.Celery('shop'); app.autodiscover_tasks(); "
        "app.loader.import_default_modules(); print('django_migma.deliver' in app.tasks)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"
