"""Sync: the finished emails of a Migma project become `StoredEmail` rows, one conversation after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from django.db import Error as DatabaseError
from django.db import router, transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext

from .api.errors import AuthenticationError, InvalidResponse, MigmaError, NoResponse, RateLimited
from .api.resources import EmailSummary
from .api.retries import Clock
from .api.types import is_object_id
from .backends.base import make_client
from .conf import Config
from .models import StoredEmail
from .stored_emails import DeclaredEmails, StoredEmailData

if TYPE_CHECKING:
    from .api.client import MigmaClient
    from .api.resources import Email, Page, Project
    from .models.stored_email import StoredEmailQuerySet

T = TypeVar("T")
Values = dict[str, str | None]  # by field; None leaves the field as it is
Matches = list[tuple[StoredEmail, Values]]

_PAGE_SIZE = 100  # the most that Migma allows
_DEFAULT_PAUSE = 5.0  # seconds to wait after a 429 without Retry-After
_MAX_URL = 2_000
_MAX_STATUS = 50
_MAX_SHOWN = 200  # characters of a title in a text for people


@dataclass(frozen=True, kw_only=True)
class SyncFailure:
    """A conversation or declared email that could not be read in full. ``str()`` is one line that says what to do."""

    conversation_id: str
    title: str
    error: MigmaError
    advice: str = ""

    def __str__(self) -> str:
        advice = self.advice or gettext("Sync again later; if it stays so, open it at Migma.")
        return f"{self.title[:_MAX_SHOWN] or '-'} ({self.conversation_id or '-'}): {self.error.reason}. {advice}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a sync does to one row. ``what``: the counter of `SyncResult`; ``fields``: the fields of an update."""

    what: str
    name: str = ""
    fields: tuple[str, ...] = ()


