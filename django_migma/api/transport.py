"""The only place that touches the network: one request, its attempts, their waits and the deadline over all of them.

Importing this module imports ``requests`` (some 30 ms), so `MigmaClient` does it when the first client is made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from django_migma import __version__

from . import failures, outcomes, retries
from .clock import Clock
from .endpoint import Secret
from .errors import RateLimited, SerializationError, Timeout
from .outcomes import Failure, Reply
from .pace import Pace
from .pool import Pool, pool_for

USER_AGENT = f"django-migma/{__version__} requests/{requests.__version__}"
_CHUNK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``timeout``: seconds to connect and to wait for data, per attempt. ``retry_deadline``: seconds for all attempts
    of one request, waits included. ``max_retries``: further attempts."""

    timeout: tuple[float, float] = (3.05, 10)
    max_retries: int = 4
    retry_deadline: float = 20


class Transport:
    """Makes requests with one API key against one API address."""

    def __init__(self, *, api_key: Secret, api_url: str, limits: Limits, clock: Clock) -> None:
        self._authorization = api_key.header()
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
        body: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
        repeated: bool = False,
    ) -> tuple[Reply, int]:
        """Make a request, repeat it while that is safe and may help, and return the reply and the attempts it took.

        Safe is a GET, and whatever carries an idempotency key: every attempt carries the same one. ``repeated`` says
        that the key was used before, in vain as far as we know. Raises a `MigmaError`; `SerializationError` before
        anything is sent.
        """
        request = self._prepare(method, path, query, body, idempotency_key)
        repeatable = method == "GET" or bool(idempotency_key)
        deadline = self._clock.monotonic() + self._limits.retry_deadline
        attempt, doubtful, failure = 0, repeated, None
        while failure is None or (repeatable and self._waits(failure, attempt, deadline)):
            outcome = self._attempt(request, deadline, first=attempt == 0 and not repeated)
            attempt += outcome.made
            if isinstance(outcome, Reply):
                return outcome, attempt
            if failure is not None and not outcome.made:
                break  # the time ran out before another attempt: the last answer is what there is to tell
            failure = outcome
            doubtful = failure.accepted is True or (doubtful and failure.accepted is None)
        raise failures.raised(failure, attempt, idempotency_key, doubtful=doubtful)

    def _prepare(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        idempotency_key: str,
    ) -> requests.PreparedRequest:
        headers = {
            "Authorization": self._authorization,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = encoded(body)
        return requests.Request(method, self._api_url + path, headers=headers, params=query, data=data).prepare()

    def _waits(self, failure: Failure, attempt: int, deadline: float) -> bool:
        """Wait before the next attempt; False where there should be none."""
        if not failure.retried or attempt > self._limits.max_retries:
            return False
        wait = retries.backoff(attempt) if failure.pause is None else failure.pause
        if self._clock.monotonic() + wait >= deadline:
            return False
        self._clock.sleep(wait)
        return True

    def _attempt(self, request: requests.PreparedRequest, deadline: float, *, first: bool) -> Reply | Failure:
        """One attempt, when this key may go: after a pause that Migma asked for, in one of the places in flight."""
        pace = self.pace
        while True:
            if blocked := self._sits_out(pace, deadline):
                return blocked
            with pace.place((deadline - self._clock.monotonic()) / 2) as begun:
                if pace.pause(self._clock.monotonic()):
                    continue  # asked for while this thread waited for its place
                outcome = self._exchange(request, deadline, first=first)
                self._learn(pace, outcome, begun)
                return outcome

    def _sits_out(self, pace: Pace, deadline: float) -> Failure | None:
        """Wait until Migma's pause is over; at once a failure where it is longer than the deadline."""
        while pause := pace.pause(now := self._clock.monotonic()):
            if now + pause >= deadline:
                return Failure(
                    error=RateLimited,
                    what=f"Migma asked this API key to wait {math.ceil(pause)} s more; RETRY_DEADLINE is shorter",
                    attributes={"status_code": 429, "retry_after": pause},
                    made=0,
                )
            self._clock.sleep(pause)
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

    def _exchange(self, request: requests.PreparedRequest, deadline: float, *, first: bool) -> Reply | Failure:
        """Send the request once and read the answer. The one place where bytes leave and arrive."""
        left = deadline - self._clock.monotonic()
        if left <= 0:
            return Failure(error=Timeout, what="RETRY_DEADLINE ran out before Migma could be asked", made=0)
        connect, read = self._limits.timeout
        response = None
        try:
            response = self.pool.send(request, (min(connect, left), min(read, left)))
            return self._read(response, deadline, first=first)
        except failures.NETWORK_ERRORS as error:
            return failures.of_network(error)
        finally:
            if response is not None:
                response.close()

    def _read(self, response: requests.Response, deadline: float, *, first: bool) -> Reply | Failure:
        status = response.status_code
        if status < 200 or 300 <= status < 400:
            # Not worth reading; and the connection cannot be trusted after an interim answer, so it is closed.
            return outcomes.unreadable(status, "a redirect or an interim answer, and neither is followed")
        try:
            body = self._body(response, deadline)
        except failures.NETWORK_ERRORS as error:
            body = failures.of_network(error)
        if isinstance(body, Failure):
            if status < 400:
                return body
            body = b""  # the status alone is a clear answer
        now = self._clock.time()
        return outcomes.read(status, response.headers, body, secret=self._api_key, first=first, now=now)

    def _body(self, response: requests.Response, deadline: float) -> bytes | Failure:
        """The whole body, under a cap and a clock: a body that drips defeats every read timeout.

        After the deadline one more read is made, since what came last may have been the end.
        """
        chunks, size, late = [], 0, False
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > outcomes.LARGEST_BODY:
                return outcomes.unreadable(response.status_code, "more than 10 MiB")
            if late:
                what = "RETRY_DEADLINE ran out while Migma's answer dripped in"
                return Failure(error=Timeout, what=what, accepted=True)
            late = self._clock.monotonic() > deadline
        return b"".join(chunks)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as JSON in UTF-8. Raises `SerializationError` for what JSON or UTF-8 cannot express."""
    problem = ""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        problem = "a lone surrogate: it is no text that UTF-8 can carry"
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)
    raise SerializationError(f"The request cannot be written as JSON: {problem}. Pass plain JSON values.")
