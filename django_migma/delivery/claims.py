"""All SQL of the queue: rows are claimed, and marked with what became of them.

One thread of a deliverer does all of this. Nothing here waits for the network, and no transaction is held open.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import socket
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import connections, router, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from django_migma import signals
from django_migma.models.delivery import Delivery, DeliveryQuerySet, announce

from .outcomes import Mark, Row

PRIORITIES = (0, 1)
Status = Delivery.Status
_COLUMNS = ("pk", "idempotency_key", "payload", "attempts", "first_attempt_at", "in_doubt", "account", "errors")
_BEFORE_ACCEPTED = (Status.SENDING, Status.WAITING, Status.UNKNOWN)


def moment(seconds: float) -> dt.datetime:
    """Seconds since 1970 as the database's columns have them: aware, or local without ``USE_TZ``."""
    found = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return found if settings.USE_TZ else timezone.make_naive(found, timezone.get_default_timezone())


def worker_name() -> str:
    """A name for this worker, new at each call: of host and process, and what tells it from one before a reboot."""
    host = "".join(filter(str.isalnum, socket.gethostname().partition(".")[0]))
    return f"{host[:9]}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


class Claims:
    """The rows that one worker has. ``worker``: its name, at most 25 characters."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.using = router.db_for_write(Delivery)
        self._numbers = itertools.count(1)

    @property
    def _rows(self) -> DeliveryQuerySet:
        return Delivery.objects.using(self.using)

    def due(self, aliases: Collection[str], now: dt.datetime) -> DeliveryQuerySet:
        """The rows of these mailers that may be claimed. An UPDATE in its place would lock SQLite for nothing."""
        return self._rows.due(now).filter(alias__in=aliases, priority__in=PRIORITIES)

    def unknown_aliases(self, known: Collection[str]) -> list[str]:
        """Mailers of waiting rows that the settings do not know."""
        rows = self._rows.on_their_way().exclude(alias__in=known).order_by("alias")
        return list(rows.values_list("alias", flat=True).distinct()[:10])

    def claim(
        self, alias: str, *, account: str, count: int, now: dt.datetime, lease: float, only_doubtful: bool = False
    ) -> list[Row]:
        """Claim up to so many due rows of a mailer for ``lease`` seconds, the urgent ones first.

        A row that is found ``sending`` was claimed before, and nobody knows whether its request was made.
        ``only_doubtful``: rows that are in doubt already, for the question whether Migma answers clearly again.
        """
        found: list[Row] = []
        for priority in PRIORITIES:
            if left := count - len(found):
                rows = self._rows.filter(alias=alias, priority=priority)
                rows = rows.filter(in_doubt=True) if only_doubtful else rows
                found += self._claim(rows, left, account, now, lease)
        return found

    def _claim(self, rows: DeliveryQuerySet, count: int, account: str, now: dt.datetime, lease: float) -> list[Row]:
        claim = f"{self.worker}/{next(self._numbers) % 1_000_000}"  # 32 characters at most, see worker_name
        lease_ends_at = now + dt.timedelta(seconds=lease)
        values = {  # in this order: MySQL lets each assignment see those before it
            "account": Case(When(in_doubt=False, status=Status.WAITING, then=Value(account)), default=F("account")),
            "in_doubt": Case(When(status=Status.SENDING, then=Value(True)), default=F("in_doubt")),
            "first_attempt_at": Coalesce("first_attempt_at", Value(now)),
            "attempts": F("attempts") + 1,
            "claimed_by": claim,
            "due_at": lease_ends_at,
            "status": Status.SENDING,
        }
        due, features = rows.due(now).order_by("due_at", "pk"), connections[self.using].features
        if features.has_select_for_update_skip_locked:
            with transaction.atomic(using=self.using, durable=True):
                chosen = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:count])
                is_any = bool(chosen) and self._rows.filter(pk__in=chosen).update(**values)
        else:
            # A look first: an UPDATE that finds nothing would lock SQLite all the same.
            is_any = due.exists() and self._update_first(due, count, now, values)
        if not is_any:
            return []
        claimed = rows.filter(due_at=lease_ends_at, claimed_by=claim).order_by("pk")  # the first has an index
        return [Row._make((*columns, claim, lease_ends_at)) for columns in claimed.values_list(*_COLUMNS)]

    def _update_first(self, due: DeliveryQuerySet, count: int, now: dt.datetime, values: dict[str, Any]) -> int:
        """Choose and claim in one statement, under SQLite's own lock, so that no two workers choose the same rows."""
        chosen: Any = due.values("pk")[:count]
        if not connections[self.using].features.allow_sliced_subqueries_with_in:  # MariaDB before 10.6
            chosen = [row["pk"] for row in chosen]
        return self._rows.due(now).filter(pk__in=chosen).update(**values)

    def mark(self, marks: Sequence[Mark]) -> None:
        """Write what became of rows, in one transaction, then send ``delivery_updated`` for their results.

        One statement for each kind of mark: a hundred times as fast as ``bulk_update``.
        """
        groups: dict[tuple[bool, tuple[str, ...]], list[Mark]] = defaultdict(list)
        for mark in marks:
            groups[mark.is_fact, tuple(mark.fields)].append(mark)
        connection = connections[self.using]
        with transaction.atomic(using=self.using, durable=True), connection.cursor() as cursor:
            for (is_fact, names), group in groups.items():
                sql = _update_sql(connection, names, is_fact=is_fact)
                cursor.executemany(sql, [_parameters(connection, mark) for mark in group])
        if signals.delivery_updated.has_listeners(Delivery):
            self._announce([mark for mark in marks if mark.fields["status"] != Status.WAITING])

    def _announce(self, marks: Iterable[Mark]) -> None:
        words = {mark.row.pk: mark.fields["status"] for mark in marks}
        for delivery in self._rows.filter(pk__in=words).defer("payload"):
            if delivery.status == words[delivery.pk]:  # else another worker was faster
                announce(delivery, Status.SENDING)


def _field(name: str) -> Any:
    return Delivery._meta.get_field(name)  # noqa: SLF001 - documented


def _update_sql(connection: Any, names: tuple[str, ...], *, is_fact: bool) -> str:
    quote = connection.ops.quote_name
    values = ", ".join(f"{quote(_field(name).column)} = %s" for name in names)
    key, status, claimed_by = (quote(_field(name).column) for name in ("id", "status", "claimed_by"))
    guard = f"{status} IN (%s, %s, %s)" if is_fact else f"{status} = %s AND {claimed_by} = %s"
    table = quote(Delivery._meta.db_table)  # noqa: SLF001 - documented
    return f"UPDATE {table} SET {values} WHERE {key} = %s AND {guard}"  # noqa: S608 - names of our own


def _parameters(connection: Any, mark: Mark) -> list[Any]:
    values = [_field(name).get_db_prep_save(value, connection) for name, value in mark.fields.items()]
    guard = _BEFORE_ACCEPTED if mark.is_fact else (Status.SENDING, mark.row.claim)
    return [*values, mark.row.pk, *map(str, guard)]
