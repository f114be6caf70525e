"""A rate limit that is really kept: one token bucket per API key, over all of /v1.

Migma's own is unknown. Its documents of 2026 contradict each other (10 to 1,000 requests a minute by plan), and none
says how it counts; a bucket that starts full and is refilled steadily is the common way.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_SECOND = 1_000_000  # microseconds
_PERIODS = {"s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND}
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smh])")


def parse_rate(text: str) -> tuple[int, int]:
    """So many requests in so many microseconds. Raises ValueError for a text that is not understood."""
    match = _RATE.fullmatch(str(text))
    if match is None:
        raise ValueError(f"rate must be such as 10/s, 100/m or 1000/h, not {text!r}")
    return int(match[1]), _PERIODS[match[2]]


class RateLimiter:
    """A bucket for each API key; an empty rate is no limit. Safe to use from any thread."""

    def __init__(self, rate: str, clock: Callable[[], datetime]) -> None:
        self.rate = rate
        self._count, self._period = parse_rate(rate) if rate else (0, 0)
        self._clock = clock
        self._lock = threading.Lock()
        self._full_at: dict[str, int] = {}  # when the bucket of a key is full again

    def take(self, key_name: str) -> None:
        """Take one token; raises a 429 with ``Retry-After`` if there is none."""
        if not self.rate:
            return
        with self._lock:
            # In microseconds times `count`: whole numbers, so that exactly the promised wait is enough.
            now = round(self._clock().timestamp() * _SECOND) * self._count
            full_at = max(now, self._full_at.get(key_name, now)) + self._period
            wait = full_at - now - self._count * self._period
            if wait <= 0:
                self._full_at[key_name] = full_at
                return
        seconds = -(-wait // (self._count * _SECOND))  # rounded up
        text = f"Rate limit exceeded: {self.rate} for each API key"
        raise ApiError(429, text, headers={"Retry-After": str(seconds)})
