"""How the commands show a batch: as a line of text with or without a bar, and as JSON."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from django_migma.batches import Batch

_WIDTH = 24  # characters of the bar


def progress_text(batch: Batch, *, bar: bool = False) -> str:
    """Return how far a batch is, such as "124 of 248 sent, 3 failed: processing"; a throttled one says why."""
    counts = batch.counts
    parts = []
    if counts.total and counts.sent is not None:
        parts.append(f"{counts.sent} of {counts.total} sent{f', {counts.failed} failed' if counts.failed else ''}")
    parts.append(batch.status or "no status yet")
    text = ": ".join(parts)
    if batch.throttle:
        text += f"; {batch.throttle.reason or 'Migma does not say why'}"
        if batch.throttle.resumes_at:
            text += f"; goes on at {timezone.localtime(batch.throttle.resumes_at):%Y-%m-%d %H:%M:%S %Z}"
    elif batch.error:
        text += f"; {batch.error}"
    return f"{_bar(batch)} {text}" if bar and counts.total else text


def _bar(batch: Batch) -> str:
    done = (batch.counts.sent or 0) + (batch.counts.failed or 0)
    filled = min(_WIDTH, _WIDTH * done // max(1, batch.counts.total or 0))
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"


def batch_as_json(batch: Batch) -> dict[str, Any]:
    """Return what a program wants to know of a batch. Times are ISO 8601 text."""
    throttle, counts = batch.throttle, batch.counts
    return {
        "id": batch.id,
        "kind": batch.kind,
        "status": batch.status,
        "is_finished": batch.is_finished,
        "replayed": batch.replayed,
        "total": counts.total,
        "queued": counts.queued,
        "sent": counts.sent,
        "failed": counts.failed,
        "scheduled_at": batch.scheduled_at and batch.scheduled_at.isoformat(),
        "throttled_because": throttle and throttle.reason,
        "goes_on_at": throttle and throttle.resumes_at and throttle.resumes_at.isoformat(),
        "error": batch.error,
    }
