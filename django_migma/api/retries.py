"""When to try again and how long to wait. Pure functions: no clock, no network.

Design: full jitter, since synchronised clients that back off by the same amounts arrive together again.
"""

from __future__ import annotations

import math
import random
from datetime import UTC
from email.utils import parsedate_to_datetime

BASE_WAIT = 0.5
"""Seconds: the longest wait after the first attempt. It doubles with each further one."""
LONGEST_WAIT = 8.0
"""Seconds: no wait of our own choosing is longer."""
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
UNTOUCHED_STATUSES = frozenset({429, 503})
"""Statuses that say the request was turned away at the door."""


def backoff(attempt: int) -> float:
    """Seconds to wait after the given attempt (from 1) where the server named no time."""
    ceiling = min(LONGEST_WAIT, BASE_WAIT * 2 ** min(attempt - 1, 30))
    return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, given as seconds or as an HTTP date; None if unreadable.

    ``now`` is the wall clock in seconds since 1970. Migma's SDK reads whole seconds only; a proxy in front may
    send a date.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def status_is_retried(status_code: int, *, first: bool) -> bool:
    """Whether an error status may pass by itself.

    A 409 to the first attempt is a real conflict; to a later one it may be our own first request, still running.
    """
    return status_code in RETRIED_STATUSES or (status_code == 409 and not first)


def acceptance(status_code: int, code: str) -> bool | None:
    """What an error status, with Migma's machine word, says about whether the mail was accepted.

    False: a broken rule (400, 404, 422, and ``success: false``); the body was the same in every attempt, so none was
    accepted. None: a closed door (401, 403, 429, 503 and the like) turns this attempt away but settles nothing about
    an earlier one; so does a 409 with a word, such as IDEMPOTENCY_CONFLICT. True: any other 5xx; Migma may have
    accepted before it failed. And a 409 without a word: what Migma answers while another request with the key is
    still running is not documented, and that request may well succeed.
    """
    if status_code < 400 or status_code in {400, 404, 422}:
        return False
    if status_code == 409:
        return None if code else True
    if status_code >= 500 and status_code not in UNTOUCHED_STATUSES:
        return True
    return None
