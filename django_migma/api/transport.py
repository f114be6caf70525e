"""The only place that touches the network: one request, its attempts, their waits and the deadline over all of them.

Importing this module imports ``requests`` (some 30 ms), so `MigmaClient` does it when the first client is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from django_migma import __version__

from . import failures, outcomes, retries
from .adapter import Received
from .clock import Clock
from .credentials import Secret
from .effort import Effort
from .errors import RateLimited, Timeout
from .outcomes import Failure, Reply
from .pace import Pace
from .patience import Allowance, Patience
from .pool import Pool, pool_for
from .rates import Rate, Window

USER_AGENT = f"django-migma/{__version__} requests/{requests.__version__}"
_CHUNK = 64 * 1024
_ROOM = 1.0
"""Seconds that are left for an attempt, at least, when a wait before it is over."""
_NOTICEABLE = 0.01
_BEHIND = 0.03
_SHORTEST_PAUSE = 1.0
"""Seconds: a ``Retry-After`` below it, such as 0 or a date that has passed, is no wait to rely on."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``timeout``: seconds to connect and for the whole answer, per attempt. ``retry_deadline``: seconds for all
    attempts of one request, waits included. ``max_retries``: further attempts. ``rate``: our own pace, if any."""

    timeout: tuple[float, float] = (3.05, 10)
    max_retries: int = 4
    retry_deadline: float = 20
    rate: Rate | None = None


class Transport:
    """Makes requests with one API key against one API address."""

    def __init__(self, *, api_key: Secret, api_url: str, limits: Limits, clock: Clock) -> None:
        self._headers = {
            "Authorization": api_key.header(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        self._api_key = api_key
        self._api_url = api_url.rstrip("/")
        self._limits = limits
        self._clock = clock

    @property
    def pool(self) -> Pool:
        """Asked for at each request, since a fork drops the pools."""
        return pool_for(self._api_url)

    @property
    def pace(self) -> Pace:
        """The pace that all threads of this key and host share."""
        return self.pool.pace(self._api_key)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        idempotency_key: str = "",
        repeated: bool = False,
        allowance: Allowance | None = None,
    ) -> tuple[Reply, int]:
        """Make a request, repeat it while that is safe and may help, and return the reply and the attempts it took.

        Safe is a GET, and whatever carries an idempotency key: every attempt carries the same one. ``repeated`` says
        that the key was used before, in vain as far as we know. ``allowance`` is what the call that this request
        belongs to may wait for rate limits. Raises a `MigmaError`; `SerializationError` before anything is sent.
        """
        request = self._prepare(method, path, query, body, idempotency_key)
        repeatable = method == "GET" or bool(idempotency_key)
        room = min(self._limits.timeout[1], _ROOM)
        patience = Patience(self._clock, self._limits.retry_deadline, allowance, room)
        effort = Effort(doubtful=repeated)
        while True:
            patience.begin_attempt()
            outcome = self._attempt(request, patience, first=not (effort.begun or repeated))
            if isinstance(outcome, Reply):
                return outcome, effort.succeed()
            excused = outcome.made > 0 and outcome.error is RateLimited and patience.excuse()
            failure = effort.fail(outcome, excused=excused)
            if outcome.made and not failures.is_unreached(outcome):
                patience.note_reached()
            if not (repeatable and self._goes_on(effort, failure, patience)):
                raise failures.raised(failure, effort, idempotency_key, unreached_since=patience.unreached_since)

    def _prepare(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: bytes | None,
        idempotency_key: str,
    ) -> requests.PreparedRequest:
        """Without what `requests.Request.prepare` works out anew each time: cookies, hooks, an auth, an encoding.

        The headers are a plain dict, which urllib3 reads faster: nobody here looks one up in another case.
        """
        request = requests.PreparedRequest()
        request.method = method
        request.url = self._api_url + path
        if query:
            request.prepare_url(request.url, query)
        headers: Any = dict(self._headers)
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if body is not None:
            request.body = body
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(body))
        request.headers = headers
        return request

    def _goes_on(self, effort: Effort, failure: Failure, patience: Patience) -> bool:
        """Wait before the next attempt; False where there should be none."""
        if effort.over or not failure.retried:
            return False
        if effort.at_once:
            return True
        if effort.attempts - effort.excused > self._limits.max_retries:
            return False
        pause = failure.pause or 0.0
        if pause >= _SHORTEST_PAUSE:
            return True  # `_sits_out` waits, or says that there is no time
        wait = patience.wait_for_rate if failure.error is RateLimited else patience.wait
        return wait(max(pause, retries.backoff(effort.attempts)))

    def _attempt(self, request: requests.PreparedRequest, patience: Patience, *, first: bool) -> Reply | Failure:
        """One attempt, when this key may go: after a pause that Migma asked for, when our own rate allows it, in one
        of the places in flight. Nobody waits inside of one for anything but the answer."""
        pace = self.pace
        window = pace.window(self._limits.rate) if self._limits.rate else None
        while True:
            if blocked := self._sits_out(pace, patience) or (window and self._waits_its_turn(window, patience)):
                return blocked
            asked = self._clock.monotonic()
            with pace.place(patience.for_a_place()) as begun:
                now = self._clock.monotonic()
                if now - asked > _NOTICEABLE:  # who waits for a place waits for a rate limit
                    if patience.ended:
                        return failures.not_waited("The number of requests in flight is limited", 0, ended=True)
                    patience.excuse()
                if pace.pause(now) or (window and not window.take(now)):
                    continue  # asked for, or gone, while this thread waited
                outcome = self._exchange(request, patience, first=first)
                self._learn(pace, outcome, begun)
                return outcome

    def _sits_out(self, pace: Pace, patience: Patience) -> Failure | None:
        """Wait until Migma's pause is over; a failure where it is longer than may be waited."""
        while pause := pace.pause(self._clock.monotonic()):
            if not patience.wait_for_rate(pause):
                what = f"Migma asked this API key to wait {math.ceil(pause)} s more"
                return failures.not_waited(what, pause, ended=patience.ended, status_code=429)
        return None

    def _waits_its_turn(self, window: Window, patience: Patience) -> Failure | None:
        """Wait until our own rate lets somebody go; a failure where that is too far away.

        Who has an allowance comes a little later than those who have a deadline only.
        """
        while wait := window.wait(self._clock.monotonic()):
            behind = _BEHIND if patience.has_allowance() else 0.0
            if not patience.wait_for_rate(wait + behind):
                what = f"RATE_LIMIT leaves no request free for {math.ceil(wait)} s more"
                return failures.not_waited(what, wait, ended=patience.ended)
        return None

    def _learn(self, pace: Pace, outcome: Reply | Failure, begun: int) -> None:
        """Let the other threads of this key know, before the place is free again."""
        if isinstance(outcome, Reply):
            pace.speed_up()
            return
        if outcome.error is RateLimited:
            pace.slow_down(begun)
        if outcome.pause is not None:
            now = self._clock.monotonic()
            pace.resume_at(now + outcome.pause, now)

    def _exchange(self, request: requests.PreparedRequest, patience: Patience, *, first: bool) -> Reply | Failure:
        """Send the request once and read the answer. The one place where bytes leave and arrive."""
        left = patience.left()
        if left <= 0:
            return Failure(error=Timeout, what="RETRY_DEADLINE ran out before Migma could be asked", made=0)
        connect, read = self._limits.timeout
        response = None
        try:
            response = self.pool.send(request, (min(connect, left), min(read, left)))
            return self._read(response, first=first)
        except failures.NETWORK_ERRORS as error:
            return failures.of_network(error, answered=response is not None)
        finally:
            if response is not None:
                response.close()

    def _read(self, response: Received, *, first: bool) -> Reply | Failure:
        status = response.status_code
        if status < 200 or 300 <= status < 400:
            # Not worth reading; and the connection cannot be trusted after an interim answer, so it is closed.
            return outcomes.unreadable(status, "a redirect or an interim answer, and neither is followed")
        try:
            body = self._body(response)
        except failures.NETWORK_ERRORS as error:
            body = failures.of_network(error, answered=True)
        if isinstance(body, Failure):
            if status < 400:
                return body
            body = b""  # the status alone is a clear answer
        now = self._clock.time()
        return outcomes.read(status, response.headers, body, secret=self._api_key, first=first, now=now)

    def _body(self, response: Received) -> bytes | Failure:
        """The whole body, under a cap: the connection has seen to the time."""
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > outcomes.LARGEST_BODY:
                return outcomes.unreadable(response.status_code, "more than 10 MiB")
        return outcomes.unpacked(response.status_code, response.headers, bytes(body))
