"""Celery."""

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from django_migma.exceptions import TemporaryError
from django_migma.message import MigmaMessage

pytestmark = pytest.mark.django_db(transaction=True)  # workers look at the models, and those at the database

app = Celery("site", broker="memory://", backend="cache+memory://")


@app.task(bind=True, autoretry_for=(TemporaryError,), default_retry_delay=0)
def send_receipt(self, address):
    MigmaMessage("Receipt", "Thank you", to=[address], idempotency_key=self.request.id).send()
    return self.request.retries


def test_retry(migma_sandbox):
    """A task that runs again after a lost reply sends one mail: its key is the task's id."""
    migma_sandbox.faults.script("lost")
    with start_worker(app, perform_ping_check=False, shutdown_timeout=30):
        assert send_receipt.delay("kim@example.com").get(timeout=30) == 1
    [mail] = migma_sandbox.store.messages()
    assert mail.replays == 1
