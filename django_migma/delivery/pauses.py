"""When an account may be asked: a 429, an outage or a refused key becomes a pause, which one request then ends.

Pauses belong to the account, so that two mailers with one key share them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .outcomes import Answer

if TYPE_CHECKING:
    from django_migma.api.retries import Clock

MAX_DOUBTFUL = 16
"""Unclear answers in a row that stop an account: an outage must not start the 23 hours of a whole backlog."""
FIRST_PAUSE = 5.0  # seconds; each pause that follows is twice as long
MAX_PAUSE = 300.0
MAX_ASKED_PAUSE = 3600.0  # seconds of a Retry-After that are believed
_MAX_SUSPECTS = 1000


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What an answer means after a look at the answers to other rows.

    ``pause``: seconds of a pause that it began; ``is_over``: it ended one.
    """

    answer: Answer
    pause: float = 0.0
    is_over: bool = False


class Account:
    """An API key at an address: when it may be asked next, and how often at once. Any thread may call its methods.

    A new one is asked once, alone, so that a wrong key is refused once and not sixteen times; so is one whose pause
    is over. A request belongs to the period in which it began: an answer from before a pause does not end it.
    """

    def __init__(self, digest: str, clock: Clock) -> None:
        self.digest = digest
        self._clock = clock
        self._lock = threading.Lock()
        self._period = 0
        self._paused_until = self._held_until = 0.0
        self._is_paused = False  # until a request has succeeded
        self._is_probing, self._has_probe = True, False
        self._pause = 0.0
        self._in_flight = 0
        self._doubtful = 0
        self._successes = 0
        self._suspects: dict[int, int] = {}

    @property
    def is_paused(self) -> bool:
        """Whether a pause is in force."""
        return self._is_paused and self._clock.monotonic() < self._paused_until

    @property
    def is_recovering(self) -> bool:
        """Whether there was a pause, and no success since."""
        return self._is_paused

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last answers were unclear, so many that a pause followed."""
        return self._doubtful >= MAX_DOUBTFUL

    def wait(self) -> float:
        """Seconds until a request may be made."""
        return max(0.0, self._paused_until - self._clock.monotonic(), self._held_until - self._clock.monotonic())

    def room(self) -> int:
        """How many more requests may begin now."""
        if self.wait():
            return 0
        if self._is_probing:
            return 0 if self._has_probe else 1
        return max(0, MAX_DOUBTFUL - self._doubtful - self._in_flight) if self._doubtful else 1_000_000

    def begin(self) -> int | None:
        """Take the turn for one request, and return its period; None where none may begin."""
        with self._lock:
            if not self.room():
                return None
            self._in_flight += 1
            self._has_probe = self._is_probing
            return self._period

    def settle(self, period: int, answer: Answer, pk: int, retry_after: float | None) -> Settled:
        """Take note of the answer to the request for the row ``pk``."""
        with self._lock:
            self._in_flight -= 1
            is_current = period == self._period
            if is_current:
                self._has_probe = False
            if answer is Answer.SUSPECT:
                answer = self._judge(pk)
            if answer is Answer.NOT_NOW:
                self._held_until = max(self._held_until, self._clock.monotonic() + (retry_after or 0.0))
                return Settled(answer=answer)
            if answer in {Answer.ACCEPTED, Answer.REFUSED}:
                return self._succeed(answer, is_current)
            if answer is Answer.UNCLEAR and not self._is_outage(is_current):
                return Settled(answer=answer)
            return Settled(answer=answer, pause=self._begin_pause(retry_after, is_current))

    def stop_for(self, seconds: float | None = None) -> float:
        """Begin a pause without a request, and return its seconds."""
        with self._lock:
            return self._begin_pause(seconds, is_current=True)

    def _judge(self, pk: int) -> Answer:
        """Whether a refusal is this row's fault: since the last one, others have succeeded."""
        before = self._suspects.pop(pk, None)
        if before is not None and self._successes > before:
            return Answer.REFUSED
        if len(self._suspects) >= _MAX_SUSPECTS:
            self._suspects.clear()
        self._suspects[pk] = self._successes if before is None else before
        return Answer.BLOCKED

    def _succeed(self, answer: Answer, is_current: bool) -> Settled:
        self._successes += answer is Answer.ACCEPTED
        self._doubtful = 0
        is_over = is_current and self._is_paused
        if is_current:
            self._is_paused = self._is_probing = False
            self._pause = 0.0
        return Settled(answer=answer, is_over=is_over)

    def _is_outage(self, is_current: bool) -> bool:
        self._doubtful += 1
        if is_current and not self._is_paused:
            self._is_probing = False
        return self._doubtful >= MAX_DOUBTFUL or (is_current and self._is_probing)

    def _begin_pause(self, retry_after: float | None, is_current: bool) -> float:
        now = self._clock.monotonic()
        if not is_current:
            self._paused_until = max(self._paused_until, now + min(retry_after or 0.0, MAX_ASKED_PAUSE))
            return 0.0
        if retry_after:
            seconds = min(retry_after, MAX_ASKED_PAUSE)
        else:
            seconds = self._pause = min(max(2 * self._pause, FIRST_PAUSE), MAX_PAUSE)
        self._paused_until = now + seconds
        self._is_paused = self._is_probing = True
        self._has_probe = False
        self._period += 1
        return seconds
