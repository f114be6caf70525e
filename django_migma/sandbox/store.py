"""What the sandbox remembers: accepted messages, batches, idempotency keys and counters. In memory only."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from django_migma.sandbox.idempotency import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from django_migma.sandbox.rendering import Content

_T = TypeVar("_T")

SENDING = "POST /v1/sending"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One accepted send, of one recipient or of a batch, or one test send."""

    id: str  # message id, or batch id: `id` of the answer
    received_at: datetime
    endpoint: str  # method and path template
    key_name: str  # which of the sandbox's keys, never the key itself
    idempotency_key: str | None
    body: Mapping[str, Any]  # the request as it came, fields unknown to Migma included
    answer: Mapping[str, Any]  # `data` of the answer
    content: Content
    replays: int = 0  # how often the same request came again under its key

    @property
    def subject(self) -> str:
        """Variables filled in."""
        return self.content.subject

    @property
    def html(self) -> str:
        """Variables filled in."""
        return self.content.html


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One accepted send to a segment or a tag."""

    id: str
    created_at: datetime
    body: Mapping[str, Any]
    recipients: int


class Store:
    """Safe to use from any thread."""

    def __init__(self, *, max_messages: int, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.ledger = Ledger(clock)
        self._max_messages = max_messages
        self._lock = threading.Lock()
        self._messages: dict[str, Message] = {}
        self._batches: dict[str, Batch] = {}
        self._requests: Counter[str] = Counter()
        self._connections = 0

    def add_message(self, message: Message) -> None:
        with self._lock:
            _add_newest(self._messages, message.id, message, limit=self._max_messages)

    def messages(self) -> list[Message]:
        """Newest last."""
        with self._lock:
            return list(self._messages.values())

    def message(self, message_id: str) -> Message | None:
        with self._lock:
            return self._messages.get(message_id)

    def count_replay(self, key_name: str, idempotency_key: str) -> None:
        wanted = (key_name, idempotency_key)
        with self._lock:
            for message in reversed(self._messages.values()):
                if (message.key_name, message.idempotency_key) == wanted:
                    self._messages[message.id] = replace(message, replays=message.replays + 1)
                    return

    def clear_messages(self) -> int:
        """Empties the inbox and says how many there were; batches, keys and counters stay."""
        with self._lock:
            count = len(self._messages)
            self._messages.clear()
            return count

    def reset(self) -> None:
        """Forgets everything, idempotency keys included: for the next test of a shared sandbox."""
        self.ledger.clear()
        with self._lock:
            self._messages.clear()
            self._batches.clear()
            self._requests.clear()
            self._connections = 0

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

    def stats(self) -> dict[str, Any]:
        """Connections accepted, and requests by method and path template, refused ones included."""
        with self._lock:
            return {
                "connections": self._connections,
                "requests": dict(self._requests),
                "sending_posts": self._requests[SENDING],
            }


def _add_newest(kept: dict[str, _T], key: str, value: _T, *, limit: int) -> None:
    kept[key] = value
    while len(kept) > limit:
        del kept[next(iter(kept))]
