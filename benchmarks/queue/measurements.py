"""How each figure is taken: functions of a town, a database and an entry that return values by name."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from .contenders import CONTENDERS
from .scenarios import Entry
from .sites import URGENT, Mail, RunningSite, Town, Worker

_DELAY = 0.05
_PATIENCE = 600
_START = 4
"""Seconds that a worker has to start before something is asked of it."""


def deliver(town: Town, database: str, entry: Entry, *, shape: str = "text") -> dict[str, float]:
    """Workers start with all mail waiting. The rate counts from the first request to the last answer."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape=shape, count=entry.messages)
        for _ in range(entry.workers):
            site.start_worker()
        return _delivered(site, entry)


def _delivered(site: RunningSite, entry: Entry) -> dict[str, float]:
    """Wait for all mail, end the workers, and read the ledger."""
    contender = CONTENDERS[entry.contender]
    if not contender.is_drained:
        site.ledger.wait_for(entry.messages, _PATIENCE)
        time.sleep(0.5)  # for the last answers
    for worker in site.workers:
        worker.wait(_PATIENCE) if contender.is_drained else worker.stop()
    mails = site.ledger.mails()
    rate = _rate(mails, entry.messages)
    cpu = sum(worker.cpu_seconds for worker in site.workers)
    return {
        "messages": entry.messages,
        "rate": rate,
        "share_of_ideal": rate * _DELAY / (contender.in_flight * entry.workers),
        "cpu": cpu / entry.messages * 1e6,
    } | _counted(mails, entry.messages)


def _rate(mails: Sequence[Mail], expected: int) -> float:
    return expected / (mails[-1].arrived + _DELAY - mails[0].arrived)


def _counted(mails: Sequence[Mail], expected: int) -> dict[str, float]:
    """Errors are mails that never arrived, and mails that arrived twice."""
    accepted = [mail.number for mail in mails if mail.is_accepted]
    lost, doubled = expected - len(set(accepted)), len(accepted) - len(set(accepted))
    return {"requests_each": len(mails) / expected, "errors": lost + doubled}


def enqueue(town: Town, database: str, entry: Entry, *, shape: str) -> dict[str, float]:
    """A site's process enqueues, with no worker beside it."""
    with town.site(entry.contender, database) as site:
        found = site.ask("enqueue", shape=shape, count=entry.messages)
        rate, cpu = entry.messages / found["seconds"], found["cpu_seconds"] / entry.messages * 1e6
        return {"messages": entry.messages, "rate": rate, "cpu": cpu}


