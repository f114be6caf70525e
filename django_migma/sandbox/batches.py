"""Batches: what becomes of a send to a segment or a tag, step by step, as GET /v1/sending/batches/{batchId} says it.

The words are those of the newest Node SDK. How long Migma takes, what makes it throttle and what its texts say is
unknown: the steps here are short enough to wait for and long enough to see each word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.account import find_audience
from django_migma.sandbox.options import BATCH_OUTCOMES
from django_migma.sandbox.protocol import timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from django_migma.sandbox.exchanges import Message

NAME_PREFIX = "sandbox "
"""A segment or tag called "sandbox partial" and so on has that outcome, whatever the switch says."""
_PAUSE = 5  # steps that a throttled batch waits


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a batch is: its status, how many mails were sent and failed, and what Migma would say about it."""

    status: str
    sent: int = 0
    failed: int = 0
    error: str = ""
    throttle: dict[str, Any] | None = None


def batch_status(batch: Message, now: datetime) -> dict[str, Any] | None:
    """The status of a batch as Migma tells it; None while the switch ``batch_delay`` keeps it back."""
    age = now - batch.received_at
    if age < timedelta(seconds=batch.switches.batch_delay):
        return None
    found = progress(batch, now)
    unusual = {"error": found.error, "throttle": found.throttle}
    return {
        "batchId": batch.id,
        **{name: batch.body[name] for name in ("recipientType", "recipientId", "from", "fromName")},
        "subject": batch.subject_template,
        "provider": batch.answer["provider"],
        "status": found.status,
        "totalCount": batch.recipients,
        "queuedCount": (batch.recipients or 0) - found.sent - found.failed,
        "sentCount": found.sent,
        "failedCount": found.failed,
        "createdAt": timestamp(batch.received_at),
        "updatedAt": timestamp(now),
        **{name: value for name, value in unusual.items() if value},
    }


def progress(batch: Message, now: datetime) -> Progress:
    """Queued for one step, processing for two, and then its end; a throttled one waits for five before that."""
    total, step = batch.recipients or 0, batch.switches.batch_step
    steps = (now - batch.received_at).total_seconds() / step if step else math.inf
    outcome = _outcome(batch)
    if steps < 1:
        return Progress(status="queued")
    if outcome == "endless":
        return Progress(status="processing", sent=total // 2)
    if outcome == "throttled":
        if steps < 1 + _PAUSE:
            return _throttled(batch, total)
        steps -= _PAUSE
    if steps < 3:
        return Progress(status="processing", sent=total // 2)
    if outcome == "failed":
        return Progress(status="failed", failed=total, error="The batch could not be sent")
    if outcome == "partial":
        failed = max(1, total // 10)
        return Progress(status="partial", sent=total - failed, failed=failed, error=f"{failed} mails were refused")
    return Progress(status="completed", sent=total)


def _throttled(batch: Message, total: int) -> Progress:
    sent, step = total // 2, timedelta(seconds=batch.switches.batch_step)
    throttle = {
        "throttledAt": timestamp(batch.received_at + step),
        "expiresAt": timestamp(batch.received_at + step * (1 + _PAUSE)),
        "resumeCount": 1,
        "reason": "The sending limit of this hour is reached",
        "remainingCount": total - sent,
        "resumeMessage": "Sending goes on by itself",
    }
    return Progress(status="throttled", sent=sent, throttle=throttle)


def _outcome(batch: Message) -> str:
    audience = find_audience(batch.body["recipientType"], batch.body["recipientId"])
    name = audience.name.removeprefix(NAME_PREFIX) if audience else ""
    return name if name in BATCH_OUTCOMES else batch.switches.batch_outcome
