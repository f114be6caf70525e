"""Sync: the finished emails of a Migma project become `StoredEmail` rows, one conversation after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import IntegrityError, OperationalError, router, transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext

from .api.clock import Clock
from .api.errors import AuthenticationError, InvalidResponse, MigmaError, NoResponse, RateLimited
from .api.types import is_object_id
from .backends.base import make_client
from .conf import Config
from .models import StoredEmail

if TYPE_CHECKING:
    from .api.client import MigmaClient
    from .api.resources import Email, EmailSummary, Page, Project
    from .models.stored_email import StoredEmailQuerySet

T = TypeVar("T")
Values = dict[str, str]
Matches = Iterable[tuple[StoredEmail, Values]]

MAX_PAGES = 1_000  # a longer list counts as one without an end
_PAGE_SIZE = 100  # the most that Migma allows
_MIN_TIMEOUT = 0.05  # seconds
_DEFAULT_PAUSE = 5.0  # seconds to wait after a 429 without Retry-After
_MAX_URL = 2_000
_MAX_STATUS = 50
_MAX_SHOWN = 200  # characters of a title in a text for people


@dataclass(frozen=True, kw_only=True)
class SyncFailure:
    """A conversation that could not be read, or only in part. ``str()`` is one line that says what to do."""

    conversation_id: str
    title: str
    error: MigmaError

    def __str__(self) -> str:
        advice = gettext("Sync again later; if it stays so, open it at Migma.")
        return f"{self.title[:_MAX_SHOWN] or '-'} ({self.conversation_id or '-'}): {self.error.reason}. {advice}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a sync does to one row. ``what``: created, updated or gone; ``fields``: the fields of an update."""

    what: str
    name: str
    fields: tuple[str, ...] = ()


@dataclass(kw_only=True)
class SyncResult:
    """What a sync did, or would do with ``dry_run``.

    ``created``, ``updated``, ``unchanged`` and ``gone`` count rows; ``skipped`` counts emails whose row is outside of
    the queryset of `sync_project` and was left alone. ``left`` counts conversations that were not read, because the
    time or ``RATE_LIMIT_WAIT`` was used up: the next sync begins with them. ``complete`` is False if the list did not
    end or changed while it was read. No row is marked as gone if conversations are left or the list is not complete.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    gone: int = 0
    skipped: int = 0
    failures: list[SyncFailure] = field(default_factory=list)
    left: int = 0
    dry_run: bool = False
    complete: bool = True
    changes: list[Change] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Count a change, and keep it if it changes anything."""
        setattr(self, change.what, getattr(self, change.what) + 1)
        if change.what in {"created", "updated", "gone"}:
            self.changes.append(change)


def sync_project(
    config: Config,
    project_id: str,
    *,
    queryset: StoredEmailQuerySet | None = None,
    dry_run: bool = False,
    seconds: float = math.inf,
    progress: Callable[[int, int], None] | None = None,
    clock: Clock | None = None,
) -> SyncResult:
    """Bring the rows of a project up to date with its finished emails at Migma.

    Conversations that were never synced come first, then those synced longest ago. The emails of a conversation are
    written in one transaction, so an interruption does no harm. ``queryset`` holds the rows that may be changed, all
    by default: an email whose row exists outside of it is skipped. ``seconds`` limits all requests together, and
    ``RATE_LIMIT_WAIT`` the waits for rate limits. ``progress`` is called with the numbers of conversations done and
    of all.

    Raises `MigmaError` if the list cannot be read to its end, the API key is refused or Migma cannot be reached; rows
    written before that stay. Raises ValueError for an empty ``project_id``.
    """
    deadline = _Deadline(config, seconds, clock or Clock())
    conversations, complete = list_conversations(deadline, project_id)
    rows = _ProjectRows(project_id, queryset, SyncResult(dry_run=dry_run, complete=complete))
    items = rows.stalest_first(conversations)
    show = progress or (lambda _done, _total: None)
    for done, item in enumerate(items):
        show(done, len(items))
        if not _sync_conversation(deadline, rows, item):
            rows.result.left = len(items) - done
            break
    else:
        show(len(items), len(items))
        if complete:
            rows.mark_gone(conversations)
    return rows.result


def list_projects(config: Config) -> Iterator[Project]:
    """The projects of the account. Raises `MigmaError`."""
    client, offset = make_client(config), 0
    for _number in range(MAX_PAGES):
        page = client.list_projects(limit=_PAGE_SIZE, offset=offset)
        yield from page.items
        offset += len(page.items)
        if not (page.has_more and page.items):
            return


