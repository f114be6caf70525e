"""A clock that waits without taking time, and a way to wait for another thread."""

from __future__ import annotations

import time
from collections.abc import Callable

from django_migma.api.retries import Clock


class FakeClock(Clock):
    """Time moves when code sleeps, when a test says so, and by ``tick`` seconds at each look."""

    def __init__(self, *, tick: float = 0) -> None:
        self.now = 1_000.0
        self.tick = tick
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now

    def time(self) -> float:
        return self.now + 1_790_000_000

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class FastClock(Clock):
    """The machine's clock, so many times as fast: for threads, whose waits overlap. Sockets keep to true time."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._began = time.time()

    def monotonic(self) -> float:
        return time.monotonic() * self.speed

    def time(self) -> float:
        return self._began + (time.time() - self._began) * self.speed

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.speed)


def until(condition: Callable[[], object]) -> None:
    """Go on as soon as this holds; an AssertionError where it does not within a minute."""
    assert any(condition() or time.sleep(0.001) for _ in range(60_000))
