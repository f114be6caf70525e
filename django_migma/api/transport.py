"""The only place that touches the network: one request, its attempts, their waits and the deadline over all of them.

Importing this module imports ``requests`` (some 30 ms), so `MigmaClient` does it when the first client is made.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import requests
from urllib3.exceptions import DecodeError, ReadTimeoutError

from django_migma import __version__

from .connections import NETWORK_ERRORS, RawResponse, network_error, pool_for
from .credentials import Secret
from .errors import Conflict, MigmaError, RateLimited, Timeout
from .rate_limits import Rate, RateLimiter
from .responses import MAX_BODY, Failure, Response, decode, invalid_response
from .retries import Clock, Retry, backoff

USER_AGENT = f"django-migma/{__version__} requests/{requests.__version__}"
_CHUNK = 64 * 1024
_MIN_ATTEMPT = 1.0  # seconds that a wait leaves for the next attempt: one cut short turns a failure into doubt


class Transport:
    """Makes requests with one API key against one API address."""

    def __init__(self, *, api_key: Secret, api_url: str, retry: Retry, rate: Rate | None, clock: Clock) -> None:
        self._headers = {
            "Authorization": api_key.as_bearer(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        self._api_key = api_key
        self._api_url = api_url.rstrip("/")
        self._retry = retry
        self._rate = rate
        self._clock = clock

    @property
    def limiter(self) -> RateLimiter:
        """The limits that all threads of this key and host share. Looked up each time: a fork drops the pools."""
        return pool_for(self._api_url).limiter(self._api_key)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        idempotency_key: str = "",
        is_resend: bool = False,
        wait_for_rate: bool = True,
    ) -> Response:
        """Make a request, and again while that is safe and may help. Raises a `MigmaError`.

        Safe is a GET, and whatever carries an idempotency key: every attempt carries the same one. ``is_resend``: an
        earlier request with this key may have been accepted. Without ``wait_for_rate``, a rate limit raises
        `RateLimited` at once, for a caller who waits for many requests together.
        """
        request = self._prepare(method, path, query, body, idempotency_key)
        is_safe = method == "GET" or bool(idempotency_key)
        deadline = self._clock.monotonic() + self._retry.deadline
        attempts, doubt, failure = 0, is_resend, None
        while True:
            if blocked := self._wait_for_turn(deadline, wait_for_rate=wait_for_rate):
                is_limited = isinstance(blocked.error, RateLimited) and not wait_for_rate
                failure = blocked if is_limited else failure or blocked  # what Migma answered before says more
                break
            outcome = self._send_once(request, deadline)
            attempts += 1
            if isinstance(outcome, Response):
                return outcome._replace(attempts=attempts)
            failure = outcome
            # A 409 to the first attempt is a real conflict; later, our own first request may still be running.
            is_retried = failure.is_retried or (isinstance(failure.error, Conflict) and (attempts > 1 or is_resend))
            is_limited = isinstance(failure.error, RateLimited) and not wait_for_rate
            doubt = failure.may_be_accepted is True or (doubt and failure.may_be_accepted is None)
            if is_limited or not (is_safe and is_retried and attempts <= self._retry.total):
                break
            if not self._wait(backoff(attempts, failure.retry_after), deadline):
                break
        raise _completed(failure.error, attempts, idempotency_key, doubt)

    def _prepare(
        self, method: str, path: str, query: Mapping[str, Any] | None, body: bytes | None, idempotency_key: str
    ) -> requests.PreparedRequest:
        """Without what `requests.Request.prepare` works out each time: cookies, hooks, an auth, an encoding.

        The headers are a plain dict, which urllib3 reads faster: nothing here looks one up in another case.
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

    def _wait_for_turn(self, deadline: float, *, wait_for_rate: bool) -> Failure | None:
        limiter = self.limiter
        while wait := limiter.acquire(self._clock.monotonic(), self._rate):
            if not (wait_for_rate and self._wait(wait, deadline)):
                return _rate_limited(wait, by_migma=limiter.paused_for(self._clock.monotonic()) > 0)
        if self._clock.monotonic() >= deadline:
            return Failure(Timeout("RETRY_DEADLINE ran out before the request was made"), may_be_accepted=None)
        return None

    def _wait(self, seconds: float, deadline: float) -> bool:
        """Sleep; False, at once, where too little time would be left for another attempt."""
        room = min(_MIN_ATTEMPT, self._retry.timeout[1], self._retry.deadline / 2)
        if seconds >= deadline - self._clock.monotonic() - room:
            return False
        self._clock.sleep(seconds)
        return True

    def _send_once(self, request: requests.PreparedRequest, deadline: float) -> Response | Failure:
        """Send the request once and read the response. The one place where bytes leave and arrive."""
        left = max(0.001, deadline - self._clock.monotonic())
        connect, read = (min(seconds, left) for seconds in self._retry.timeout)
        end = time.monotonic() + read  # true time, as the socket's timeout
        try:
            response = pool_for(self._api_url).send(request, (connect, read))
        except NETWORK_ERRORS as error:
            return network_error(error)
        try:
            return self._read(response, end)
        finally:
            response.close()

    def _read(self, response: RawResponse, end: float) -> Response | Failure:
        status, now = response.status_code, self._clock.time()
        if status < 200 or 300 <= status < 400:
            # Not worth reading; and after an interim response the connection cannot be trusted, so it is closed.
            return invalid_response(status, "a redirect or an interim response, and neither is followed")
        try:
            body = _body(response, end)
        except NETWORK_ERRORS as error:
            if status < 400 and isinstance(error, DecodeError):
                return invalid_response(status, "its Content-Encoding cannot be read")
            if status < 400:
                return network_error(error)
            body = b""  # the status alone is a clear answer
        if len(body) > MAX_BODY and status < 400:
            return invalid_response(status, "more than 10 MiB")
        outcome = decode(status, response.headers, body[:MAX_BODY], secret=self._api_key, now=now)
        if isinstance(outcome, Failure) and isinstance(outcome.error, RateLimited) and outcome.retry_after:
            self.limiter.pause(outcome.retry_after, self._clock.monotonic())
        return outcome


def _body(response: RawResponse, end: float) -> bytes:
    """The body, or its start if it is too large. ``end`` is in monotonic seconds.

    The socket's own timeout bounds each read alone, and a body that drips defeats it.
    """
    body = bytearray()
    is_encoded = "Content-Encoding" in response.headers  # we ask for none; some proxies use gzip all the same
    while len(body) <= MAX_BODY and (chunk := response.raw.read1(_CHUNK, decode_content=is_encoded)):
        if body and time.monotonic() > end:
            raise ReadTimeoutError(None, None, "The response was not complete in time")  # type: ignore[arg-type]
        body += chunk
    return bytes(body)


def _rate_limited(seconds: float, *, by_migma: bool) -> Failure:
    """The failure of a request that was not made, since a rate limit asks for a longer wait than there is time."""
    whole = math.ceil(seconds)
    what = "Migma asked this API key to wait" if by_migma else "RATE_LIMIT leaves no request free for"
    error = RateLimited(
        f"{what} {whole} s more: beyond RETRY_DEADLINE and, in a call with several messages, RATE_LIMIT_WAIT",
        status_code=429 if by_migma else 0,
        retry_after=seconds,
    )
    return Failure(error, may_be_accepted=None)


def _completed(error: MigmaError, attempts: int, idempotency_key: str, doubt: bool) -> MigmaError:
    error.attempts = attempts
    error.idempotency_key = idempotency_key
    error.may_have_been_accepted = doubt
    return error
