"""GET /v1/sending/batches/{batchId}."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django_migma.sandbox.wire import Refusal, success, timestamp

if TYPE_CHECKING:
    from django_migma.sandbox.calls import Call
    from django_migma.sandbox.wire import Answer

# How long Migma takes is unknown; short enough to wait for, long enough to see each word.
_STARTS = timedelta(seconds=1)
_ENDS = timedelta(seconds=3)


def batch_status(call: Call) -> Answer:
    """Queued for a second, processing for two, then completed."""
    batch = call.site.store.batch(call.ids["batchId"])
    if batch is None:
        raise Refusal(404, f"Batch not found: {call.ids['batchId']}")
    now = call.site.store.clock()
    status, sent = _progress(now - batch.created_at, batch.recipients)
    echoed = ("recipientType", "recipientId", "from", "fromName", "subject")
    return success({
        "batchId": batch.id,
        **{name: batch.body[name] for name in echoed},
        "provider": batch.body.get("providerType", "migma"),
        "status": status,
        "totalCount": batch.recipients,
        "queuedCount": batch.recipients - sent,
        "sentCount": sent,
        "failedCount": 0,
        "createdAt": timestamp(batch.created_at),
        "updatedAt": timestamp(now),
    })  # fmt: skip


def _progress(age: timedelta, total: int) -> tuple[str, int]:
    if age < _STARTS:
        return "queued", 0
    if age < _ENDS:
        return "processing", total // 2
    return "completed", total
