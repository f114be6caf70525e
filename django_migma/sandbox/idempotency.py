"""The Idempotency-Key of sends and of changes to campaigns, as the Node SDK's README of mid 2026 describes it.

Per API key, for 24 hours: the same key with the same body gets the original status and body again, with
``Idempotent-Replayed: true``; with another body 409 ``IDEMPOTENCY_CONFLICT``. 429 and 5xx are not remembered.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django_migma.sandbox.protocol import View

_LIFETIME = timedelta(hours=24)
_MAX_LENGTH = 100  # characters
# A key that is forgotten too early makes a second mail of a late repeat, which is what keys are there to prevent. So
# far more is kept of them than of mail: with the usual answer of 300 bytes, the newest 250,000 keys. Those whose day
# is over go first, then those that were answered first, and never one whose first request is running.
MAX_BYTES = 256 * 1024 * 1024
_OVERHEAD = 800  # bytes of the objects of one key, about


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    # Of the path and of the body's bytes: whether Migma compares bytes or parsed JSON is unknown, and the same bytes
    # are the same body under either rule. That one key serves one path is unknown as well; here it does.
    digest: bytes
    since: datetime
    status: int = 0  # while the first request is still running
    content: bytes = b""

    @property
    def size(self) -> int:
        return _OVERHEAD + len(self.content)


class IdempotencyStore:
    """Which keys were used, and what was answered. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], datetime], *, errors_consume_key: bool = True) -> None:
        self._clock = clock
        self._errors_consume_key = errors_consume_key
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], _Entry] = {}
        self._answered: dict[tuple[str, str], _Entry] = {}  # the oldest answer first
        self._size = 0

    def begin(self, key_name: str, idempotency_key: str, path: str, body: bytes) -> HttpResponse | None:
        """The earlier answer, marked as a replay; None when the caller is the first and must ``finish``.

        Raises 409 for another body, and while the first request is still running.
        """
        # What Migma answers to a longer key, or to an empty one, is unknown.
        if not 1 <= len(idempotency_key) <= _MAX_LENGTH:
            raise ApiError(400, f"Idempotency-Key must be 1 to {_MAX_LENGTH} characters long")
        now = self._clock()
        request = hashlib.sha256(path.encode())
        request.update(body)
        digest = request.digest()
        with self._lock:
            key = (key_name, idempotency_key)
            entry = self._running.get(key) or self._answered.get(key)
            if entry is None or now - entry.since >= _LIFETIME:
                self._forget(key)
                self._running[key] = _Entry(digest=digest, since=now)
                return None
        return _replay(entry, digest)

    def finish(self, key_name: str, idempotency_key: str, response: HttpResponse | None) -> None:
        """Remember the answer, or free the key for another try. None stands for a failure of the sandbox itself."""
        with self._lock:
            key = (key_name, idempotency_key)
            entry = self._running.pop(key, None)  # None after a reset
            # A 429 does not come here: a request over the rate limit has not used its key yet.
            remembered = range(500 if self._errors_consume_key else 400)
            if entry is not None and response is not None and response.status_code in remembered:
                self._answered[key] = replace(entry, status=response.status_code, content=response.content)
                self._size += self._answered[key].size
                self._forget_old_ones()

    def _forget_old_ones(self) -> None:
        now = self._clock()
        while len(self._answered) > 1:
            key, oldest = next(iter(self._answered.items()))
            if self._size <= MAX_BYTES and now - oldest.since < _LIFETIME:
                break
            self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        if (entry := self._answered.pop(key, None)) is not None:
            self._size -= entry.size

    def forgotten_at(self, key_name: str, idempotency_key: str) -> datetime | None:
        """When the key may be used anew; None if nothing is remembered under it."""
        key = (key_name, idempotency_key)
        with self._lock:
            entry = self._running.get(key) or self._answered.get(key)
        return None if entry is None else entry.since + _LIFETIME


def once_per_key(view: View) -> View:
    """A view that answers a repeat under its Idempotency-Key with the first answer, if there is a key."""

    @wraps(view)
    def answer(request: Any, **ids: Any) -> HttpResponse:
        key = request.idempotency_key
        if key is None:
            request.take_time()
            return view(request, **ids)
        store = request.sandbox.store
        earlier: HttpResponse | None = store.idempotency.begin(request.key_name, key, request.path, request.body)
        if earlier is not None:
            request.message = store.count_replay(request.key_name, key)
            return earlier
        response = None
        try:
            request.take_time()
            response = view(request, **ids)
        except ApiError as error:
            response = error.response()
        finally:  # also when the sandbox itself fails: a 500 frees the key
            store.idempotency.finish(request.key_name, key, response)
        return response

    return answer


def _replay(entry: _Entry, digest: bytes) -> HttpResponse:
    if entry.digest != digest:
        text = "This Idempotency-Key was used with another request body within 24 hours"
        raise ApiError(409, text, code="IDEMPOTENCY_CONFLICT")
    if not entry.status:
        # What Migma answers while the first request runs is unknown. No code: only two are published.
        raise ApiError(409, "A request with this Idempotency-Key is still being processed")
    replayed = {"Idempotent-Replayed": "true"}
    return HttpResponse(entry.content, status=entry.status, content_type="application/json", headers=replayed)
