"""What the attempts of one request have come to so far."""

from __future__ import annotations

from dataclasses import dataclass

from .outcomes import Failure


@dataclass(kw_only=True)
class Effort:
    """Counts attempts, and keeps the last failure and whether Migma may have accepted in any of them.

    A connection that ends before the first byte of an answer is mostly one that was kept too long. The first time, it
    is not an attempt: the request is made again at once.
    """

    doubtful: bool
    over: bool = False
    at_once: bool = False
    excused: int = 0
    """Attempts that do not count against ``MAX_RETRIES``: 429s that the call's allowance has paid for."""
    _requests: int = 0
    _spared: int = 0
    _last: Failure | None = None

    @property
    def begun(self) -> bool:
        """Whether a request went out."""
        return self._requests > 0

    @property
    def attempts(self) -> int:
        """Requests made, but for one that was spared and made again."""
        return self._requests - (self._spared if self._requests > 1 else 0)

    def succeed(self) -> int:
        """Note a reply; the attempts that it took."""
        self._requests += 1
        return self.attempts

    def fail(self, failure: Failure, *, excused: bool) -> Failure:
        """Note a failure, and return the one to tell of. ``excused``: it does not count against ``MAX_RETRIES``."""
        if not failure.made:
            self.over = True
            return self._last or failure  # the time ran out before another attempt: the last answer says more
        self._requests += 1
        self.at_once = failure.unanswered and not self._spared
        self._spared += self.at_once
        self.excused += excused
        self.doubtful = failure.accepted is True or (self.doubtful and failure.accepted is None)
        self._last = failure
        return failure
