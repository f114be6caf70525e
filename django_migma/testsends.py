"""Test sends: stored emails to a few addresses, one API call after the other, and the outcome of each in words.

`send_tests` uses Migma's endpoint for tests, `send_live` a mailer of the site. Migma documents no idempotency key for
its test endpoint, so a test send is never repeated, and its outcome says whether it may have arrived.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .addresses import parse
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
from .backends.direct import EmailBackend
from .conf import Config
from .error_messages import error_entry, explain
from .mailers import Mailer
from .message import RecipientStatus, status_of
from .models import Delivery, StoredEmail
from .models.fields import storable
from .stored_emails import StoredEmailData

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

MAX_TESTS = 50  # test sends per confirmation
SECONDS = 15.0  # for all test sends of one confirmation
UNREADABLE = (DatabaseError, ImproperlyConfigured)  # from the stored emails' table, without migrations or database
_MIN_SECONDS = 1.0  # a call with less time would more likely end in doubt than in an answer
_PART = r'(?:"[^"\r\n]*"|[^,;\r\n])+'  # between commas, semicolons and line breaks; a quoted name may contain them
_MAX_QUOTED = 80
_COUNTS = {
    "sent": _("%(count)d sent"),
    "failed": _("%(count)d failed"),
    "unknown": _("%(count)d in doubt"),
    "not_sent": _("%(count)d not sent"),
}
_ROW_STATUSES = {
    "sent": Delivery.Status.ACCEPTED,
    "failed": Delivery.Status.FAILED,
    "unknown": Delivery.Status.UNKNOWN,
    "not_sent": Delivery.Status.NOT_ATTEMPTED,
}


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
    config: Config, sends: Iterable[TestSend], *, seconds: float = SECONDS, clock: Clock | None = None
) -> Iterator[TestOutcome]:
    """Send one after the other, and yield the outcome of each in order. Raises no `MigmaError`.

    ``seconds`` is the limit for all of them together; the time left also bounds each call and its wait for a rate
    limit. With ``REDIRECT_TO``, every test goes to that address.
    """
    clock = clock or Clock()
    deadline = clock.monotonic() + seconds
    return send_each(sends, lambda send: _send_test(config, send, deadline - clock.monotonic(), clock))


def send_each(sends: Iterable[TestSend], send_one: Callable[[TestSend], TestOutcome]) -> Iterator[TestOutcome]:
    """Yield the outcome of each send in order. After an error that affects every call, the rest is not sent."""
    fatal: BaseException | None = None
    for send in sends:
        outcome = make_outcome(send.to, "not_sent", fatal) if fatal else send_one(send)
        if _affects_every_call(outcome.error):
            fatal = outcome.error
        yield outcome


def _affects_every_call(error: BaseException | None) -> bool:
    is_unreached = isinstance(error, NoResponse) and not error.may_have_been_accepted
    return is_unreached or isinstance(error, AuthenticationError | Forbidden)


def _send_test(config: Config, send: TestSend, seconds: float, clock: Clock) -> TestOutcome:
    if seconds < _MIN_SECONDS:
        reason = gettext("the time for these tests ran out. Send the rest again.")
        return make_outcome(send.to, "not_sent", reason=reason)
    about: dict[str, Any] = {"is_sandbox": is_local(config.api_url), "redirect_to": config.redirect_to}
    try:
        request = _test_request(send, config.redirect_to)
        result = make_client(config, seconds=seconds, clock=clock).send_test(request)
    except MigmaError as error:
        reason = explain(error)
        if isinstance(error, InvalidRequest) and send.stored.conversation_id:
            reason += " " + gettext("If the conversation is a series, give the id of one email of the series.")
        return make_outcome(send.to, _status(error), error, reason=reason, **about)
    return make_outcome(send.to, "sent", message_id=result.message_id, email_id=result.email_id, **about)


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


def _status(error: MigmaError) -> str:
    if error.may_have_been_accepted:
        return "unknown"
    is_untried = isinstance(error, RateLimited) and not error.attempts
    return "not_sent" if is_untried else "failed"


def send_live(mailer: Mailer, message: EmailMessage, *, batch: str = "") -> list[TestOutcome]:
    """Send a message through a mailer, as the site does, and return an outcome for each recipient, at least one.

    Where the mailer uses the queue, the message is sent at once all the same: a test is there to see Migma's answer.
    With a ``batch``, the mailer writes rows of `Delivery` that are marked as tests, whatever ``DELIVERY_LOG`` says.
    Raises nothing: errors of a faulty message or setting, or of a receiver of the site, become outcomes as well.
    """
    refusal: Exception | None = None
    try:
        connection = _connection(mailer)
        connection.test_batch = batch
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
        return make_outcome(to, "sent", message_id=recipient.message_id, **about)
    error = recipient.error or refusal
    if recipient.in_doubt:
        return make_outcome(to, "unknown", error, **about)
    if error:
        return make_outcome(to, "failed", error, **about)
    if to:
        return make_outcome(to, "not_sent", reason=gettext("an error with an earlier recipient stopped it."))
    return make_outcome(to, "not_sent", reason=gettext("a receiver of pre_send cancelled it."))


def make_outcome(
    to: str,
    status: str,
    error: BaseException | None = None,
    *,
    reason: str = "",
    is_sandbox: bool = False,
    redirect_to: str | None = None,
    **found: Any,
) -> TestOutcome:
    """Return an outcome with its text. ``reason`` is what to say in place of what the error says."""
    if status == "sent":
        text = gettext("The sandbox accepted it.") if is_sandbox else gettext("Migma accepted it.")
    elif status == "unknown":
        text = gettext("It may have arrived: check the inbox before you send it again.")
        if isinstance(error, MigmaError):
            text += f" {error.reason}."
    else:
        text = reason or (explain(error) if error else "")
        if status == "not_sent":
            text = gettext("Not sent: %(reason)s") % {"reason": text}
    if redirect_to and status in {"sent", "unknown"}:
        text += " " + gettext("REDIRECT_TO sends it to %(address)s.") % {"address": redirect_to}
    return TestOutcome(to=to, status=status, text=text, error=error, **found)


def count_outcomes(statuses: Iterable[str]) -> str:
    """Return how many there are of each status, such as "48 sent, 2 failed."."""
    counts = Counter(statuses)
    return ", ".join(str(_COUNTS[status]) % {"count": counts[status]} for status in _COUNTS if counts[status]) + "."


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


def record_test(stored: StoredEmailData, outcome: TestOutcome) -> int:
    """Set ``last_tested_at`` of the stored email if the test reached Migma or may have; return the number of rows.

    A refusal by Migma counts as a test. What was not sent, or failed before a connection, does not.
    """
    error = outcome.error
    is_refused = outcome.status == "failed" and isinstance(error, APIError) and error.attempts > 0
    if not is_refused and outcome.status not in {"sent", "unknown"}:
        return 0
    return _rows_of(stored, outcome).update(last_tested_at=timezone.now())


def _rows_of(stored: StoredEmailData, outcome: TestOutcome) -> QuerySet[StoredEmail]:
    by_email = Q(email_id__in=[stored.email_id or outcome.email_id])  # an empty id is none to the database
    by_conversation = Q(email_id=None, conversation_id=stored.conversation_id)  # no row lacks both
    return StoredEmail.objects.filter(by_email | by_conversation)


def log_test(stored: StoredEmailData, outcome: TestOutcome, *, alias: str, redirect_to: str, batch: str) -> None:
    """Write the row of `Delivery` of a test by `send_tests`. Raises the errors of the database.

    ``redirect_to`` is the address that all mail goes to, if there is one, ``batch`` the id of the confirmation.
    """
    now, error = timezone.now(), outcome.error
    to = parse(redirect_to, "REDIRECT_TO").addr_spec if redirect_to else outcome.to
    with transaction.atomic(using=router.db_for_write(Delivery)):
        Delivery.objects.create(
            alias=storable(alias, 64),
            recipient=storable(to.lower(), 320),
            subject=storable(stored.subject, 255),
            from_email=stored.from_email,
            stored_email_id=_rows_of(stored, outcome).values_list("pk", flat=True).first(),
            email_id=outcome.email_id or stored.email_id or "",
            status=_ROW_STATUSES[outcome.status],
            in_doubt=outcome.status == "unknown",
            attempts=error.attempts if isinstance(error, MigmaError) else int(outcome.status == "sent"),
            message_id=storable(outcome.message_id, 64),
            errors=[] if outcome.status == "sent" else [error_entry(error or MigmaError(outcome.text), now)],
            created_at=now,
            finished_at=now,
            batch=batch,
            is_test=True,
        )
