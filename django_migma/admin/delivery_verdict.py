"""What the page of a delivery says: its verdict, why an action is out of the question, and its timeline.

Everything here follows from the row, from the settings of today and from the clock; nothing is read or written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timeuntil
from django.utils.timezone import template_localtime  # type: ignore[attr-defined]
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_migma.models import Delivery
from django_migma.models.delivery import KEY_LIFETIME

from .status_groups import BAD, DOUBT, GOOD, QUIET, Group, group_of

if TYPE_CHECKING:
    from django_migma.mailers import Destination

Status = Delivery.Status
WORKER_LATE = dt.timedelta(minutes=2)  # a row that has been due for longer has no worker


class Action(Enum):
    """What a person may do to deliveries. The value is the word in addresses and permissions."""

    RETRY = "retry"
    RESEND = "resend"
    CANCEL = "cancel"


def why_not(action: Action, delivery: Delivery, today: Destination, now: dt.datetime) -> str:
    """Return why the action cannot be done to this row, in a sentence; an empty string where it can.

    ``today`` is the destination of the row's mailer by the settings of today.
    """
    status = delivery.status
    if action is Action.CANCEL:
        return _why_not_cancel(status)
    if status in Delivery.UNFINISHED:
        return _("It is on its way already.")
    if group_of(status) is GOOD or (action is Action.RETRY and status not in Delivery.RETRIED):
        return _("It is finished: %(status)s.") % {"status": delivery.get_status_display()}
    if not delivery.payload:
        return _("Its request is not kept: send it again from the site.")
    if today.problem:
        return today.problem
    if action is Action.RESEND or delivery.may_retry(today.account, now):
        return ""
    if delivery.account == today.account:
        return _("It is too late to ask with the same key: another attempt may be a second mail.")
    return _("The API key or the API's address has changed since: another attempt may be a second mail.")


def _why_not_cancel(status: str) -> str:
    if status == Status.SENDING:
        return _("A worker is sending it. Wait for the outcome.")
    if status in {Status.WAITING, Status.FAILED, Status.UNKNOWN}:
        return ""
    return _("It is finished: %(status)s.") % {"status": Status(status).label if status in Status else status}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is the matter with a row, in a sentence or two, and the one action that is right now, if there is one."""

    text: str
    action: Action | None = None


def verdict(delivery: Delivery, today: Destination, now: dt.datetime) -> Verdict:
    """Return the verdict on a row at this time."""
    status = delivery.status
    if status == Status.WAITING:
        return _of_waiting(delivery, today, now)
    if status == Status.SENDING:
        return Verdict(text=_of_sending(delivery, now))
    if status == Status.UNKNOWN:
        return _of_unknown(delivery, today, now)
    if status in {Status.FAILED, Status.CANCELLED}:
        return _of_failed(delivery, today, now)
    if status == Status.NOT_ATTEMPTED:
        return Verdict(text=_of_not_attempted(delivery))
    if status == Status.ACCEPTED and delivery.replayed:
        found = _("Migma had it already when it was asked again: it was accepted once.")
        return Verdict(text=f"{found} {_ARRIVAL}")
    return Verdict(text=str(_FINAL.get(status, _("This status is of another release."))))


_GIVEN_UP = gettext_lazy("It was given up: nobody gets it.")
_GIVEN_UP_IN_DOUBT = gettext_lazy("It was given up. Migma may have it all the same.")
_LATE = gettext_lazy(
    "It has been due for a while: either no worker is running, or Migma takes nothing from this account for the "
    "moment. Run manage.py migma_doctor to see which."
)
_ARRIVAL = gettext_lazy("Whether it arrived shows in Migma's dashboard.")
_FINAL: Mapping[str, Any] = {
    Status.ACCEPTED: gettext_lazy("Migma took it; whether it arrived shows in Migma's dashboard."),
    Status.DELIVERED: gettext_lazy("It is in the recipient's mailbox, or in the spam folder there."),
    Status.OPENED: gettext_lazy("It has arrived and was opened."),
    Status.CLICKED: gettext_lazy("It has arrived, and a link in it was followed."),
    Status.BOUNCED: gettext_lazy("The recipient's server sent it back. Correct the address before you send again."),
    Status.COMPLAINED: gettext_lazy("The recipient called it spam. Do not write to this address any more."),
    Status.SUPPRESSED: gettext_lazy(
        "Migma did not send it: the address is on its list of addresses that get no mail, for example since it "
        "bounced before."
    ),
    Status.FALLBACK: gettext_lazy("Migma cannot carry it, so another mailer has sent it."),
}


def _of_waiting(delivery: Delivery, today: Destination, now: dt.datetime) -> Verdict:
    if today.problem:
        text = _("It waits, and no worker can send it: %(problem)s") % {"problem": today.problem}
        return Verdict(text=text, action=Action.CANCEL)
    if delivery.due_at is not None and delivery.due_at <= now - WORKER_LATE:
        return Verdict(text=str(_LATE))
    if not delivery.attempts:
        return Verdict(text=_("It waits for a worker. There is nothing to do."))
    if delivery.in_doubt:
        text = _("Migma may have it. It is tried again with the same key, so that it is not sent twice.")
    else:
        text = _("Migma has not taken it yet. It is tried again by itself.")
    return Verdict(text=f"{text} {_('There is nothing to do.')}")


def _of_sending(delivery: Delivery, now: dt.datetime) -> str:
    if delivery.due_at is not None and delivery.due_at > now:
        return _("A worker is sending it. There is nothing to do.")
    return _("Its worker did not report in time. The next worker tries again with the same key.")


