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

from django_migma.sandbox.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django_migma.sandbox.wire import Answer

LIFETIME = timedelta(hours=24)
MAX_LENGTH = 100  # characters
REPLAYED = ("Idempotent-Replayed", "true")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A key in use: whose it is and for which body."""

    key_name: str
    idempotency_key: str
    # Of the bytes: whether Migma compares bytes or parsed JSON is unknown, and the same bytes are the same
    # body under either rule.
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class _Entry:
    digest: bytes
    since: datetime
    answer: Answer | None  # None while the first request is still running


def slot_for(key_name: str, idempotency_key: str, body: bytes) -> Slot:
    # What Migma answers to a longer key, or to an empty one, is unknown.
    if not 1 <= len(idempotency_key) <= MAX_LENGTH:
        raise Refusal(400, f"Idempotency-Key must be 1 to {MAX_LENGTH} characters long")
    digest = hashlib.sha256(body).digest()
    return Slot(key_name=key_name, idempotency_key=idempotency_key, digest=digest)


def is_remembered(status: int, *, errors_consume_key: bool) -> bool:
    """Whether an answer of this status is the one that a repetition gets again."""
    if status < 400:
        return True
    return errors_consume_key and status < 500 and status != 429


class Ledger:
    """Which keys were used, and what was answered."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def begin(self, slot: Slot) -> Answer | None:
        """The earlier answer, marked as a replay; None when the caller is the first and must ``finish``."""
        now = self._clock()
        with self._lock:
            self._forget_expired(now)
            entry = self._entries.get(_place(slot))
            if entry is None:
                self._entries[_place(slot)] = _Entry(digest=slot.digest, since=now, answer=None)
                return None
        return _replay(entry, slot)

    def finish(self, slot: Slot, answer: Answer | None) -> None:
        """Remember ``answer`` for the slot, or free the slot when there is none to remember."""
        with self._lock:
            entry = self._entries.pop(_place(slot), None)
            if entry is not None and answer is not None:
                self._entries[_place(slot)] = replace(entry, answer=answer)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _forget_expired(self, now: datetime) -> None:
        # Oldest first, but for requests that overtook each other: those are off by their own duration.
        while self._entries:
            place, entry = next(iter(self._entries.items()))
            if now - entry.since < LIFETIME:
                return
            del self._entries[place]


def _place(slot: Slot) -> tuple[str, str]:
    return slot.key_name, slot.idempotency_key


def _replay(entry: _Entry, slot: Slot) -> Answer:
    if entry.digest != slot.digest:
        text = "This Idempotency-Key was used with another request body within 24 hours"
        raise Refusal(409, text, code="IDEMPOTENCY_CONFLICT")
    if entry.answer is None:
        # What Migma answers while the first request runs is unknown. No code: only two are published.
        raise Refusal(409, "A request with this Idempotency-Key is still being processed")
    return replace(entry.answer, headers=(*entry.answer.headers, REPLAYED))
