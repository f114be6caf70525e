"""The backend that sends at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Protocol

from django.apps import apps

from django_migma import signals
from django_migma.api.errors import MigmaError
from django_migma.exceptions import ConfigurationError

from .base import LOGGING_SECONDS, MigmaBackend, make_client

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from django_migma.api import MigmaClient
    from django_migma.conf import Config
    from django_migma.stored_emails import Resolver

    from .delivery_log import DeliveryLog
    from .fallback import FallbackMailer


class MessageTaker(Protocol):
    """Takes the messages of one call. ``result`` returns ``sent_count``, or raises the error for the caller."""

    sent_count: int

    def send(self, messages: Iterable[EmailMessage]) -> None: ...

    def result(self) -> int: ...


class EmailBackend(MigmaBackend):
    """Sends Django's mail through Migma: one call per recipient, several in flight, one status per recipient."""

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        """Send messages (any iterable) and return how many have at least one accepted recipient.

        Raises the error itself for exactly one failure, `SendFailed` for more. Quiet mode swallows `MigmaError` and
        errors of the mailer of ``FALLBACK``, but never `ConfigurationError`. Each message carries ``migma_status``
        afterwards.

        Mail that a log record causes (``mail_admins`` in a handler) takes five seconds at most and raises nothing,
        whatever the settings: an error here would replace the page of the error that it reports.
        """
        if not email_messages:
            return 0
        from django_migma.message import mark_not_attempted  # noqa: PLC0415 - lazy: a good part of a start-up

        is_list = isinstance(email_messages, Sized)
        messages = iter(tuple(email_messages) if is_list else email_messages)  # a copy: receivers may change a list
        is_single = isinstance(email_messages, Sized) and len(email_messages) == 1
        for_logging = signals.is_inside_logging()
        dispatcher = failure = None
        try:
            dispatcher = self.dispatcher(is_single=is_single, for_logging=for_logging)
            dispatcher.send(messages)
            return dispatcher.result()
        except Exception as error:
            if not for_logging:
                raise
            failure = error
            self._write_to_stderr(error)
        finally:
            if is_list:  # what is left of it; a generator is not consumed further
                for message in messages:
                    mark_not_attempted(message, failure)
            sent_count = dispatcher.sent_count if dispatcher else 0
            signals.send_robust(signals.batch_finished, type(self), messages_sent=sent_count, alias=self.alias)
        return sent_count

    def dispatcher(self, *, is_single: bool, for_logging: bool) -> MessageTaker:
        """Return what takes the messages of one call. Raises `ConfigurationError`."""
        from .dispatcher import Dispatcher  # noqa: PLC0415 - lazy: with what it imports, most of a start-up

        config, client = self.open_client()
        resolver, fallback = self.resolver(config), self.open_fallback(config)
        log = None if for_logging else self.open_log(config)
        seconds = LOGGING_SECONDS if for_logging else math.inf
        return Dispatcher(self, client, config, resolver, fallback, log=log, is_single=is_single, seconds=seconds)

    def _write_to_stderr(self, error: Exception) -> None:
        # The text of an error that is not ours may hold anything.
        reason = str(error) if isinstance(error, MigmaError | ConfigurationError) else type(error).__name__
        mailer = f"the mailer {self.alias!r}" if self.alias else "Migma"
        signals.write_to_stderr(f"django_migma: Mail through {mailer} that a log record caused has failed: {reason}")

    def open_client(self) -> tuple[Config, MigmaClient]:
        """The settings in force and the client for one call. Raises `ConfigurationError`."""
        config = self.config()
        return config, make_client(config, seconds=self.time_limit, clock=self.clock)

    def resolver(self, config: Config) -> Resolver:
        """Return what finds stored emails by their keys during one call."""
        return stored_email_resolver(config)

    def open_fallback(self, config: Config) -> FallbackMailer | None:
        """The mailer of ``FALLBACK`` for one call, not connected yet. Raises `ConfigurationError`."""
        if not config.fallback:
            return None
        from .fallback import open_fallback  # noqa: PLC0415 - lazy: few sites need it

        return open_fallback(config.fallback, self, redirect_to=config.redirect_to)

    def open_log(self, config: Config) -> DeliveryLog | None:
        """What writes the rows of one call; None where ``DELIVERY_LOG`` is off, or the app is not installed.

        Tests are always logged. Mail that a log record causes never is, and this is not called: the database may be
        what is broken, and a visitor waits.
        """
        is_on = config.delivery_log or self.test_batch
        if not is_on or not (apps.apps_ready and apps.is_installed("django_migma")):
            return None
        from .delivery_log import DeliveryLog  # noqa: PLC0415 - models need the app

        return DeliveryLog(self.alias, config, test_batch=self.test_batch, test_row=self.test_row)


def stored_email_resolver(config: Config, *, rows_complete_declared: bool = True) -> Resolver:
    """Return what finds stored emails by their keys during one call.

    Without the app, these are the keys of ``STORED_EMAILS``. ``rows_complete_declared``: a row with such a key adds
    what the setting leaves out.
    """
    from django_migma.stored_emails import DeclaredEmails, SettingsResolver  # noqa: PLC0415 - lazy, for sends only

    declared = DeclaredEmails(config.stored_emails)
    if not (apps.apps_ready and apps.is_installed("django_migma")):
        return SettingsResolver(declared)
    from django_migma.models.stored_email import StoredEmailResolver  # noqa: PLC0415 - models need the app

    return StoredEmailResolver(declared, rows_complete_declared=rows_complete_declared)
