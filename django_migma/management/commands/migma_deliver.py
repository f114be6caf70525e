"""``manage.py migma_deliver``: the worker that delivers queued mail."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_migma.delivery.deliverer import Deliverer, Progress
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailers
from django_migma.management.arguments import positive_number, seconds
from django_migma.management.output import ProgressLine, printable
from django_migma.models import UNREADABLE

PAUSED = 3
"""The exit status of ``--once`` where rows are left because their mailer pauses."""


class Command(BaseCommand):
    help = "Delivers the mail that waits in the queue, until it is stopped. SIGTERM and Ctrl-C end it in order."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="end as soon as nothing is due, for cron")
        parser.add_argument("--idle", type=seconds, metavar="S", help="end after S seconds without mail")
        parser.add_argument("--max", type=positive_number, metavar="N", help="end after N mails")
        parser.add_argument(
            "--batch",
            type=positive_number,
            metavar="N",
            help="mails in hand at most (default: twice MAX_CONCURRENCY)",
        )

    def handle(self, **options: Any) -> None:
        """Deliver. Raises CommandError for unusable settings or tables, and with status 3, see `PAUSED`."""
        line = ProgressLine(self.stdout, is_quiet=options["verbosity"] == 0)

        def report(progress: Progress) -> None:
            line.show(f"{_describe(progress.counts)}; {progress.in_hand} in hand")

        deliverer = Deliverer(batch=options["batch"], report=report)
        line.write_line(f"Delivering for {_describe_mailers()}. Ctrl-C ends in order, twice at once.")
        idle = 0.0 if options["once"] else options["idle"]
        try:
            with _stopping(deliverer):
                result = deliverer.run(idle=idle, max_count=options["max"])
        except UNREADABLE as error:
            text = f"The table of deliveries cannot be used ({type(error).__name__})."
            raise CommandError(f"{text} Check the database, and run manage.py migrate.") from None
        finally:
            line.end()
        line.write_line(f"Done: {_describe(result.counts)}.")
        if options["once"] and result.is_paused:
            raise CommandError("Mail is left, since its mailer pauses. Run this again later.", returncode=PAUSED)


def _describe_mailers() -> str:
    """The mailers with their limits. Raises CommandError if there is none that can be used."""
    described, problem = [], "No mailer uses Migma. Give one the backend django_migma.backends.queue.EmailBackend."
    for mailer in mailers():
        try:
            described.append(_describe_mailer(mailer))
        except ConfigurationError as error:
            problem = str(error)
    if not described:
        raise CommandError(printable(problem))
    return ", ".join(described)


def _describe_mailer(mailer: Mailer) -> str:
    return f"{mailer.alias or 'EMAIL_BACKEND'} ({mailer.config().max_concurrency} in flight)"


def _describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in sorted(counts.items())) or "nothing"


@contextmanager
def _stopping(deliverer: Deliverer) -> Iterator[None]:
    """End in order at the first SIGTERM or SIGINT. The second one has its usual effect: the process is gone."""
    if threading.current_thread() is not threading.main_thread():  # as in a site's own test
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(*_: object) -> None:
        deliverer.stop()
        for number in handlers:
            signal.signal(number, signal.SIG_DFL)

    try:
        for number in handlers:
            signal.signal(number, stop)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
