"""From messages to calls in flight and back to statuses: the flow of one ``send_messages`` call.

Payloads are built and signals sent in the caller's thread, in order; only HTTP runs in worker threads. What is in
flight is bounded, so a generator of a million messages takes constant memory.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from django_migma import signals
from django_migma.api.errors import MigmaError, MissingVariables
from django_migma.api.patience import Allowance
from django_migma.message import RecipientStatus, Stage, start_status, status_of
from django_migma.payload import build_payloads, idempotency_key

from .batch import Batch, Job, Task, mark
from .workers import Workers

if TYPE_CHECKING:
    from types import TracebackType

    from django.core.mail import EmailMessage

    from django_migma.api import MigmaClient
    from django_migma.api.types import SendResult
    from django_migma.conf import Config
    from django_migma.content import Resolver

GRACE = 2.0
"""Seconds that an interrupt gives to the calls in flight."""
_JOBS_PER_PLACE = 32


class Dispatcher:
    """Takes messages, keeps up to ``MAX_CONCURRENCY`` calls in flight, settles the messages in order.

    As a context manager it finishes what it has taken, also when the caller's own code raised; after an interrupt it
    waits for `GRACE` only.
    """

    def __init__(self, client: MigmaClient, config: Config, batch: Batch, find: Resolver, *, alone: bool) -> None:
        self._client = client
        self._config = config
        self._find = find
        self._batch = batch
        self._alone = alone
        self._allowance = Allowance(0 if alone else config.rate_limit_wait)
        self._tried = client.proven
        self._jobs: deque[Job] = deque()
        self._workers = Workers(self._make, config.max_concurrency)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            elif issubclass(kind, Exception):
                self._allowance.end()
                self._wind_up(self._config.retry_deadline + max(self._config.timeout))
            else:
                self._abandon()
        except BaseException:
            self._abandon()
            raise
        finally:
            self._workers.close()

    def add(self, message: EmailMessage) -> None:
        """Send a message, or queue its calls. Raises what a receiver of ``pre_send`` raises."""
        try:
            signals.pre_send.send(self._batch.sender, message=message, alias=self._batch.alias)
        except signals.CancelSend:
            status_of(message)
            return
        except BaseException:
            mark(message, None)
            raise
        job = self._job(message)
        if not job.status.recipients and not job.refusal:
            return
        self._jobs.append(job)
        for task in job.tasks:
            self._submit(task, alone=self._alone and len(job.tasks) == 1)
        self._settle()
        while self._is_crowded() and self._workers.busy:  # refused messages wait in line too
            self._collect(self._workers.next_finished())
            self._settle()

    def _is_crowded(self) -> bool:
        """Whether too many messages wait to be settled behind one whose calls are not over."""
        return len(self._jobs) > _JOBS_PER_PLACE * self._config.max_concurrency

    def _job(self, message: EmailMessage) -> Job:
        """The calls that a message still needs; none where it is refused.

        Whatever goes wrong concerns this message alone, be it a refusal of ours or a fault in the site's template or
        message class: the others go on, and the error is raised as it is in the end.
        """
        try:
            payloads = build_payloads(message, self._config, self._find)
            status = start_status(message, [payload.address for payload in payloads])
            keys = [idempotency_key(message, payload, status.nonce) for payload in payloads]
        except Exception as error:  # noqa: BLE001
            status = mark(message, error)
            status.missing_variables = frozenset(error.names) if isinstance(error, MissingVariables) else frozenset()
            return Job(message=message, status=status, refusal=error)
        for payload in payloads:
            status.missing_variables |= payload.missing_variables
            status.stored_email = payload.stored_email
        job = Job(message=message, status=status)
        earlier, status.recipients = status.recipients, {}
        for payload, key in zip(payloads, keys, strict=True):
            known = earlier.get(payload.address)
            repeated = known is not None and known.in_doubt and known.idempotency_key == key
            if known is None or not (known.accepted or repeated):
                known = RecipientStatus(status="not_attempted", idempotency_key=key)
            status.recipients[payload.address] = known
            if not known.accepted:
                task = Task(job=job, address=payload.address, request=payload.request, key=key, repeated=repeated)
                job.tasks.append(task)
        job.open = len(job.tasks)
        status.enter(Stage.OPEN)
        return job

    def _submit(self, task: Task, *, alone: bool) -> None:
        """Make a call, in this thread where it is the only one or where the key is yet to prove itself.

        The first call of a process goes alone, so that a wrong key is refused once and not sixteen times.
        """
        while self._workers.is_full() or self._is_crowded():
            self._collect(self._workers.next_finished())
            self._settle()
        if self._batch.stopped:
            task.job.open -= 1
        elif alone or not self._tried or not self._workers.start(task):
            self._make_here(task)
        self._tried = True

    def _make_here(self, task: Task) -> None:
        """Make the call in this thread. What is none of our errors comes from outside, such as a task's time limit:
        it leaves the call in doubt and goes on to the caller."""
        try:
            task.outcome = self._send(task)
        except MigmaError as error:
            task.outcome = error
        except Exception as error:
            task.outcome = error
            raise
        finally:
            self._collect(task)

    def _make(self, task: Task) -> None:
        """Make the call. Runs in a worker thread; nothing is written but the task."""
        try:
            task.outcome = self._send(task)
        except BaseException as error:  # noqa: BLE001 - a thread must not die with it; it is raised in the caller's
            task.outcome = error

    def _send(self, task: Task) -> SendResult:
        return self._client.send(
            task.request, idempotency_key=task.key, repeated=task.repeated, allowance=self._allowance
        )

    def _collect(self, task: Task) -> None:
        task.job.open -= 1
        recipient = task.job.record(task)
        self._batch.note(recipient, self._config.retry_deadline)
        if self._batch.stopped:
            self._withdraw()

    def _withdraw(self) -> None:
        """Take back the calls that no thread has begun. They stay ``not_attempted``."""
        for task in self._workers.withdraw():
            task.job.open -= 1

    def _settle(self) -> None:
        """Settle, in order, the messages whose calls are all over."""
        while self._jobs and not self._jobs[0].open:
            self._batch.settle(self._jobs.popleft())

    def _finish(self) -> None:
        self._settle()
        while self._workers.busy:
            self._collect(self._workers.next_finished())
            self._settle()

    def _abandon(self) -> None:
        """Give up after an interrupt, with a moment for the calls that have begun."""
        self._allowance.end()
        self._withdraw()
        self._wind_up(GRACE)

    def _wind_up(self, patience: float) -> None:
        """Take in what ends within ``patience`` seconds, and leave true statuses for the rest.

        After an exception the wait is bounded by the longest time that a call can take: a task queue's time limit may
        be raised in the middle of our own bookkeeping, and a task that was lost there must not be waited for.
        """
        for task in self._workers.finished_within(patience):
            self._collect(task)
        for job in self._jobs:
            begun = self._workers.unfinished(job.tasks)
            for task in job.tasks:
                if task.outcome is not None or task in begun:
                    job.record(task)
            job.open = 0
        self._settle()