class _Deadline:
    """Makes the requests of one sync: each gets the time that is left of ``seconds``."""

    def __init__(self, config: Config, seconds: float, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._patience = config.rate_limit_wait

    @property
    def seconds_left(self) -> float:
        return self._end - self._clock.monotonic()

    def call(self, request: Callable[[MigmaClient], T]) -> T:
        """Make a request. Waits for rate limits, ``RATE_LIMIT_WAIT`` seconds in all. Raises `MigmaError`."""
        while True:
            client = make_client(self._config, seconds=max(self.seconds_left, _MIN_TIMEOUT), clock=self._clock)
            try:
                return request(client)
            except RateLimited as error:
                pause = error.retry_after or _DEFAULT_PAUSE
                if pause > self._patience or pause >= self.seconds_left:
                    raise
            self._patience -= pause
            self._clock.sleep(pause)


def list_conversations(deadline: _Deadline, project_id: str) -> tuple[dict[str, EmailSummary], bool]:
    """The finished conversations of a project by id, and whether these are certainly all. Raises `MigmaError`."""
    found: dict[str, EmailSummary] = {}
    totals: set[int | None] = set()
    for number in range(1, MAX_PAGES + 1):
        try:
            page = _list_page(deadline, project_id, number)
        except NoResponse:
            if found and deadline.seconds_left <= 0:
                break
            raise
        known = len(found)
        for item in page.items:
            found.setdefault(item.conversation_id.lower(), item)
        totals.add(page.total)
        if not page.has_more and len(found) >= (page.total or 0):
            return found, len(totals) == 1  # if the total changed, an item may have moved to a page read before
        if len(found) == known:
            return found, False
        if deadline.seconds_left <= 0:
            break
    else:
        return found, False
    reason = gettext("The time was over before Migma's list of emails could be read to its end")
    raise MigmaError(reason, hint=gettext("Run manage.py migma_sync in a terminal, where the time is not limited."))


def _list_page(deadline: _Deadline, project_id: str, number: int) -> Page[EmailSummary]:
    page = deadline.call(
        lambda client: client.list_emails(project_id, status="completed", limit=_PAGE_SIZE, page=number)
    )
    if not isinstance(page.raw.get("emails"), list):  # taken for an empty list, it would mark all rows as gone
        raise InvalidResponse("Migma's list of emails has an unknown form")
    return page


def fetch_emails(deadline: _Deadline, conversation_id: str) -> tuple[Email, ...]:
    """The emails of a conversation, at least one. Raises `MigmaError`."""
    if not is_object_id(conversation_id):
        raise InvalidResponse("Migma lists it without an id of 24 hex digits")
    status = deadline.call(lambda client: client.generation_status(conversation_id))
    if not status.emails:
        raise InvalidResponse(f"Migma shows no email in it (status: {status.status or 'none'})")
    return status.emails


def _sync_conversation(deadline: _Deadline, rows: _ProjectRows, item: EmailSummary) -> bool:
    """Fetch and save a conversation. Returns False if there is no time for it."""
    if deadline.seconds_left <= 0:
        return False
    try:
        emails = fetch_emails(deadline, item.conversation_id)
    except RateLimited:
        return False
    except AuthenticationError:
        raise
    except NoResponse:
        if deadline.seconds_left > 0:
            raise
        return False
    except MigmaError as error:
        rows.add_failure(item, error)
    else:
        rows.save_conversation(item, emails)
    return True


class _ProjectRows:
    """The rows of one project during one sync. ``result`` counts what is done to them."""

    def __init__(self, project_id: str, queryset: StoredEmailQuerySet | None, result: SyncResult) -> None:
        self.result = result
        self._project_id = project_id
        self._started = timezone.now()
        self._database = router.db_for_write(StoredEmail)
        self._all = StoredEmail.objects.using(self._database)
        self._queryset = None if queryset is None else queryset.using(self._database)
        self._seen: set[int | None] = set()

    def _visible(self, rows: StoredEmailQuerySet) -> StoredEmailQuerySet:
        return rows if self._queryset is None else rows.filter(pk__in=self._queryset.values("pk"))

    def stalest_first(self, items: dict[str, EmailSummary]) -> list[EmailSummary]:
        """Conversations never synced, then those synced longest ago, then those whose rows must not be changed."""
        rows = self._all.exclude(conversation_id=None).order_by()
        last = dict.fromkeys(rows.values_list("conversation_id", flat=True), math.inf)
        known = self._visible(rows).values_list("conversation_id").annotate(Max("synced_at"))
        last |= {found: moment.timestamp() if moment else 0.0 for found, moment in known}
        return [items[found] for found in sorted(items, key=lambda found: last.get(found, 0.0))]

    def add_failure(self, item: EmailSummary, error: MigmaError) -> None:
        """Note a conversation that cannot be brought up to date."""
        id_, title = item.conversation_id.lower(), item.title or item.subject
        self.result.failures.append(SyncFailure(conversation_id=id_, title=title, error=error))

    def save_conversation(self, item: EmailSummary, emails: tuple[Email, ...]) -> None:
        """Write the emails of a conversation, all of them or none.

        A single email without an id is found by its conversation's id, which Migma takes in its place when mail is
        sent. An email of a series cannot be sent without its own id, so it becomes a failure.
        """
        values = [self._values(item, email, place, len(emails)) for place, email in enumerate(emails, start=1)]
        if len(emails) > 1:
            named = [its for its in values if "email_id" in its]
            if missing := len(values) - len(named):
                text = f"{missing} of the {len(values)} emails of this series have no id"
                self.add_failure(item, InvalidResponse(text))
            self._write(Q(email_id__in=[its["email_id"] for its in named]), lambda rows: _match_series(rows, named))
        else:
            [its] = values
            wanted = Q(conversation_id=its["conversation_id"])
            if "email_id" in its:
                wanted = Q(email_id=its["email_id"]) | (wanted & Q(email_id=None))
            self._write(wanted, lambda rows: _match_single(rows, its))

    def _values(self, item: EmailSummary, email: Email, place: int, count: int) -> Values:
        pictures = (email.thumbnail_url, email.screenshot_url, item.screenshot_url)
        values = {
            "conversation_id": item.conversation_id.lower(),
            "project_id": self._project_id,
            "title": f"{item.title or email.subject} ({place}/{count})" if count > 1 else item.title,
            "subject": email.subject,
            "preheader": email.preheader,
            "html": email.html,
            "thumbnail_url": next(filter(_is_picture_url, pictures), ""),
            "status": email.status[:_MAX_STATUS],
        }
        return values | ({"email_id": email.email_id.lower()} if is_object_id(email.email_id) else {})

    def _write(self, wanted: Q, match: Callable[[list[StoredEmail]], Matches]) -> None:
        try:
            changes = self._write_once(wanted, match)
        except (IntegrityError, OperationalError):  # another sync at the same time: now its rows are found
            changes = self._write_once(wanted, match)
        for change in changes:
            self.result.add(change)

    def _write_once(self, wanted: Q, match: Callable[[list[StoredEmail]], Matches]) -> list[Change]:
        now, found = timezone.now(), self._all.filter(wanted)
        # Read first: MySQL cannot update a table that a subquery of the same statement reads.
        visible = None if self._queryset is None else set(self._visible(found).values_list("pk", flat=True))
        with transaction.atomic(using=self._database):
            if not self.result.dry_run:
                # A write comes first: it locks the rows, and SQLite does not let a reader become a writer.
                (found if visible is None else self._all.filter(pk__in=visible)).update(synced_at=now)
            rows = sorted(found.all(), key=lambda row: (row.email_id is None, row.key is None, row.pk))
            hidden = set() if visible is None else {row.pk for row in rows} - visible
            return [self._save(row, values, now, is_hidden=row.pk in hidden) for row, values in match(rows)]

    def _save(self, row: StoredEmail, values: Values, now: datetime, *, is_hidden: bool) -> Change:
        self._seen.add(row.pk)
        if is_hidden:
            return Change(what="skipped", name="")
        changed = tuple(name for name, value in values.items() if getattr(row, name) != value)
        for name in changed:
            setattr(row, name, values[name])
        if row.pk is None:
            row.synced_at = now
            if not self.result.dry_run:
                row.save(using=self._database)
            return Change(what="created", name=str(row))
        if changed and not self.result.dry_run:
            row.save(using=self._database, update_fields=[*changed, "updated_at"])
        return Change(what="updated" if changed else "unchanged", name=str(row), fields=changed)

    def mark_gone(self, listed: Collection[str]) -> None:
        """Mark the project's rows that this sync did not meet. ``listed``: the ids of all its conversations."""
        rows = self._all.of_project(self._project_id).exclude(status=StoredEmail.Status.GONE)
        # Without those that others have made or synced since this sync began.
        rows = rows.filter(created_at__lt=self._started).exclude(synced_at__gte=self._started)
        known = self._visible(rows).defer("html")
        failed = {failure.conversation_id for failure in self.result.failures}
        lost = [row for row in known if row.pk not in self._seen and not _may_exist(row, failed, listed)]
        if not self.result.dry_run:
            gone = rows.filter(pk__in=[row.pk for row in lost])
            gone.update(status=StoredEmail.Status.GONE, updated_at=timezone.now())
        for row in lost:
            self.result.add(Change(what="gone", name=str(row)))


def _may_exist(row: StoredEmail, failed: set[str], listed: Collection[str]) -> bool:
    """Whether Migma may still have it: its conversation failed, or may have, or it stands for a series."""
    if row.conversation_id is None:
        return bool(failed)
    return row.conversation_id in failed or (row.email_id is None and row.conversation_id in listed)


def _match_series(rows: list[StoredEmail], named: list[Values]) -> Matches:
    """A row for each email of a series. A row without an email's id may mean any of them, and is left alone."""
    by_id = {row.email_id: row for row in rows}
    for values in named:
        yield by_id.setdefault(values["email_id"], StoredEmail()), values


def _match_single(rows: list[StoredEmail], values: Values) -> Matches:
    """The row of a single email: the one with its id, else one made by hand, else a new one.

    Further rows made by hand for its conversation get the same texts.
    """
    if "email_id" not in values:
        rows = [row for row in rows if row.email_id is None] or rows[:1]
    texts = {name: value for name, value in values.items() if name != "email_id"}
    return [(row, texts if place else values) for place, row in enumerate(rows or [StoredEmail()])]


def _is_picture_url(url: str) -> bool:
    """Whether a page may show it: no script and no data."""
    if len(url) > _MAX_URL:
        return False
    try:
        URLValidator(schemes=["http", "https"])(url)
    except ValidationError:
        return False
    return True
