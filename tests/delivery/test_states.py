"""A queue in random order: mails, workers, answers, crashes, the clock, people. Nothing is lost, nothing comes twice.

The judge is a ledger that keeps keys for 24 hours, for each API key, as Migma does.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections import Counter
from unittest.mock import patch

import pytest
import requests
import responses
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from django_migma.api.connections import close_pools
from django_migma.api.credentials import account_digest
from django_migma.api.retries import Clock
from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from tests.api.clocks import until
from tests.conftest import SENDING, our_mailer
from tests.delivery.queueing import queue_mails

Status = Delivery.Status
HOURS = 3600
KEY_LIFETIME = 24 * HOURS
API_KEYS = ("sk_test_the_first_one", "sk_test_the_second_one")
ACCEPTS_FIRST = ("timeout accepted", "500 accepted")
ANSWERS = ("200", *ACCEPTS_FIRST, "400", "401", "403", "409", "429", "500", "503", "timeout")
DAY = 25 * HOURS
EXAMPLES = int(os.environ.get("QUEUE_EXAMPLES", "0"))  # at random; without it, the same few each time


class Crash(BaseException):
    """The end of a worker's process, seen from its code: from here on it reaches nothing."""


class MovedClock(Clock):
    """Stands still, except when it is told to go on."""

    def __init__(self):
        self.now = 0.0
        self.start = timezone.now()

    def monotonic(self):
        return self.now

    def time(self):
        return self.start.timestamp() + self.now

    def sleep(self, seconds):
        self.now += seconds

    def datetime(self):
        """For Django's own look at the clock."""
        return self.start + dt.timedelta(seconds=self.now)


class Ledger:
    """What the other side does: it answers as planned, and otherwise accepts. ``accepted`` has keys and mails."""

    def __init__(self, clock):
        self.clock = clock
        self.plan = []
        self.accepted = []
        self._kept = {}

    def __call__(self, request):
        answer = self.plan.pop(0) if self.plan else "200"
        key = (request.headers["Authorization"], request.headers["Idempotency-Key"])
        body, at = self._kept.get(key, (None, 0))
        is_known = body is not None and self.clock.now - at < KEY_LIFETIME
        assert not is_known or body == request.body, "another request under the same key"
        answer = "200" if is_known and answer in {"200", "400", "403"} else answer  # a replay
        if not is_known and answer in {"200", *ACCEPTS_FIRST}:
            self._kept[key] = request.body, self.clock.now
            self.accepted.append(json.loads(request.body)["recipientEmail"])
        if answer.startswith("timeout"):
            raise requests.ReadTimeout
        if answer == "200":
            headers = {"Idempotent-Replayed": "true"} if is_known else {}
            return 200, headers, json.dumps({"success": True, "data": {"id": "m1", "status": "queued"}})
        status = int(answer.split()[0])
        content = {"success": False, "error": "no", "code": "NO"} if status < 409 else {"success": False}
        return status, {}, json.dumps(content)


