"""When the next request of an API key may leave: Migma's own limit, and ``RATE_LIMIT``."""

from __future__ import annotations

import math
import re
import threading
from collections import deque
from typing import NamedTuple

MAX_PAUSE = 3600.0  # seconds; a longer Retry-After is cut, so that one absurd answer cannot stop the process
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MARGIN = 1.01
_JITTER = 0.05  # seconds beside 1 %: requests sent 60 s apart may arrive closer together


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


class RateLimiter:
    """One API key's limits, shared by all threads of the process that use it against one host.

    After a 429 no request leaves before the moment that it named. A `Rate` of our own is a sliding window: any window
    of one period holds no more requests than the rate allows, whatever Migma counts by. No reservations: a single
    mail must not queue behind a bulk send.
    """

    def __init__(self) -> None:
        self.has_succeeded = False  # Migma has accepted this key's mail in this process
        self._not_before = -math.inf
        self._recent: dict[Rate, deque[float]] = {}
        self._lock = threading.Lock()

    def pause(self, seconds: float, now: float) -> None:
        """Hold every request of this key for so long. ``now`` is monotonic time."""
        with self._lock:
            self._not_before = max(self._not_before, now + min(seconds, MAX_PAUSE))

    def paused_for(self, now: float) -> float:
        """Seconds that are left of a pause that Migma asked for."""
        return max(0.0, self._not_before - now)

    def acquire(self, now: float, rate: Rate | None = None) -> float:
        """Take a turn and return 0.0, or return the seconds until one is free."""
        wait = self.paused_for(now)
        if rate is None or wait:
            return wait
        with self._lock:
            recent = self._recent.setdefault(rate, deque(maxlen=rate.requests))
            if len(recent) == rate.requests:
                wait = max(0.0, recent[0] + rate.period * _MARGIN + _JITTER - now)
            if not wait:
                recent.append(max(now, recent[-1]) if recent else now)
            return wait
