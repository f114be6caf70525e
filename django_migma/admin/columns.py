"""What the list and the detail page show of a stored email beyond its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .damage import names_of

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django_stubs_ext import StrOrPromise

    from django_migma.models import StoredEmail

_NOTHING = "-"
_DIGITS = 8
"""Of an id in the list: its last ones, since the first are a time, and alike in what was made together."""


def title_of(email: StoredEmail) -> str:
    """What people call it: its title, or what there is instead."""
    return email.title or email.subject or email.email_id or email.conversation_id or _NOTHING


class Columns:
    """Columns of the list. None of them asks the database for more than its row."""

    @admin.display(description=_("thumbnail"))
    def thumbnail(self, email: StoredEmail) -> str:
        """The picture that Migma made, fetched by the browser when it scrolls into view."""
        if not email.thumbnail_url.lower().startswith(("https://", "http://")):
            return _NOTHING
        return format_html(
            '<img class="migma-thumbnail" src="{}" alt="{}" loading="lazy" referrerpolicy="no-referrer">',
            email.thumbnail_url,
            gettext("Thumbnail of %(email)s") % {"email": title_of(email)},
        )

    @admin.display(description=_("title"), ordering="title")
    def shown_title(self, email: StoredEmail) -> str:
        """The title, or what else there is to click on."""
        return title_of(email)

    @admin.display(description=_("id"), ordering="email_id")
    def shown_id(self, email: StoredEmail) -> str:
        """The end of the id that a send takes, with a button to copy all of it. The script shows the button."""
        shown = email.email_id or email.conversation_id or ""
        return format_html(
            '<code title="{}">…{}</code> <button type="button" class="migma-copy" data-copy="{}" data-copied="{}" '
            'data-prompt="{}" aria-label="{}" hidden>{}</button>',
            shown,
            shown[-_DIGITS:],
            shown,
            gettext("Copied"),
            gettext("The browser does not copy it. Copy it from here:"),
            gettext("Copy the id %(id)s") % {"id": shown},
            gettext("Copy"),
        )

    @admin.display(description=_("variables"))
    def variables(self, email: StoredEmail) -> str:
        """The names that subject, preheader and HTML use."""
        return ", ".join(names_of(email)) or _NOTHING

    @admin.display(description=_("last sync"), ordering="synced_at")
    def last_sync(self, email: StoredEmail) -> str:
        """The day, with the time in its title."""
        return _day(email.synced_at)

    @admin.display(description=_("last test"), ordering="last_tested_at")
    def last_test(self, email: StoredEmail) -> str:
        """The day, with the time in its title."""
        return _day(email.last_tested_at)


def _day(moment: datetime | None) -> str:
    """Without the time, for a narrow column: the title has it."""
    if moment is None:
        return _NOTHING
    here = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        here.isoformat(),
        date_format(here, "DATETIME_FORMAT"),
        date_format(here, "DATE_FORMAT"),
    )


class HasKey(admin.SimpleListFilter):
    """Those that code can call by name, or the others."""

    title = _("key")
    parameter_name = "has_key"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, StrOrPromise]]:
        """The two choices."""
        return [("yes", _("With a key")), ("no", _("Without a key"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StoredEmail]) -> QuerySet[StoredEmail]:
        """Those chosen."""
        if self.value() not in {"yes", "no"}:
            return queryset
        return queryset.filter(key__isnull=self.value() == "no")


class WithoutHtml:
    """A change list that leaves the HTML where it is: hundreds of kilobytes per row that no column shows."""

    def get_queryset(self, *args: object, **options: object) -> QuerySet[StoredEmail]:
        """The rows, without their HTML."""
        found: QuerySet[StoredEmail] = super().get_queryset(*args, **options)  # type: ignore[misc]
        return found.defer("html")
