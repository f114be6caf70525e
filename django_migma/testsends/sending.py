"""The calls of test sends, one after the other, and the outcome of each.

`send_tests` uses Migma's endpoint for tests, `send_live` a mailer of the site. Migma documents no idempotency key for
its test endpoint, so a test send is never repeated, and its outcome says whether it may have arrived.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from django.core import mail
from django.utils.translation import gettext

from django_migma.addresses import parse
from django_migma.api.credentials import is_local
from django_migma.api.errors import (
    AuthenticationError,
    Forbidden,
    InvalidAddress,
    InvalidRequest,
    MigmaError,
    NoResponse,
    StoredEmailNotFound,
)
from django_migma.api.retries import Clock
from django_migma.api.types import TestSendRequest
from django_migma.backends.base import make_client
from django_migma.backends.direct import EmailBackend
from django_migma.conf import Config
from django_migma.error_messages import explain
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer
from django_migma.message import MigmaMessage, RecipientStatus, status_of
from django_migma.models import StoredEmail
from django_migma.payload import resolve_sender
from django_migma.stored_emails import DeclaredEmails, StoredEmailData

from .outcomes import Status, TestOutcome, make_outcome, status_after

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

MAX_TESTS = 50  # test sends per confirmation
SECONDS = 15.0  # for all test sends of one confirmation
_MIN_SECONDS = 1.0  # a call with less time would more likely end in doubt than in an answer
_PART = r'(?:"[^"\r\n]*"|[^,;\r\n])+'  # between commas, semicolons and line breaks; a quoted name may contain them
_MAX_QUOTED = 80


@dataclass(frozen=True, kw_only=True)
class TestSend:
    """One call to make: a stored email and one address. ``row`` is the id of the row that was written beforehand."""

    __test__ = False  # keeps pytest from collecting it

    stored: StoredEmailData
    to: str
    row: int = 0


def send_tests(
    config: Config, sends: Iterable[TestSend], *, seconds: float = SECONDS, clock: Clock | None = None
) -> Iterator[TestOutcome]:
    """Send one after the other, and yield the outcome of each in order. Raises no `MigmaError`.

    ``seconds`` is the limit for all of them together; the time left also bounds each call and its wait for a rate
    limit. With ``REDIRECT_TO``, every test goes to that address.
    """
    clock = clock or Clock()
    return _send_each(sends, lambda send, left: _send_test(config, send, left, clock), seconds, clock)


def _send_each(
    sends: Iterable[TestSend], send_one: Callable[[TestSend, float], TestOutcome], seconds: float, clock: Clock
) -> Iterator[TestOutcome]:
    """Send one after the other, each with the seconds that are left.

    Without time, or after an error that affects every call, the rest is not attempted.
    """
    deadline = clock.monotonic() + seconds
    fatal: BaseException | None = None
    for send in sends:
        left = deadline - clock.monotonic()
        if fatal:
            outcome = make_outcome(send.to, Status.NOT_ATTEMPTED, fatal)
        elif left < _MIN_SECONDS:
            reason = gettext("the time for these tests ran out. Send the rest again.")
            outcome = make_outcome(send.to, Status.NOT_ATTEMPTED, reason=reason)
        else:
            outcome = send_one(send, left)
        if _affects_every_call(outcome.error):
            fatal = outcome.error
        yield outcome


def _affects_every_call(error: BaseException | None) -> bool:
    is_unreached = isinstance(error, NoResponse) and not error.may_have_been_accepted
    return is_unreached or isinstance(error, AuthenticationError | Forbidden)


def _send_test(config: Config, send: TestSend, seconds: float, clock: Clock) -> TestOutcome:
    about: dict[str, Any] = {"is_sandbox": is_local(config.api_url), "redirect_to": config.redirect_to}
    try:
        request = _test_request(send, config.redirect_to)
        result = make_client(config, seconds=seconds, clock=clock).send_test(request)
    except MigmaError as error:
        reason = explain(error)
        if isinstance(error, InvalidRequest) and send.stored.conversation_id:
            reason += " " + gettext("If the conversation is a series, give the id of one email of the series.")
        return make_outcome(send.to, status_after(error), error, reason=reason, **about)
    return make_outcome(send.to, Status.ACCEPTED, message_id=result.message_id, email_id=result.email_id, **about)


def _test_request(send: TestSend, redirect_to: str | None) -> TestSendRequest:
    to = parse(send.to, "The recipient")
    if redirect_to:
        to = parse(redirect_to, "REDIRECT_TO")
    stored = send.stored
    try:
        return TestSendRequest(to=to.wire, email_id=stored.email_id, conversation_id=stored.conversation_id)
    except ValueError:
        raise StoredEmailNotFound(
            f"The stored email {stored.name!r} has no id of 24 hex digits", hint="Give it the id that Migma shows."
        ) from None


@dataclass(frozen=True, kw_only=True)
class LiveEmail:
    """A stored email as the site sends it: its data, with what the settings declare for its key, and its sender.

    ``template_id`` names it in a message. ``problem`` says why the site cannot send it, and is empty otherwise.
    """

    template_id: str | StoredEmail
    stored: StoredEmailData
    sender: str = ""
    problem: str = ""


def live_email(email: StoredEmail, config: Config) -> LiveEmail:
    """Return the row as the site would send it. Makes no query and raises nothing."""
    template_id: str | StoredEmail = email
    stored = email.as_stored()
    try:
        declared = DeclaredEmails(config.stored_emails).get(email.key or "")
        # Under the key of another email, the test would show a design that nobody has chosen.
        if declared and declared.email_id == email.email_id:
            template_id, stored = declared.name, declared.completed_by(stored)
        address, name = resolve_sender(MigmaMessage(), config, stored)
    except (ConfigurationError, InvalidAddress, ValueError) as error:
        return LiveEmail(template_id=template_id, stored=stored, problem=str(error))
    problem = "" if stored.subject else gettext("Its subject is not known here, and Migma needs one.")
    return LiveEmail(template_id=template_id, stored=stored, sender=f"{name} <{address}>", problem=problem)


def send_live_tests(
    mailer: Mailer,
    sends: Iterable[TestSend],
    message_of: Callable[[TestSend], EmailMessage],
    *,
    batch: str,
    seconds: float = SECONDS,
    clock: Clock | None = None,
) -> Iterator[TestOutcome]:
    """Send the message of each by `send_live`, and yield the outcomes in order. ``seconds`` as for `send_tests`."""

    def send_one(send: TestSend, left: float) -> TestOutcome:
        return send_live(mailer, message_of(send), batch=batch, row=send.row, seconds=left)[0]

    return _send_each(sends, send_one, seconds, clock or Clock())


def send_live(
    mailer: Mailer, message: EmailMessage, *, batch: str = "", row: int = 0, seconds: float = inf
) -> list[TestOutcome]:
    """Send a message through a mailer, as the site does, and return an outcome for each recipient, at least one.

    Where the mailer uses the queue, the message is sent at once all the same: a test is there to see Migma's answer.
    With a ``batch``, the mailer writes rows of `Delivery` that are marked as tests, whatever ``DELIVERY_LOG`` says;
    the first one takes the place of ``row``. ``seconds`` bounds each request with its repeats. Raises nothing: errors
    of a faulty message or setting, or of a receiver of the site, become outcomes as well.
    """
    refusal: Exception | None = None
    try:
        connection = _connection(mailer)
        connection.test_batch, connection.test_row, connection.time_limit = batch, row, seconds
        connection.send_messages([message])
    except Exception as error:  # noqa: BLE001 - receivers and templates of the site may raise anything
        refusal = error
    status = status_of(message)
    about = {
        "is_sandbox": mailer.is_sandbox,
        "redirect_to": mailer.value("REDIRECT_TO"),
        "missing_variables": tuple(sorted(status.missing_variables)),
    }
    found = status.recipients or {"": RecipientStatus(status="not_attempted")}
    return [_live_outcome(to, recipient, refusal, about) for to, recipient in found.items()]


def _connection(mailer: Mailer) -> Any:
    if mailer.uses_queue:
        return EmailBackend(alias=mailer.alias, **mailer.options)
    if mailer.alias is not None:
        return mail.mailers[mailer.alias]
    with warnings.catch_warnings():  # Django 6.1 deprecates the function; the site's own use of the setting warns
        warnings.simplefilter("ignore")
        return mail.get_connection()


def _live_outcome(
    to: str, recipient: RecipientStatus, refusal: Exception | None, about: dict[str, Any]
) -> TestOutcome:
    if recipient.accepted:
        return make_outcome(to, Status.ACCEPTED, message_id=recipient.message_id, **about)
    error = recipient.error or refusal
    if recipient.in_doubt:
        return make_outcome(to, Status.UNKNOWN, error, **about)
    if error:
        return make_outcome(to, status_after(error), error, **about)
    stopped = gettext("an error with an earlier recipient stopped it.")
    reason = stopped if to else gettext("a receiver of pre_send cancelled it.")
    return make_outcome(to, Status.NOT_ATTEMPTED, reason=reason)


def parse_addresses(text: str, *, quote: bool = False) -> list[str]:
    """Return the addresses in a text, separated by commas, semicolons or line breaks; each mailbox once, no names.

    Raises `InvalidAddress`, which names the position of the invalid one or, with ``quote``, shows it; also for more
    than `MAX_TESTS` addresses: no confirmation could send to them.
    """
    found: dict[str, str] = {}
    parts = filter(None, (part[0].strip() for part in re.finditer(_PART, text)))
    for position, part in enumerate(parts, start=1):
        place = f"“{part[:_MAX_QUOTED]}”" if quote else gettext("Address %(position)d") % {"position": position}
        address = parse(part, place)
        found.setdefault(address.wire, address.addr_spec)
        if len(found) > MAX_TESTS:
            raise InvalidAddress(gettext("These are more than %(most)d addresses") % {"most": MAX_TESTS})
    return list(found.values())
