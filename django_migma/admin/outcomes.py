"""What became of test sends, for whoever pressed the button and for the history of each email."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import Error as DatabaseError
from django.utils.html import format_html
from django.utils.translation import gettext as _

from django_migma.testsends import Outcome, note_tested

from .columns import title_of
from .connection import Destination

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_migma.models import StoredEmail

    Message = tuple[int, str]

logger = logging.getLogger("django_migma")
_LEVELS = {"sent": messages.SUCCESS, "failed": messages.ERROR}


def told(email: StoredEmail, outcome: Outcome, target: Destination) -> Message:
    """The message for one outcome."""
    about = {"email": title_of(email), "to": outcome.send.to, "outcome": _text(outcome, target)}
    return _level(outcome.status), _("Test of “%(email)s” to %(to)s: %(outcome)s") % about


def noted(request: HttpRequest, email: StoredEmail, outcome: Outcome, target: Destination) -> None:
    """Write it into the history of the email, and the time of its last test.

    Raises nothing of the database's: the test is sent, its message says so, and the next one shall be sent too.
    """
    user: Any = request.user
    about = {"to": outcome.send.to, "outcome": _text(outcome, target)}
    try:
        note_tested([outcome])
        LogEntry.objects.log_actions(
            user_id=user.pk,
            queryset=[email],
            action_flag=CHANGE,
            change_message=_("Test to %(to)s: %(outcome)s") % about,
        )
    except DatabaseError as error:
        logger.warning("A test of the stored email %s is not in its history: %s.", email.pk, type(error).__name__)


def summed_up(outcomes: Sequence[Outcome], target: Destination) -> list[Message]:
    """The last messages: how many there were of each kind, and where to look.

    The oldest messages are lost where they are kept in a cookie and do not fit, so that the sum comes at the end.
    """
    found = Counter(outcome.status for outcome in outcomes)
    last: list[Message] = []
    if len(outcomes) > 1:
        level = messages.SUCCESS if len(found) == 1 and found["sent"] else messages.WARNING
        last.append((level, _("%(counts)s. The history of each email has the details.") % {"counts": _counts(found)}))
    if found["sent"] and target.inbox:
        link = format_html('<a href="{}">{}</a>', target.inbox, _("See what the sandbox has taken."))
        last.append((messages.INFO, format_html("{} {}", _("Nobody gets real mail from it."), link)))
    return last


def _counts(found: Counter[str]) -> str:
    words = {
        "sent": _("%(count)d sent"),
        "failed": _("%(count)d failed"),
        "unknown": _("%(count)d in doubt"),
        "not_sent": _("%(count)d not sent"),
    }
    return ", ".join(text % {"count": found[status]} for status, text in words.items() if found[status])


def _text(outcome: Outcome, target: Destination) -> str:
    return _("The sandbox has taken it.") if outcome.status == "sent" and target.is_sandbox else outcome.text


def _level(status: str) -> int:
    return _LEVELS.get(status, messages.WARNING)
