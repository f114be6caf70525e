"""What is retried, and how long to wait before it.

Not ``urllib3.Retry``: it cannot say whether an attempt may have been accepted, sleeps without a deadline and hides
how many attempts were made.
"""

from __future__ import annotations

import math
import random
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

BACKOFF_FACTOR = 0.5  # seconds: the longest wait after the first attempt; it doubles with each further one
BACKOFF_MAX = 8.0  # seconds: no wait of our own choosing is longer
MIN_RETRY_AFTER = 1.0  # seconds: a shorter one, such as 0 or a date that has passed, does not replace the back-off
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_NOT_PROCESSED = frozenset({429, 503})  # the server turned the request away before it looked at it


class Clock:
    """The machine's clocks, in seconds: ``monotonic`` for durations, ``time`` since 1970, for HTTP dates."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Retry(NamedTuple):
    """How long one request may go on.

    ``timeout``: seconds to connect and to read, per attempt. ``deadline``: seconds for all attempts of one request,
    waits included. ``total``: further attempts after the first.
    """

    timeout: tuple[float, float] = (3.05, 10)
    total: int = 4
    deadline: float = 20


def backoff(attempt: int, retry_after: float | None = None) -> float:
    """Seconds to wait after the given attempt (from 1): what the server asked for, else exponential with full jitter.

    Jitter, because clients that back off by the same amounts arrive together again.
    """
    ceiling = min(BACKOFF_MAX, BACKOFF_FACTOR * 2 ** min(attempt - 1, 30))
    wait = random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
    asked = retry_after or 0.0
    return asked if asked >= MIN_RETRY_AFTER else max(asked, wait)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, given as seconds or as an HTTP date; None if unreadable.

    ``now`` is the wall clock in seconds since 1970. Migma's SDK reads whole seconds only; a proxy in front may
    send a date.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def acceptance(status_code: int, code: str) -> bool | None:
    """What an error status, with Migma's error code, says about whether the mail was accepted.

    False: a broken rule (400, 404, 422, and ``success: false``); the body was the same in every attempt, so none was
    accepted. None: a refusal before processing (401, 403, 429, 503 and the like) proves nothing about an
    earlier attempt; nor does a 409 with a code, such as IDEMPOTENCY_CONFLICT. True: any other 5xx; Migma may have
    accepted before it failed. Also a 409 without a code: what Migma answers while another request with the key is
    still running is not documented, and that request may succeed.
    """
    if status_code < 400 or status_code in {400, 404, 422}:
        return False
    if status_code == 409:
        return None if code else True
    return True if status_code >= 500 and status_code not in _NOT_PROCESSED else None
