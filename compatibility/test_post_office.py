"""django-post-office."""

import pytest
from django.core.mail import send_mail
from post_office.mail import send_queued
from post_office.models import STATUS, Email

pytestmark = pytest.mark.django_db(transaction=True)


def test_retry(migma_sandbox):
    """Mail of ``send_mail()`` is queued and sent; two replies are lost, so it tries again: one mail arrives."""
    migma_sandbox.faults.script("lost", "lost")
    send_mail("Receipt", "Thank you", None, ["kim@example.com"])
    assert migma_sandbox.store.messages() == []
    queued_again, sent = (0, 0, 1), (1, 0, 0)
    assert [send_queued() for _ in "123"] == [queued_again, queued_again, sent]
    assert Email.objects.get().status == STATUS.sent
    [mail] = migma_sandbox.store.messages()
    assert mail.replays == 2
