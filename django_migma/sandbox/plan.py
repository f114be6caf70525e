"""Which request is struck by which fault: first the script says, then the recipient, then chance."""

from __future__ import annotations

import json
import random
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.faults import KINDS, parse_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_migma.sandbox.faults import Fault
    from django_migma.sandbox.wire import Request

_DOMAIN = "sandbox.example"
_ALWAYS = "-always"
# The endpoints that are struck, and where each has its recipient.
_RECIPIENTS = {"POST /v1/sending": "recipientEmail", "POST /v1/emails/test/send": "to"}

# What may happen to any client on any day, with short waits. Without `redirect` (somebody's mistake), `drip` and
# `endless` (somebody's malice): a client may rightly give up on those.
DEFAULT_KINDS = (
    "429", "429-after-1", "503", "503-after-1", "500", "502", "504", "html",
    "reset", "hangup", "silent-0.5", "lost", "half", "empty", "slow-0.5", "busy-0.5", "close",
)  # fmt: skip
_OK = parse_fault("ok")


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """A fault that a recipient's address asks for."""

    fault: Fault
    always: bool


class Plan:
    """The faults to come. Safe to use from any thread."""

    def __init__(self, *, rate: float = 0.0, seed: int | None = None, kinds: Sequence[str] = ()) -> None:
        """ValueError when ``rate`` is not from 0 to 1, or for an unknown word in ``kinds``."""
        if not 0 <= rate <= 1:
            raise ValueError(f"fault_rate must be from 0 to 1, not {rate}")
        self.seed = secrets.randbelow(2**32) if seed is None else seed
        self._kinds = [parse_fault(word) for word in kinds or DEFAULT_KINDS]
        self._rate = rate
        self._random = random.Random(self.seed)  # noqa: S311 - to be repeated, not to be secret
        self._script: deque[Fault] = deque()
        self._struck: set[str] = set()
        self._lock = threading.Lock()

    def script(self, *words: str) -> None:
        """Strike the next sends with these, one after the other, once earlier scripts are through.

        ValueError for an unknown word; then none of them is taken.
        """
        faults = [parse_fault(word) for word in words]
        with self._lock:
            self._script.extend(faults)

    def clear(self) -> None:
        """No script, no faults by chance any more; recipients strike as if for the first time."""
        with self._lock:
            self._script.clear()
            self._struck.clear()
            self._rate = 0.0

    def state(self) -> dict[str, Any]:
        """What is to come, as JSON."""
        with self._lock:
            left, rate = [fault.word for fault in self._script], self._rate
        return {
            "script": left,
            "fault_rate": rate,
            "fault_seed": self.seed,
            "fault_kinds": [fault.word for fault in self._kinds],
            "words": [
                {"word": word, "accepts": kind.accepts, "meaning": kind.meaning}
                for kind in KINDS
                for word in kind.words
            ],
        }

    def next_fault(self, endpoint: str, request: Request) -> Fault | None:
        """The fault for a request to an endpoint (method and path template); it is used up."""
        if endpoint not in _RECIPIENTS:
            return None
        wish = _wish(request, _RECIPIENTS[endpoint])
        with self._lock:
            if self._script:
                fault = self._script.popleft()
            elif wish is not None:
                fault = wish.fault if self._is_due(wish, request.headers.get("idempotency-key")) else _OK
            else:
                fault = self._random.choice(self._kinds) if self._random.random() < self._rate else _OK
        return None if fault.word == _OK.word else fault

    def _is_due(self, wish: _Wish, idempotency_key: str | None) -> bool:
        # The key is looked at even where a switch lets it mean nothing, or no mail would ever come through.
        if wish.always or idempotency_key is None:
            return True
        first = idempotency_key not in self._struck
        self._struck.add(idempotency_key)
        return first


def _wish(request: Request, field: str) -> _Wish | None:
    """What the recipient asks for; None for ordinary ones."""
    if _DOMAIN.encode() not in request.body.lower():  # nearly always; to parse every body twice would be slow
        return None
    local, _, domain = _recipient(request.body, field).lower().rpartition("@")
    if domain != _DOMAIN:
        return None
    try:
        return _Wish(fault=parse_fault(local.removesuffix(_ALWAYS)), always=local.endswith(_ALWAYS))
    except ValueError:
        return None


def _recipient(body: bytes, field: str) -> str:
    try:
        value = json.loads(body)[field]
    except (ValueError, RecursionError, LookupError, TypeError):
        return ""
    return value if isinstance(value, str) else ""
