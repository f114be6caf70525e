"""What staff may do to deliveries: try again with the same key, send anew, give up. Each asks for a confirmation."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, router, transaction
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_migma.backends.wake_ups import wake_on_commit
from django_migma.mailers import Destination, current_destination
from django_migma.models import Delivery

from .delivery_verdict import Action, why_not
from .status_groups import DOUBT, GOOD, group_of, status_chip

if TYPE_CHECKING:
    from django.http import HttpRequest

MAX_ROWS = 1000  # rows of one confirmation
_MAX_SHOWN = 50
_CHUNK = 100  # rows with their requests in memory
_ROW = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")

TITLES = {
    Action.RETRY: gettext_lazy("Try again with the same key"),
    Action.RESEND: gettext_lazy("Send anew"),
    Action.CANCEL: gettext_lazy("Give up"),
}
_EXPLANATIONS = {
    Action.RETRY: gettext_lazy(
        "The same request is sent again, with the same key. If Migma has the mail already, it says so and sends no "
        "second one."
    ),
    Action.RESEND: gettext_lazy(
        "The same request is queued once more under a new key, as a delivery of its own. Migma cannot know that it "
        "is a repeat."
    ),
    Action.CANCEL: gettext_lazy(
        "No worker tries it any more. It can be tried again later, while its request is kept."
    ),
}
_DONE = {
    Action.RETRY: gettext_lazy("Tried again with the same key."),
    Action.RESEND: gettext_lazy("Sent anew."),
    Action.CANCEL: gettext_lazy("Given up."),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A chosen row as the page shows it. ``reason`` is why the action leaves it as it is, or an empty string.

    ``last_repeat`` is the id of the last row that sent it anew, or 0: part of the new key, so that a form that is
    submitted twice, or two people with the same page, send it anew once.
    """

    pk: int
    recipient: str
    subject: str
    alias: str
    chip: str
    reason: str
    may_double: bool
    last_repeat: int

    @property
    def token(self) -> str:
        return f"{self.pk}:{self.last_repeat}"


