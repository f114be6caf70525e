"""One ``send_messages()`` call: messages to calls in flight, and back to statuses and signals.

Payloads are built and signals sent in the caller's thread, in order; only HTTP runs in worker threads. What is in
flight is bounded, so a generator of a million messages takes constant memory.

A recipient's status says ``unknown``, with its key, from before its call is handed to a thread, and that thread
replaces it when the result is here. So an interrupt at any moment, or a second one, cannot make it lie.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django_migma import signals
from django_migma.api.errors import (
    AuthenticationError,
    Forbidden,
    MigmaError,
    NoResponse,
    RateLimited,
    Timeout,
)
from django_migma.api.retries import backoff

from .failures import Failures
from .outgoing import Call, OutgoingMessage
from .preparation import Preparation
from .workers import Workers

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from django_migma.api import MigmaClient
    from django_migma.conf import Config
    from django_migma.stored_emails import Resolver

    from .base import MigmaBackend
    from .delivery_log import DeliveryLog
    from .fallback import FallbackMailer

GRACE = 2.0  # seconds that an interrupt gives to the calls in flight
_POLL = 0.01  # seconds between looks at the calls in flight, after an exception
_MESSAGES_PER_CALL = 32  # messages that wait to be finished in order, for each call in flight


class Dispatcher:
    """State and result of one ``send_messages()`` call."""

    def __init__(
        self,
        backend: MigmaBackend,
        client: MigmaClient,
        config: Config,
        resolve: Resolver,
        fallback: FallbackMailer | None = None,
        *,
        log: DeliveryLog | None = None,
        is_single: bool,
        seconds: float = math.inf,
    ) -> None:
        self.sent_count = 0
        self._backend = backend
        self._sender = type(backend)
        self._client = client
        self._config = config
        self._fallback = fallback
        self._log = log
        self._clock = backend.clock
        self._is_single = is_single or seconds < math.inf
        self._preparation = Preparation(backend, config, resolve, fallback, wait_for_rate=self._is_single)
        self._ends_at = time.monotonic() + seconds  # in true seconds, as the sockets' timeouts

        self._messages: deque[OutgoingMessage] = deque()
        self._queue: deque[Call] = deque()
        self._workers = Workers(self._run_in_thread, config.max_concurrency)
        self._first_call_made = client.has_succeeded
        self._has_accepted = False
        self._stopped = False

        # Twice, so that each thread finds its next call waiting.
        self._max_calls = 2 * config.max_concurrency if config.max_concurrency > 1 else 1
        self._call_limit = self._max_calls
        self._not_before = -math.inf
        self._rate_limit_wait = config.rate_limit_wait
        self._reached_at, self._unreached_since = -math.inf, math.inf

        self._failures = Failures()

    def send(self, messages: Iterable[EmailMessage]) -> None:
        """Send the messages; stop reading them where every further call would meet the same error.

        Raises what the iterable, a receiver of ``pre_send`` or an interrupt raises. What was begun by then is given
        time to end: all that it may take after an exception, `GRACE` seconds after an interrupt.
        """
        try:
            for message in messages:
                self._add(message)
                if self._stopped:
                    break
            while self._queue or self._workers.busy:
                self._advance()
            self._finish_messages()
        except Exception:
            self._wind_up(min(self._config.retry_deadline + max(self._config.timeout), self._time_left()))
            self._close_fallback()
            raise
        except BaseException:
            self._cancel_pending()
            self._wind_up(GRACE)
            raise
        finally:
            self._workers.close()
            if self._log:
                self._log.write()
        self._close_fallback()

    def result(self) -> int:
        """The number of messages sent. Raises the error that the caller should see, see `Failures.raise_any`."""
        self._failures.raise_any(self.sent_count, fail_silently=self._config.fail_silently)
        return self.sent_count

    def _add(self, message: EmailMessage) -> None:
        outgoing = self._preparation.prepare(message, self._messages)
        if outgoing is None:
            return
        self._messages.append(outgoing)
        if self._fallback and outgoing.for_fallback:
            self._fallback.send(outgoing)
        self._queue.extend(outgoing.calls)
        while self._queue and not self._stopped:
            self._advance()
        self._finish_messages()
        while self._workers.busy and self._holds_many():
            self._advance()

    def _holds_many(self) -> bool:
        """Whether so many messages wait for an earlier one to be finished that reading more could fill the memory.

        Of messages for the other mailer, fewer may wait, since their attachments may be large.
        """
        handed_over = sum(outgoing.for_fallback is not None for outgoing in self._messages) if self._fallback else 0
        limit = self._config.max_concurrency
        return len(self._messages) > _MESSAGES_PER_CALL * limit or handed_over > limit

    def _advance(self) -> None:
        """Start the next call if it may start; else wait for a result, or until the rate limit allows more."""
        pause = self._not_before - self._clock.monotonic() if self._queue else 0.0
        if self._queue and pause <= 0 and self._workers.busy < self._call_limit:
            self._start(self._queue.popleft())
        elif self._workers.busy:
            # In true seconds, also where a test's clock is another: a thread works meanwhile.
            wait = min(pause if pause > 0 else math.inf, self._time_left())
            if call := self._workers.next_done(wait if wait < math.inf else None):
                self._collect(call)
                self._finish_messages()
            elif not self._time_left():
                self._give_up()
        else:
            self._clock.sleep(pause)

    def _start(self, call: Call) -> None:
        """Make a call in a thread; in this one if it is the only call, or the first with this key.

        The first call of a process goes alone, so that a wrong key is refused once and not sixteen times. Where the
        time is limited, only a thread can be left behind: a name look-up, for one, has no timeout.
        """
        call.begin(self._clock.monotonic())
        is_only = self._is_single and len(call.outgoing.calls) == 1
        is_inline = (is_only or not self._first_call_made) and self._ends_at == math.inf
        if is_inline or not self._workers.submit(call):
            try:
                self._run(call)
            finally:
                self._collect(call)
                self._finish_messages()
        self._first_call_made = True

    def _run_in_thread(self, call: Call) -> None:
        """Make a call in a worker thread. What it raises stands in ``call.error``, for the caller's thread."""
        with contextlib.suppress(BaseException):
            self._run(call)

    def _run(self, call: Call) -> None:
        """Make a call and record its result. Raises what is not a `MigmaError`, such as a task's time limit."""
        try:
            result = self._client.send(
                call.payload.request,
                idempotency_key=call.key,
                is_resend=call.is_resend,
                wait_for_rate=call.wait_for_rate,
            )
            call.succeed(result)
        except MigmaError as error:
            call.fail(error)
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.ended_at = self._clock.monotonic()

    def _collect(self, call: Call) -> None:
        if isinstance(call.error, RateLimited) and not self._stopped and self._requeue(call, call.error):
            return
        call.outgoing.open -= 1
        if call.status.accepted:
            self._has_accepted = True
            if self._call_limit < self._config.max_concurrency:
                self._call_limit += 1
        if self._affects_every_call(call):
            self._stop()

    def _requeue(self, call: Call, error: RateLimited) -> bool:
        """Queue a rate-limited call again; False if it has already waited by itself.

        The caller's thread waits, ``RATE_LIMIT_WAIT`` seconds in all; after that, each call by itself.
        """
        if call.wait_for_rate:
            return False
        call.rate_limited += 1
        now = self._clock.monotonic()
        is_foreseen = not error.attempts  # no request was made, and the wait is known
        wait = error.retry_after or 0.0 if is_foreseen else backoff(call.rate_limited, error.retry_after)
        until = max(self._not_before, now + wait)
        extra = until - max(self._not_before, now)
        if extra <= self._rate_limit_wait:
            self._rate_limit_wait -= extra
            self._not_before = until
            self._call_limit = 1
        else:  # the time is used up, and each call may still wait as long as a single mail
            call.wait_for_rate = True
            self._call_limit = self._max_calls
        self._queue.appendleft(call)
        return True

    def _affects_every_call(self, call: Call) -> bool:
        is_forbidden = isinstance(call.error, Forbidden) and not self._has_accepted
        return isinstance(call.error, AuthenticationError) or is_forbidden or self._is_outage(call)

    def _is_outage(self, call: Call) -> bool:
        """Whether nothing has reached Migma for ``RETRY_DEADLINE`` seconds, over all calls."""
        now, error, deadline = call.ended_at, call.error, self._config.retry_deadline
        if isinstance(error, MigmaError) and not error.attempts:
            return False  # no request was made
        if not isinstance(error, NoResponse) or error.may_have_been_accepted:
            self._reached_at, self._unreached_since = max(self._reached_at, now), math.inf
            return False
        self._unreached_since = min(self._unreached_since, max(call.started_at, self._reached_at))
        # A request gives up a little before its deadline, where the last wait would leave no time for an attempt.
        return now - self._unreached_since >= deadline - min(1.0, deadline / 2)

    def _stop(self) -> None:
        """Start no more calls. Those that were not started stay ``not_attempted``."""
        self._stopped = True
        self._cancel_pending()
        for call in self._queue:
            call.outgoing.open -= 1
        self._queue.clear()

    def _time_left(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def _give_up(self) -> None:
        """Leave the calls in flight to their threads, which can only improve their statuses."""
        self._stop()
        self._workers.abandon()
        for call in [call for outgoing in self._messages for call in outgoing.calls if call.in_flight]:
            call.fail(Timeout("Migma did not answer in time", may_have_been_accepted=True, idempotency_key=call.key))
            call.outgoing.open -= 1
        self._finish_messages()

    def _cancel_pending(self) -> None:
        for call in self._workers.cancel_pending():
            call.cancel()
            call.outgoing.open -= 1

    def _finish_messages(self) -> None:
        while self._messages and not self._messages[0].open:
            self._finish(self._messages.popleft())

    def _close_fallback(self) -> None:
        """Close the other mailer's connection. Not after an interrupt: a server that hangs would hold it up."""
        if self._fallback:
            self._fallback.close()

    def _finish(self, outgoing: OutgoingMessage) -> None:
        message, status, alias = outgoing.message, outgoing.status, self._backend.alias
        recipients = status.recipients.values()
        status.is_complete = not outgoing.refusal and all(recipient.accepted for recipient in recipients)
        self._backend.message_finished(outgoing)
        self.sent_count += any(recipient.accepted for recipient in recipients)
        self._failures.collect(outgoing)
        if self._log:
            self._log.add(outgoing)
        signals.send_robust(signals.post_send, self._sender, message=message, status=status, alias=alias)

    def _wind_up(self, seconds: float) -> None:
        """Give the calls in flight some seconds to end, then finish every message as it is.

        Looks at `Call.in_flight`: this object's counters may be wrong after an exception from outside, such as a
        task's time limit. The statuses are true at any moment.
        """
        deadline = time.monotonic() + seconds
        calls = [call for outgoing in self._messages for call in outgoing.calls]
        while any(call.in_flight for call in calls) and time.monotonic() < deadline:
            time.sleep(_POLL)
        while self._messages:
            self._finish(self._messages.popleft())
