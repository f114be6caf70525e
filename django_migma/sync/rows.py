"""From what Migma says about a conversation to rows. No HTTP happens here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import IntegrityError, OperationalError, router, transaction
from django.db.models import Max, Q
from django.utils import timezone

from django_migma.api.errors import InvalidResponse, MigmaError
from django_migma.api.types import is_object_id
from django_migma.models import StoredEmail

from .summary import Broken, Change, Summary

if TYPE_CHECKING:
    from django_migma.api.resources import Email, EmailSummary
    from django_migma.models.stored_email import StoredEmailQuerySet

Values = dict[str, str]
Found = Iterable[tuple[StoredEmail, Values]]
_is_web_address = URLValidator(schemes=["http", "https"])
_LONGEST_URL = 2_000
_LONGEST_STATUS = 50


class Rows:
    """The rows of one project during one sync. What is done to them is noted in ``summary``."""

    def __init__(self, project_id: str, summary: Summary) -> None:
        self.summary = summary
        self._project_id = project_id
        self._started = timezone.now()
        self._database = router.db_for_write(StoredEmail)
        self._seen: set[int | None] = set()

    @property
    def _all(self) -> StoredEmailQuerySet:
        return StoredEmail.objects.using(self._database)

    def longest_ago_first(self, items: dict[str, EmailSummary]) -> list[EmailSummary]:
        """Conversations that were never synced, then the others, oldest sync first."""
        known = self._all.of_project(self._project_id).order_by().values_list("conversation_id")
        synced = {found: last.timestamp() for found, last in known.annotate(Max("synced_at")) if last}
        return [items[found] for found in sorted(items, key=lambda found: synced.get(found, 0.0))]

    def report(self, item: EmailSummary, error: MigmaError) -> None:
        """Note a conversation that cannot be brought up to date."""
        broken = Broken(conversation_id=item.conversation_id.lower(), title=item.title or item.subject, error=error)
        self.summary.broken.append(broken)

    def take(self, item: EmailSummary, emails: tuple[Email, ...]) -> None:
        """Write the emails of a conversation, all of them or none.

        A single email without an id is kept by its conversation, as Migma allows; one of a series cannot be.
        """
        values = [self._values(item, email, place, len(emails)) for place, email in enumerate(emails, start=1)]
        if len(emails) > 1:
            found = [its for its in values if "email_id" in its]
            if missing := len(values) - len(found):
                text = f"{missing} of the {len(values)} emails of this series have no id."
                self.report(item, InvalidResponse(text))
            self._write(Q(email_id__in=[its["email_id"] for its in found]), lambda rows: _of_series(rows, found))
        else:
            [its] = values
            wanted = Q(conversation_id=its["conversation_id"])
            if "email_id" in its:
                wanted = Q(email_id=its["email_id"]) | (wanted & Q(email_id=None))
            self._write(wanted, lambda rows: _of_single(rows, its))

    def _values(self, item: EmailSummary, email: Email, place: int, count: int) -> Values:
        pictures = (email.thumbnail_url, email.screenshot_url, item.screenshot_url)
        values = {
            "conversation_id": item.conversation_id.lower(),
            "project_id": self._project_id,
            "title": f"{item.title or email.subject} ({place}/{count})" if count > 1 else item.title,
            "subject": email.subject,
            "preheader": email.preheader,
            "html": email.html,
            "thumbnail_url": next(filter(_is_picture, pictures), ""),
            "status": email.status[:_LONGEST_STATUS],
        }
        return values | ({"email_id": email.email_id.lower()} if is_object_id(email.email_id) else {})

    def _write(self, wanted: Q, match: Callable[[list[StoredEmail]], Found]) -> None:
        try:
            done = self._written(wanted, match)
        except (IntegrityError, OperationalError):  # another sync at the same time; its rows are found now
            done = self._written(wanted, match)
        for row, change in done:
            self._seen.add(row.pk)
            self.summary.note(change)

    def _written(self, wanted: Q, match: Callable[[list[StoredEmail]], Found]) -> list[tuple[StoredEmail, Change]]:
        now = timezone.now()
        with transaction.atomic(using=self._database):
            if not self.summary.dry_run:
                # A write comes first: it locks the rows, and SQLite does not let a reader become a writer.
                self._all.filter(wanted).update(synced_at=now)
            rows = sorted(self._all.filter(wanted), key=lambda row: (row.email_id is None, row.key is None, row.pk))
            return [(row, self._saved(row, values, now)) for row, values in match(rows)]

    def _saved(self, row: StoredEmail, values: Values, now: datetime) -> Change:
        changed = tuple(name for name, value in values.items() if getattr(row, name) != value)
        for name in changed:
            setattr(row, name, values[name])
        if row.pk is None:
            row.synced_at = now
            if not self.summary.dry_run:
                row.save(using=self._database)
            return Change(what="created", name=str(row))
        if changed and not self.summary.dry_run:
            row.save(using=self._database, update_fields=[*changed, "updated_at"])
        return Change(what="updated" if changed else "unchanged", name=str(row), fields=changed)

    def mark_gone(self, listed: Collection[str]) -> None:
        """Mark the project's rows that this sync has not met. ``listed``: the ids of all its conversations."""
        old = self._old().defer("html")
        lost = [row for row in old if row.pk not in self._seen and not self._is_spared(row, listed)]
        if not self.summary.dry_run:
            known = self._old().filter(pk__in=[row.pk for row in lost])
            known.update(status=StoredEmail.Status.GONE, updated_at=timezone.now())
        for row in lost:
            self.summary.note(Change(what="gone", name=str(row)))

    def _old(self) -> StoredEmailQuerySet:
        """The project's rows, but those that somebody has made or synced since this sync began."""
        rows = self._all.of_project(self._project_id).exclude(status=StoredEmail.Status.GONE)
        return rows.filter(created_at__lt=self._started).exclude(synced_at__gte=self._started)

    def _is_spared(self, row: StoredEmail, listed: Collection[str]) -> bool:
        """Whether nothing is known about it: its conversation is broken, or may be, or it stands for a series."""
        if row.conversation_id is None:
            return bool(self.summary.broken)
        broken = {broken.conversation_id for broken in self.summary.broken}
        return row.conversation_id in broken or (row.email_id is None and row.conversation_id in listed)


def _of_series(rows: list[StoredEmail], found: list[Values]) -> Found:
    """A row for each email of a series. Rows without an email's id are left alone: which one they mean is open."""
    by_id = {row.email_id: row for row in rows}
    for values in found:
        yield by_id.setdefault(values["email_id"], StoredEmail()), values


def _of_single(rows: list[StoredEmail], values: Values) -> Found:
    """The row of a conversation's only email: the one with its id, else one made by hand, else a new one.

    Further rows made by hand for this conversation get the same texts.
    """
    if "email_id" not in values:
        rows = [row for row in rows if row.email_id is None] or rows[:1]
    texts = {name: value for name, value in values.items() if name != "email_id"}
    return [(row, texts if place else values) for place, row in enumerate(rows or [StoredEmail()])]


def _is_picture(url: str) -> bool:
    """Whether a page may show it: no scripts, no data."""
    try:
        _is_web_address(url)
    except ValidationError:
        return False
    return len(url) <= _LONGEST_URL
