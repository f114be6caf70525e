"""Daemon threads for the calls of one ``send_messages()``. They end with it.

Not `concurrent.futures`: its threads keep an interpreter alive until the network has answered, up to a minute.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Workers(Generic[T]):
    """Runs ``run`` for each task, in up to ``limit`` threads, and returns the tasks as they are done."""

    def __init__(self, run: Callable[[T], None], limit: int) -> None:
        self._run = run
        self._limit = limit
        self._threads = 0
        self._pending: queue.SimpleQueue[Any] = queue.SimpleQueue()  # tasks, and None to end a thread
        self._done: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.busy = 0  # tasks that were submitted and not returned yet

    def submit(self, task: T) -> bool:
        """Give a task to a thread. False where there can be none: the caller should run it then."""
        if self._limit == 1 or not (self._threads > self.busy or self._has_thread()):
            return False
        self.busy += 1
        self._pending.put(task)
        return True

    def _has_thread(self) -> bool:
        """Start one more thread if the limit allows; True if there is any."""
        if self._threads < self._limit:
            thread = threading.Thread(target=self._work, name="django-migma", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down, or the machine has no more threads
                return self._threads > 0
            self._threads += 1
        return True

    def _work(self) -> None:
        while (task := self._pending.get()) is not None:
            self._run(task)
            self._done.put(task)
        self._pending.put(None)  # for the next thread: an interrupt may have left one that is not counted

    def next_done(self, timeout: float | None = None) -> T | None:
        """Wait for the next task that is done; None where that takes longer than ``timeout`` seconds."""
        try:
            task = self._done.get(timeout=timeout)
        except queue.Empty:
            return None
        self.busy -= 1
        return task

    def cancel_pending(self) -> list[T]:
        """Take back the tasks that no thread has begun."""
        cancelled: list[T] = []
        with contextlib.suppress(queue.Empty):
            while True:
                cancelled.append(self._pending.get_nowait())
        self.busy -= len(cancelled)
        return cancelled

    def abandon(self) -> None:
        """Count no task as busy any more: nobody waits for those that the threads still have."""
        self.busy = 0

    def close(self) -> None:
        """Let the threads end: at once where they wait, else after their task."""
        self._pending.put(None)
