"""Mail for the queue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import django

from django_migma.backends.queue import EmailBackend
from django_migma.message import MigmaMessage

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"


def queue_mails(recipients: Iterable[str], **about: Any) -> None:
    """Queue one mail to each, all in one call."""
    backend = EmailBackend(alias="default") if django.VERSION >= (6, 1) else EmailBackend()
    kinds = {"subject": "Hello", "template_id": EMAIL_ID} | about
    messages = [MigmaMessage(**{"to": [address], **kinds}) for address in recipients]
    sent = backend.send_messages(messages)
    assert sent == len(messages), f"{sent} of {len(messages)} were queued"
