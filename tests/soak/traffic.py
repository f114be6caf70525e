"""Mail of a site that is always busy: single mails, lists, and transactions that are rolled back."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Iterator

from django.db import transaction

from tests.delivery.queueing import queue_mails


class RollBack(Exception):
    """What a view raises after it has sent mail."""


class Traffic:
    """Sends about so many mails a second, and remembers which of them were committed and which rolled back."""

    def __init__(self, *, seed: int, rate: float) -> None:
        self.committed: list[str] = []
        self.rolled_back: list[str] = []
        self._random = random.Random(seed)
        self._rate = rate
        self._addresses = (f"r{number}@example.org" for number in itertools.count())

    def run(self, seconds: float) -> None:
        """Send for so long."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            recipients = self._recipients()
            self._send(recipients)
            time.sleep(self._random.uniform(0, 2) * len(recipients) / self._rate)

    def _recipients(self) -> list[str]:
        count = self._random.choice((1, 1, 1, 2, 5, 30))
        return list(itertools.islice(self._addresses, count))

    def _send(self, recipients: list[str]) -> None:
        kind = self._random.choice(("autocommit", "atomic", "atomic", "fails"))
        with contextlib.suppress(RollBack), self._transaction(kind):
            queue_mails(recipients)
            if kind == "fails":
                self.rolled_back += recipients
                raise RollBack
        if kind != "fails":
            self.committed += recipients

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        if kind == "autocommit":
            yield
        else:
            with transaction.atomic():
                yield
