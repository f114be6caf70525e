"""Engines: they run a bounded pass of the deliverer in a task when `backends.wake_ups` wakes them.

Each engine is a module with ``wake_up(delay)``, which enqueues one task, and a task that calls `run_pass`.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from functools import cache

from django.utils import timezone

from django_migma.delivery.deliverer import Deliverer, PassResult

LINGER = 1.5
"""Seconds that a pass goes on after its last row.

Longer than `backends.wake_ups.DEBOUNCE`: the wake-ups that were left out after one belong to rows that were
committed within that time, and the pass that it began still sees them.
"""
BUDGET = 50.0  # seconds of a pass; below a minute, since the sweep comes each minute

_is_wanted = threading.Event()
_is_running = threading.Lock()
_woken_at: list[dt.datetime] = []  # the deferred wake-up that this process has asked for, if there is one


@cache
def _deliverer() -> Deliverer:
    """One for a process: it remembers which accounts pause."""
    return Deliverer()


def run_pass(wake_up: Callable[[float], None]) -> None:
    """Deliver what is due, and ask for the next pass where one is needed.

    ``wake_up`` enqueues a task that calls this, after some seconds. In a process with several threads one of them
    delivers, and does so once more if another was woken meanwhile.
    """
    _is_wanted.set()
    while _is_wanted.is_set() and _is_running.acquire(blocking=False):
        try:
            _is_wanted.clear()
            result = _deliverer().run(seconds=BUDGET, idle=LINGER)
            _ask_for_next(result, wake_up)
        finally:
            _is_running.release()


def _ask_for_next(result: PassResult, wake_up: Callable[[float], None]) -> None:
    """One wake-up at once if rows are due, and a deferred one for the earliest row that this pass has put off."""
    now = timezone.now()
    if result.has_due:
        wake_up(0.0)
    due_at = result.next_due
    is_asked_for = _woken_at and due_at and now < _woken_at[0] <= due_at
    if due_at and not is_asked_for:
        wake_up(max(0.0, (due_at - now).total_seconds()))
        _woken_at[:] = [due_at]
