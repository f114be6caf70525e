"""A list against a rate limit, in real time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django_migma.api.retries import Clock
from tests.faults.sending import accepted, mails, misbehaving, send


@dataclass(frozen=True, kw_only=True)
class Report:
    """``used``: how much of the limit, without the tokens that the bucket started with."""

    accepted: int
    used: float
    posts: int


def run(*, rate: int, messages: int, milliseconds: int) -> Report:
    """Send a list under a limit of ``rate`` a second; the server needs ``milliseconds`` for each request."""
    busy: dict[str, Any] = {"fault_rate": float(milliseconds > 0), "fault_kinds": (f"busy-{milliseconds / 1000}",)}
    batch = mails(messages)
    with misbehaving(rate=f"{rate}/s", **busy) as sandbox:
        began = time.monotonic()
        send(batch, clock=Clock())
        seconds = time.monotonic() - began
        taken = accepted(sandbox).total()
        return Report(
            accepted=taken,
            used=(taken - rate) / (rate * seconds),
            posts=sandbox.store.stats()["sending_posts"],
        )