@dataclass(kw_only=True)
class SyncResult:
    """What a sync did, or would do with ``dry_run``.

    ``created``, ``updated``, ``unchanged`` and ``gone`` count rows; ``skipped`` counts emails whose row is outside of
    the queryset of `sync_project` and was left alone. ``left`` counts conversations that were not read, because the
    time or ``RATE_LIMIT_WAIT`` was used up: the next sync begins with them. ``complete`` is False if the list did not
    end or changed while it was read. No row is marked as gone if conversations are left or the list is not complete.
    ``changes`` holds what was created, updated or marked as gone.
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
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Clock | None = None,
) -> SyncResult:
    """Bring the rows of a project up to date with its finished emails at Migma.

    Conversations that were never synced come first, then those synced longest ago, then emails that ``STORED_EMAILS``
    declares and the project does not list; each is written in one transaction. Rows of declared emails get their key
    where they have none and it is free. ``queryset`` holds the rows that may be changed, all by default: an email
    whose row exists outside of it is skipped. ``seconds`` limits all requests together, and ``RATE_LIMIT_WAIT`` the
    waits for rate limits. ``progress`` is called with the numbers of conversations done and of all.

    Raises `MigmaError` if the list cannot be read to its end, the API key is refused or Migma cannot be reached; rows
    written before that stay. Raises ValueError for an empty ``project_id``.
    """
    deadline = _Deadline(config, seconds, clock or Clock())
    conversations, complete = list_conversations(deadline, project_id)
    declared = DeclaredEmails(config.stored_emails).usable()
    rows = _ProjectRows(project_id, queryset, declared, SyncResult(dry_run=dry_run, complete=complete))
    items = rows.stalest_first(conversations)
    for done, item in enumerate(items):
        progress(done, len(items))
        try:
            _sync_conversation(deadline, rows, item)
        except (_OutOfTime, RateLimited):
            rows.result.left = len(items) - done
            return rows.result
    progress(len(items), len(items))
    if not _sync_declared(deadline, rows, declared):
        return rows.result
    if complete:
        rows.mark_gone()
    return rows.result


def list_projects(config: Config) -> Iterator[Project]:
    """The projects of the account. Raises `MigmaError`."""
    client, offset, has_more = make_client(config), 0, True
    while has_more:
        page = client.list_projects(limit=_PAGE_SIZE, offset=offset)
        yield from page.items
        offset += len(page.items)
        has_more = page.has_more and bool(page.items)


class _OutOfTime(MigmaError):
    """The ``seconds`` of a sync are used up."""


class _Deadline:
    """Makes the requests of one sync: each gets the time that is left of ``seconds``."""

    def __init__(self, config: Config, seconds: float, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._patience = config.rate_limit_wait
        self._has_answered = False

    def _seconds_left(self) -> float:
        return self._end - self._clock.monotonic()

    def call(self, request: Callable[[MigmaClient], T]) -> T:
        """Make a request. Waits for rate limits, ``RATE_LIMIT_WAIT`` seconds in all. Raises `MigmaError`."""
        while (left := self._seconds_left()) > 0:
            try:
                answer = request(make_client(self._config, seconds=left, clock=self._clock))
            except RateLimited as error:
                pause = error.retry_after or _DEFAULT_PAUSE
                if pause > self._patience or pause >= self._seconds_left():
                    raise
                self._patience -= pause
                self._clock.sleep(pause)
            except NoResponse:
                if self._seconds_left() > 0 or not self._has_answered:
                    raise
            else:
                self._has_answered = True
                return answer
        reason = gettext("The time was over before Migma's list of emails could be read to its end")
        hint = gettext("Run manage.py migma_sync in a terminal, where the time is not limited.")
        raise _OutOfTime(reason, hint=hint)


def list_conversations(deadline: _Deadline, project_id: str) -> tuple[dict[str, EmailSummary], bool]:
    """The finished conversations of a project by id, and whether these are certainly all. Raises `MigmaError`."""
    found: dict[str, EmailSummary] = {}
    totals: set[int | None] = set()
    known, number = -1, 0
    while len(found) > known:  # a page without anything new ends a list that does not end by itself
        known, number = len(found), number + 1
        page = _list_page(deadline, project_id, number)
        for item in page.items:
            found.setdefault(item.conversation_id.lower(), item)
        totals.add(page.total)
        if not page.has_more and len(found) >= (page.total or 0):
            return found, len(totals) == 1  # if the total changed, an item may have moved to a page read before
    return found, False


def _list_page(deadline: _Deadline, project_id: str, number: int) -> Page[EmailSummary]:
    page = deadline.call(
        lambda client: client.list_emails(project_id, status="completed", limit=_PAGE_SIZE, page=number)
    )
    if not isinstance(page.raw.get("emails"), list):  # taken for an empty list, it would mark all rows as gone
        raise InvalidResponse("Migma's list of emails has an unknown form")
    return page


def _sync_conversation(deadline: _Deadline, rows: _ProjectRows, item: EmailSummary) -> None:
    try:
        rows.save_conversation(item, fetch_emails(deadline, item.conversation_id))
    except (_OutOfTime, RateLimited, AuthenticationError, NoResponse):  # the next request would end the same way
        raise
    except MigmaError as error:
        rows.add_failure(item, error)


def fetch_emails(deadline: _Deadline, conversation_id: str) -> tuple[Email, ...]:
    """The emails of a conversation, at least one. Raises `MigmaError`."""
    if not is_object_id(conversation_id):
        raise InvalidResponse("Migma lists it without an id of 24 hex digits")
    status = deadline.call(lambda client: client.generation_status(conversation_id))
    if not status.emails:
        raise InvalidResponse(f"Migma shows no email in it (status: {status.status or 'none'})")
    return status.emails


def _sync_declared(deadline: _Deadline, rows: _ProjectRows, declared: list[StoredEmailData]) -> bool:
    """Read the declared emails that the project's list did not hold; False if the time is over."""
    missing = {stored.email_id: stored for stored in declared if stored.email_id not in rows.email_ids}
    for done, stored in enumerate(missing.values()):
        try:
            rows.save_declared(stored, fetch_email(deadline, stored.email_id or ""))
        except (_OutOfTime, RateLimited):
            rows.result.left = len(missing) - done
            return False
        except (AuthenticationError, NoResponse):
            raise
        except MigmaError as error:
            rows.add_declared_failure(stored, error)
    return True


