"""Whether the queue is at work: mail that waits, a worker that takes it, mail that a person has to decide about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Iterator, Mapping
from typing import NamedTuple

from django.db import router
from django.db.models import Count, Min
from django.utils import timezone

from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailers
from django_migma.models import UNREADABLE, Delivery
from django_migma.models.delivery import DeliveryQuerySet

from .probe import Finding

OVERDUE = dt.timedelta(minutes=5)  # a worker looks four times a second, an engine's sweep comes each minute
_MANY = 100  # rows that are searched for a worker's last error
_QUEUE, _WORKER = "queue", "worker"


class Backlog(NamedTuple):
    """The mail of one mailer that waits or is being sent: how much, since when, and when the first is due."""

    alias: str
    size: int
    created_at: dt.datetime
    due_at: dt.datetime


def check_queue() -> Generator[Finding, None, None]:
    """Nothing is said where no mailer uses the queue and no mail waits, or is in doubt."""
    known = {found.alias or "": found for found in mailers()}
    is_used = any(found.uses_queue for found in known.values())
    rows = Delivery.objects.using(router.db_for_write(Delivery))
    try:
        backlogs, doubtful = _backlogs(rows), rows.in_doubt().count()
    except UNREADABLE as error:
        if is_used or any(found.value("DELIVERY_LOG") is True for found in known.values()):
            text = f"the table of deliveries cannot be read ({type(error).__name__})"
            yield Finding("deliveries", "error", text, "Check the database, and run manage.py migrate.")
        return
    if is_used or backlogs:
        yield _overview(backlogs)
    yield from filter(None, (_obstacle(backlog, known) for backlog in backlogs))
    yield from _check_worker(rows, [backlog for backlog in backlogs if backlog.alias in known])
    if doubtful:
        text = f"nobody knows whether Migma accepted {_mails(doubtful)}"
        advice = "Decide about the deliveries with the status unknown in the admin, whose pages say what can be done."
        yield Finding("mail in doubt", "warning", text, advice)


def _backlogs(rows: DeliveryQuerySet) -> list[Backlog]:
    groups = rows.on_their_way().order_by("alias").values_list("alias")
    return [Backlog(*found) for found in groups.annotate(Count("pk"), Min("created_at"), Min("due_at"))]


def _overview(backlogs: list[Backlog]) -> Finding:
    if not backlogs:
        return Finding(_QUEUE, "ok", "no mail waits")
    count = _mails(sum(backlog.size for backlog in backlogs))
    age = _duration(timezone.now() - min(backlog.created_at for backlog in backlogs))
    return Finding(_QUEUE, "ok", f"{count} to be sent, the oldest written {age} ago")


def _obstacle(backlog: Backlog, known: Mapping[str, Mailer]) -> Finding | None:
    """Why no worker can send the mail of a mailer."""
    name, count = f"the mailer {backlog.alias!r}" if backlog.alias else "EMAIL_BACKEND", _mails(backlog.size)
    if backlog.alias not in known:
        text = f"{count} to be sent by {name}, which is not in the settings or does not use Migma"
        advice = "Bring it back, or give these deliveries up in the admin: no other mailer sends them."
        return Finding(_QUEUE, "error", text, advice)
    try:
        known[backlog.alias].config()
    except ConfigurationError as error:
        return Finding(_QUEUE, "error", f"{count} to be sent by {name}, whose settings cannot be used: {error}")
    return None


def _check_worker(rows: DeliveryQuerySet, backlogs: list[Backlog]) -> Iterator[Finding]:
    now = timezone.now()
    if not backlogs or (late := now - min(backlog.due_at for backlog in backlogs)) < OVERDUE:
        return
    text = f"mail has been due for {_duration(late)}"
    aliases = [backlog.alias for backlog in backlogs]
    error = _last_error(rows.on_their_way().filter(alias__in=aliases), now)
    if error is not None:
        yield Finding(_WORKER, "warning", f"{text}, and the last answer was: {error}", "See the worker's log.")
    elif _is_at_work(rows, now):
        advice = "It cannot keep up, because of a rate limit or of MAX_CONCURRENCY."
        yield Finding(_WORKER, "warning", f"{text}, and a worker is sending", advice)
    else:
        advice = "Run manage.py migma_deliver, or the worker of QUEUE['ENGINE'] and the sweep of each minute."
        yield Finding(_WORKER, "error", f"{text}, and no worker has taken it", advice)


def _last_error(rows: DeliveryQuerySet, now: dt.datetime) -> str | None:
    """What a worker noted in the last minutes: while a mailer pauses, one row after the other is tried."""
    noted = [found[-1] for found in rows.order_by("-due_at").values_list("errors", flat=True)[:_MANY] if found]
    times = [(dt.datetime.fromisoformat(entry["time"]), entry["text"]) for entry in noted]
    last, text = max(times, default=(now - OVERDUE, None))
    return text if last > now - OVERDUE else None


def _is_at_work(rows: DeliveryQuerySet, now: dt.datetime) -> bool:
    finished = rows.filter(finished_at__gt=now - OVERDUE).exclude(claimed_by="")
    return rows.filter(status=Delivery.Status.SENDING, due_at__gt=now).exists() or finished.exists()


def _mails(count: int) -> str:
    return f"{count} mail" if count == 1 else f"{count} mails"


def _duration(delta: dt.timedelta) -> str:
    minutes = int(delta.total_seconds()) // 60
    for size, unit in ((24 * 60, "day"), (60, "hour")):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}s"
    return f"{minutes} minute" if minutes == 1 else f"{minutes} minutes"
