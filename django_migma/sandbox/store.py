"""The sandbox's state, in memory only: accepted messages, batches, idempotency keys, rate limits and counters."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from django_migma.sandbox.idempotency import IdempotencyStore
from django_migma.sandbox.rate_limits import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from django_migma.sandbox.options import Switches
    from django_migma.sandbox.placeholders import RenderedEmail

_T = TypeVar("_T")

_Key = tuple[str, str | None]  # name of the API key, Idempotency-Key


@dataclass(frozen=True, kw_only=True)
class Message:
    """One accepted send, to one recipient or to a batch, or one test send."""

    id: str  # message id, or batch id: `id` of the answer
    received_at: datetime
    endpoint: str  # method and path template
    key_name: str  # which of the sandbox's keys, never the key itself
    idempotency_key: str | None
    body: Mapping[str, Any]  # the request as it came, fields unknown to Migma included
    answer: Mapping[str, Any]  # `data` of the answer
    email: RenderedEmail
    replays: int = 0  # how often the same request came again under its key

    @property
    def subject(self) -> str:
        """Variables filled in."""
        return self.email.subject

    @property
    def html(self) -> str:
        """Variables filled in."""
        return self.email.html


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One accepted send to a segment or a tag."""

    id: str
    created_at: datetime
    body: Mapping[str, Any]
    recipients: int


class Store:
    """Safe to use from any thread."""

    def __init__(self, switches: Switches, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.idempotency = IdempotencyStore(clock, errors_consume_key=switches.errors_consume_key)
        self.rate_limiter = RateLimiter(switches.rate, clock)
        self._max_messages = switches.max_messages
        self._lock = threading.Lock()
        self._messages: dict[str, Message] = {}
        self._by_key: dict[_Key, str] = {}  # ids of the messages in `_messages` that came under a key
        self._batches: dict[str, Batch] = {}
        self._requests: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._connections = 0
        self._accepted = 0

    def add_message(self, message: Message) -> None:
        with self._lock:
            self._accepted += 1
            self._by_key[_key(message)] = message.id
            for dropped in _add_newest(self._messages, message.id, message, limit=self._max_messages):
                if self._by_key.get(_key(dropped)) == dropped.id:  # its key may have expired, and been used again
                    del self._by_key[_key(dropped)]

    def messages(self) -> list[Message]:
        """The accepted messages that are kept, newest last."""
        with self._lock:
            return list(self._messages.values())

    def message(self, message_id: str) -> Message | None:
        with self._lock:
            return self._messages.get(message_id)

    def count_replay(self, key_name: str, idempotency_key: str) -> None:
        with self._lock:
            message_id = self._by_key.get((key_name, idempotency_key))
            if message_id is not None:
                message = self._messages[message_id]
                self._messages[message_id] = replace(message, replays=message.replays + 1)

    def clear_messages(self) -> int:
        """Drop all messages and return their number; batches, idempotency keys and counters stay."""
        with self._lock:
            count = len(self._messages)
            self._messages.clear()
            self._by_key.clear()
            return count

    def reset(self) -> None:
        """Forget everything, idempotency keys and used tokens included: for the next test of a shared sandbox."""
        self.idempotency.clear()
        self.rate_limiter.clear()
        with self._lock:
            self._messages.clear()
            self._by_key.clear()
            self._batches.clear()
            self._requests.clear()
            self._faults.clear()
            self._connections = 0
            self._accepted = 0

    def add_batch(self, batch: Batch) -> None:
        with self._lock:
            _add_newest(self._batches, batch.id, batch, limit=self._max_messages)

    def batch(self, batch_id: str) -> Batch | None:
        with self._lock:
            return self._batches.get(batch_id)

    def count_connection(self) -> None:
        with self._lock:
            self._connections += 1

    def count_request(self, endpoint: str) -> None:
        with self._lock:
            self._requests[endpoint] += 1

    def count_fault(self, word: str) -> None:
        with self._lock:
            self._faults[word] += 1

    def stats(self) -> dict[str, Any]:
        """Connections, requests by method and path template (refused ones too), accepted sends, faults by word."""
        with self._lock:
            return {
                "connections": self._connections,
                "requests": dict(self._requests),
                "sending_posts": self._requests["POST /v1/sending"],
                "accepted": self._accepted,
                "faults": dict(self._faults),
            }


def _key(message: Message) -> _Key:
    return message.key_name, message.idempotency_key


def _add_newest(kept: dict[str, _T], key: str, value: _T, *, limit: int) -> list[_T]:
    """Return the oldest ones, which were dropped."""
    kept[key] = value
    return [kept.pop(next(iter(kept))) for _ in range(len(kept) - limit)]
