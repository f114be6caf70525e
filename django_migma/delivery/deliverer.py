"""The loop of a worker: claim rows, feed them to threads, collect the answers, mark the rows, end in order.

One thread owns the database and does everything but HTTP: with a connection in each thread, SQLite sends 20 mails a
second, whatever the number of threads, and other databases need as many connections.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from django.db import Error as DatabaseProblem
from django.db import close_old_connections, connections, transaction

from django_migma.api.retries import Clock
from django_migma.exceptions import APIError, ConfigurationError, MigmaError, TemporaryError
from django_migma.mailers import mailers

from . import outcomes
from .claims import Claims, moment, worker_name
from .lanes import MAX_HELD, Call, Lane
from .outcomes import Mark, Row, Status
from .pauses import Account

LOST_RACE = 0.05  # seconds until the next look at rows that were due, and that another worker got
POLL = 0.25  # seconds between looks at the table, and between answers and their marks
MIN_DATABASE_WAIT, MAX_DATABASE_WAIT = 1.0, 30.0  # seconds
logger = logging.getLogger("django_migma")


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """What a run has done.

    ``counts``: rows by what became of them: ``accepted``, ``failed``, ``unknown``, ``put_off``, ``given_back``.
    ``next_due``: when the first of the rows that this run has put off is due, be it for its own sake or because its
    mailer pauses. ``has_due``: rows are due now, and their mailer does not pause. ``is_paused``: rows are due whose
    mailer pauses.
    """

    counts: Mapping[str, int]
    next_due: dt.datetime | None
    has_due: bool
    is_paused: bool


@dataclass(frozen=True, kw_only=True)
class Progress:
    """For whoever shows how a run is going: ``counts`` as in `PassResult`, and the calls in flight or in hand."""

    counts: Mapping[str, int]
    in_hand: int


class Deliverer:
    """Delivers the rows of the queue. Keep one for a process: it remembers which accounts pause.

    ``batch``: rows in hand per mailer at most; default: twice ``MAX_CONCURRENCY``. ``aliases``: the mailers whose
    rows it takes, an empty string for ``EMAIL_BACKEND``; default: all. ``report`` is called with a `Progress` each
    time that rows were marked. One `run` at a time.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        batch: int | None = None,
        aliases: Collection[str] | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.batch = batch
        self.aliases = aliases
        self.report = report
        self.accounts: dict[str, Account] = {}
        self.is_stopped = False
        self.has_reported_unknown = False

    def stop(self) -> None:
        """End the run in order: give back what no thread has begun, mark what is in flight. For signals and threads.

        A deliverer that was stopped does not start again.
        """
        self.is_stopped = True

    def run(
        self, seconds: float | None = None, idle: float | None = None, max_count: int | None = None
    ) -> PassResult:
        """Deliver until the end of one of the limits, or for ever.

        ``seconds``: for all; what is in flight then may take as long as one request. ``idle``: seconds without a row;
        0 ends the run as soon as nothing is due. ``max_count``: rows. Raises RuntimeError in a transaction, and the
        database's error at the start; later, too, if one of the first two limits is set and nothing is to be saved.
        """
        return _Run(self, seconds, idle, max_count).run()


