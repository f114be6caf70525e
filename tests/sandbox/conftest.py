from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox

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


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """A sandbox with the default switches and nothing in it."""
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
