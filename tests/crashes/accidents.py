"""``python -m tests.crashes.accidents database_lost``: what may happen to a site around its workers, one at a time.

Each is a function that raises where a promise is broken; what it says first is the promise.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import logging
import multiprocessing
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import pytest

from tests.api.clocks import until
from tests.crashes.clocks import Later
from tests.crashes.points import Countdown
from tests.sites import DATABASES, PATIENT, Site, running_site

PATIENCE = 300.0  # seconds for everything to be accepted


def addresses(count: int, start: int = 0) -> list[str]:
    """So many different recipients."""
    return [f"r{number}@example.org" for number in range(start, start + count)]


def check(site: Site, count: int) -> None:
    """Every mail was accepted once, and its row says so."""
    from django_migma.models import Delivery

    rows = list(Delivery.objects.values_list("status", flat=True))
    assert rows == ["accepted"] * count, rows
    taken = site.ledger()
    assert (len(taken), taken.total()) == (count, count), taken


def deliver(clock: Any = None) -> None:
    """Deliver what is due, as a worker in this thread."""
    from django.db import connection

    from django_migma.delivery.deliverer import Deliverer

    Deliverer(clock=clock).run(idle=0)
    if threading.current_thread() is not threading.main_thread():
        connection.close()


@contextlib.contextmanager
def running(target: Callable[[], None]) -> Iterator[None]:
    """Another thread of this process, with connections of its own; it has to end with the block."""
    thread = threading.Thread(target=target)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()


@contextlib.contextmanager
def working() -> Iterator[None]:
    """A worker that goes on until the end of the block, and ends in order then."""
    from django.db import connection

    from django_migma.delivery.deliverer import Deliverer

    deliverer = Deliverer()

    def work() -> None:
        deliverer.run()
        connection.close()

    with running(work):
        try:
            yield
        finally:
            deliverer.stop()


def wait_until_accepted() -> None:
    """Return when nothing is on its way any more."""
    from django_migma.models import Delivery

    ends_at = time.monotonic() + PATIENCE
    while Delivery.objects.on_their_way().exists():
        assert time.monotonic() < ends_at, "rows are left"
        time.sleep(0.05)


@contextlib.contextmanager
def stalled() -> Iterator[threading.Event]:
    """Stop the first worker that has made a request, before it reads the answer, until the event is set."""
    is_awake = threading.Event()
    at_an_answer, begin = Countdown(1, lambda: is_awake.wait(PATIENCE)), http.client.HTTPResponse.begin

    def begin_later(response: http.client.HTTPResponse) -> None:
        at_an_answer()
        begin(response)

    with mock.patch.object(http.client.HTTPResponse, "begin", begin_later):
        yield is_awake


def hold_answers(site: Site) -> threading.Event:
    """Let the sandbox take requests, and answer none but the first, which comes alone, until the event is set."""
    may_answer = threading.Event()
    site.sandbox.on_send = lambda exchange: exchange.number == 1 or may_answer.wait(PATIENCE)
    return may_answer


def two_workers(site: Site) -> None:
    """Two workers that start together request each row once."""
    from tests.delivery.queueing import queue_mails

    queue_mails(addresses(300))
    with running(deliver), running(deliver):
        """Both work."""
    check(site, 300)
    assert site.sandbox.store.stats()["sending_posts"] == 300


def stalled_worker(site: Site) -> None:
    """A worker that wakes up after its lease cannot undo what another one has done since."""
    from tests.delivery.queueing import queue_mails

    site.sandbox.faults.script("500")
    queue_mails(addresses(1))
    with stalled() as is_awake, running(deliver):
        until(lambda: site.sandbox.store.stats()["faults"])
        deliver(Later())
        check(site, 1)
        is_awake.set()
    check(site, 1)


def overtaken_worker(site: Site) -> None:
    """What a stalled worker has got accepted is true, whoever has the row by then."""
    from django_migma.models import Delivery
    from tests.delivery.queueing import queue_mails

    site.sandbox.faults.script("ok", "500")
    queue_mails(addresses(1))
    with stalled() as is_awake, running(deliver):
        until(site.ledger)
        deliver(Later())  # it gets the 500, and puts the row off
        row = Delivery.objects.get()
        assert (row.status, row.in_doubt) == ("waiting", True)
        is_awake.set()
    check(site, 1)


def locked(site: Site) -> None:
    """A lock that somebody holds delays what it holds, and nothing is lost."""
    from django.db import connection

    from tests.delivery.queueing import queue_mails

    queue_mails(addresses(10))
    if connection.vendor == "sqlite":
        _lock_sqlite(connection.settings_dict)
    else:
        _lock_one_row(site)
    check(site, 10)


def _lock_sqlite(settings: dict[str, Any]) -> None:
    """Hold the lock of the whole file for longer than the worker waits for it."""
    settings["OPTIONS"]["timeout"] = 0.1
    with contextlib.closing(sqlite3.connect(settings["NAME"], timeout=PATIENCE)) as other, working():
        other.execute("BEGIN IMMEDIATE")
        time.sleep(1)
        other.rollback()
        wait_until_accepted()


def _lock_one_row(site: Site) -> None:
    """Hold the lock of one row: the others do not wait for it."""
    from django.db import transaction

    from django_migma.models import Delivery

    with transaction.atomic():
        row = Delivery.objects.select_for_update().latest("pk")
        with running(deliver):
            """It ends while the lock is held."""
        assert site.ledger().total() == 9
        assert Delivery.objects.filter(status="accepted").count() == 9
        assert row.status == "waiting"
    deliver()


def database_lost(site: Site) -> None:
    """A worker outlives the database: it keeps what it knows, and goes on when the database is back."""
    from django.db import connection

    from tests.delivery.queueing import queue_mails

    texts: list[str] = []
    logging.getLogger("django_migma").addFilter(lambda record: texts.append(record.getMessage()) or True)
    may_answer = hold_answers(site)
    queue_mails(addresses(60))
    with working():
        until(lambda: site.sandbox.store.stats()["sending_posts"] >= 16)
        connection.close()
        site.server.stop()
        may_answer.set()
        until(lambda: any("The database cannot be used" in text for text in texts))
        site.server.start()
        wait_until_accepted()
    check(site, 60)
    assert site.sandbox.store.stats()["sending_posts"] == 60, "answers were forgotten"


def queue_on_a_full_disk(site: Site) -> None:
    """Where no more rows fit, queueing fails as a whole, in the face of the caller."""
    from django.db import OperationalError, connection

    from django_migma.models import Delivery
    from tests.delivery.queueing import queue_mails

    queue_mails(addresses(40))
    limit = connection.cursor().execute
    limit("PRAGMA max_page_count = 1")  # which stands for as many as there are
    with pytest.raises(OperationalError, match="full"):
        queue_mails(addresses(2000, start=40))
    assert Delivery.objects.count() == 40
    limit("PRAGMA max_page_count = 1000000")
    deliver()
    check(site, 40)


def mark_on_a_full_disk(site: Site) -> None:
    """Where no answer fits, a worker keeps them until they do."""
    from django.db import OperationalError
    from django.db.backends.signals import connection_created

    from tests.delivery.queueing import queue_mails

    refused: list[str] = []
    is_full = threading.Event()

    def refuse(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if is_full.is_set() and sql.startswith("UPDATE"):
            refused.append(sql)
            raise OperationalError("database or disk is full")
        return execute(sql, *arguments)

    def watch(sender: object, connection: Any, **_: object) -> None:
        connection.execute_wrappers.append(refuse)

    may_answer = hold_answers(site)
    queue_mails(addresses(40))
    connection_created.connect(watch)
    with working():
        until(lambda: site.sandbox.store.stats()["sending_posts"] >= 16)
        is_full.set()
        may_answer.set()
        until(lambda: len(refused) > 1)
        is_full.clear()
        wait_until_accepted()
    check(site, 40)
    assert site.sandbox.store.stats()["sending_posts"] == 40, "answers were forgotten"


def fork(site: Site) -> None:
    """A pre-forked server may queue and deliver before the fork and after it, in both processes."""
    from django.db import connections

    from tests.delivery.queueing import queue_mails

    def work(start: int) -> None:
        queue_mails(addresses(20, start))
        deliver()

    work(0)
    connections.close_all()  # as every server that forks does
    child = multiprocessing.get_context("fork").Process(target=work, args=(100,))
    child.start()
    work(200)
    child.join()
    assert child.exitcode == 0
    wait_until_accepted()
    check(site, 60)


BOTH = (two_workers, stalled_worker, overtaken_worker, locked, fork, mark_on_a_full_disk)
ACCIDENTS: dict[str, tuple[Callable[[Site], None], ...]] = {
    "sqlite": (*BOTH, queue_on_a_full_disk),
    "postgresql": (*BOTH, database_lost),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0; a broken promise is raised."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes.accidents", description="Let something happen.")
    parser.add_argument("accident")
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    chosen = parser.parse_args(arguments)
    accidents = {accident.__name__: accident for accident in ACCIDENTS[chosen.database]}
    with running_site(database=chosen.database, **PATIENT) as site:
        accidents[chosen.accident](site)
    return 0


if __name__ == "__main__":
    sys.exit(main())
