"""A rate limit that is really kept: one token bucket per API key, over all of /v1.

Migma's own is unknown. Its documents of 2026 contradict each other (10 to 1,000 requests a minute by plan), and none
says how it counts; a bucket that starts full and is refilled steadily is the common way.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_MICROSECOND = timedelta(microseconds=1)
_PERIODS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_RATE = re.compile(r"([1-9][0-9]{0,5})/([smh])")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many requests per period; as many at once when none came for that long."""

    count: int
    period: int  # microseconds


def parse_rate(text: str) -> Rate:
    """Raises ValueError, which names the three ways to write a rate."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no rate: write 10/s, 100/m or 1000/h for so many a second, minute or hour")
    return Rate(count=int(match[1]), period=_PERIODS[match[2]] // _MICROSECOND)


@dataclass(frozen=True, kw_only=True)
class _Bucket:
    level: int  # one token is `period` of these: whole numbers, so that exactly the promised wait is enough
    at: datetime


class RateLimiter:
    """A bucket for each API key. An empty rate is no limit. Safe to use from any thread."""

    def __init__(self, rate: str, clock: Callable[[], datetime]) -> None:
        self._text = rate
        self._rate = parse_rate(rate) if rate else None
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key_name: str) -> None:
        """Take one token; raises a 429 with ``Retry-After`` if there is none."""
        if self._rate is None:
            return
        with self._lock:
            now = self._clock()
            level = self._level(self._rate, key_name, now) - self._rate.period
            if level >= 0:
                self._buckets[key_name] = _Bucket(level=level, at=now)
                return
        seconds = _rounded_up(_rounded_up(-level, self._rate.count), 1_000_000)
        text = f"Rate limit exceeded: {self._text} for each API key"
        raise ApiError(429, text, headers={"Retry-After": str(seconds)})

    def clear(self) -> None:
        """Fill every bucket."""
        with self._lock:
            self._buckets.clear()

    def _level(self, rate: Rate, key_name: str, now: datetime) -> int:
        full = rate.count * rate.period
        bucket = self._buckets.get(key_name)
        if bucket is None:
            return full
        passed = max(0, (now - bucket.at) // _MICROSECOND)  # a clock may be set back
        return min(full, bucket.level + passed * rate.count)


def _rounded_up(number: int, divisor: int) -> int:
    return -(-number // divisor)