def _of_unknown(delivery: Delivery, today: Destination, now: dt.datetime) -> Verdict:
    text = _("Migma may have this mail.")
    reason = why_not(Action.RETRY, delivery, today, now)
    if not reason:
        advice = _("Try again with the same key%(until)s: Migma answers with the mail that it has, or takes it now.")
        return Verdict(text=f"{text} {advice % {'until': _until(delivery)}}", action=Action.RETRY)
    if not delivery.payload:
        advice = _("Its request is not kept. Look it up at Migma before you send it again from the site.")
        return Verdict(text=f"{text} {advice}", action=Action.CANCEL)
    if today.problem:
        return Verdict(text=f"{text} {_('It cannot be tried again: %(problem)s') % {'problem': reason}}")
    advice = _("Look it up at Migma: if it is there, give it up here; if not, send it anew.")
    return Verdict(text=f"{text} {reason} {advice}", action=Action.CANCEL)


def _until(delivery: Delivery) -> str:
    """Until when the key of a row in doubt is safe, in words."""
    if not (delivery.in_doubt and delivery.first_attempt_at):
        return ""
    end = date_format(template_localtime(delivery.first_attempt_at + KEY_LIFETIME), "SHORT_DATETIME_FORMAT")
    return _(" until %(time)s") % {"time": end}


def _of_failed(delivery: Delivery, today: Destination, now: dt.datetime) -> Verdict:
    if delivery.status == Status.CANCELLED:
        return Verdict(text=str(_GIVEN_UP_IN_DOUBT if delivery.in_doubt else _GIVEN_UP))
    text = _("Migma did not take it: nobody gets it.")
    if reason := why_not(Action.RETRY, delivery, today, now):
        return Verdict(text=f"{text} {reason}")
    return Verdict(text=f"{text} {_('When the cause is gone, try again with the same key.')}", action=Action.RETRY)


def _of_not_attempted(delivery: Delivery) -> str:
    """A row without an error of its own met one of another mail, as its call went no further."""
    is_explained = any(_entries(delivery))
    text = _("the reason is below.") if is_explained else _("an earlier error stopped the call.")
    advice = _("Send the test again.") if delivery.is_test else _("Send it again from the site.")
    return f"{_('Nothing was sent:')} {text} {advice}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """A line of the timeline. ``group`` gives its colour; ``time`` is None where the row does not say."""

    time: dt.datetime | None
    title: str
    group: Group = QUIET
    text: str = ""
    aside: str = ""
    is_ahead: bool = False

    @property
    def ahead(self) -> str:
        """How long from now, in words."""
        return ahead(self.time, timezone.now()) if self.time else _("now")


def ahead(time: dt.datetime, now: dt.datetime) -> str:
    """How long from now, in words."""
    if time <= now:
        return _("now")
    if time - now < dt.timedelta(minutes=1):
        return _("in less than a minute")
    return _("in %(time)s") % {"time": timeuntil(time, now, depth=1)}


def timeline(delivery: Delivery) -> list[Event]:
    """Return what happened to a row, oldest first, and what comes next. Of failed attempts, the last 20 are kept."""
    return [
        Event(time=delivery.created_at, title=_("Written")),
        *map(_failed_attempt, _entries(delivery)),
        *_now_or_end(delivery),
    ]


def _entries(delivery: Delivery) -> Iterator[Mapping[str, Any]]:
    """The readable entries of ``errors``: another release may have written others."""
    found = delivery.errors if isinstance(delivery.errors, list) else []
    return (entry for entry in found if isinstance(entry, Mapping))


def _failed_attempt(entry: Mapping[str, Any]) -> Event:
    status, code, wait = entry.get("status"), entry.get("code"), entry.get("wait")
    words = [str(found) for found in (status, code) if found]
    asides = []
    if isinstance(wait, int | float):
        asides.append(_("next attempt after %(seconds)s s") % {"seconds": round(wait)})
    if worker := entry.get("worker"):
        asides.append(_("worker %(worker)s") % {"worker": worker})
    if isinstance(took := entry.get("ms"), int | float) and took:
        asides.append(_("%(ms)d ms") % {"ms": took})
    return Event(
        time=_time(entry.get("time")),
        title=" ".join([_("Not taken"), *words]),
        group=BAD if status else DOUBT,
        text=str(entry.get("text") or ""),
        aside=", ".join(asides),
    )


def _time(value: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _now_or_end(delivery: Delivery) -> Iterator[Event]:
    label = str(delivery.get_status_display())
    group = group_of(delivery.status)
    if delivery.status == Status.SENDING:
        worker = delivery.claimed_by.partition("/")[0]
        aside = _("worker %(worker)s") % {"worker": worker} if worker else ""
        text = _("the worker has until then to report")
        yield Event(time=delivery.due_at, title=label, group=group, text=text, aside=aside, is_ahead=True)
    elif delivery.status == Status.WAITING:
        title = _("Next attempt, with the same key") if delivery.attempts else _("First attempt")
        yield Event(time=delivery.due_at, title=title, group=group, is_ahead=True)
    elif delivery.tracked_at and delivery.status != Status.ACCEPTED:  # which a read of the log may leave as it is
        accepted = str(Status.ACCEPTED.label)
        yield Event(time=delivery.finished_at, title=accepted, group=GOOD, text=_replayed(delivery))
        yield Event(time=delivery.tracked_at, title=label, group=group, text=_("as Migma's log says"))
    else:
        yield Event(time=delivery.finished_at, title=label, group=group, text=_replayed(delivery))


def _replayed(delivery: Delivery) -> str:
    return _("Migma had it from an earlier attempt") if delivery.replayed else ""
