"""``python -m tests.crashes before_mark --seeds 50``: processes that die at one point, and what becomes of the mail.

Each seed: a process queues mail or delivers it, and dies. A new worker finishes what it finds, after the lease.
Each mail has to be accepted exactly once, and its row has to say so. Fails with what is wrong, if anything is.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.api.clocks import until
from tests.crashes.clocks import Later
from tests.crashes.points import EXIT_STATUS, POINTS
from tests.sites import DATABASES, PATIENT, Site, running_site

IN_THE_SITE = ("before_commit", "before_wake_up")
"""Points at which the process that dies is one that queues mail. At the others it is a worker."""
PATIENCE = 120.0  # seconds for a worker to reach its point, and for another one to finish its work
PAUSE = 0.05


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What a process left behind: its exit status and last words, the rows by status, and those in the end.

    ``expected``: how many mails there should be in the end. ``taken``: how many were accepted for each recipient.
    """

    point: str
    expected: int
    exit_status: int
    words: str
    left: Counter[str]
    rows: Counter[str]
    recipients: set[str]
    taken: Counter[str]

    def problems(self) -> Iterator[str]:
        """What is wrong."""
        if self.exit_status != EXIT_STATUS:
            yield f"it did not die at its point, but ended with {self.exit_status}: {self.words}"
        needed = "accepted" if self.point == "after_mark" else "sending"
        if self.left.total() != self.expected or (self.point not in IN_THE_SITE and not self.left[needed]):
            yield f"it died elsewhere: it left {dict(self.left)} of {self.expected}"
        if self.rows != Counter(accepted=self.expected):
            yield f"the rows say {dict(self.rows)} of {self.expected}"
        if self.taken != Counter(self.recipients) or len(self.recipients) != self.expected:
            yield f"{self.taken.total()} mails to {len(self.taken)} recipients were accepted, not {self.expected}"


def mails_of(seed: int) -> int:
    """How many mails a seed stands for."""
    return random.Random(seed).randint(12, 30)


def queue_for(seed: int) -> None:
    """Queue some mails, of which no two have the same recipient."""
    from tests.delivery.queueing import queue_mails

    queue_mails([f"r{number}-{seed}@example.org" for number in range(mails_of(seed))])


def live(point: str, seed: int) -> None:
    """Queue or deliver in this process, and die at the point."""
    import django

    django.setup()
    from django_migma.delivery.deliverer import Deliverer

    POINTS[point](random.Random(seed), lambda: queue_for(seed), lambda: print(Deliverer().run(idle=PATIENCE)))


def wait_for_end() -> None:
    """Return when the database has noticed the end of a process, whose rows PostgreSQL keeps locked until then."""
    from django.db import connection

    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        until(lambda: connection.vendor == "sqlite" or cursor.execute(others).fetchone() == (0,))


def finish() -> None:
    """Deliver as a new worker, after the lease. What the dead one has asked the sandbox for may take a moment yet."""
    from django_migma.delivery.deliverer import Deliverer
    from django_migma.models import Delivery

    deliverer = Deliverer(clock=Later())

    def is_over() -> bool:
        deliverer.run(idle=0)
        return not Delivery.objects.on_their_way().exists()

    any(is_over() or time.sleep(PAUSE) for _ in range(round(PATIENCE / PAUSE)))


def let_die(site: Site, point: str, seed: int) -> Aftermath:
    """Let a process die, and finish its work."""
    from django_migma.models import Delivery

    Delivery.objects.all().delete()
    site.sandbox.store.reset()
    if point not in IN_THE_SITE:
        queue_for(seed)
    command = [sys.executable, "-m", "tests.crashes", point, "--live", str(seed)]
    died = subprocess.run(command, capture_output=True, text=True, check=False)
    wait_for_end()
    left = Counter(Delivery.objects.values_list("status", flat=True))
    finish()
    return Aftermath(
        point=point,
        expected=0 if point == "before_commit" else mails_of(seed),
        exit_status=died.returncode,
        words=died.stdout + died.stderr,
        left=left,
        rows=Counter(Delivery.objects.values_list("status", flat=True)),
        recipients=set(Delivery.objects.values_list("recipient", flat=True)),
        taken=site.ledger(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashes", description="Let processes die at some point.")
    parser.add_argument("points", nargs="*", metavar="point", help=f"{', '.join(POINTS)} (default: all)")
    parser.add_argument("--seeds", type=int, default=50, help="how many for each point (default: 50)")
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--live", type=int, metavar="SEED", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    points = chosen.points or list(POINTS)
    if chosen.live is not None:
        return live(points[0], chosen.live) or 0
    count = 0
    with running_site(database=chosen.database, engine="tasks", concurrency=4, **PATIENT) as site:
        for point in points:
            seeds = range(chosen.seeds)
            found = [f"seed {seed}: {what}" for seed in seeds for what in let_die(site, point, seed).problems()]
            print(*found, f"{point} on {chosen.database}: {chosen.seeds} seeds, {len(found)} problems", sep="\n")
            count += len(found)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
