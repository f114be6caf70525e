"""``manage.py migma_prune``: deletes old rows of deliveries, in short transactions beside a busy worker."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import router, transaction
from django.utils import timezone

from django_migma.models import Delivery
from django_migma.models.delivery import DeliveryQuerySet

ROWS_PER_TRANSACTION = 1000


class Command(BaseCommand):
    help = "Deletes rows of deliveries that are done, and never one that is waiting, being sent or unknown."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=int,
            required=True,
            metavar="N",
            help="delete rows that were created more than so many days ago; 0 for all that are done",
        )
        parser.add_argument("--dry-run", action="store_true", help="only print how many rows would be deleted")

    def handle(self, **options: Any) -> None:
        """Prune. Raises CommandError, with exit status 130 after Ctrl-C; what was deleted by then stays deleted."""
        moment = _days_ago(options["days"])
        self.deleted = 0
        try:
            rows = Delivery.objects.using(router.db_for_write(Delivery))
            old = rows.finished().filter(pk__lt=rows.first_id_since(moment))
            if options["dry_run"]:
                self.stdout.write(f"{_rows(old.count())} would be deleted.")
                return
            self._prune(old, options["verbosity"])
        except DatabaseError as error:
            text = f"The table of deliveries cannot be used ({type(error).__name__})."
            raise CommandError(f"{text} Check the database, and run manage.py migrate. {self._summary}") from None
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {self._summary}", returncode=130) from None
        if options["verbosity"] > 0:
            self.stdout.write(self._summary)

    @property
    def _summary(self) -> str:
        return f"{_rows(self.deleted)} deleted."

    def _prune(self, old: DeliveryQuerySet, verbosity: int) -> None:
        shows_progress = verbosity > 0 and self.stderr.isatty()
        ids = old.order_by("pk").values_list("pk", flat=True)
        found = [0]
        try:
            while found := list(ids.filter(pk__gt=found[-1])[:ROWS_PER_TRANSACTION]):
                self.deleted += _delete(old, found)
                if shows_progress:
                    self.stderr.write(f"\r{self._summary}", str, ending="")
                    self.stderr.flush()
        finally:
            if shows_progress and self.deleted:
                self.stderr.write("")


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _days_ago(days: int) -> dt.datetime:
    if days < 0:
        raise CommandError(f"--days must be 0 or more, not {days}. 0 deletes all rows that are done.")
    try:
        return timezone.now() - dt.timedelta(days=days)
    except OverflowError:
        raise CommandError(f"--days {days} lies before the first year. Give a smaller number.") from None


def _delete(rows: DeliveryQuerySet, ids: list[int]) -> int:
    """Delete the rows with these ids, in order, that are still done, and return how many there were.

    Not by ``delete()``, which reads the rows first: meanwhile, a person may let a worker try one again.
    """
    everything = Delivery.objects.using(rows.db)
    span, chosen = (ids[0], ids[-1]), set(ids)
    links = everything.filter(resent_from__gte=span[0], resent_from__lte=span[1]).values_list("pk", "resent_from")
    repeats = [pk for pk, original in links if original in chosen]
    with transaction.atomic(using=rows.db):
        if repeats:
            everything.filter(pk__in=repeats).update(resent_from=None)
        return rows.filter(pk__range=span)._raw_delete(rows.db)  # noqa: SLF001 - one DELETE, with its conditions
