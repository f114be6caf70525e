from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from django_migma.sandbox.options import Switches
from django_migma.sandbox.pages import emails
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import PATIENCE, eventually, is_idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Clock:
    """A clock that moves only by ``forward()``."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        self.now += timedelta(**duration)


class HoldingClock(Clock):
    """Keeps a request under way: the first to ask for the time once ``is_due`` says so gets it after ``go_on``.

    A request asks when it has come, when its key is taken, and when it is accepted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_due: Callable[[], object] = bool  # not before a test says when
        self.is_holding = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> datetime:
        if not self.is_holding.is_set() and self.is_due():
            self.is_holding.set()
            assert self.go_on.wait(PATIENCE)
        return super().__call__()


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    """Its clock stands still: no test depends on the date, or on how long the machine takes for it."""
    with Sandbox(clock=Clock()) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """A sandbox with the default switches and nothing in it."""
    assert eventually(lambda: is_idle(shared)), "a request of the test before is still being answered"
    shared.store.reset()
    shared.faults.clear()
    return shared


@pytest.fixture
def start() -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes with the switches given, and stops them after the test."""
    started = []

    def start_one(*, clock: Clock | None = None, **switches: Any) -> Sandbox:
        sandbox = Sandbox(switches=Switches(**switches), clock=clock or Clock())
        sandbox.start()
        started.append(sandbox)
        return sandbox

    yield start_one
    for sandbox in started:
        sandbox.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _patient_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page that sends stored emails lead to its mail, however long a busy machine takes to accept it."""
    monkeypatch.setattr(emails, "PATIENCE", PATIENCE)