class Queue(RuleBasedStateMachine):
    """One table, one ledger, one clock."""

    def __init__(self):
        super().__init__()
        Delivery.objects.all().delete()
        self.clock = MovedClock()
        self.ledger = Ledger(self.clock)
        self.mails = 0
        self.api_key = API_KEYS[0]
        self.anew = Counter()
        self.seen = {}
        self.now = patch.object(timezone, "now", self.clock.datetime)
        self.now.start()
        self.wire = responses.RequestsMock(assert_all_requests_are_fired=False)
        self.wire.start()
        self.wire.add_callback("POST", SENDING, callback=self.ledger)

    def teardown(self):
        try:
            self.finish()
        finally:
            self.wire.stop()
            self.now.stop()
            close_pools()

    @property
    def settings(self):
        migma = {"API_KEY": self.api_key, "API_URL": SENDING.removesuffix("/sending"), "MAX_CONCURRENCY": 1}
        return override_settings(MIGMA=migma)

    @rule(count=st.integers(1, 4))
    def queue(self, count):
        """A site sends some mails."""
        numbers = range(self.mails, self.mails + count)
        self.mails += count
        with self.settings:
            queue_mails(f"r{number}@example.org" for number in numbers)

    @rule(plan=st.lists(st.sampled_from(ANSWERS), max_size=6))
    def deliver(self, plan):
        """A worker delivers what is due."""
        self.ledger.plan = list(plan)
        with self.settings:
            Deliverer(clock=self.clock).run(idle=0)

    @rule(plan=st.lists(st.sampled_from(ANSWERS), max_size=4), statements=st.integers(0, 12))
    def crash(self, plan, statements):
        """A worker dies at one of its statements, before the database has got it."""
        self.ledger.plan = list(plan)
        left = iter(range(statements))
        others = set(threading.enumerate())

        def execute_or_crash(execute, *arguments):
            if next(left, None) is None:
                raise Crash
            return execute(*arguments)

        with self.settings, connection.execute_wrapper(execute_or_crash):
            try:
                Deliverer(clock=self.clock).run(idle=0)
            except Crash:
                connection.close_if_unusable_or_obsolete()
        # Its threads outlive it here, and a request that one of them has begun must not come hours later.
        until(lambda: others.issuperset(threading.enumerate()))

    @rule(seconds=st.sampled_from([1, 20, 90, 1000, 4 * HOURS, 22 * HOURS, DAY]))
    def wait(self, seconds):
        """Time passes."""
        self.clock.sleep(seconds)

    @rule()
    def rotate(self):
        """The site gets another API key: another account, which knows none of the keys."""
        self.api_key = API_KEYS[self.api_key == API_KEYS[0]]

    @rule(number=st.integers(0, 20), verb=st.sampled_from(["retry", "give_up", "send_anew"]))
    def decide(self, number, verb):
        """A person does something about a row, which may not be possible."""
        rows = list(Delivery.objects.order_by("pk"))
        account = account_digest(SENDING.removesuffix("/sending"), self.api_key)
        arguments = (account,) if verb == "retry" else ()
        for row in rows[number % (len(rows) or 1) :][:1]:
            made = getattr(row, verb)(*arguments)
            self.anew[row.recipient] += bool(made) and verb == "send_anew"

    @invariant()
    def every_row_is_true(self):
        """Final rows are never due, others always; what was accepted was, and stays so."""
        taken = Counter(self.ledger.accepted)
        for row in Delivery.objects.all():
            assert (row.due_at is None) == (row.status not in Delivery.UNFINISHED), row.status
            if row.status == Status.ACCEPTED:
                assert taken[row.recipient], "said to be accepted, but lost"
            else:
                assert self.seen.get(row.pk) != Status.ACCEPTED, f"went back from accepted to {row.status}"
            self.seen[row.pk] = row.status

    @invariant()
    def no_mail_comes_twice(self):
        """Except where a person has asked for it."""
        for recipient, count in Counter(self.ledger.accepted).items():
            assert count <= 1 + self.anew[recipient], f"accepted {count} times"

    @invariant()
    def no_row_is_lost(self):
        """A row for each mail, and for each that a person has sent anew."""
        assert Delivery.objects.count() == self.mails + self.anew.total()

    def finish(self):
        """Everything works again, and time passes: each row ends, and says what is true."""
        self.ledger.plan = []
        for seconds in (90, HOURS, DAY, DAY, DAY):
            self.wait(seconds)
            with self.settings:
                Deliverer(clock=self.clock).run(idle=0)
        self.every_row_is_true()
        self.no_mail_comes_twice()
        self.no_row_is_lost()
        assert not Delivery.objects.on_their_way().exists()
        taken = Counter(self.ledger.accepted)
        for row in Delivery.objects.filter(status=Status.FAILED):
            assert taken[row.recipient] <= self.anew[row.recipient], "said to have failed, but accepted"


@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_and_nothing_comes_twice():
    """Whatever happens, in whatever order."""
    machine_settings = settings(
        max_examples=EXAMPLES or 25,
        derandomize=not EXAMPLES,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with override_settings(**our_mailer(backend="django_migma.backends.queue.EmailBackend")):
        run_state_machine_as_test(Queue, settings=machine_settings)
