"""The summary above the list of deliveries: the last 14 days by groups, as numbers and as bars."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from django.db.models import Case, Count, F, IntegerField, Min, QuerySet, Value, When
from django.utils import timezone
from django.utils.formats import date_format

from django_migma.models import Delivery

from .delivery_list import ATTENTION, ON_THEIR_WAY
from .status_groups import BAD, DOUBT, GOOD, QUIET, WAITING, Group, group_of

if TYPE_CHECKING:
    Rows = QuerySet[Delivery]
    Counts = dict[str, list[int]]

DAYS = 14
MAX_ROWS = 50_000
"""Rows of these days that are counted. With more, the summary is left out: counting would slow the list down."""
SECONDS = 30  # for which it is cached, by database
TOO_MANY_FAILED = 0.05  # of a day's mail
_CACHE = "django_migma.deliveries"
GROUPS = (GOOD, WAITING, DOUBT, BAD, QUIET)
_WIDTH, _GAP, _HEIGHT, _ABOVE = 16, 4, 48, 14  # of the bars, in units of the drawing


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The part of a bar that stands for a group."""

    group: Group
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A day. ``description`` has its numbers; ``failed`` its share of failures, if there were too many."""

    x: int
    label: str
    description: str
    segments: list[Segment]
    failed: str

    @property
    def middle(self) -> float:
        return self.x + _WIDTH / 2

    @property
    def top(self) -> float:
        return min((part.y for part in self.segments), default=0.0) - 3


@dataclass(frozen=True, kw_only=True)
class Total:
    """The number of a group, and the query that lists its rows."""

    group: Group
    count: int
    query: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the template shows. ``oldest`` is when the row that waits longest was created."""

    totals: list[Total]
    oldest: dt.datetime | None
    bars: list[Bar]

    days = DAYS
    width = DAYS * (_WIDTH + _GAP)
    height = _HEIGHT + _ABOVE
    bar_width = _WIDTH

    @property
    def description(self) -> str:
        """The numbers of the drawing in words."""
        return "; ".join(bar.description for bar in self.bars)

    @property
    def bad_days(self) -> str:
        return ", ".join(f"{bar.label} ({bar.failed})" for bar in self.bars if bar.failed)


def summary(rows: Rows) -> Summary | None:
    """Return the summary of all rows; None where there is none in these days, or more than `MAX_ROWS`."""
    days = _midnights()
    key = f"{_CACHE}.{rows.db}.{days[0].isoformat()}"
    found: tuple[Counts, dt.datetime | None] | None = cache.get(key)
    if found is None:
        found = _count(rows, days)
        cache.set(key, found, SECONDS)
    counts, oldest = found
    return _draw(counts, oldest, days) if counts else None


def _midnights() -> list[dt.datetime]:
    """When each of the days began or begins, the oldest first, in the current time zone."""
    today = timezone.localdate() if settings.USE_TZ else timezone.now().date()
    midnights = [dt.datetime.combine(today - dt.timedelta(days=back), dt.time()) for back in reversed(range(DAYS))]
    return [timezone.make_aware(found) for found in midnights] if settings.USE_TZ else midnights


def _count(rows: Rows, days: list[dt.datetime]) -> tuple[Counts, dt.datetime | None]:
    """The numbers of each group by day, and the oldest row on its way. Empty if there are too many rows."""
    every = Delivery.objects.using(rows.db)
    newest = every.order_by("-pk").values_list("pk", flat=True).first() or 0
    first_ids = _first_ids(every, days, newest)
    if newest - first_ids[0] >= MAX_ROWS:
        return {}, None
    # Ids and all status words, since SQLite then reads nothing but the index of the status, which holds the ids.
    whens = [When(pk__gte=first_ids[number], then=Value(number)) for number in reversed(range(DAYS))]
    day = Case(*whens, output_field=IntegerField())
    found = every.filter(pk__gte=first_ids[0], status__in=Delivery.Status.values).order_by()
    counts: Counts = {}
    for number, status, count in found.annotate(day=day).values_list("day", "status").annotate(Count("pk")):
        counts.setdefault(group_of(status).name, [0] * DAYS)[number] += count
    return counts, _oldest_on_its_way(every)


def _oldest_on_its_way(every: Rows) -> dt.datetime | None:
    # By id, which the index of the status holds on SQLite. The sum keeps PostgreSQL from looking through the rows in
    # the order of their ids.
    found = every.filter(status__in=Delivery.UNFINISHED).aggregate(pk=Min(F("pk") + 0))
    return every.filter(pk=found["pk"]).values_list("created_at", flat=True).first()


def _first_ids(every: Rows, days: list[dt.datetime], newest: int) -> list[int]:
    """The first id of each day. They are cached for as long as they are needed: once a day has begun, it is fixed."""
    names = {f"{_CACHE}.{every.db}.first.{day.isoformat()}": day for day in days}
    known: dict[str, int] = cache.get_many(names)
    # An id above the newest is from a database that was emptied since.
    missing = [name for name in names if known.get(name, newest + 2) > newest + 1]
    if missing:
        known |= {name: every.first_id_since(names[name]) for name in missing}  # type: ignore[attr-defined]
        cache.set_many(known, (DAYS + 1) * 24 * 3600)
    return [known[name] for name in names]


def _draw(counts: Counts, oldest: dt.datetime | None, days: list[dt.datetime]) -> Summary:
    totals = [(group, sum(counts.get(group.name, ()))) for group in GROUPS]
    daily = [{group: counts.get(group.name, [0] * DAYS)[number] for group in GROUPS} for number in range(DAYS)]
    highest = max(sum(numbers.values()) for numbers in daily)
    return Summary(
        totals=[Total(group=group, count=count, query=_query(group)) for group, count in totals],
        oldest=oldest,
        bars=[_bar(number, days[number], numbers, highest) for number, numbers in enumerate(daily)],
    )


def _query(group: Group) -> str:
    if group is WAITING:
        return f"?{ATTENTION}={ON_THEIR_WAY}"
    return f"?status__in={','.join(status for status in Delivery.Status.values if group_of(status) is group)}"


def _bar(number: int, day: dt.datetime, numbers: dict[Group, int], highest: int) -> Bar:
    segments, y = [], float(_HEIGHT + _ABOVE)
    for group, count in numbers.items():
        if count:
            height = round(_HEIGHT * count / highest, 2)
            y = round(y - height, 2)
            segments.append(Segment(group=group, y=y, height=height))
    total, label = sum(numbers.values()), date_format(day, "MONTH_DAY_FORMAT")
    share = numbers[BAD] / total if total else 0.0
    words = ", ".join(f"{count} {group.label}" for group, count in numbers.items() if count)
    return Bar(
        x=number * (_WIDTH + _GAP),
        label=label,
        description=f"{label}: {words or 0}",
        segments=segments,
        failed=f"{round(100 * share)}%" if share > TOO_MANY_FAILED else "",
    )
