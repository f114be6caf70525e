"""The Idempotency-Key of POST /v1/sending, as the Node SDK's README of mid 2026 describes it.

Per API key, for 24 hours: the same key with the same body gets the original status and body again, with
``Idempotent-Replayed: true``; with another body 409 ``IDEMPOTENCY_CONFLICT``. 429 and 5xx are not remembered.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from django.http import HttpResponse

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_LIFETIME = timedelta(hours=24)
_MAX_LENGTH = 100  # characters


@dataclass(frozen=True, kw_only=True)
class _Entry:
    # Of the body's bytes: whether Migma compares bytes or parsed JSON is unknown, and the same bytes are the same
    # body under either rule.
    digest: bytes
    since: datetime
    response: HttpResponse | None = None  # while the first request is still running


class IdempotencyStore:
    """Which keys were used, and what was answered. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], datetime], *, errors_consume_key: bool = True) -> None:
        self._clock = clock
        self._errors_consume_key = errors_consume_key
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def begin(self, key_name: str, idempotency_key: str, body: bytes) -> HttpResponse | None:
        """The earlier answer, marked as a replay; None when the caller is the first and must ``finish``.

        Raises 409 for another body, and while the first request is still running.
        """
        # What Migma answers to a longer key, or to an empty one, is unknown.
        if not 1 <= len(idempotency_key) <= _MAX_LENGTH:
            raise ApiError(400, f"Idempotency-Key must be 1 to {_MAX_LENGTH} characters long")
        now = self._clock()
        digest = hashlib.sha256(body).digest()
        with self._lock:
            entry = self._entries.get((key_name, idempotency_key))
            if entry is None or now - entry.since >= _LIFETIME:
                self._entries[key_name, idempotency_key] = _Entry(digest=digest, since=now)
                return None
        return _replay(entry, digest)

    def finish(self, key_name: str, idempotency_key: str, response: HttpResponse | None) -> None:
        """Remember the answer, or free the key for another try. None stands for a failure of the sandbox itself."""
        with self._lock:
            entry = self._entries.pop((key_name, idempotency_key), None)
            # A 429 does not come here: a request over the rate limit has not used its key yet.
            remembered = range(500 if self._errors_consume_key else 400)
            if entry is not None and response is not None and response.status_code in remembered:
                self._entries[key_name, idempotency_key] = replace(entry, response=response)


def _replay(entry: _Entry, digest: bytes) -> HttpResponse:
    if entry.digest != digest:
        text = "This Idempotency-Key was used with another request body within 24 hours"
        raise ApiError(409, text, code="IDEMPOTENCY_CONFLICT")
    if entry.response is None:
        # What Migma answers while the first request runs is unknown. No code: only two are published.
        raise ApiError(409, "A request with this Idempotency-Key is still being processed")
    content, status = entry.response.content, entry.response.status_code
    replayed = {"Idempotent-Replayed": "true"}
    return HttpResponse(content, status=status, content_type="application/json", headers=replayed)
