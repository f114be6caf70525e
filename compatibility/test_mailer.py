"""django-mailer."""

import pytest
from django.core.mail import send_mail
from mailer.backend import DbBackend
from mailer.engine import ensure_message_id, send_all
from mailer.models import Message

pytestmark = pytest.mark.django_db


class QueueBackend(DbBackend):
    """As the manual shows it. django-mailer itself makes a new Message-ID for each attempt."""

    def send_messages(self, email_messages):
        messages = list(email_messages)
        for message in messages:
            ensure_message_id(message)
        return super().send_messages(messages)


def test_retry(migma_sandbox):
    """Mail of ``send_mail()`` is queued and sent; a reply is lost, so it tries again: one mail arrives."""
    migma_sandbox.faults.script("lost")
    send_mail("Receipt", "Thank you", None, ["kim@example.com"])
    send_all()
    assert Message.objects.deferred().count() == 1
    Message.objects.retry_deferred()
    send_all()
    assert not Message.objects.exists()
    [mail] = migma_sandbox.store.messages()
    assert mail.replays == 1
