"""A pace of our own: at most so many requests in any such time."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import NamedTuple

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SLACK = 1.01
_JITTER = 0.05
"""Seconds beside 1 %: requests overtake each other on their way, and what left 60 s apart may arrive in less."""


class Rate(NamedTuple):
    """``requests`` in ``period`` seconds."""

    requests: int
    period: float


def parse_rate(text: str) -> Rate:
    """A `Rate` from ``"100/m"``: a whole number for each second, minute, hour or day. Raises ValueError."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})/([smhd])", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'must be requests per s, m, h or d, such as "100/m", not {text!r}')
    return Rate(requests=int(found[1]), period=_SECONDS[found[2]])


class Window:
    """Lets requests go such that any window of one period holds no more of them than the rate allows.

    A sliding window conforms to whatever Migma counts by: fixed windows, sliding ones, or a token bucket, which all
    allow at least this. Nobody reserves a moment ahead: a single mail would wait behind every request of a bulk.
    """

    def __init__(self, rate: Rate) -> None:
        self._period = rate.period * _SLACK + _JITTER
        self._moments: deque[float] = deque(maxlen=rate.requests)
        self._lock = threading.Lock()

    def wait(self, now: float) -> float:
        """Seconds until somebody may go. ``now`` is monotonic time."""
        with self._lock:
            return self._wait(now)

    def take(self, now: float) -> bool:
        """Go now; False where somebody else was faster."""
        with self._lock:
            if self._wait(now):
                return False
            self._moments.append(max(now, self._moments[-1]) if self._moments else now)
            return True

    def _wait(self, now: float) -> float:
        full = len(self._moments) == self._moments.maxlen
        return max(0.0, self._moments[0] + self._period - now) if full else 0.0
