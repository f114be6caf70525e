"""How fast one API key may go now, shared by all threads of the process that use it against one host."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .rates import Rate, Window

LONGEST_PAUSE = 3600.0
"""Seconds: a longer ``Retry-After`` is cut to this, lest one absurd answer stop the process for good."""


class Pace:
    """A pause that Migma asked for, and a bound on requests in flight that a 429 halves.

    The bound is soft: whoever has waited long enough for a place goes ahead without, since a late mail beats a lost
    one. It is halved once per round, not once for each of the 429s that answer one volley, and opens by half a place
    per round of successes: TCP's way at half its speed, which met a token bucket with fewer 429s and used more of it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._resumes_at = -math.inf
        self._places = math.inf
        self._in_flight = 0
        self._halvings = 0
        self._windows: dict[Rate, Window] = {}
        self.proven = False
        """Whether Migma has accepted this key's mail in this process."""

    def pause(self, now: float) -> float:
        """Seconds to wait before the next request. ``now`` is monotonic time."""
        return max(0.0, self._resumes_at - now)

    def window(self, rate: Rate) -> Window:
        """The moments that a rate of our own allows."""
        return self._windows.get(rate) or self._windows.setdefault(rate, Window(rate))

    @contextmanager
    def place(self, patience: float) -> Iterator[int]:
        """Hold one of the places in flight, waiting at most ``patience`` seconds for it. Gives the round."""
        with self._changed:
            if self._in_flight >= self._places:
                self._changed.wait_for(lambda: self._in_flight < self._places, timeout=patience)
            self._in_flight += 1
            begun = self._halvings
        try:
            yield begun
        finally:
            with self._changed:
                self._in_flight -= 1
                if self._places < math.inf:
                    self._changed.notify_all()

    def slow_down(self, begun: int) -> None:
        """Halve what is in flight, after a 429 to a request of this round; an older round's comes too late."""
        with self._changed:
            if begun == self._halvings:
                self._halvings += 1
                self._places = max(1.0, self._in_flight // 2)

    def speed_up(self) -> None:
        """Open a little, after a success."""
        if self._places < math.inf:
            with self._changed:
                self._places += 0.5 / self._places

    def resume_at(self, moment: float, now: float) -> None:
        """Hold every request of this key until a moment, in monotonic seconds."""
        with self._changed:
            self._resumes_at = max(self._resumes_at, min(moment, now + LONGEST_PAUSE))
