"""A pace of our own: at most so many requests in any such time."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass

_RATE = re.compile(r"([1-9][0-9]{0,5})/([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SLACK = 1.01
"""Requests overtake each other on their way, so that what left 60 s apart may arrive in less."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """``count`` requests in ``period`` seconds."""

    count: int
    period: float


def parse_rate(text: str) -> Rate:
    """A `Rate` from ``"100/m"``: a whole number for each second, minute, hour or day. Raises ValueError."""
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'must be requests per s, m, h or d, such as "100/m", not {text!r}')
    return Rate(count=int(found[1]), period=_SECONDS[found[2]])


class Window:
    """Hands out moments such that any window of one period holds at most ``count`` of them.

    A sliding window conforms to whatever Migma counts by: fixed windows, sliding ones, or a token bucket, which all
    allow at least this.
    """

    def __init__(self, rate: Rate) -> None:
        self._period = rate.period * _SLACK
        self._moments: deque[float] = deque(maxlen=rate.count)
        self._lock = threading.Lock()

    def wait(self, now: float) -> float:
        """Seconds until the next free moment. ``now`` is monotonic time."""
        moments = self._moments
        full = len(moments) == moments.maxlen
        return max(0.0, moments[0] + self._period - now) if full else 0.0

    def reserve(self, now: float, longest: float) -> float | None:
        """Take the next free moment and return the seconds until then; None, nothing taken, beyond ``longest``."""
        with self._lock:
            wait = self.wait(now)
            if wait > longest:
                return None
            self._moments.append(now + wait)
            return wait