class ActionPage:
    """One request to the page of an action: by GET or by the list's action it asks, by its own form it acts.

    The actions are conditional on the state of each row, and "send anew" on its last repeat, so a form that is
    submitted twice does each of them once.
    """

    def __init__(self, admin: Any, request: HttpRequest, action: Action) -> None:
        self.admin, self.request, self.action = admin, request, action
        self.database = router.db_for_write(Delivery)
        self.now = timezone.now()
        self.mailers: dict[str, Destination] = {}

    def response(self) -> HttpResponse:
        """Answer the page's own address. Raises PermissionDenied."""
        if self.request.method == "POST":
            tokens = dict(_ROW.findall(self.request.POST.get("rows", "")))
            return self._act({int(pk): int(repeat) for pk, repeat in tokens.items()})
        found = re.findall(r"[0-9]{1,18}", self.request.GET.get("ids", ""))
        return self.page([int(pk) for pk in found])

    def page(self, ids: list[int]) -> HttpResponse:
        """Ask for a confirmation. Nothing is changed."""
        rows = [self._row(delivery) for chunk in self._chunks(ids[:MAX_ROWS]) for delivery in chunk]
        if not rows:
            return self._redirect([], messages.ERROR, _("None of the chosen deliveries exists. Choose again."))
        possible = [row for row in rows if not row.reason]
        context = {
            "explanation": _EXPLANATIONS[self.action],
            "rows": rows[:_MAX_SHOWN],
            "hidden": len(rows) - len(rows[:_MAX_SHOWN]),
            "max_rows": MAX_ROWS if len(ids) > MAX_ROWS else 0,
            "possible": len(possible),
            "doubled": sum(row.may_double for row in possible),
            "reasons": Counter(row.reason for row in rows if row.reason).most_common(),
            "tokens": ",".join(row.token for row in possible),
            "destinations": [
                (alias, self._mailer(alias))
                for alias in sorted({row.alias for row in possible})
                if self.action is not Action.CANCEL
            ],
            "button": _button(self.action, len(possible)),
            "page_url": self.admin.admin_url(self.action.value),
            "list_url": self.admin.admin_url("changelist") if len(rows) > 1 else self._url([rows[0].pk]),
        }
        page: HttpResponse = self.admin.own_page(
            self.request, "delivery/confirm_action.html", TITLES[self.action], context
        )
        return page

    def _mailer(self, alias: str) -> Destination:
        if alias not in self.mailers:
            self.mailers[alias] = current_destination(alias or None)
        return self.mailers[alias]

    def _chunks(self, ids: list[int]) -> Iterator[list[Delivery]]:
        """The rows with their requests, some at a time. Raises PermissionDenied for one that the user may not see."""
        repeats = Delivery.objects.filter(resent_from=OuterRef("pk")).order_by("-pk").values("pk")[:1]
        found = self.admin.get_queryset(self.request).using(self.database).order_by("pk")
        rows = found.defer(None).select_related(None).annotate(last_repeat=Coalesce(Subquery(repeats), 0))
        for start in range(0, len(ids), _CHUNK):
            chunk = list(rows.filter(pk__in=ids[start : start + _CHUNK]))
            if not all(self.admin.has_action_permission(self.request, self.action, delivery) for delivery in chunk):
                raise PermissionDenied
            yield chunk

    def _row(self, delivery: Any) -> Row:
        may_be_there = delivery.in_doubt or group_of(delivery.status) in {GOOD, DOUBT}
        return Row(
            pk=delivery.pk,
            recipient=delivery.recipient,
            subject=delivery.subject,
            alias=delivery.alias,
            chip=status_chip(delivery),
            reason=why_not(self.action, delivery, self._mailer(delivery.alias), self.now),
            may_double=self.action is Action.RESEND and may_be_there,
            last_repeat=delivery.last_repeat,
        )

    def _act(self, repeats: dict[int, int]) -> HttpResponse:
        ids = list(repeats)[:MAX_ROWS]
        changed, left = 0, Counter[str]()
        try:
            for chunk in self._chunks(ids):  # each is read before its transaction, which then begins with a write
                with transaction.atomic(using=self.database):
                    reasons = [self._do(delivery, repeats[delivery.pk]) for delivery in chunk]
                    self._record([each for each, reason in zip(chunk, reasons, strict=True) if not reason])
                changed += reasons.count("")
                left.update(filter(None, reasons))
        except OperationalError:
            self._say(messages.ERROR, _("The database is busy, and not everything was done. Try again."))
        for reason, count in left.most_common():
            text = ngettext("%(count)d delivery was left as it is.", "%(count)d were left as they are.", count)
            self._say(messages.WARNING, f"{text % {'count': count}} {reason}")
        if changed:
            self._say(messages.SUCCESS, _result(self.action, changed))
        return self._back(ids)

    def _do(self, delivery: Any, last_repeat: int) -> str:
        """Do the action to a row, or return why not."""
        if reason := why_not(self.action, delivery, self._mailer(delivery.alias), self.now):
            return reason
        if self.action is Action.RETRY:
            is_done = delivery.retry(self._mailer(delivery.alias).account)
        elif self.action is Action.CANCEL:
            is_done = delivery.give_up()
        else:
            is_done = delivery.last_repeat == last_repeat and delivery.send_anew(key=_new_key(delivery)) is not None
        if not is_done:
            return _("It has changed since the page was opened. Look at it again.")
        if self.action is not Action.CANCEL and (config := self._mailer(delivery.alias).config):
            wake_on_commit(config.queue.engine, self.database)
        return ""

    def _record(self, changed: list[Delivery]) -> None:
        """Write the history, an entry for each row."""
        if changed:
            user: Any = self.request.user
            LogEntry.objects.log_actions(user.pk, changed, CHANGE, str(_DONE[self.action]))

    def _redirect(self, ids: list[int], level: int, text: str) -> HttpResponse:
        self._say(level, text)
        return self._back(ids)

    def _back(self, ids: list[int]) -> HttpResponse:
        """Return to the page of one row, or else to the list."""
        return HttpResponseRedirect(self._url(ids))

    def _url(self, ids: list[int]) -> str:
        is_single = len(ids) == 1
        url: str = self.admin.admin_url("change", ids[0]) if is_single else self.admin.admin_url("changelist")
        return url

    def _say(self, level: int, text: str) -> None:
        self.admin.message_user(self.request, text, level)


def _new_key(delivery: Any) -> str:
    """The key of the row that sends this one anew: the same for all who saw the same last repeat."""
    return hashlib.sha256(f"{delivery.idempotency_key} {delivery.pk} {delivery.last_repeat}".encode()).hexdigest()


def _button(action: Action, count: int) -> str:
    if action is Action.RETRY:
        text = ngettext("Try %(count)d again", "Try %(count)d again", count)
    elif action is Action.RESEND:
        text = ngettext("Send %(count)d anew", "Send %(count)d anew", count)
    else:
        text = ngettext("Give %(count)d up", "Give %(count)d up", count)
    return text % {"count": count}


def _result(action: Action, count: int) -> str:
    if action is Action.RETRY:
        text = ngettext(
            "%(count)d delivery is tried again with the same key.",
            "%(count)d deliveries are tried again with their keys.",
            count,
        )
    elif action is Action.RESEND:
        text = ngettext(
            "%(count)d delivery is sent anew, as a delivery of its own.",
            "%(count)d deliveries are sent anew, each as a delivery of its own.",
            count,
        )
    else:
        text = ngettext("%(count)d delivery was given up.", "%(count)d deliveries were given up.", count)
    return text % {"count": count}
