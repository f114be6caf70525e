"""The time, as an object that tests can replace."""

from __future__ import annotations

import time


class Clock:
    """The machine's clocks. Everything is in seconds."""

    def monotonic(self) -> float:
        """Time that never goes back, for durations."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970, for HTTP dates."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
