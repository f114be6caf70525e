"""The sandbox's state, in memory only: accepted messages, batches, idempotency keys, rate limits and counters."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from django_migma.sandbox.exchanges import Message
from django_migma.sandbox.idempotency import IdempotencyStore
from django_migma.sandbox.inbox import Inbox
from django_migma.sandbox.protocol import ApiError
from django_migma.sandbox.rate_limits import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django_migma.sandbox.options import Switches


MAX_BYTES = 64 * 1024 * 1024
"""Of request bodies, for each: the messages, the batches, the logs. Mostly they hold the same ones."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """A send to a segment or tag that was first a draft.

    ``message`` is made with the draft, so that what is wrong with it shows then; ``batch`` is it once it is sent.
    """

    id: str
    created_at: datetime
    updated_at: datetime
    message: Message
    project: str  # its id
    scheduled_at: datetime | None = None
    scheduled_timezone: str = "UTC"
    batch: Message | None = None
    is_cancelled: bool = False

    @property
    def size(self) -> int:
        """Bytes of the request that made it."""
        return self.message.size


class Store:
    """Safe to use from any thread."""

    def __init__(self, switches: Switches, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.id = secrets.token_hex(4)  # a page that stays open notices by it that another sandbox runs now
        self._switches = switches
        self.inbox = Inbox(max_mails=switches.max_messages)
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything, idempotency keys and used tokens included: for the next test of a shared sandbox.

        The rate limit is again that of the switches.
        """
        self.inbox.clear()
        with self._lock:
            self.idempotency = IdempotencyStore(self.clock, errors_consume_key=self._switches.errors_consume_key)
            self.rate_limiter = RateLimiter(self._switches.rate, self.clock)
            limit = self._switches.max_messages
            self._messages = _Newest[Message](limit)
            self._batches, self._single_sends = _Newest[Message](limit), _Newest[Message](limit)
            self._campaigns = _Newest[Campaign](limit)
            self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def limit_rate(self, rate: str) -> None:
        """For each API key; an empty rate is no limit. Raises ValueError for one that is not understood."""
        limiter = RateLimiter(rate, self.clock)
        with self._lock:
            self.rate_limiter = limiter

    def add_message(self, message: Message) -> None:
        with self._lock:
            self._counts["accepted"][message.endpoint] += 1
            self._messages.add(message)
            if message.recipients is not None:
                self._batches.add(message)
            elif message.endpoint == "POST /v1/sending":
                self._single_sends.add(message)

    def messages(self) -> list[Message]:
        """The accepted messages that are kept, newest last."""
        with self._lock:
            return list(self._messages.values())

    def message(self, message_id: str) -> Message | None:
        with self._lock:
            return self._messages.get(message_id)

    def batch(self, batch_id: str) -> Message | None:
        """Batches outlive ``clear_messages``."""
        with self._lock:
            return self._batches.get(batch_id)

    def single_sends(self) -> list[Message]:
        """Sends to one address, newest first, for the logs. They outlive ``clear_messages``."""
        with self._lock:
            return list(reversed(self._single_sends.values()))

    def add_campaign(self, campaign: Campaign) -> None:
        with self._lock:
            self._campaigns.add(campaign)

    def campaigns(self) -> list[Campaign]:
        """The campaigns that are kept, newest last."""
        with self._lock:
            return list(self._campaigns.values())

    def campaign(self, campaign_id: str) -> Campaign | None:
        with self._lock:
            return self._campaigns.get(campaign_id)

    def change_campaign(self, campaign: Campaign, **changes: Any) -> Campaign:
        """Change one, and return it. Raises 409 if somebody else has changed it meanwhile."""
        with self._lock:
            if self._campaigns.get(campaign.id) is not campaign:
                raise ApiError(409, "The campaign was changed by another request at the same time")
            changed = replace(campaign, updated_at=self.clock(), **changes)
            self._campaigns[campaign.id] = changed
            return changed

    def count_replay(self, key_name: str, idempotency_key: str) -> Message | None:
        """Count it for the newest message under the key, and return that, if it is still kept."""
        with self._lock:
            for message in reversed(self._messages.values()):
                if (message.key_name, message.idempotency_key) == (key_name, idempotency_key):
                    self._messages[message.id] = replace(message, replays=message.replays + 1)
                    return message
        return None

    def clear_messages(self) -> int:
        """Empty the inbox, drop all messages and return their number.

        Batches, logs, idempotency keys and counters stay.
        """
        self.inbox.clear()
        with self._lock:
            count = len(self._messages)
            self._messages = _Newest[Message](self._switches.max_messages)
            return count

    def count(self, what: str, name: str = "") -> None:
        """Count one of "connections", or of "requests" by endpoint, or of "faults" by word."""
        with self._lock:
            self._counts[what][name] += 1

    def stats(self) -> dict[str, Any]:
        """Connections, requests by method and path template (refused ones too), accepted sends, faults by word."""
        with self._lock:
            return {
                "connections": self._counts["connections"].total(),
                "requests": dict(self._counts["requests"]),
                "sending_posts": self._counts["requests"]["POST /v1/sending"],
                "accepted": self._counts["accepted"].total(),
                "faults": dict(self._counts["faults"]),
            }


_Item = TypeVar("_Item", Message, Campaign)


class _Newest(dict[str, _Item]):
    """The newest items by their ids, limited in number and bytes. The newest one stays, however large it is."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._size = 0

    def add(self, item: _Item) -> None:
        self[item.id] = item
        self._size += item.size
        while len(self) > 1 and (len(self) > self._limit or self._size > MAX_BYTES):
            self._size -= self.pop(next(iter(self))).size
