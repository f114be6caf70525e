"""The points at which a process of a site dies: by ``os._exit``, so that nothing is closed, rolled back or said.

Nothing of the package is changed for that. What is watched is below it: the statements to the database, and the
bytes to the network.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection, transaction

EXIT_STATUS = 41
Queue = Callable[[], None]
Deliver = Callable[[], None]


def die(*_: object) -> None:
    """Be gone."""
    os._exit(EXIT_STATUS)


class Countdown:
    """Calls ``at_zero`` the so many-th time that it is called."""

    def __init__(self, count: int, at_zero: Callable[[], object]) -> None:
        self._left = count
        self._at_zero = at_zero
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            is_over = self._left == 0
        if is_over:
            self._at_zero()


def before_commit(chance: random.Random, queue: Queue, deliver: Deliver) -> None:
    """In the caller's transaction, after the mail was queued."""
    with transaction.atomic():
        queue()
        die()


def before_wake_up(chance: random.Random, queue: Queue, deliver: Deliver) -> None:
    """After the commit, before a worker is woken: what waited for the commit first goes first."""
    with transaction.atomic():
        transaction.on_commit(die)
        queue()


def before_request(chance: random.Random, queue: Queue, deliver: Deliver) -> None:
    """With the row claimed, before its request leaves this machine."""
    at_a_request = Countdown(chance.randint(1, 8), die)
    sys.addaudithook(lambda event, _: at_a_request() if event == "http.client.send" else None)
    deliver()


def before_answer(chance: random.Random, queue: Queue, deliver: Deliver) -> None:
    """With the request sent, before its answer is read: Migma may have accepted it or not have got it yet."""
    seconds = chance.uniform(0, 0.02)

    def die_soon() -> None:
        time.sleep(seconds)
        die()

    at_an_answer, begin = Countdown(chance.randint(1, 8), die_soon), http.client.HTTPResponse.begin

    def begin_or_die(response: http.client.HTTPResponse) -> None:
        at_an_answer()
        begin(response)

    http.client.HTTPResponse.begin = begin_or_die  # type: ignore[method-assign]
    deliver()


def before_mark(chance: random.Random, queue: Queue, deliver: Deliver) -> None:
    """With the answer read, before it is written into the row."""
    with _at_mark(Countdown(1, die), lambda: None):
        deliver()


def after_mark(chance: random.Random, queue: Queue, deliver: Deliver) -> None:
    """With the answer written and committed, before the worker learns of that."""
    with _at_mark(lambda: None, Countdown(1, die)):
        deliver()


@contextlib.contextmanager
def _at_mark(before: Callable[[], object], committed: Callable[[], object]) -> Iterator[None]:
    """Call ``before`` each statement that marks rows as accepted, and ``committed`` once it is committed."""
    marks: list[str] = []
    commit = connection._commit

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        is_mark = many and any("accepted" in values for values in params)
        if is_mark:
            before()
            marks.append(sql)
        return run(sql, params, many, context)

    def commit_and_tell() -> None:
        commit()
        if marks:
            committed()

    connection._commit = commit_and_tell
    with connection.execute_wrapper(execute):
        yield


POINTS: dict[str, Callable[[random.Random, Queue, Deliver], None]] = {
    "before_commit": before_commit,
    "before_wake_up": before_wake_up,
    "before_request": before_request,
    "before_answer": before_answer,
    "before_mark": before_mark,
    "after_mark": after_mark,
}