def wake_up(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """The engine's worker runs, and mail is enqueued in one transaction, which wakes it."""
    with town.site(entry.contender, database) as site:
        site.start_worker()
        time.sleep(_START)
        ended = site.ask("enqueue", shape="text", count=entry.messages)["ended"]
        found = _delivered(site, entry)
        return found | {"first_wait": site.ledger.mails()[0].arrived - ended}


def wait_idle(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """Single mails while the worker has nothing else to do."""
    with town.site(entry.contender, database) as site:
        _start_loop(site)
        return _waits(site, entry.messages, seconds=entry.messages * 0.37)


def wait_behind(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """Single mails while the worker has thousands of others to send."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape="text", count=entry.messages)
        _start_loop(site)
        return _waits(site, 20, seconds=8)


def limited(town: Town, database: str, entry: Entry, *, per_second: int, retry_after: int) -> dict[str, float]:
    """Mail under a limit that the site's settings do not know."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape="text", count=entry.messages)
        site.ledger.begin("limit", per_second=per_second, retry_after=retry_after)
        worker = _start_loop(site)
        site.ledger.wait_for(entry.messages, _PATIENCE)
        worker.stop()
        mails = site.ledger.mails()
        return {"messages": entry.messages, "rate": _rate(mails, entry.messages)} | _counted(mails, entry.messages)


def wait_limited(town: Town, database: str, entry: Entry, *, per_second: int, retry_after: int) -> dict[str, float]:
    """Single mails while bulk mail uses up the limit."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape="text", count=entry.messages)
        site.ledger.begin("limit", per_second=per_second, retry_after=retry_after)
        _start_loop(site)
        found = _waits(site, 5, seconds=33, patience=40)
        mails = site.ledger.mails()
        return found | {"requests_each": len(mails) / sum(mail.is_accepted for mail in mails)}


def _waits(site: RunningSite, count: int, *, seconds: float, patience: float = 10) -> dict[str, float]:
    """Seconds from the commit of single mails to the request that was accepted; ``patience`` if it never came."""
    sent = site.ask("trickle", count=count, seconds=seconds, first=URGENT)["committed"]
    deadline = time.monotonic() + patience
    arrived: dict[int, float] = {}
    while len(arrived) < count and time.monotonic() < deadline:
        time.sleep(0.2)
        arrived = {mail.number: mail.arrived for mail in site.ledger.mails() if mail.is_urgent and mail.is_accepted}
    # A request may come before the sender's process has seen the end of its own commit.
    waits = [max(0, arrived.get(int(number), moment + patience) - moment) for number, moment in sent.items()]
    return {"messages": count, "median_wait": statistics.median(waits), "worst_wait": max(waits)}


def stop(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """SIGTERM in the middle, then a worker that sends the rest."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape="text", count=entry.messages)
        worker = _start_loop(site, seconds=0)
        site.ledger.wait_for(entry.messages // 4, _PATIENCE)
        seconds = worker.stop()
        left = site.ask("states")["statuses"].get("sending", 0)
        site.start_worker().wait(_PATIENCE)
        found = _counted(site.ledger.mails(), entry.messages)
        return found | {"seconds": seconds, "exit_code": worker.exit_code, "left_sending": left}


def memory(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """Growth of resident memory between the first fifth and the last mail, then CPU of the idle loop."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape="text", count=entry.messages)
        worker = _start_loop(site, seconds=0)
        site.ledger.wait_for(entry.messages // 5, _PATIENCE)
        before = worker.memory()
        site.ledger.wait_for(entry.messages, _PATIENCE)
        mails, growth = site.ledger.mails(), worker.memory() - before
        time.sleep(2)
        cpu, began = worker.cpu_so_far(), time.monotonic()
        time.sleep(20)
        idle = (worker.cpu_so_far() - cpu) / (time.monotonic() - began)
        rate = _rate(mails, entry.messages)
        return {"messages": entry.messages, "rate": rate, "memory": growth / 2**20, "idle_cpu": idle * 100}


def prune(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """``migma_prune`` over finished rows."""
    with town.site(entry.contender, database) as site:
        found = site.ask("prune", rows=entry.messages)
        rows = entry.messages - found["left"]
        return {"messages": rows, "rate": rows / found["seconds"], "memory": found["memory_growth"] / 2**20}


def web(town: Town, database: str, entry: Entry) -> dict[str, float]:
    """What a visitor waits for a transaction that reads, then enqueues one mail, beside a busy worker."""
    with town.site(entry.contender, database) as site:
        seconds = entry.messages / 100
        if entry.workers:
            waiting = CONTENDERS[entry.contender].in_flight / _DELAY * (seconds + _START)
            site.ask("enqueue", shape="text", count=round(waiting))
            _start_loop(site, seconds=2)
        found = site.ask("web", rate=100, seconds=seconds, threads=4, first=URGENT)
        ordered = sorted(found["durations"])
        p99 = ordered[int(len(ordered) * 0.99)]
        waits = {"median_ms": statistics.median(ordered) * 1e3, "p99_ms": p99 * 1e3}
        return {"messages": len(ordered), "errors": found["errors"]} | waits


def outage(town: Town, database: str, entry: Entry, *, rule: str, seconds: float) -> dict[str, float]:
    """Requests while the API refuses everything, or never answers; then deliveries in doubt, and attempted ones."""
    with town.site(entry.contender, database) as site:
        site.ask("enqueue", shape="text", count=entry.messages)
        site.ledger.begin(rule)
        worker = _start_loop(site, seconds=seconds)
        worker.stop()
        found = site.ask("states")
        return {"requests": len(site.ledger.mails()), "in_doubt": found["in_doubt"], "attempted": found["attempted"]}


def _start_loop(site: RunningSite, seconds: float = _START) -> Worker:
    """Start the worker that waits for more, and wait for so long."""
    worker = site.start_worker("django migma_deliver")
    time.sleep(seconds)
    return worker
