"""What became of confirmed tests: a message for each of a few, or one message and a page with a row for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_migma.mailers import Destination, current_destination
from django_migma.models import Delivery
from django_migma.testsends.outcomes import Status, TestOutcome, count_outcomes
from django_migma.testsends.rows import Confirmation, recipient_of
from django_migma.testsends.sending import TestSend

from .cells import with_link
from .status_groups import BAD, DOUBT, GOOD, QUIET, WAITING, group_of, status_chip

if TYPE_CHECKING:
    from django.http import HttpRequest

    Message = tuple[int, str]

MAX_MESSAGES = 3  # tests with a message each; of more there is one message, with the way to a page
_LEVELS = {Status.ACCEPTED: messages.SUCCESS, Status.FAILED: messages.ERROR}
_ORDER = [BAD, DOUBT, QUIET, WAITING, GOOD]


def result_messages(
    tests: Sequence[tuple[str, TestSend, TestOutcome]], target: Destination, results_url: str
) -> Iterator[Message]:
    """Yield the messages about these tests; each comes with the title of its email."""
    if len(tests) <= MAX_MESSAGES:
        for title, send, outcome in tests:
            found = {"email": title, "to": send.to, "outcome": outcome.text}
            text = _("Test of “%(email)s” to %(to)s: %(outcome)s") % found
            address = recipient_of(send.to, target.redirect_to)
            link = _inbox_link(target, outcome.status, outcome.message_id, address)
            yield _LEVELS.get(outcome.status, messages.WARNING), with_link(text, *link)
        return
    statuses = [outcome.status for _title, _send, outcome in tests]
    level = messages.SUCCESS if set(statuses) == {Status.ACCEPTED} else messages.WARNING
    counted = ngettext("%(count)d test", "%(count)d tests", len(tests)) % {"count": len(tests)}
    yield level, with_link(f"{counted}: {count_outcomes(statuses)}", results_url, _("Look at them"))


def results_page(admin: Any, request: HttpRequest, batch: str) -> HttpResponse:
    """Return the page with the tests of one confirmation of this user, failures first. Raises Http404 for another's.

    Colleagues find these tests among the deliveries, if they may see those.
    """
    is_id = re.fullmatch("[0-9a-f]{32}", batch)
    rows = list(Confirmation(person=str(request.user.pk), batch=batch).rows()) if is_id else []
    if not rows:
        raise Http404
    rows.sort(key=lambda row: _ORDER.index(group_of(row.status)))
    destinations = {alias: current_destination(alias or None) for alias in {row.alias for row in rows}}
    totals = Counter((group_of(row.status), str(row.get_status_display())) for row in rows)
    context = {
        "rows": [_row(admin, row, destinations) for row in rows],
        "totals": [group.chip(f"{count} {word}") for (group, word), count in totals.items()],
    }
    page: HttpResponse = admin.own_page(request, "storedemail/send_test_results.html", _("Tests"), context)
    return page


def _row(admin: Any, row: Delivery, destinations: Mapping[str, Destination]) -> dict[str, Any]:
    email = row.stored_email
    url, label = _inbox_link(destinations[row.alias], row.status, row.message_id, row.recipient)
    return {
        "delivery": row,
        "chip": status_chip(row),
        "title": admin.display_title(email) if email else row.email_id,
        "url": admin.admin_url("change", email.pk) if email else "",
        "reason": _reason(row.errors),
        "inbox_url": url,
        "inbox_label": label,
    }


def _inbox_link(target: Destination, status: str, message_id: str, address: str) -> tuple[str, str]:
    """Where the sandbox's inbox has a test, and what to call the link; empty where there is none to look into."""
    if url := target.mail_url(message_id):
        return url, _("See it")
    if status in {Status.FAILED, Status.UNKNOWN}:  # without an id of Migma's, but there if the sandbox was reached
        return target.search_url(address), _("Look for it")
    return "", ""


def _reason(errors: object) -> str:
    """The text of the last error, if there is one in a form that is known here."""
    last = errors[-1] if isinstance(errors, list) and errors else None
    return str(last.get("text") or "") if isinstance(last, Mapping) else ""
