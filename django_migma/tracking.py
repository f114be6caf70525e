"""Tracking: what has become of accepted mail, read from Migma's logs into the rows of `Delivery`.

Migma reports deliveries and bounces by no webhook. It keeps a log of each stored email for about 30 days, which is
read here page by page. That a log begins with the newest mail, and that its ``tracking_id`` is our ``send_id``, is
inferred from Migma's SDK. Rows are matched by that id alone: an address may have had the same email several times.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from django.db import router, transaction
from django.db.models import Count, Min, Q
from django.utils import timezone

from .api.credentials import account_digest
from .api.errors import InvalidRequest, MigmaError, NotFound
from .api.types import ACCEPTED_STATUSES
from .backends.base import make_client
from .error_messages import explain
from .exceptions import ConfigurationError
from .mailers import mailers
from .models.delivery import Delivery, DeliveryQuerySet, announce

if TYPE_CHECKING:
    from .api.client import MigmaClient
    from .api.resources import EmailLog
    from .api.retries import Clock

Status = Delivery.Status

STEPS = {
    Status.ACCEPTED: 0,
    Status.DELIVERED: 1,
    Status.OPENED: 2,
    Status.CLICKED: 3,
    Status.BOUNCED: 4,
    Status.COMPLAINED: 4,
    Status.SUPPRESSED: 4,
}
"""How far a mail has come. A row only goes to a higher step; of the last three, the first one that is found stays."""

TRACKED = [status for status, step in STEPS.items() if step < max(STEPS.values())]
KEPT = dt.timedelta(days=30)  # about how long Migma keeps logs
LOOKS = (
    (dt.timedelta(hours=1), dt.timedelta(0)),
    (dt.timedelta(days=1), dt.timedelta(hours=2)),
    (dt.timedelta(days=7), dt.timedelta(hours=12)),
    (KEPT, dt.timedelta(days=2)),
)
"""Up to this age, a row is looked at again after this time. The older a row is, the more pages lie before it."""

MAX_PAGES = 100
_SKEW = dt.timedelta(hours=1)  # how far Migma's clock and ours may differ
_CHUNK = 1_000  # rows of one UPDATE
_MAX_WORD = 30  # characters of a status that is not known


@dataclass(kw_only=True)
class TrackResult:
    """What a run did.

    ``pages``: requests made. ``emails``: stored emails whose rows were all looked at; ``left``: those with rows that
    were not, for the reasons in ``problems`` or for want of pages. ``changes`` counts rows by their new status.
    ``missing``: rows that were looked for and stand in no log. ``untracked``: accepted mail that no log can tell
    about, such as raw HTML. ``unknown_statuses``: words of Migma's that are not known here; their rows keep their
    status. ``problems``: lines for people. ``is_misconfigured``: one of them is about the settings of a mailer.
    """

    pages: int = 0
    emails: int = 0
    left: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    untracked: int = 0
    unknown_statuses: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    is_misconfigured: bool = False


class _Due(NamedTuple):
    """The rows of one mailer and stored email that are to be looked at: how many, and where they begin."""

    alias: str
    email_id: str
    number: int
    oldest: dt.datetime
    first_pk: int
    tracked_at: dt.datetime | None


@dataclass(kw_only=True)
class _Account:
    """One API key at one address. Mailers may share it; ``mailer`` names the first of them."""

    client: MigmaClient
    mailer: str
    is_usable: bool = True


@dataclass(kw_only=True)
class _Walk:
    """The way through the log of one stored email, from page to page by ``cursor``, and the rows looked for."""

    account: _Account
    email_id: str
    due: list[_Due] = field(default_factory=list)
    found: int = 0
    cursor: str = ""

    @property
    def missing(self) -> int:
        return sum(due.number for due in self.due) - self.found

    @property
    def oldest(self) -> dt.datetime:
        return _aware(min(due.oldest for due in self.due))


def track(*, max_pages: int = MAX_PAGES, clock: Clock | None = None) -> TrackResult:
    """Bring rows forward by what Migma's logs say.

    ``max_pages`` limits the requests. Each is for a page of 100 mails, and is repeated like any other request. Stored
    emails take turns, so that one with much mail does not keep the others waiting; those looked at longest ago come
    first. A rate limit or an outage ends the run for its API key. Raises Django's database errors.
    """
    run = _Run(clock)
    walks = deque(run.walks())
    while walks and run.result.pages < max_pages:
        walk = walks.popleft()
        if run.take_page(walk):
            walks.append(walk)
    run.result.left += len(walks)
    return run.result


class _Run:
    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        self._now = timezone.now()
        self._database = router.db_for_write(Delivery)
        self._rows: DeliveryQuerySet = Delivery.objects.using(self._database).filter(status__in=TRACKED)
        self.result = TrackResult()

    def walks(self) -> Iterable[_Walk]:
        """The logs to read, one for each account and stored email. Counts what no log can tell about."""
        rows = self._rows.filter(pk__gte=self._rows.first_id_since(self._now - KEPT))
        untracked = Q(email_id="") | Q(send_id="")
        self.result.untracked = rows.filter(untracked, status=Status.ACCEPTED, is_test=False).count()
        groups = rows.exclude(untracked).filter(_is_due(self._now)).order_by().values_list("alias", "email_id")
        found = groups.annotate(Count("pk"), Min("created_at"), Min("pk"), Min("tracked_at"))
        dues = sorted((_Due(*row) for row in found), key=_longest_ago)
        accounts = self._accounts(dues)
        walks: dict[tuple[int, str], _Walk] = {}
        for due in dues:
            account = accounts[due.alias]
            if account is None:
                self.result.left += 1
                continue
            walk = _Walk(account=account, email_id=due.email_id)
            walks.setdefault((id(account), due.email_id), walk).due.append(due)
        return walks.values()

    def _accounts(self, dues: Iterable[_Due]) -> dict[str, _Account | None]:
        """The account of each mailer that has rows; None, and a problem, where there is none."""
        known = {mailer.alias or "": mailer for mailer in mailers()}
        counts: Counter[str] = Counter()
        for due in dues:
            counts[due.alias] += due.number
        accounts: dict[str, _Account | None] = dict.fromkeys(counts)
        by_digest: dict[str, _Account] = {}
        for alias, count in counts.items():
            name = f"mailer {alias!r}" if alias else "EMAIL_BACKEND"
            if alias not in known:
                problem = f"{name}: no such mailer uses Migma, and its {count} mails were not looked at"
                self.result.problems.append(f"{problem}. Put it back into the settings, or delete its rows.")
                continue
            try:
                config = known[alias].config()
            except ConfigurationError as error:
                self.result.problems.append(f"{name}: {error}")
                self.result.is_misconfigured = True
                continue
            account = _Account(client=make_client(config, clock=self._clock), mailer=name)
            accounts[alias] = by_digest.setdefault(account_digest(config.api_url, config.api_key), account)
        return accounts

    def take_page(self, walk: _Walk) -> bool:
        """Ask for the next page and write what it says; whether there is more to ask for."""
        account = walk.account
        if not account.is_usable:
            self.result.left += 1
            return False
        self.result.pages += 1
        try:
            page = account.client.email_logs(walk.email_id, cursor=walk.cursor)
        except MigmaError as error:
            self._fail(walk, error)
            return False
        walk.found += self._write(page.items)
        walk.cursor = page.next_cursor
        if walk.missing > 0 and page.has_more and walk.cursor and not _are_before(walk.oldest - _SKEW, page.items):
            return True
        self._finish(walk)
        return False

    def _fail(self, walk: _Walk, error: MigmaError) -> None:
        self.result.left += 1
        text = explain(error, permission="email:read")
        if not isinstance(error, NotFound | InvalidRequest):
            walk.account.is_usable = False
            self.result.problems.append(f"{walk.account.mailer}: {text}")
            return
        self.result.problems.append(f"{walk.account.mailer}, stored email {walk.email_id}: {text}")
        self._stamp(walk)  # asked for again like any other, not in each run

    def _finish(self, walk: _Walk) -> None:
        self.result.emails += 1
        if walk.missing > 0:
            self.result.missing += walk.missing
            self._stamp(walk)

    def _write(self, items: Iterable[EmailLog]) -> int:
        """Bring the rows of a page forward; return how many of them were looked for."""
        words = {item.tracking_id: item.status for item in items if item.tracking_id}
        # Without their status: among 100,000 accepted rows, SQLite would take that index and not the one of send_id.
        rows = Delivery.objects.using(self._database).filter(send_id__in=list(words)).defer("payload").order_by("pk")
        moves: defaultdict[tuple[str, str], list[Delivery]] = defaultdict(list)
        found = 0
        for row in rows:
            if row.status not in TRACKED:
                continue
            found += _is_row_due(row, self._now)
            moves[row.status, self._next_status(row.status, words[row.send_id])].append(row)
        for (previous, status), moved in moves.items():
            self._move(moved, previous, status)
        return found

    def _next_status(self, status: str, word: str) -> str:
        """The status of a row after this word of Migma's: that of the row, unless the word is further on."""
        word = word.lower()
        if word in ACCEPTED_STATUSES:
            return status
        if word not in STEPS:
            self.result.unknown_statuses.add(word[:_MAX_WORD])
            return status
        return word if STEPS[Status(word)] > STEPS[Status(status)] else status

    def _move(self, rows: Collection[Delivery], previous: str, status: str) -> None:
        """Write the status and the time of the look, but not over what somebody else has written meanwhile."""
        chosen = Delivery.objects.using(self._database).filter(pk__in=[row.pk for row in rows])
        with transaction.atomic(using=self._database):
            count = chosen.filter(status=previous).update(status=status, tracked_at=self._now)
            if status == previous:
                return
            if count < len(rows):
                ours = set(chosen.filter(status=status, tracked_at=self._now).values_list("pk", flat=True))
                rows = [row for row in rows if row.pk in ours]
        self.result.changes[status] += len(rows)
        for row in rows:
            row.status, row.tracked_at = status, self._now
            transaction.on_commit(partial(announce, row, previous), using=self._database)

    def _stamp(self, walk: _Walk) -> None:
        """Note for all rows that were looked for that this has been done now."""
        for due in walk.due:
            found = self._rows.filter(
                _is_due(self._now), alias=due.alias, email_id=due.email_id, pk__gte=due.first_pk
            )
            pks = list(found.order_by("pk").values_list("pk", flat=True))  # once: it may read most of the table
            for start in range(0, len(pks), _CHUNK):
                chunk = Delivery.objects.using(self._database).filter(pk__in=pks[start : start + _CHUNK])
                chunk.update(tracked_at=self._now)


def _longest_ago(due: _Due) -> tuple[bool, dt.datetime]:
    return due.tracked_at is not None, due.tracked_at or due.oldest


def _is_due(now: dt.datetime) -> Q:
    """The condition that a row is to be looked at."""
    found = Q(tracked_at__isnull=True)
    for age, pause in LOOKS:
        found |= Q(created_at__gt=now - age, tracked_at__lt=now - pause)
    return found


def _is_row_due(row: Delivery, now: dt.datetime) -> bool:
    """The same for a row that has been read."""
    tracked_at = row.tracked_at
    return tracked_at is None or any(row.created_at > now - age and tracked_at < now - pause for age, pause in LOOKS)


def _are_before(moment: dt.datetime, items: Collection[EmailLog]) -> bool:
    """Whether all mails of a page are older. One without a readable time is not: then the walk goes on."""
    times = [_time(item.created_at) for item in items]
    return bool(times) and all(time is not None and time < moment for time in times)


def _time(text: str) -> dt.datetime | None:
    """A time of Migma's; None without a time zone, which would have to be guessed."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if timezone.is_aware(found) else None


def _aware(moment: dt.datetime) -> dt.datetime:
    """A time of ours, which has no time zone on sites without ``USE_TZ``."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
