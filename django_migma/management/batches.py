"""How the commands show a batch: as a line of text with or without a bar, and as JSON."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone

from django_migma.api.errors import MigmaError, NotFound
from django_migma.batches import Batch
from django_migma.management.output import ProgressLine

_WIDEST, _NARROWEST = 24, 4  # characters in the bar


def progress_text(batch: Batch) -> str:
    """Return how far a batch is, such as "124 of 248 sent, 3 failed: processing"; a throttled one says why."""
    reason = _throttle_text(batch) if batch.throttle else batch.error
    return f"{_counts_text(batch)}; {reason}" if reason else _counts_text(batch)


def _counts_text(batch: Batch) -> str:
    counts = batch.counts
    status = batch.status or "no status yet"
    if not counts.total or counts.sent is None:
        return status
    return f"{counts.sent} of {counts.total} sent{f', {counts.failed} failed' if counts.failed else ''}: {status}"


def _throttle_text(batch: Batch) -> str:
    throttle = batch.throttle
    if throttle is None:
        return ""
    reason = throttle.reason or "Migma does not say why"
    if throttle.resumes_at is None:
        return reason
    return f"{reason}; goes on at {time_text(throttle.resumes_at)}"


def time_text(moment: dt.datetime) -> str:
    """Return an aware time as a person reads it, in the time zone of the site."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"


def forgotten(error: Exception, *, is_sandbox: bool) -> str:
    """Return what a 404 may mean in a sandbox, which keeps nothing; else an empty text."""
    is_unknown = is_sandbox and isinstance(error, NotFound)
    return "A sandbox that was restarted has forgotten it." if is_unknown else ""


class BatchProgress:
    """A batch on its way: on a terminal as a bar, elsewhere as a line of text where that has changed.

    Why a batch is throttled is longer than a row of a terminal. There, it is a line of its own, once.
    """

    def __init__(self, line: ProgressLine, *, is_sandbox: bool) -> None:
        self._line = line
        self._is_sandbox = is_sandbox
        self._told = ""

    def show(self, batch: Batch) -> None:
        if not self._line.is_terminal:
            self._tell(progress_text(batch))
            return
        reason = _throttle_text(batch)
        self._tell(f"Throttled: {reason}." if reason else "")
        self._line.show(_with_bar(batch, self._line.columns))

    def show_error(self, error: MigmaError) -> None:
        """Say why nothing is known of it for now."""
        text = f"{error.reason}. It is asked again for two minutes at most."
        self._tell(f"{text} {forgotten(error, is_sandbox=self._is_sandbox)}".rstrip())

    def end(self, batch: Batch) -> None:
        """Leave a line of text, also in place of the bar."""
        self._line.erase()
        self._tell(progress_text(batch))

    def _tell(self, text: str) -> None:
        if text not in ("", self._told):
            self._line.erase()
            self._line.write_line(text)
            self._told = text


def _with_bar(batch: Batch, columns: int) -> str:
    counts, text = batch.counts, _counts_text(batch)
    width = min(_WIDEST, columns - len(text) - len("[] "))
    if not counts.total or width < _NARROWEST:
        return text
    filled = min(width, width * ((counts.sent or 0) + (counts.failed or 0)) // counts.total)
    return f"[{'#' * filled}{'.' * (width - filled)}] {text}"


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
