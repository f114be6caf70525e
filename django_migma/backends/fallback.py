"""The mailer named by ``FALLBACK``: it sends, whole and unchanged, the messages that Migma cannot carry."""

from __future__ import annotations

import contextlib
import copy
import difflib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core import mail
from django.utils.module_loading import import_string

from django_migma.addresses import Address, parse
from django_migma.api.errors import MigmaError
from django_migma.conf import has_mailers, setting_location
from django_migma.exceptions import configuration_error
from django_migma.message import RecipientStatus
from django_migma.payload import read_recipients, redirected_subject
from django_migma.signals import is_inside_logging

from .base import LOGGING_REQUEST_SECONDS, MigmaBackend
from .outgoing import OutgoingMessage

if TYPE_CHECKING:
    from django.core.mail import EmailMessage
    from django.core.mail.backends.base import BaseEmailBackend

    from django_migma.api.retries import Clock

_RECIPIENT_HEADERS = {"to", "cc", "bcc"}
MAX_IDLE = 60  # seconds. Servers close an idle connection after minutes, and a mail sent on it would be unknown.
SMTP = "django.core.mail.backends.smtp.EmailBackend"  # what MAILERS means by an entry without a BACKEND


class FallbackMailer:
    """The other mailer in one ``send_messages()`` call: one connection, opened by the first message that needs it.

    ``name`` is the alias or path in the settings, ``connect`` makes the connection, ``redirect_to`` is the setting.
    """

    def __init__(
        self, name: str, connect: Callable[[], BaseEmailBackend], *, redirect_to: str | None, clock: Clock
    ) -> None:
        self.name = name
        self.connect = connect
        self._redirect_to = redirect_to
        self._clock = clock
        self._used_at = 0.0
        self._connection: BaseEmailBackend | None = None
        self._open_error: Exception | None = None

    def addresses(self, message: EmailMessage) -> list[str]:
        """Return the addresses that will get a message, which are the keys of its status. Raises `InvalidAddress`."""
        if self._redirect_to:
            return [parse(self._redirect_to, "REDIRECT_TO").addr_spec]
        return [address.addr_spec for address in read_recipients(message)]

    def prepare(self, outgoing: OutgoingMessage) -> None:
        """Set ``outgoing.for_fallback``: the message itself if it goes to all its recipients, else a copy.

        The copy goes to those who do not have the message yet, or with ``REDIRECT_TO`` to that address alone. It
        shares the attachments.
        """
        message, statuses = outgoing.message, outgoing.status.recipients
        recipients = read_recipients(message)
        left = [one for one in recipients if one.addr_spec in statuses and not statuses[one.addr_spec].is_done]
        if self._redirect_to:
            outgoing.for_fallback = _redirected(message, recipients, self._redirect_to)
        else:
            outgoing.for_fallback = message if len(left) == len(recipients) else _copy_for(message, left)

    def send(self, outgoing: OutgoingMessage) -> None:
        """Send ``outgoing.for_fallback``, and record the result for each recipient that it is for.

        The other mailer's error stands in ``outgoing.fallback_error``. ``unknown`` is recorded before anything can
        leave, so that the status is true after an interrupt.
        """
        recipients = outgoing.status.recipients
        earlier = {address: status for address, status in recipients.items() if _is_left(status)}
        if not earlier:
            return
        connection = self._open()
        word, error = "failed", self._open_error
        if connection is not None and outgoing.for_fallback is not None:
            recipients.update(dict.fromkeys(earlier, RecipientStatus(status="unknown", mailer=self.name)))
            word, error = self._deliver(connection, outgoing.for_fallback)
        outgoing.fallback_error = error
        for address, old in earlier.items():
            if word == "failed" and old.in_doubt:  # that says nothing about the earlier send
                recipients[address] = replace(old, error=error)
            else:
                recipients[address] = RecipientStatus(status=word, mailer=self.name, error=error)

    def _deliver(self, connection: BaseEmailBackend, message: EmailMessage) -> tuple[str, Exception | None]:
        """Send one message. Returns the word for its status, and the error."""
        try:
            sent_count = connection.send_messages([message])
        except Exception as error:  # noqa: BLE001 - whatever another mailer raises
            if _is_refusal(error):
                return "failed", error
            self.close()  # it may be broken
            return "unknown", error
        if sent_count != 0:  # some backends return None
            return "fallback", None
        return "failed", MigmaError(
            f"The mailer {self.name!r} of FALLBACK sent nothing, and did not say why",
            hint="Look into its log, and turn fail_silently off in its options, so that it raises its errors.",
        )

    def close(self) -> None:
        """Close the connection, if there is one. An error is ignored: the mail was sent before."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _open(self) -> BaseEmailBackend | None:
        """Return the open connection, or None if it cannot be opened.

        That is not tried again in this call, since each try may take a minute.
        """
        now = self._clock.monotonic()
        if now - self._used_at > MAX_IDLE:
            self.close()
        self._used_at = now
        if self._connection is None and self._open_error is None:
            try:
                self._connection = self.connect()
                if is_inside_logging():  # an error page waits for this mail
                    _limit_time(self._connection)
                self._connection.open()
            except Exception as error:  # noqa: BLE001 - whatever another mailer raises
                self.close()
                self._open_error = error
        return self._connection


def _is_left(status: RecipientStatus) -> bool:
    """Whether a recipient is left to this mailer. Those that wait for it have its name, others wait in the queue."""
    return not status.is_done or (status.status == "waiting" and bool(status.mailer))


def _limit_time(connection: BaseEmailBackend) -> None:
    """Shorten the timeout of an SMTP backend; other backends have none of this name."""
    if hasattr(connection, "timeout"):
        connection.timeout = min(connection.timeout or LOGGING_REQUEST_SECONDS, LOGGING_REQUEST_SECONDS)


def _is_refusal(error: Exception) -> bool:
    """Whether a mail server has clearly refused the message."""
    import smtplib  # noqa: PLC0415 - lazy: for an error only

    refusals = (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException, smtplib.SMTPNotSupportedError)
    return isinstance(error, refusals)


def open_fallback(name: str, backend: MigmaBackend, *, redirect_to: str | None) -> FallbackMailer:
    """Return the mailer of ``FALLBACK``, not connected yet. Raises `ConfigurationError` if it cannot be used."""
    problem, hint = fallback_problem(name)
    if problem:
        raise configuration_error(f"{setting_location('FALLBACK', backend.options)} {problem}. {hint}", backend.alias)
    return FallbackMailer(name, partial(_connect, name), redirect_to=redirect_to, clock=backend.clock)


def fallback_problem(name: str) -> tuple[str, str]:
    """Return what is wrong with a value of ``FALLBACK`` and what to do about it; empty texts for a good one."""
    path: Any = name
    if has_mailers():
        mailers = settings.MAILERS or {}
        if name not in mailers:
            near = difflib.get_close_matches(name, mailers, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Add it there."
            return f"names the mailer {name!r}, which is not in MAILERS", hint
        path = (mailers[name] or {}).get("BACKEND", SMTP)
    try:
        backend = import_string(path)
    except (ImportError, AttributeError) as error:  # AttributeError: the path is no string
        hint = "Give the dotted path of a backend class." if path == name else "Correct its BACKEND."
        return f"names {name!r}, whose backend {path!r} cannot be imported ({error})", hint
    if not hasattr(backend, "send_messages"):
        return f"names {name!r}, but {path!r} is no email backend", f"Name an email backend's class, such as {SMTP}."
    if isinstance(backend, type) and issubclass(backend, MigmaBackend):
        return f"names {name!r}, which sends through Migma too", "Name one that sends by other means, such as SMTP."
    return "", ""


def _connect(name: str) -> Any:
    if has_mailers():
        return mail.mailers[name]
    backend = import_string(name)
    # Django 6.1 warns if its SMTP backend is made without an alias. With EMAIL_BACKEND there is none to give.
    return backend(alias=None) if django.VERSION >= (6, 1) and name == SMTP else backend()


def _copy_for(message: EmailMessage, left: list[Address]) -> EmailMessage:
    changed = _copy(message, [address.addr_spec for address in left])
    wires = {address.wire for address in left}
    for name in ("to", "cc", "bcc"):
        values = filter(None, getattr(message, name) or ())
        setattr(changed, name, [value for value in values if parse(value, f"An address in {name!r}").wire in wires])
    return changed


def _redirected(message: EmailMessage, recipients: list[Address], redirect_to: str) -> EmailMessage:
    changed = _copy(message, [redirect_to])
    changed.to, changed.cc, changed.bcc = [redirect_to], [], []
    changed.subject = redirected_subject(str(message.subject or ""), recipients)
    headers = message.extra_headers or {}
    changed.extra_headers = {
        name: value for name, value in headers.items() if str(name).lower() not in _RECIPIENT_HEADERS
    }
    return changed


def _copy(message: EmailMessage, recipients: list[str]) -> EmailMessage:
    """A copy for these recipients alone, also where a subclass adds some in ``recipients()``."""
    changed = copy.copy(message)
    changed.recipients = partial(list, recipients)  # type: ignore[method-assign]
    return changed
