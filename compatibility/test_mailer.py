"""django-mailer."""

import pytest
from django.core.mail import send_mail
from mailer.engine import send_all
from mailer.models import Message

from .manual import pasted

pytestmark = pytest.mark.django_db


QueueBackend = pasted("works-with", "QueueBackend", __name__)


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
