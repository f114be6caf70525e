"""A mailer at work: its client, the rows in its hands, and the threads that send them."""

from __future__ import annotations

import contextlib
import datetime as dt
import queue
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django_migma.api.credentials import account_digest
from django_migma.api.errors import MigmaError
from django_migma.api.types import FrozenRequest
from django_migma.backends.base import make_client
from django_migma.backends.outgoing import doubtful_success
from django_migma.backends.workers import Workers
from django_migma.exceptions import ConfigurationError

from . import outcomes
from .claims import moment
from .outcomes import Answer, Mark, Row
from .pauses import Account, Settled

if TYPE_CHECKING:
    from django_migma.api import MigmaClient, SendResult
    from django_migma.api.retries import Clock
    from django_migma.conf import Config
    from django_migma.mailers import Mailer

MAX_HELD = 1.0  # seconds that rows wait in the hand for a rate limit; beyond, they go back, and urgent mail may pass
REFRESH = 60.0  # seconds until settings are read again: a callable API_KEY may give another key


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way of a row to Migma: the settings of its mailer as they were when it was claimed."""

    config: Config
    client: MigmaClient
    account: Account

    @property
    def attempt_seconds(self) -> float:
        """How long one request may take."""
        return sum(self.config.timeout)

    @property
    def lease(self) -> float:
        """Seconds for which rows are claimed."""
        return self.config.queue.lease or max(60.0, 2 * self.attempt_seconds + 30)


class Call:
    """A claimed row on its way. ``mark`` is None until it is known what became of it; ``settled``: see `Settled`."""

    def __init__(self, lane: Lane, route: Route, row: Row) -> None:
        self.lane = lane
        self.route = route
        self.row = row
        self.mark: Mark | None = None
        self.settled: Settled | None = None
        self.error: BaseException | None = None

    def make(self, clock: Clock) -> None:
        """Make the request, in a worker thread. Without a turn, the call stays as it is."""
        row, route, account = self.row, self.route, self.route.account
        now, seconds = moment(clock.time()), route.attempt_seconds
        self.mark = outcomes.refuse_to_send(row, now=now, account=account.digest, seconds=seconds)
        if self.mark or (period := account.begin()) is None:
            return
        began = clock.monotonic()
        outcome: SendResult | BaseException
        try:
            outcome = route.client.send(
                FrozenRequest(row.payload.encode()),
                idempotency_key=row.idempotency_key or "",
                is_resend=row.in_doubt,
                wait_for_rate=False,
            )
            outcome = doubtful_success(outcome) or outcome
        except BaseException as caught:  # noqa: BLE001 - whatever it is, the row must not get lost in this thread
            outcome = caught
        milliseconds = round(1000 * (clock.monotonic() - began))
        self.error = outcome if isinstance(outcome, BaseException) else None
        retry_after = getattr(outcome, "retry_after", None)
        self.settled = account.settle(period, outcomes.read_answer(self.error), row.pk, retry_after)
        self._conclude(self.settled.answer, outcome, moment(clock.time()), milliseconds)

    def _conclude(
        self,
        answer: Answer,
        outcome: SendResult | BaseException,
        now: dt.datetime,
        milliseconds: int,
    ) -> None:
        row = self.row
        if answer is Answer.NOT_NOW:
            return
        if not isinstance(outcome, BaseException):
            self.mark = outcomes.accept(row, outcome, now)
            return
        entry = outcomes.error_entry(row, now, outcome, milliseconds=milliseconds)
        if answer is Answer.UNCLEAR:
            self.mark = outcomes.put_off(row, now, entry, self.route.config.queue.schedule)
        elif answer is Answer.REFUSED:
            in_doubt = isinstance(outcome, MigmaError) and outcome.may_have_been_accepted
            self.mark = outcomes.refuse(row, now, entry, in_doubt=in_doubt)
        else:
            wait = self.route.account.wait()
            due_at = now + dt.timedelta(seconds=wait)
            self.mark = outcomes.give_back(row, due_at, {**entry, "wait": round(wait)})


class Lane:
    """One mailer of the settings. ``alias`` is its key in ``MAILERS``, empty under ``EMAIL_BACKEND``.

    ``hand``: claimed calls that no thread has yet. ``finished`` gets the lane whenever one of its threads is done.
    """

    def __init__(
        self, mailer: Mailer, *, clock: Clock, accounts: dict[str, Account], finished: queue.SimpleQueue[Lane]
    ) -> None:
        self.alias = mailer.alias or ""
        self.hand: deque[Call] = deque()
        self.next_claim_at = 0.0  # in monotonic seconds
        self.is_empty = False  # the last look at the table found nothing due
        self.limit = 1
        self._mailer = mailer
        self._clock = clock
        self._accounts = accounts
        self._finished = finished
        self._route: Route | None = None
        self._read_at = 0.0
        self._stand_in = Account("", clock)  # while the settings are unusable
        self._workers: Workers[Call] | None = None

    @property
    def account(self) -> Account:
        return self._route.account if self._route else self._stand_in

    @property
    def busy(self) -> int:
        """Calls that the threads have."""
        return self._workers.busy if self._workers else 0

    @property
    def attempt_seconds(self) -> float:
        """How long a request in flight may take."""
        return self._route.attempt_seconds if self._route else 0.0

    def route(self) -> Route:
        """The way to Migma by the settings of now. Raises `ConfigurationError`."""
        now = self._clock.monotonic()
        if self._route and now - self._read_at < REFRESH and not self._route.account.is_recovering:
            return self._route
        self._route = None
        config = self._mailer.config()
        if config.queue.lease and config.queue.lease <= sum(config.timeout):
            text = f"has the LEASE {config.queue.lease!r}, and one request may take {sum(config.timeout)} s (TIMEOUT)"
            raise ConfigurationError(self._mailer.describe("QUEUE", text))
        digest = account_digest(config.api_url, config.api_key)
        account = self._accounts.get(digest) or self._accounts.setdefault(digest, Account(digest, self._clock))
        # No retries in the client: all patience is in rows. Its own clock may cut no attempt short.
        patient = config._replace(max_retries=0, retry_deadline=2 * sum(config.timeout))
        self._route = Route(config=config, client=make_client(patient, clock=self._clock), account=account)
        self._read_at = now
        if self._workers is None:
            self.limit = config.max_concurrency
            self._workers = Workers(self._make, max(2, self.limit))  # with one, it would leave the work to us
        return self._route

    def free(self, batch: int | None) -> int:
        """How many rows to claim now: up to two rounds in hand, topped up when half a round is free."""
        in_hand = len(self.hand) + self.busy
        free = min(batch or 2 * self.limit, self.account.room()) - in_hand
        return free if free > 0 and (free >= self.limit // 2 or not in_hand) else 0

    def feed(self) -> list[Call]:
        """Give calls to the threads, twice as many as there are, so that each finds its next one waiting.

        Returns the calls that were made here, because there can be no threads.
        """
        made: list[Call] = []
        depth = 2 * self.limit if self.limit > 1 else 1
        for _ in range(min(len(self.hand), depth - self.busy, self.account.room())):
            call = self.hand.popleft()
            if self._workers and not self._workers.submit(call):
                call.make(self._clock)
                made.append(call)
        return made

    def next_done(self) -> Call | None:
        """A call that a thread has finished, once `finished` has said that there is one."""
        return self._workers.next_done() if self._workers else None

    def take_back(self) -> list[Call]:
        """All calls that no thread has begun."""
        calls = [*(self._workers.cancel_pending() if self._workers else ()), *self.hand]
        self.hand.clear()
        return calls

    def close(self) -> None:
        """Let the threads end."""
        if self._workers:
            self._workers.close()

    def _make(self, call: Call) -> None:
        with contextlib.suppress(BaseException):
            call.make(self._clock)
        self._finished.put(self)