class _Run:
    """One run: its lanes, and the marks that are not written yet."""

    def __init__(
        self, deliverer: Deliverer, seconds: float | None, idle: float | None, max_count: int | None
    ) -> None:
        self._deliverer = deliverer
        self._clock = deliverer.clock
        self._claims = Claims(worker_name())
        self._finished: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        self._lanes = [
            Lane(mailer, clock=self._clock, accounts=deliverer.accounts, finished=self._finished)
            for mailer in mailers()
            if deliverer.aliases is None or (mailer.alias or "") in deliverer.aliases
        ]
        now = self._clock.monotonic()
        self._ends_at = None if seconds is None else now + seconds
        self._idle = idle
        self._max_count = max_count
        self._taken = 0
        self._marks: list[Mark] = []
        self._marked_since = self._last_row_at = now
        self._counts: Counter[str] = Counter()
        self._next_due: dt.datetime | None = None
        self._database_wait = 0.0
        self._database_at = now

    def run(self) -> PassResult:
        self._refuse_transaction()
        self._report_unknown()
        try:
            while self._goes_on():
                self._advance()
            self._drain()
        finally:
            for lane in self._lanes:
                lane.close()
        return self._result()

    def _refuse_transaction(self) -> None:
        """Raise RuntimeError inside a transaction: what it claims, no other worker would see, nor what it marks."""
        if connections[self._claims.using].in_atomic_block:
            with transaction.atomic(using=self._claims.using, durable=True):
                pass

    def _report_unknown(self) -> None:
        """Tell of rows whose mailer is gone; once. An error of the database ends the run before it has begun."""
        if self._deliverer.has_reported_unknown or self._deliverer.aliases is not None:
            return
        for alias in self._claims.unknown_aliases([lane.alias for lane in self._lanes]):
            place = f"MAILERS has no mailer {alias!r}" if alias else "EMAIL_BACKEND is none"
            logger.error("Mail waits that nobody sends: %s that uses Migma. Bring it back in the settings.", place)
        self._deliverer.has_reported_unknown = True

    def _goes_on(self) -> bool:
        now = self._clock.monotonic()
        if self._deliverer.is_stopped or (self._ends_at is not None and now >= self._ends_at):
            return False
        if self._is_at_work():
            return True
        if self._max_count is not None and self._taken >= self._max_count:
            return False
        is_empty = all(lane.is_empty for lane in self._lanes)
        return self._idle is None or not is_empty or now - self._last_row_at < self._idle

    def _is_at_work(self) -> bool:
        """Whether rows are in hand, or were, and are not marked yet."""
        return bool(self._marks) or any(lane.hand or lane.busy for lane in self._lanes)

    def _advance(self) -> None:
        while (call := self._next_finished(0.0)) is not None:
            self._collect(call)
        self._give_back_held()
        self._feed()
        self._flush()
        if self._claim():
            self._feed()
        elif self._goes_on() and (call := self._wait()) is not None:
            self._collect(call)

    def _next_finished(self, timeout: float) -> Call | None:
        try:
            lane = self._finished.get(timeout=timeout) if timeout else self._finished.get_nowait()
        except queue.Empty:
            return None
        return lane.next_done()

    def _wait(self) -> Call | None:
        """Wait for an answer, or for a quarter of a second at most."""
        now = self._clock.monotonic()
        waits = [lane.account.wait() if lane.hand else lane.next_claim_at - now for lane in self._lanes]
        seconds = min([POLL, *(wait for wait in waits if wait > 0)])
        if any(lane.busy for lane in self._lanes):
            return self._next_finished(seconds)
        self._clock.sleep(seconds)
        return None

    def _feed(self) -> None:
        for lane in self._lanes:
            for call in lane.feed():
                self._collect(call)

    def _collect(self, call: Call) -> None:
        """Take a call from its thread: with a mark, or back into the hand, since no request was made."""
        self._last_row_at = self._clock.monotonic()
        call.lane.is_empty = False  # it may have gone back, and be due
        if settled := call.settled:
            self._log(call, settled.pause, is_over=settled.is_over)
        if call.mark:
            self._add_mark(call.mark)
        else:
            call.settled = None
            call.lane.hand.appendleft(call)

    def _add_mark(self, mark: Mark) -> None:
        if not self._marks:
            self._marked_since = self._clock.monotonic()
        self._marks.append(mark)
        self._taken -= mark.word == "given_back"

    def _log(self, call: Call, pause: float, *, is_over: bool) -> None:
        names = [lane.alias or "EMAIL_BACKEND" for lane in self._lanes if lane.account is call.route.account]
        if is_over:
            logger.info("The mailer %s goes on.", ", ".join(names))
        if pause:
            is_refused = isinstance(call.error, APIError) and not isinstance(call.error, TemporaryError)
            text = type(call.error).__name__
            if isinstance(call.error, MigmaError):  # its whole text may name a key, and tell code to send again
                text = f"{call.error.reason}.{f' {call.error.hint}' if is_refused else ''}"
            level = logging.ERROR if is_refused else logging.WARNING
            logger.log(level, "The mailer %s pauses for %.0f s: %s", ", ".join(names), pause, text)

    def _give_back_held(self) -> None:
        """Give rows back where their account pauses, so that others, or more urgent mail, may have the next turn."""
        now = moment(self._clock.time())
        for lane in self._lanes:
            if lane.account.wait() > MAX_HELD:
                for call in lane.take_back():
                    self._add_mark(outcomes.give_back(call.row, now))

    def _flush(self, *, is_last: bool = False) -> None:
        """Write the marks: as many as are in flight, or those of a quarter of a second; at once when idle."""
        in_flight = sum(min(lane.busy, lane.limit) for lane in self._lanes)
        is_late = self._clock.monotonic() - self._marked_since >= POLL
        if self._marks and (is_last or is_late or len(self._marks) >= in_flight):
            self._with_database(self._write)

    def _write(self) -> bool:
        marks = self._marks
        self._claims.mark(marks)
        self._marks = []
        self._counts.update(str(mark.word) for mark in marks)
        for mark in marks:
            self._note(mark)
        if self._deliverer.report:
            in_hand = sum(len(lane.hand) + lane.busy for lane in self._lanes)
            self._deliverer.report(Progress(counts=dict(self._counts), in_hand=in_hand))
        return True

    def _note(self, mark: Mark) -> None:
        if mark.word == "put_off":
            self._note_due(mark.fields["due_at"])
        elif mark.word in {Status.FAILED, Status.UNKNOWN}:
            logger.warning("Delivery %s has the status %s now: %s.", mark.row.pk, mark.word, mark.reason)

    def _note_due(self, due_at: dt.datetime) -> None:
        self._next_due = min(self._next_due or due_at, due_at)

    def _claim(self) -> bool:
        """Claim rows for the lanes that have room; not while marks wait for a database that is lost."""
        if self._marks and self._database_wait:
            return False
        return self._with_database(lambda: sum(map(self._claim_for, self._lanes)) > 0)

    def _claim_for(self, lane: Lane) -> bool:
        now, moment_now = self._clock.monotonic(), moment(self._clock.time())
        if lane.account.wait():
            lane.is_empty = lane.account.is_paused
            return False
        free = lane.free(self._deliverer.batch)
        if self._max_count is not None:
            free = min(free, self._max_count - self._taken)
        is_idle = not (lane.hand or lane.busy)
        if free <= 0 or (now < lane.next_claim_at and (lane.is_empty or not is_idle)):
            return False
        lane.next_claim_at = now + POLL
        if is_idle and not self._claims.due([lane.alias], moment_now).exists():
            lane.is_empty = True
            return False
        try:
            rows = self._rows_for(lane, free, moment_now)
        except ConfigurationError as error:
            pause = lane.account.stop_for()
            text = "The mailer %s pauses for %.0f s: %s"
            logger.error(text, lane.alias or "EMAIL_BACKEND", pause, error)  # noqa: TRY400 - a traceback adds nothing
            return False
        lane.is_empty = not rows
        if len(rows) == free:
            lane.next_claim_at = now
        elif not rows and is_idle:
            lane.next_claim_at = now + LOST_RACE
        self._taken += len(rows)
        return bool(rows)

    def _rows_for(self, lane: Lane, count: int, now: dt.datetime) -> list[Row]:
        route = lane.route()
        claim = partial(self._claims.claim, lane.alias, account=route.account.digest, now=now, lease=route.lease)
        rows = route.account.is_in_doubt and claim(count=1, only_doubtful=True)
        rows = rows or claim(count=count)
        lane.hand.extend(Call(lane, route, row) for row in rows)
        return rows

    def _with_database(self, action: Callable[[], bool]) -> bool:
        """Use the database, unless it was lost a moment ago; if it is lost now, note when to try again."""
        if self._clock.monotonic() < self._database_at:
            return False
        if self._database_wait:
            close_old_connections()
        try:
            result = action()
        except DatabaseProblem as error:
            self._note_lost(error)
            return False
        self._database_wait = 0.0
        return result

    def _note_lost(self, error: Exception) -> None:
        is_bounded = self._idle is not None or self._ends_at is not None
        if is_bounded and not self._is_at_work():
            raise error
        self._database_wait = min(max(2 * self._database_wait, MIN_DATABASE_WAIT), MAX_DATABASE_WAIT)
        self._database_at = self._clock.monotonic() + self._database_wait
        text = "The database cannot be used (%s). Results that wait to be written: %d. Trying again in %.0f s."
        logger.error(text, type(error).__name__, len(self._marks), self._database_wait)

    def _drain(self) -> None:
        """Give back what no thread has begun, and mark what is in flight, for as long as one request may take."""
        self._give_back_all()
        seconds = 1 + max((lane.attempt_seconds for lane in self._lanes), default=0.0)
        deadline = time.monotonic() + seconds  # true time, as the sockets' timeouts
        while any(lane.busy for lane in self._lanes) and time.monotonic() < deadline:
            if (call := self._next_finished(POLL)) is not None:
                self._collect(call)
            self._give_back_all()
            self._flush()
        self._database_at = self._clock.monotonic()
        self._flush(is_last=True)
        if self._marks:
            logger.error("The results of %d rows are lost. Other workers will find them out again.", len(self._marks))

    def _give_back_all(self) -> None:
        now = moment(self._clock.time())
        for lane in self._lanes:
            for call in lane.take_back():
                self._add_mark(outcomes.give_back(call.row, now))

    def _result(self) -> PassResult:
        due = [lane for lane in self._lanes if self._has_due(lane)]
        paused = [lane for lane in due if lane.account.is_paused]
        for lane in paused:
            self._note_due(moment(self._clock.time() + lane.account.wait()))
        return PassResult(
            counts=dict(self._counts),
            next_due=self._next_due,
            has_due=len(due) > len(paused),
            is_paused=bool(paused),
        )

    def _has_due(self, lane: Lane) -> bool:
        """Whether rows are due now, or before a pause is over: some ran into it, and are due at its end."""
        now = moment(self._clock.time() + lane.account.wait())
        return self._with_database(self._claims.due([lane.alias], now).exists)
