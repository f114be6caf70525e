"""How long one request may go on, and how long the requests of one call may wait for rate limits besides."""

from __future__ import annotations

import math
import threading

from .clock import Clock


class Allowance:
    """Seconds that all requests of one call together may wait for rate limits; `end` calls off those that wait.

    Waits of several threads at the same time count once: the allowance is spent as the call's own time is.
    """

    def __init__(self, seconds: float = 0) -> None:
        self.ended = threading.Event()
        self._left = seconds
        self._paid_until = -math.inf
        self._lock = threading.Lock()

    def left(self, now: float) -> float:
        """Seconds that a wait that begins now may take: what is left, on top of a wait that is granted already."""
        return max(0.0, self._paid_until - now) + self._left

    def grant(self, now: float, seconds: float) -> bool:
        """Take the time for a wait; False where it is more than there is left."""
        with self._lock:
            more = max(0.0, now + seconds - max(now, self._paid_until))
            if more > self._left:
                return False
            self._left -= more
            self._paid_until = max(self._paid_until, now + seconds)
            return True

    def end(self) -> None:
        """Call off every wait for a rate limit, now and later: the call is to end soon."""
        self.ended.set()


class Patience:
    """The time of one request: ``seconds`` for all its attempts, and its call's allowance for rate limits.

    Waits leave ``room``, in seconds: an attempt without time for an answer would turn a clear failure into doubt.
    """

    def __init__(self, clock: Clock, seconds: float, allowance: Allowance | None, room: float = 0) -> None:
        self._clock = clock
        self._seconds = seconds
        self._deadline = clock.monotonic() + seconds
        self._allowance = allowance or Allowance()
        self._room = min(room, seconds / 2)
        self._mark = self._deadline - seconds, self._deadline
        self.unreached_since = self._deadline - seconds
        """Since when nothing has reached Migma, as far as this request knows: waits for rates aside."""

    @property
    def ended(self) -> bool:
        """Whether waits for rate limits are called off."""
        return self._allowance.ended.is_set()

    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - self._clock.monotonic()

    def for_a_place(self) -> float:
        """Seconds to wait for a place in flight: half of what may be waited, and of the time of one request."""
        may_wait = max(0.0, self.left() - self._room, self._allowance.left(self._clock.monotonic()))
        return min(may_wait, self._seconds) / 2

    def has_allowance(self) -> bool:
        """Whether the call may still wait for rate limits beyond the deadline."""
        return self._allowance.left(self._clock.monotonic()) > 0

    def note_reached(self) -> None:
        """An attempt has reached Migma, or there was none to make until now."""
        self.unreached_since = self._clock.monotonic()

    def begin_attempt(self) -> None:
        """Remember the time, for `excuse`."""
        self._mark = self._clock.monotonic(), self._deadline

    def excuse(self) -> bool:
        """Let the allowance pay for the time since the attempt began, the deadline moves; False where it cannot."""
        (began, deadline), now = self._mark, self._clock.monotonic()
        excused = not self.ended and self.has_allowance() and self._allowance.grant(began, now - began)
        if excused:
            self._deadline = deadline + now - began
        return excused

    def wait(self, seconds: float) -> bool:
        """Wait; False, at once, where too little time would be left."""
        if seconds >= self.left() - self._room:
            return False
        self._clock.sleep(seconds)
        return True

    def wait_for_rate(self, seconds: float) -> bool:
        """The same for a rate limit. The allowance pays, and the deadline moves, where it suffices; False also where
        the wait is called off."""
        if self.left() > self._room and self._allowance.grant(self._clock.monotonic(), seconds):
            self._deadline += seconds
        elif seconds >= self.left() - self._room:
            return False
        ended = self._clock.wait(self._allowance.ended, seconds)
        self.note_reached()
        return not ended
