"""Test sends: stored emails to a few addresses, one API call after the other, and the outcome of each in words.

`send_tests` uses Migma's endpoint for tests, `send_live` a mailer of the site. Migma documents no idempotency key for
its test endpoint, so a test send is never repeated, and its outcome says whether it may have arrived.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from .addresses import Address, parse
from .api.credentials import is_local
from .api.errors import (
    APIError,
    AuthenticationError,
    Forbidden,
    InvalidAddress,
    InvalidRequest,
    MigmaError,
    NoResponse,
    RateLimited,
    StoredEmailNotFound,
)
from .api.retries import Clock
from .api.types import TestSendRequest
from .backends.base import make_client
from .conf import Config
from .content import StoredEmailData
from .error_messages import explain
from .mailers import Mailer
from .message import RecipientStatus, status_of
from .models import StoredEmail

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

MAX_TESTS = 50
"""Test sends per confirmation."""
SECONDS = 15.0
"""For all test sends of one confirmation."""
UNREADABLE = (DatabaseError, ImproperlyConfigured)
"""Raised by the table of stored emails where migrations have not run or there is no database."""
_MIN_SECONDS = 1.0
"""A call with less time than this would more likely end in doubt than in an answer."""
_PART = r'(?:"[^"\r\n]*"|[^,;\r\n])+'
"""Text between commas, semicolons and line breaks; a quoted display name may contain them."""


@dataclass(frozen=True, kw_only=True)
class TestSend:
    """One call to make: a stored email and one address."""

    __test__ = False  # keeps pytest from collecting it

    stored: StoredEmailData
    to: str


@dataclass(frozen=True, kw_only=True)
class TestOutcome:
    """Result of one test send to one address.

    ``status`` is ``sent``; ``failed`` (Migma refused it or was not reached: nothing went out); ``unknown`` (it may
    have arrived); or ``not_sent`` (not tried). ``text`` says in the active language what happened and what to do
    next. ``email_id`` is the email that Migma says it sent. ``missing_variables`` are names that a live message did
    not fill. ``error`` is the exception, which an earlier send raised where the status is ``not_sent``.
    """

    __test__ = False

    to: str
    status: str
    text: str
    message_id: str = ""
    email_id: str = ""
    missing_variables: tuple[str, ...] = ()
    error: BaseException | None = None


def send_tests(
    config: Config, sends: Sequence[TestSend], *, seconds: float = SECONDS, clock: Clock | None = None
) -> Iterator[TestOutcome]:
    """Send one after the other, and yield the outcome of each in order. Raises no `MigmaError`.

    ``seconds`` is the limit for all of them together; the time left also bounds each call and its wait for a rate
    limit. After an error that affects every call, the rest is not sent. With ``REDIRECT_TO``, every test goes to that
    address.
    """
    clock = clock or Clock()
    deadline = clock.monotonic() + seconds
    fatal: MigmaError | None = None
    for send in sends:
        time_left = deadline - clock.monotonic()
        if fatal:
            yield not_sent(send.to, fatal)
        elif time_left < _MIN_SECONDS:
            text = gettext("Not sent: the time for these tests ran out. Send the rest again.")
            yield TestOutcome(to=send.to, status="not_sent", text=text)
        else:
            outcome = _send_test(config, send, time_left, clock)
            if isinstance(outcome.error, MigmaError) and affects_every_call(outcome.error):
                fatal = outcome.error
            yield outcome


def _send_test(config: Config, send: TestSend, seconds: float, clock: Clock) -> TestOutcome:
    redirect_to = config.redirect_to or ""
    try:
        request = _test_request(send, redirect_to)
        result = make_client(config, seconds=seconds, clock=clock).send_test(request)
    except MigmaError as error:
        advice = _series_advice(send) if isinstance(error, InvalidRequest) else ""
        return _failure(send.to, _status(error), error, redirect_to=redirect_to, advice=advice)
    return TestOutcome(
        to=send.to,
        status="sent",
        text=_with_redirect(_accepted(is_sandbox=is_local(config.api_url)), redirect_to),
        message_id=result.message_id,
        email_id=result.email_id,
    )


def _test_request(send: TestSend, redirect_to: str) -> TestSendRequest:
    to = parse(send.to, "The recipient")
    if redirect_to:
        to = parse(redirect_to, "REDIRECT_TO")
    stored = send.stored
    try:
        return TestSendRequest(
            to=to.wire, email_id=stored.email_id or None, conversation_id=stored.conversation_id or None
        )
    except ValueError:
        raise StoredEmailNotFound(
            f"The stored email {stored.name!r} has no id of 24 hex digits", hint="Give it the id that Migma shows."
        ) from None


def _series_advice(send: TestSend) -> str:
    if send.stored.email_id or not send.stored.conversation_id:
        return ""
    return gettext("If the conversation is a series, give the id of one email of the series.")


def _status(error: MigmaError) -> str:
    if error.may_have_been_accepted:
        return "unknown"
    is_untried = isinstance(error, RateLimited) and not error.attempts
    return "not_sent" if is_untried else "failed"


def send_live(mailer: Mailer, message: EmailMessage) -> list[TestOutcome]:
    """Send a message through a mailer, as the site does, and return an outcome for each recipient, at least one.

    Raises nothing: errors of a faulty message or setting, or of a receiver of the site, become outcomes as well.
    """
    refusal: Exception | None = None
    try:
        _connection(mailer).send_messages([message])
    except Exception as error:  # noqa: BLE001 - receivers and templates of the site may raise anything
        refusal = error
    status = status_of(message)
    missing = tuple(sorted(status.missing_variables))
    found = status.recipients or {"": RecipientStatus(status="not_attempted")}
    return [_live_outcome(mailer, to, recipient, refusal, missing) for to, recipient in found.items()]


def _connection(mailer: Mailer) -> Any:
    if mailer.alias is not None:
        return mail.mailers[mailer.alias]
    with warnings.catch_warnings():  # Django 6.1 deprecates the function; the site's own use of the setting warns
        warnings.simplefilter("ignore")
        return mail.get_connection()


def _live_outcome(
    mailer: Mailer, to: str, recipient: RecipientStatus, refusal: Exception | None, missing: tuple[str, ...]
) -> TestOutcome:
    error = recipient.error or refusal
    redirect_to = str(mailer.value("REDIRECT_TO") or "")
    if recipient.accepted:
        return TestOutcome(
            to=to,
            status="sent",
            text=_with_redirect(_accepted(is_sandbox=mailer.is_sandbox), redirect_to),
            message_id=recipient.message_id,
            missing_variables=missing,
        )
    if error is None and not recipient.in_doubt:
        return TestOutcome(to=to, status="not_sent", text=gettext("Not sent: a receiver of pre_send cancelled it."))
    status = "unknown" if recipient.in_doubt else "failed"
    return _failure(to, status, error, redirect_to=redirect_to, missing_variables=missing)


def not_sent(to: str, error: BaseException) -> TestOutcome:
    """Return the outcome of a send that was skipped, since an error of an earlier one affects every call."""
    return _failure(to, "not_sent", error)


def _failure(
    to: str, status: str, error: BaseException | None, *, redirect_to: str = "", advice: str = "", **found: Any
) -> TestOutcome:
    if status == "unknown":
        doubt = gettext("It may have arrived: check the inbox before you send it again.")
        reason = f"{error.reason}." if isinstance(error, MigmaError) else ""
        text = _with_redirect(f"{doubt} {reason}".rstrip(), redirect_to)
    else:
        text = f"{explain(error) if error else ''} {advice}".rstrip()
        if status == "not_sent":
            text = gettext("Not sent: %(reason)s") % {"reason": text}
    return TestOutcome(to=to, status=status, text=text, error=error, **found)


def _accepted(*, is_sandbox: bool) -> str:
    return gettext("The sandbox accepted it.") if is_sandbox else gettext("Migma accepted it.")


def _with_redirect(text: str, redirect_to: str) -> str:
    if not redirect_to:
        return text
    return f"{text} {gettext('REDIRECT_TO sends it to %(address)s.') % {'address': redirect_to}}"


def affects_every_call(error: BaseException | None) -> bool:
    """Return whether an error would meet every further call: the key is refused or Migma cannot be reached."""
    is_unreached = isinstance(error, NoResponse) and not error.may_have_been_accepted
    return is_unreached or isinstance(error, AuthenticationError | Forbidden)


def parse_addresses(text: str) -> list[str]:
    """Return the addresses in a text, separated by commas, semicolons or line breaks; each mailbox once, no names.

    Raises `InvalidAddress`, which names the position and not the address, and for more than `MAX_TESTS` addresses:
    no confirmation could send to them.
    """
    found: dict[str, str] = {}
    for position, part in enumerate(split_addresses(text), start=1):
        address = _parse_part(part, position)
        found.setdefault(address.wire, address.addr_spec)
        if len(found) > MAX_TESTS:
            raise InvalidAddress(gettext("These are more than %(most)d addresses") % {"most": MAX_TESTS})
    return list(found.values())


def split_addresses(text: str) -> Iterator[str]:
    """Yield the parts of a text between commas, semicolons and line breaks, valid addresses or not."""
    return filter(None, (part[0].strip() for part in re.finditer(_PART, text)))


def _parse_part(part: str, position: int) -> Address:
    with suppress(InvalidAddress):
        return parse(part, "")
    raise InvalidAddress(
        gettext("Address %(position)d is not valid") % {"position": position},
        hint=gettext("Write addresses such as bob@example.com."),
    )


def record_test(stored: StoredEmailData, outcome: TestOutcome) -> int:
    """Set ``last_tested_at`` of the stored email if the test reached Migma or may have; return the number of rows.

    A refusal by Migma counts as a test. What was not sent, or failed before a connection, does not.
    """
    if not _reached_migma(outcome):
        return 0
    wanted = Q(email_id__in=[found for found in (stored.email_id or outcome.email_id,) if found])
    if not stored.email_id and stored.conversation_id:
        wanted |= Q(email_id=None, conversation_id=stored.conversation_id)
    return StoredEmail.objects.filter(wanted).update(last_tested_at=timezone.now())


def _reached_migma(outcome: TestOutcome) -> bool:
    error = outcome.error
    is_refused = outcome.status == "failed" and isinstance(error, APIError) and error.attempts > 0
    return is_refused or outcome.status in {"sent", "unknown"}
