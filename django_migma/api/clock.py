"""The time, as an object: tests hand in one that does not wait."""

from __future__ import annotations

import threading
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
        """Wait."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event or for so long; True where the event came."""
        return event.wait(seconds)
