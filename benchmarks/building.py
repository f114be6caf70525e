"""Backends that do all but the network: what it costs to turn a message into what would be sent, and its status."""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from anymail.backends.resend import EmailBackend as AnymailResendBackend
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django_migma.backends.batch import Job

from django_migma import testing


class MigmaBackend(testing.EmailBackend):
    """Ours: the payload, its idempotency key and its JSON, without the copy that the test outbox keeps."""

    def settled(self, job: Job) -> None:
        """Write the JSON, which the client that stands in for the network has not needed."""
        for task in job.tasks:
            json.dumps(task.request.to_json(), ensure_ascii=False).encode()


class ResendBackend(AnymailResendBackend):
    """Anymail's: not its test backend, which searches its whole outbox for every message."""

    def post_to_esp(self, payload: Any, message: EmailMessage) -> Any:
        """Serialise the request, and answer as Resend does."""
        payload.get_request_params(self.api_url)
        return SimpleNamespace(json=lambda: {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"})


class MimeBackend(BaseEmailBackend):
    """What Django's SMTP backend writes to the network."""

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        """Write each message as bytes."""
        return sum(bool(message.message().as_bytes()) for message in email_messages)
