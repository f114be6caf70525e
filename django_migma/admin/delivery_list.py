"""The list of deliveries, quick at a million rows: its filters, its search and its paginator.

Nothing here counts or sorts the whole table, and each condition is one of an index or of a bounded range of ids.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connections
from django.db.models import CharField, Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.lookups import Exact
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from django_migma.mailers import mailers
from django_migma.models import Delivery, StoredEmail

if TYPE_CHECKING:
    SimpleListFilter = admin.SimpleListFilter
    Rows = QuerySet[Delivery]
    Lookups = Iterable[tuple[str, Any]]
else:
    SimpleListFilter = admin.SimpleListFilter

MAX_COUNT = 10_000
"""Rows that the list counts. Beyond, it says that there are more, and further pages are reached by filters."""
MAX_SCANNED = 20_000
"""Rows, from the newest on, among which a column without an index is searched."""
COMMON = 100_000  # rows of a mailer from which on those of the list are found by walking through the newest rows
MIN_BEGINNING = 3  # characters, with which addresses are searched; fewer are the beginning of too many
MAX_SAME_ID = 100
MAX_STORED_EMAILS = 100  # lines of the filter
ATTENTION, SOMEBODY, ON_THEIR_WAY = "attention", "somebody", "way"
_HOURS = {"hour": 1, "day": 24, "week": 7 * 24}


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than `MAX_COUNT`, and says by ``has_more`` that there are more rows."""

    @cached_property
    def counted(self) -> int:
        """The number of rows, or one more than `MAX_COUNT`."""
        rows: Any = self.object_list
        return rows.order_by().values("pk")[: MAX_COUNT + 1].count()  # type: ignore[no-any-return]

    @cached_property
    def count(self) -> int:
        return min(self.counted, MAX_COUNT)

    @property
    def has_more(self) -> bool:
        return self.counted > MAX_COUNT

    def page(self, number: Any) -> Any:
        """The page by its ids: to find and sort those takes an index only, while SQLite would sort whole rows."""
        page: Any = super().page(number)
        rows: Any = self.object_list
        ids = page.object_list.values_list("pk", flat=True)
        page.object_list = rows.filter(pk__in=list(ids))
        return page


class AttentionFilter(SimpleListFilter):
    """Rows that a person has to decide about, and those that no person has to."""

    title = _("attention")
    parameter_name = ATTENTION

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(SOMEBODY, _("Needs somebody")), (ON_THEIR_WAY, _("On its way"))]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == SOMEBODY:
            return needing_somebody(queryset)
        if self.value() == ON_THEIR_WAY:
            return queryset.filter(status__in=Delivery.UNFINISHED)
        return queryset


def needing_somebody(rows: Rows) -> Rows:
    """Failed rows and rows in doubt, but those that were sent anew."""
    repeats = Delivery.objects.using(rows.db).filter(resent_from=OuterRef("pk"))
    return rows.filter(~Exists(repeats), status__in=[Delivery.Status.FAILED, Delivery.Status.UNKNOWN])


def ordering(request: HttpRequest) -> list[Any]:
    """Newest first. What needs somebody goes by age, so that nothing is forgotten.

    The sum keeps PostgreSQL from walking through all rows by their ids in the hope of meeting some of these soon.
    """
    return [F("pk") + 0] if request.GET.get(ATTENTION) == SOMEBODY else ["-pk"]


class TimeFilter(SimpleListFilter):
    """Rows since a time, as a range of ids, since there is no index on dates."""

    title = _("time")
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("hour", _("Last hour")), ("day", _("Last 24 hours")), ("week", _("Last 7 days"))]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        hours = _HOURS.get(self.value() or "")
        if hours is None:
            return queryset
        since = timezone.now() - dt.timedelta(hours=hours)
        return queryset.filter(pk__gte=Delivery.objects.using(queryset.db).first_id_since(since))


class StoredEmailFilter(SimpleListFilter):
    """One of the stored emails. Django's own filter would fetch their HTML."""

    title = _("stored email")
    parameter_name = "stored_email"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        found = StoredEmail.objects.order_by("key", "title").values_list("pk", "key", "title", "subject")
        names = {str(pk): key or title or subject or str(pk) for pk, key, title, subject in found[:MAX_STORED_EMAILS]}
        chosen = request.GET.get(self.parameter_name, "")
        return {**({chosen: chosen} if re.fullmatch("[0-9]{1,18}", chosen) else {}), **names}.items()

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        chosen = self.value() or ""
        return queryset.filter(stored_email_id=int(chosen)) if re.fullmatch("[0-9]{1,18}", chosen) else queryset


class MailerFilter(SimpleListFilter):
    """One of the mailers of today. It is left out where there is only one."""

    title = _("mailer")
    parameter_name = "mailer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        names = [found.alias or "" for found in mailers()]
        return [(name, name) for name in names if name]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1 or self.value() is not None

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        alias = self.value()
        if alias is None:
            return queryset
        found = queryset.filter(alias=alias)
        if connections[queryset.db].vendor == "sqlite" and found.order_by()[COMMON:].exists():
            # So many that the newest are soon met, but SQLite would find all by the index and sort them. A unary plus
            # tells it not to use the index. PostgreSQL has statistics, and decides by itself.
            column = Func(F("alias"), template="+%(expressions)s", output_field=CharField())
            return queryset.filter(Exact(column, alias))
        return found


class TestFilter(SimpleListFilter):
    """Tests, among the newest rows, or what is none."""

    __test__ = False  # keeps pytest from collecting it
    title = _("test")
    parameter_name = "test"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("yes", _("Tests")), ("no", _("No tests"))]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == "yes":
            return queryset.filter(pk__gt=first_scanned(queryset), is_test=True)
        return queryset.filter(is_test=False) if self.value() == "no" else queryset


def first_scanned(rows: Rows) -> int:
    """The id above which a column without an index is searched."""
    newest = Delivery.objects.using(rows.db).order_by("-pk").values_list("pk", flat=True).first()
    return (newest or 0) - MAX_SCANNED


def search(rows: Rows, term: str) -> Rows:
    """Rows whose address begins with the term, or whose key or id it is: any one, each by its index.

    The message id has none. A range of ids among the other conditions would slow all of them down on PostgreSQL, so
    it is looked up before them.
    """
    term = term.strip()
    if not term:
        return rows
    every = Delivery.objects.using(rows.db)
    same_id = every.filter(pk__gt=first_scanned(rows), message_id=term).values_list("pk", flat=True)
    found = Q(pk__in=list(same_id[:MAX_SAME_ID])) | Q(idempotency_key=term.lower()) | Q(caller_key=term)
    if len(term) >= MIN_BEGINNING:
        found |= every.beginning_with("recipient", term.lower())
    return rows.filter(found | Q(send_id=term))
