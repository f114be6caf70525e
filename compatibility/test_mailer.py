"""django-mailer."""

import pytest
from django.core.mail import EmailMessage, send_mail
from mailer.engine import send_all
from mailer.models import Message

from .manual import pasted

pytestmark = pytest.mark.django_db


QueueBackend = pasted("works-with", "QueueBackend", __name__)
defer = pasted("works-with", "defer", __name__)


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


def test_refused(migma_sandbox):
    """A mail that cannot be sent is set aside, and the queue goes on with the next."""
    EmailMessage("Invoice", "See the file", to=["kim@example.com"], attachments=[("invoice.pdf", b"%PDF")]).send()
    send_mail("Receipt", "Thank you", None, ["kim@example.com"])
    send_all()
    assert [message.subject for message in Message.objects.all()] == ["Invoice"]
    assert [mail.subject for mail in migma_sandbox.store.messages()] == ["Receipt"]
