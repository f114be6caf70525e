"""What became of a test send, in words: one test, and how many of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from django_migma.api.errors import MigmaError, RateLimited
from django_migma.error_messages import explain
from django_migma.models import Delivery

Status = Delivery.Status
_ORDER = (Status.ACCEPTED, Status.FAILED, Status.UNKNOWN, Status.NOT_ATTEMPTED)


@dataclass(frozen=True, kw_only=True)
class TestOutcome:
    """Result of one test send to one address.

    ``status`` is that of its row: accepted; failed (Migma refused it or was not reached: nothing went out); unknown
    (it may have arrived); or not attempted. ``text`` says in the active language what happened and what to do next.
    ``email_id`` is the email that Migma says it sent. ``missing_variables`` are names that a live message did not
    fill. ``error`` is the exception, which an earlier send raised where this one was not attempted.
    """

    __test__ = False  # keeps pytest from collecting it

    to: str
    status: Status
    text: str
    message_id: str = ""
    email_id: str = ""
    missing_variables: tuple[str, ...] = ()
    error: BaseException | None = None


def make_outcome(
    to: str,
    status: Status,
    error: BaseException | None = None,
    *,
    reason: str = "",
    is_sandbox: bool = False,
    redirect_to: str | None = None,
    **found: Any,
) -> TestOutcome:
    """Return an outcome with its text. ``reason`` is what to say in place of what the error says."""
    if status == Status.ACCEPTED:
        text = gettext("The sandbox accepted it.") if is_sandbox else gettext("Migma accepted it.")
    elif status == Status.UNKNOWN:
        text = gettext("It may have arrived: check the inbox before you send it again.")
        if isinstance(error, MigmaError):
            text += f" {error.reason}."
    else:
        text = reason or (explain(error) if error else "")
        if status == Status.NOT_ATTEMPTED:
            text = gettext("Not sent: %(reason)s") % {"reason": text}
    if redirect_to and status in {Status.ACCEPTED, Status.UNKNOWN}:
        text += " " + gettext("REDIRECT_TO sends it to %(address)s.") % {"address": redirect_to}
    return TestOutcome(to=to, status=status, text=text, error=error, **found)


def status_after(error: BaseException) -> Status:
    """The status of a test whose send raised this error."""
    if isinstance(error, MigmaError) and error.may_have_been_accepted:
        return Status.UNKNOWN
    is_untried = isinstance(error, RateLimited) and not error.attempts
    return Status.NOT_ATTEMPTED if is_untried else Status.FAILED


def count_outcomes(statuses: Iterable[str]) -> str:
    """Return how many there are of each status, such as "48 accepted, 2 failed."."""
    counts = Counter(statuses)
    return ", ".join(f"{counts[status]} {status.label}" for status in _ORDER if counts[status]) + "."
