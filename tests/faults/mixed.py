"""Many messages through random faults, and what they came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.sending import PATIENCE, mails, misbehaving, send, untruths, words

KINDS = (
    *("429", "429-after-1", "429-date-1", "503", "503-after-1", "503-date-1", "500", "502", "504", "html"),
    *("reset", "hangup", "silent-1", "lost", "half", "empty", "slow-1", "busy-0.8", "drip", "endless", "close"),
)
"""Every kind but ``redirect``, which is not retried: it is a mistake in the set-up, not an accident."""
OPTIONS = {"timeout": (PATIENCE, 0.5), "max_retries": 100}
"""The short timeout is for the faults that take their time. A busy machine may lose other answers by it as well."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """``struck``: how often each fault happened. ``duplicates``: mails beyond the first to a recipient."""

    seed: int
    words: set[str]
    accepted: int
    duplicates: int
    posts: int
    struck: Mapping[str, int]
    untruths: list[str]


def run(
    *,
    messages: int,
    fault_rate: float,
    seed: int,
    kinds: Sequence[str] = KINDS,
    sends: int = 1,
    **switches: Any,
) -> Report:
    """Send a list, with this probability of a fault for each POST; then those again that failed."""
    batch = mails(messages)
    with misbehaving(fault_rate=fault_rate, fault_seed=seed, fault_kinds=tuple(kinds), **switches) as sandbox:
        for _ in range(sends):
            send([message for message in batch if words([message]) != {"queued"}], **OPTIONS)
        # By recipient, since the control ignores keys.
        taken = Counter(message.body["recipientEmail"] for message in sandbox.store.messages())
        stats = sandbox.store.stats()
        return Report(
            seed=seed,
            words=words(batch),
            accepted=len(taken),
            duplicates=taken.total() - len(taken),
            posts=stats["sending_posts"],
            struck=stats["faults"],
            untruths=untruths(batch, sandbox),
        )
