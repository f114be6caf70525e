"""django-tasks-db."""

import pytest
from django.core.management import call_command

from django_migma.message import MigmaMessage

try:
    from django.tasks import task
except ImportError:  # before Django 6.0; django-tasks-db brings it
    from django_tasks import task

pytestmark = pytest.mark.django_db(transaction=True)


@task
def send_receipt(address, number):
    MigmaMessage("Receipt", "Thank you", to=[address], idempotency_key=f"receipt-{number}").send()


def test_worker(migma_sandbox):
    """A task of ``django.tasks`` sends its mail from ``manage.py db_worker``."""
    send_receipt.enqueue("kim@example.com", 7)
    assert migma_sandbox.store.messages() == []
    call_command("db_worker", batch=True)
    [mail] = migma_sandbox.store.messages()
    assert mail.body["recipientEmail"] == "kim@example.com"


def test_enqueued_again(migma_sandbox):
    """A task that failed for a lost reply and is enqueued again sends one mail: its key is the order's number."""
    migma_sandbox.faults.script("lost")
    for _ in "12":
        result = send_receipt.enqueue("kim@example.com", 7)
        call_command("db_worker", batch=True)
    result.refresh()
    assert result.is_finished
    [mail] = migma_sandbox.store.messages()
    assert mail.replays == 1
