"""Sends mail through the backend to a sandbox with faults, and compares the statuses with what it accepted."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.mail import EmailMessage
from django.test import override_settings

from django_migma.api.connections import close_pools
from django_migma.api.retries import Clock
from django_migma.backends import EmailBackend
from django_migma.exceptions import MigmaError
from django_migma.message import MigmaMessage, RecipientStatus
from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.api.clocks import FastClock

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
SPEED = 20
"""Waits and deadlines are so many times shorter; the delays of the sandbox and the timeouts of sockets are not."""
PATIENCE = 60
"""True seconds for an answer that comes, and which a busy machine may delay."""


class FastBackend(EmailBackend):
    """Our backend with a fast clock. By that, the usual deadline would be over in one second, so it is far away."""

    clock = FastClock(SPEED)

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"timeout": PATIENCE, "retry_deadline": 5 * PATIENCE * SPEED} | options)


@contextlib.contextmanager
def misbehaving(*, clock: Clock | None = None, **switches: Any) -> Iterator[Sandbox]:
    """A sandbox, with settings that point at it. Its connections and pauses end with it.

    ``clock`` replaces the machine's.
    """
    chosen = Switches(**{"verified_domains": ("*",), "any_id": True, "max_messages": 100_000} | switches)
    time = {"clock": lambda: datetime.fromtimestamp(clock.time(), UTC)} if clock else {}
    close_pools()
    with Sandbox(switches=chosen, **time) as sandbox:
        reached = {"API_URL": sandbox.api_url, "API_KEY": sandbox.keys.full, "FROM_EMAIL": "Shop <shop@b.example>"}
        with override_settings(MIGMA=reached):
            yield sandbox
        close_pools()


def mail(*to: str, **about: Any) -> MigmaMessage:
    """A message that sends a stored email."""
    return MigmaMessage(**{"subject": "Hello", "to": list(to), "template_id": EMAIL_ID} | about)


def mails(count: int) -> list[MigmaMessage]:
    """Messages to one recipient each, all different."""
    return [mail(f"r{number}@example.org") for number in range(count)]


def send(messages: Sequence[EmailMessage], *, threads: int = 1, clock: Clock | None = None, **options: Any) -> None:
    """Send through one backend from several threads, a part of the messages each. The statuses keep the errors.

    With a fast clock, and for as long as it takes, unless there is a clock: then with the usual deadline.
    """
    backend = FastBackend(**options)
    if clock:
        backend = EmailBackend(**{"timeout": PATIENCE} | options)
        backend.clock = clock

    def part(number: int) -> None:
        with contextlib.suppress(MigmaError):
            backend.send_messages(messages[number::threads])

    workers = [threading.Thread(target=part, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def recipients(messages: Iterable[EmailMessage]) -> list[RecipientStatus]:
    """The status of every recipient of every message."""
    return [status for message in messages for status in message.migma_status.recipients.values()]


def words(messages: Iterable[EmailMessage]) -> set[str]:
    """The statuses of all recipients, each once."""
    return {status.status for status in recipients(messages)}


def accepted(sandbox: Sandbox) -> Counter[str]:
    """How often each idempotency key was accepted."""
    return Counter(message.idempotency_key for message in sandbox.store.messages())


def untruths(messages: Iterable[EmailMessage], sandbox: Sandbox) -> list[str]:
    """The statuses that are not true by what the sandbox accepted, and what it accepted twice."""
    taken = accepted(sandbox)
    found = [f"{count} times accepted: {key}" for key, count in taken.items() if count > 1]
    for status in recipients(messages):
        if status.accepted and not taken[status.idempotency_key]:
            found.append(f"said {status.status}, but lost: {status}")
        if status.status in {"failed", "not_attempted"} and taken[status.idempotency_key]:
            found.append(f"said {status.status}, but accepted: {status}")
        if status.error is not None and not isinstance(status.error, MigmaError):
            found.append(f"not a MigmaError: {status.error!r}")
    return found
