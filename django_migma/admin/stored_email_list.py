"""The list of stored emails: its filters, the parts of its cells, and how often each email is used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.models import StoredEmail

from .cells import NOTHING, chip, two_lines
from .sample_values import without_sample

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from django_migma.models import Delivery

DAYS = 30
MAX_COUNTED = 20_000
"""Deliveries, the newest ones, that are counted for the list."""
_NO_SAMPLES, _NO_KEY, _NOT_READY = "samples", "key", "ready"


class MissingFilter(admin.SimpleListFilter):
    """Emails that somebody may have to do something about, by what they lack."""

    title = _("what is missing")
    parameter_name = "without"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [
            (_NO_SAMPLES, _("Without samples")),
            (_NO_KEY, _("Without key")),
            (_NOT_READY, _("Gone or not ready")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StoredEmail]) -> QuerySet[StoredEmail]:
        if self.value() == _NO_SAMPLES:
            # In Python, since databases compare names with the keys of an object each in its own way.
            rows = queryset.only("key", "variable_names", "sample_variables", "default_variables")
            return queryset.filter(pk__in=[email.pk for email in rows if without_sample(email)])
        if self.value() == _NO_KEY:
            return queryset.filter(key=None)
        if self.value() == _NOT_READY:
            return queryset.exclude(status__in=["", StoredEmail.Status.READY])
        return queryset


class Uses:
    """How often each of some stored emails was sent to customers in the last 30 days, found in two queries.

    Only the newest 20,000 deliveries are read, so that a large table does not slow the list down; ``is_complete``
    says whether these go back 30 days.
    """

    def __init__(self, emails: Iterable[StoredEmail], deliveries: QuerySet[Delivery]) -> None:
        since = timezone.now() - dt.timedelta(days=DAYS)
        rows = deliveries.order_by("-pk")
        newest = rows.values_list("pk", flat=True).first() or 0
        older = rows.filter(pk__lte=newest - MAX_COUNTED) if newest > MAX_COUNTED else rows.none()
        found = (
            deliveries.order_by()
            .filter(pk__gt=newest - MAX_COUNTED, created_at__gte=since)
            .filter(is_test=False, stored_email_id__in=[email.pk for email in emails])
            .values_list("stored_email_id")
            .annotate(Count("pk"))
        )
        self._counts: dict[int | None, int] = dict(found)
        self.is_complete = not any(
            created_at >= since for created_at in older.values_list("created_at", flat=True)[:1]
        )

    def cell(self, email: StoredEmail, url: str) -> str:
        """The number as a link to the deliveries; nothing where there was none."""
        count = self._counts.get(email.pk, 0)
        if not count:
            return NOTHING
        if self.is_complete:
            hint, period = "", gettext("in %(days)d days") % {"days": DAYS}
        else:
            hint, period = gettext("of the newest %(most)d deliveries") % {"most": MAX_COUNTED}, gettext("lately")
        return format_html('<a href="{}" title="{}">{}</a>', url, hint, two_lines(count, period))


_CHIPS: dict[str, tuple[str, str, Any]] = {
    "": ("quiet", "", _("not synced")),
    StoredEmail.Status.PROCESSING: ("waiting", "◔", _("in the making")),
    StoredEmail.Status.FAILED: ("bad", "✕", _("failed")),
    StoredEmail.Status.GONE: ("doubt", "!", _("gone")),
}


def state_chip(email: StoredEmail) -> str:
    """What keeps an email from being used, as a word with a symbol and a colour; nothing for one that is ready."""
    if email.status == StoredEmail.Status.READY:
        return NOTHING
    group, symbol, word = _CHIPS.get(email.status, ("quiet", "", ""))
    hint = email.get_status_display() if email.status else gettext("It was added by hand, and no sync has found it.")
    return chip(group, symbol, word or email.status, hint)


def picture(email: StoredEmail, title: str) -> str:
    """A place for the picture, which lies on another server: "Show pictures" loads it."""
    if not email.thumbnail_url.lower().startswith(("https://", "http://")):
        return ""
    return format_html(
        '<span class="migma-thumbnail" data-migma-picture="{}" data-alt="{}"></span>',
        email.thumbnail_url,
        gettext("Thumbnail of %(email)s") % {"email": title},
    )
