"""``make soak``: a busy site whose worker is killed again and again. Fails if a mail is lost, or comes twice.

python -m tests.soak --minutes 10 --database postgresql --engine celery
"""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import django

from tests.sites import DATABASES, Site, running_site
from tests.soak.workers import WORKERS, Killer

FAULTS = ("500", "500", "503-after-1", "reset", "lost", "half")
"""A no that leaves doubt, one that asks everybody to wait, no answer, and a yes of which nobody hears."""
SLOW = "busy-0.05"
ANSWERS = (*FAULTS, *[SLOW] * 19)
"""What the sandbox does, each as often: 24 % faults. The rest takes some time, so that a kill finds requests."""
DRAIN = 900.0  # seconds for the rest of the rows, once the workers are left alone


@dataclass(kw_only=True)
class Report:
    """What became of the mail. ``recovery``: seconds from a kill to the acceptance of each row in its hands."""

    mails: int
    kills: int
    doubled: list[str]
    lost: list[str]
    ghosts: list[str]
    rows: dict[str, int]
    requests: int
    faults: int
    recovery: list[float] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Each mail once, none of a rolled-back transaction, and rows that say so."""
        return not (self.doubled or self.lost or self.ghosts) and self.rows == {"accepted": self.mails}

    def __str__(self) -> str:
        middle, longest = (statistics.median(self.recovery), max(self.recovery)) if self.recovery else (0, 0)
        return (
            f"{self.mails} mails, {self.kills} kills: {len(self.doubled)} doubled, {len(self.lost)} lost, "
            f"{len(self.ghosts)} of rolled-back transactions, rows {self.rows}; {self.requests} requests, "
            f"{self.faults} faults; {len(self.recovery)} interrupted rows, accepted {middle:.1f} s after the kill "
            f"(median), {longest:.1f} s (longest)"
        )

    def offenders(self) -> Iterator[str]:
        """The recipients that a promise was broken to, some of each kind."""
        for what in ("doubled", "lost", "ghosts"):
            found = getattr(self, what)
            yield from [f"{what}: {address}" for address in found[:20]]


class Soak:
    """One run."""

    def __init__(self, chosen: argparse.Namespace, site: Site) -> None:
        self._chosen = chosen
        self._site = site
        self._interrupted: dict[int, datetime] = {}

    def run(self) -> Report:
        """Send and kill for the time that was chosen, then wait until nothing is left to do."""
        from tests.soak.traffic import Traffic

        chosen = self._chosen
        killer = Killer(
            chosen.engine,
            workers=chosen.workers,
            log=self._site.log,
            seed=chosen.seed,
            pause=(chosen.kill_after[0], chosen.kill_after[1]),
            before=self._note_interrupted,
        )
        traffic = Traffic(seed=chosen.seed, rate=chosen.rate)
        with killer.killing():
            traffic.run(60 * chosen.minutes)
            killer.calm()
            self._drain()
        return self._report(traffic, killer.kills)

    def _note_interrupted(self) -> None:
        from django.db import connection
        from django.utils import timezone

        from django_migma.models import Delivery

        ids = Delivery.objects.filter(status=Delivery.Status.SENDING).values_list("pk", flat=True)
        self._interrupted |= dict.fromkeys(ids, timezone.now())
        connection.close()  # the thread may end

    def _drain(self) -> None:
        from django_migma.models import Delivery

        ends_at = time.monotonic() + DRAIN
        while Delivery.objects.on_their_way().exists() and time.monotonic() < ends_at:
            time.sleep(0.2)

    def _report(self, traffic: Any, kills: int) -> Report:
        from django_migma.models import Delivery

        taken, stats = self._site.ledger(), self._site.sandbox.store.stats()
        ended = Delivery.objects.filter(pk__in=self._interrupted).values_list("pk", "finished_at")
        return Report(
            mails=len(traffic.committed),
            kills=kills,
            doubled=[address for address, count in taken.items() if count > 1],
            lost=[address for address in traffic.committed if not taken[address]],
            ghosts=[address for address in traffic.rolled_back if taken[address]],
            rows=dict(Counter(Delivery.objects.values_list("status", flat=True))),
            requests=stats["sending_posts"],
            faults=sum(count for word, count in stats["faults"].items() if word != SLOW),
            recovery=[(end - self._interrupted[pk]).total_seconds() for pk, end in ended if end],
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if every promise was kept; for the control without keys, if duplicates show that it matters."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Kill the workers of a busy site.")
    parser.add_argument("--minutes", type=float, default=10, help="of traffic and kills (default: 10)")
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--engine", choices=tuple(WORKERS), default="migma_deliver")
    parser.add_argument("--workers", type=int, default=1, help="killed together (default: 1)")
    parser.add_argument("--kill-after", type=float, nargs=2, default=(5, 15), help="seconds (default: 5 15)")
    parser.add_argument("--rate", type=float, default=15, help="mails a second (default: 15)")
    parser.add_argument("--seed", type=int, default=None, help="of traffic, kills and faults (default: drawn)")
    parser.add_argument("--without-faults", action="store_true", help="a quick server that always accepts")
    parser.add_argument("--without-keys", action="store_true", help="a control: duplicates must appear")
    chosen = parser.parse_args(arguments)
    chosen.seed = secrets.randbelow(2**31) if chosen.seed is None else chosen.seed
    about = f"Python {platform.python_version()}, Django {django.__version__}, {os.cpu_count()} cores"
    print(f"{chosen.engine} on {chosen.database}, seed {chosen.seed}, {about}", flush=True)
    faults = {
        "fault_rate": 1.0,
        "fault_seed": chosen.seed,
        "fault_kinds": [SLOW] if chosen.without_faults else ANSWERS,
    }
    engine = chosen.engine if chosen.engine != "migma_deliver" else ""
    with running_site(database=chosen.database, engine=engine, idempotency=not chosen.without_keys, **faults) as site:
        report = Soak(chosen, site).run()
        kept, text = verdict(report, is_control=chosen.without_keys, log=site.log.read_text())
    print(text)
    return 0 if kept else 1


def verdict(report: Report, *, is_control: bool, log: str) -> tuple[bool, str]:
    """Whether a run did what it should, and what to print about it; the workers' log only where that may help."""
    kept = bool(report.doubled) if is_control else report.kept
    lines = [f"{'kept  ' if kept else 'BROKEN'}  {report}"]
    if is_control:
        lines.append("A control without keys: duplicates " + ("appear, as they must." if kept else "must appear."))
    elif not kept:
        lines += [*report.offenders(), log[-5000:]]
    return kept, "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
