"""Test sends: stored emails to a few addresses of one's own, one call after the other, within a time.

Migma documents no idempotency key for a test send, so none is ever repeated, and each outcome says whether it may
have arrived.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from .addresses import Address, parse
from .api.clock import Clock
from .api.errors import (
    APIError,
    InvalidAddress,
    InvalidRequest,
    MigmaError,
    RateLimited,
    StoredEmailNotFound,
)
from .api.types import TestSendRequest, TestSendResult
from .backends.base import make_client
from .conf import Config
from .content import StoredEmailData
from .explanations import explained, is_fatal
from .models import StoredEmail

MOST_CALLS = 50
"""Calls per confirmation."""
SECONDS = 15.0
"""For all calls of one confirmation."""
UNREADABLE = (DatabaseError, ImproperlyConfigured)
"""What the table of stored emails raises where nobody has migrated, or where there is no database."""
_LEAST_SECONDS = 1.0
"""A call with less time than this would more likely end in doubt than in an answer."""
_LONGEST_ADDRESS = 1_000
_PART = r'(?:"[^"\r\n]*"|[^,;\r\n])+'
"""What stands between commas, semicolons and line breaks; those in a quoted display name separate nothing."""


@dataclass(frozen=True, kw_only=True)
class TestSend:
    """One call to make: a stored email and one address."""

    __test__ = False  # no test class, whatever pytest makes of the name

    stored: StoredEmailData
    to: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one `TestSend`.

    ``status``: ``sent``; ``failed`` (Migma refused or was not reached: nothing went out); ``unknown`` (it may have
    arrived); ``not_sent`` (not tried: time ran out, or ``error``, an earlier one, made it pointless). ``result`` is
    Migma's answer where there is one.
    """

    send: TestSend
    status: str
    result: TestSendResult | None = None
    error: MigmaError | None = None

    @property
    def text(self) -> str:
        """What happened and what to do next, in the active language; Migma's own words without addresses."""
        if self.status == "sent":
            return gettext("Migma has taken it.")
        if self.error is None:
            return gettext("Not sent: the time for these tests was over. Send the rest again.")
        return explained(self.error, self.status, advice=self._advice)

    @property
    def _advice(self) -> str:
        """What to do next where the usual advice does not fit."""
        stored = self.send.stored
        if isinstance(self.error, InvalidRequest) and stored.conversation_id and not stored.email_id:
            return gettext("If the conversation is a series, Migma wants the id of one email of the series.")
        return ""


def send_tests(
    config: Config, sends: Sequence[TestSend], *, seconds: float = SECONDS, clock: Clock | None = None
) -> Iterator[Outcome]:
    """Make the calls, one after the other, and yield the outcome of each in order. Raises nothing of `MigmaError`.

    ``seconds`` is for all of them, from the first on; what is left limits each call, and its wait for a rate limit.
    When the key is refused or Migma cannot be reached, the rest is not tried.
    """
    clock = clock or Clock()
    deadline = clock.monotonic() + seconds
    fatal: MigmaError | None = None
    for send in sends:
        left = deadline - clock.monotonic()
        if fatal or left < _LEAST_SECONDS:
            yield Outcome(send=send, status="not_sent", error=fatal)
            continue
        outcome = _sent(config, send, left, clock)
        if is_fatal(outcome.error):
            fatal = outcome.error
        yield outcome


def _sent(config: Config, send: TestSend, left: float, clock: Clock) -> Outcome:
    try:
        result = make_client(config, seconds=left, clock=clock).send_test(_request(send))
    except MigmaError as error:
        return Outcome(send=send, status=_status(error), error=error)
    return Outcome(send=send, status="sent", result=result)


def _request(send: TestSend) -> TestSendRequest:
    to = parse(send.to, "to").wire
    try:
        return TestSendRequest(
            to=to, email_id=send.stored.email_id or None, conversation_id=send.stored.conversation_id or None
        )
    except ValueError:
        raise StoredEmailNotFound(
            f"{send.stored.name!r} has no id that Migma could know: give it one of 24 hex digits."
        ) from None


def _status(error: MigmaError) -> str:
    if error.may_have_been_accepted:
        return "unknown"
    waits = isinstance(error, RateLimited) and not error.attempts
    return "not_sent" if waits else "failed"


def addresses_in(text: str) -> list[str]:
    """The addresses that a person typed, between commas, semicolons or line breaks; each mailbox once, without names.

    Raises `InvalidAddress`, which names the position and not the address, and for more than `MOST_CALLS` addresses:
    no confirmation could send to them.
    """
    found: dict[str, str] = {}
    for position, part in enumerate(parts_in(text), start=1):
        address = _address(part, position)
        found.setdefault(address.wire, address.addr_spec)
        if len(found) > MOST_CALLS:
            raise InvalidAddress(gettext("These are more than %(most)d addresses.") % {"most": MOST_CALLS})
    return list(found.values())


def parts_in(text: str) -> Iterator[str]:
    """What a person typed, cut at commas, semicolons and line breaks; whether each is an address is not looked at."""
    return filter(None, (part[0].strip() for part in re.finditer(_PART, text)))


def _address(part: str, position: int) -> Address:
    try:
        if len(part) <= _LONGEST_ADDRESS:
            return parse(part, "")
    except InvalidAddress:
        pass
    raise InvalidAddress(
        gettext("Address %(position)d is not one that mail can be sent to. Write addresses such as bob@example.com.")
        % {"position": position}
    )


def note_tested(outcomes: Iterable[Outcome]) -> int:
    """Write the time into ``last_tested_at`` of the stored emails that were tried; how many rows there were.

    Tried means that the call reached Migma or may have: what Migma took, what is in doubt, and what Migma refused.
    What was not sent, or failed before any connection, leaves the time of the last test as it was.
    """
    tried = [outcome for outcome in outcomes if _was_tried(outcome)]
    emails = {outcome.send.stored.email_id or (outcome.result and outcome.result.email_id) for outcome in tried}
    conversations = {outcome.send.stored.conversation_id for outcome in tried if not outcome.send.stored.email_id}
    of_emails = Q(email_id__in=emails - {None, ""})
    of_conversations = Q(email_id=None, conversation_id__in=conversations - {None})
    return (
        StoredEmail.objects.filter(of_emails | of_conversations).update(last_tested_at=timezone.now()) if tried else 0
    )


def _was_tried(outcome: Outcome) -> bool:
    refused = outcome.status == "failed" and isinstance(outcome.error, APIError) and outcome.error.attempts > 0
    return refused or outcome.status in {"sent", "unknown"}
