"""Daemon threads for the calls of one ``send_messages`` call. They end with it.

Not `concurrent.futures`: its threads keep an interpreter alive until the network has answered, up to a minute.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Workers(Generic[T]):
    """Runs ``make`` for each task, in up to ``limit`` threads, and hands the tasks back as they finish."""

    def __init__(self, make: Callable[[T], None], limit: int) -> None:
        self._make = make
        self._limit = limit
        self._threads = 0
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()  # tasks, and None to end a thread
        self._finished: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._under_way: set[T] = set()

    @property
    def busy(self) -> int:
        """Tasks that were started and not handed back yet."""
        return len(self._under_way)

    def is_full(self) -> bool:
        """Whether there is a task in each thread and one more waiting for each."""
        return self.busy >= 2 * self._limit

    def start(self, task: T) -> bool:
        """Give a task to a thread. False where there can be none: the caller should run it then."""
        if self._limit == 1 or not (self._threads > self.busy or self._has_thread()):
            return False
        self._under_way.add(task)
        self._waiting.put(task)
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
        while (task := self._waiting.get()) is not None:
            self._make(task)
            self._finished.put(task)

    def next_finished(self) -> T:
        """Wait for the next task that is over."""
        task = self._finished.get()
        self._under_way.discard(task)
        return task

    def finished_within(self, seconds: float) -> Iterator[T]:
        """The tasks that end within a time."""
        deadline = time.monotonic() + seconds
        while self._threads and self.busy:
            try:
                task = self._finished.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            self._under_way.discard(task)
            yield task

    def unfinished(self, tasks: list[T]) -> list[T]:
        """Those of the tasks that were begun and not handed back."""
        return [task for task in tasks if task in self._under_way]

    def withdraw(self) -> list[T]:
        """Take back the tasks that no thread has begun."""
        withdrawn: list[T] = []
        with contextlib.suppress(queue.Empty):
            while True:
                withdrawn.append(self._waiting.get_nowait())
        self._under_way.difference_update(withdrawn)
        return withdrawn

    def close(self) -> None:
        """Let the threads end: at once where they wait, else after their call."""
        for _ in range(self._threads):
            self._waiting.put(None)