def fetch_email(deadline: _Deadline, email_id: str) -> Email:
    email = deadline.call(lambda client: client.get_email(email_id))
    if not (email.subject or email.html):
        raise InvalidResponse("Migma shows no subject and no HTML of it")
    return email


class _ProjectRows:
    """The rows of one project during one sync. ``result`` counts what is done to them.

    ``email_ids`` are those that Migma has shown.
    """

    def __init__(
        self,
        project_id: str,
        queryset: StoredEmailQuerySet | None,
        declared: list[StoredEmailData],
        result: SyncResult,
    ) -> None:
        self.result = result
        self.email_ids: set[str | None] = set()
        self._project_id = project_id
        self._started = timezone.now()
        self._database = router.db_for_write(StoredEmail)
        self._all = StoredEmail.objects.using(self._database)
        self._queryset = self._all if queryset is None else queryset.using(self._database)
        self._seen: set[int | None] = set()
        taken = set(self._all.named().values_list("key", flat=True)) if declared else set()
        self._keys = {stored.email_id: stored.name for stored in reversed(declared) if stored.name not in taken}

    def _visible(self, rows: StoredEmailQuerySet) -> StoredEmailQuerySet:
        return rows.filter(pk__in=self._queryset.values("pk"))

    def stalest_first(self, items: dict[str, EmailSummary]) -> list[EmailSummary]:
        """Conversations never synced, then those synced longest ago, then those whose rows must not be changed."""
        rows = self._all.exclude(conversation_id=None).order_by()
        last = dict.fromkeys(rows.values_list("conversation_id", flat=True), math.inf)
        known = self._visible(rows).values_list("conversation_id").annotate(Max("synced_at"))
        last |= {found: moment.timestamp() if moment else 0.0 for found, moment in known}
        return [items[found] for found in sorted(items, key=lambda found: last.get(found, 0.0))]

    def add_failure(self, item: EmailSummary, error: MigmaError) -> None:
        id_, title = item.conversation_id.lower(), item.title or item.subject
        self.result.failures.append(SyncFailure(conversation_id=id_, title=title, error=error))

    def save_conversation(self, item: EmailSummary, emails: tuple[Email, ...]) -> None:
        """Write the emails of a conversation, all of them or none.

        A single email without an id is found by its conversation's id, which Migma takes in its place when mail is
        sent. An email of a series cannot be sent without its own id, so it becomes a failure.
        """
        values = [self._values(item, email, place, len(emails)) for place, email in enumerate(emails, start=1)]
        missing = sum(its["email_id"] is None for its in values)
        if missing and len(values) > 1:
            text = f"{missing} of the {len(values)} emails of this series have no id"
            self.add_failure(item, InvalidResponse(text))
        self._write_retrying(values)

    def add_declared_failure(self, stored: StoredEmailData, error: MigmaError) -> None:
        about = {"title": f"STORED_EMAILS {stored.name!r}", "advice": gettext("Check its id in STORED_EMAILS.")}
        self.result.failures.append(SyncFailure(conversation_id=stored.email_id or "", error=error, **about))

    def save_declared(self, stored: StoredEmailData, email: Email) -> None:
        """Write an email that was read by its id alone. Project, conversation and title stay as they are."""
        values = self._values(EmailSummary(), email, place=1, count=1)
        about = {"email_id": stored.email_id, "conversation_id": None, "project_id": None, "title": None}
        self._write_retrying([values | about])

    def _write_retrying(self, values: list[Values]) -> None:
        try:
            changes = self._write(values)
        except DatabaseError:  # another sync at the same time: now its rows are found
            changes = self._write(values)
        for change in changes:
            self.result.add(change)

    def _values(self, item: EmailSummary, email: Email, place: int, count: int) -> Values:
        pictures = (email.thumbnail_url, email.screenshot_url, item.screenshot_url)
        return {
            "email_id": email.email_id.lower() if is_object_id(email.email_id) else None,
            "conversation_id": item.conversation_id.lower(),
            "project_id": self._project_id,
            "title": f"{item.title or email.subject} ({place}/{count})" if count > 1 else item.title,
            "subject": email.subject,
            "preheader": email.preheader,
            "html": email.html,
            "thumbnail_url": next(filter(_is_picture_url, pictures), ""),
            "status": email.status[:_MAX_STATUS],
        }

    def _write(self, values: list[Values]) -> list[Change]:
        ids = [its["email_id"] for its in values if its["email_id"]]
        self.email_ids |= set(ids)
        conversations = [its["conversation_id"] for its in values[:1] if its["conversation_id"]]
        found = self._all.filter(Q(email_id__in=ids) | Q(conversation_id__in=conversations))
        rows = sorted(found, key=lambda row: (row.key is None, row.pk))
        hidden = {row.pk for row in rows} - set(self._visible(found).values_list("pk", flat=True))
        matches = _match_single(rows, values[0]) if len(values) == 1 else _match_series(rows, values)
        self._seen |= {row.pk for row in rows if row.email_id is None} | {row.pk for row, _values in matches}
        with transaction.atomic(using=self._database):
            changes = [Change(what="skipped") if row.pk in hidden else self._save(row, its) for row, its in matches]
            if not self.result.dry_run:
                synced = {row.pk for row, _values in matches} - hidden
                self._all.filter(pk__in=synced).update(synced_at=timezone.now())
        return changes

    def _save(self, row: StoredEmail, values: Values) -> Change:
        key = None if row.key else self._keys.get(row.email_id or values["email_id"])
        values = values | {"key": key}
        changed = [name for name, value in values.items() if value is not None and getattr(row, name) != value]
        for name in changed:
            setattr(row, name, values[name])
        is_new = row.pk is None
        if changed and not self.result.dry_run:
            row.save(using=self._database, update_fields=None if is_new else [*changed, "updated_at"])
        if is_new:
            return Change(what="created", name=str(row))
        return Change(what="updated" if changed else "unchanged", name=str(row), fields=tuple(changed))

    def mark_gone(self) -> None:
        """Mark the project's rows that this sync did not meet."""
        rows = self._all.filter(project_id=self._project_id).exclude(status=StoredEmail.Status.GONE)
        # Without those that others have made or synced since this sync began.
        rows = rows.filter(created_at__lt=self._started).exclude(synced_at__gte=self._started)
        failed: set[str | None] = {failure.conversation_id for failure in self.result.failures}
        if failed:
            failed.add(None)  # a row that names no conversation may belong to one of these
        known = self._visible(rows).defer("html")
        lost = [row for row in known if row.pk not in self._seen and row.conversation_id not in failed]
        if not self.result.dry_run:
            gone = rows.filter(pk__in=[row.pk for row in lost])
            gone.update(status=StoredEmail.Status.GONE, updated_at=timezone.now())
        for row in lost:
            self.result.add(Change(what="gone", name=str(row)))


def _match_series(rows: list[StoredEmail], values: list[Values]) -> Matches:
    """A row for each email of a series. A row without an email's id may mean any of them, and is left alone."""
    by_id = {row.email_id: row for row in rows}
    named = {its["email_id"]: its for its in values if its["email_id"]}
    return [(by_id.get(email_id) or StoredEmail(), its) for email_id, its in named.items()]


def _match_single(rows: list[StoredEmail], values: Values) -> Matches:
    """The row with the email's id, else one made by hand, else a new one. Others made by hand get the same texts."""
    by_hand = [row for row in rows if row.email_id is None]
    if values["email_id"]:
        matching = [row for row in rows if row.email_id == values["email_id"]] + by_hand
    else:
        matching = by_hand or rows[:1]
    first, *others = matching or [StoredEmail()]
    return [(first, values), *((row, values | {"email_id": None}) for row in others)]


def _is_picture_url(url: str) -> bool:
    """Whether a page may show it: no script and no data."""
    return url.startswith(("https://", "http://")) and len(url) <= _MAX_URL
