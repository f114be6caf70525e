"""The backend that sends at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING

from django.apps import apps

from django_migma import signals
from django_migma.api.clock import Clock
from django_migma.signals import send_robust

from .base import MigmaBackend, make_client

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from django_migma.api import MigmaClient
    from django_migma.conf import Config
    from django_migma.content import Resolver

    from .batch import Batch, Job
    from .dispatcher import Dispatcher


class EmailBackend(MigmaBackend):
    """Sends Django's mail through Migma: one call per recipient, several in flight, one status per recipient.

    ``clock`` is the time that waits and deadlines go by. For subclasses in tests.
    """

    clock = Clock()

    def send_messages(self, email_messages: Iterable[EmailMessage]) -> int:
        """Send messages (any iterable) and return how many have at least one accepted recipient.

        Raises the error itself for exactly one failure, `SendFailed` for more, none of `MigmaError` in quiet mode;
        `ConfigurationError` always. Each message carries ``migma_status`` afterwards.
        """
        if not email_messages:
            return 0
        from .batch import Batch, mark_not_attempted  # noqa: PLC0415 - lazy: these two are most of a start-up
        from .dispatcher import Dispatcher  # noqa: PLC0415 - lazy

        alone = isinstance(email_messages, Sized) and len(email_messages) == 1
        # A copy of a list, since receivers may change it.
        messages = iter(tuple(email_messages) if isinstance(email_messages, Sized) else email_messages)
        batch = Batch(type(self), self.alias, self.settled, self.clock)
        try:
            config, client = self.set_up()
            with Dispatcher(client, config, batch, stored_emails(), alone=alone) as dispatcher:
                _feed(dispatcher, batch, messages)
        finally:
            if isinstance(email_messages, Sized):  # what is left of it; a generator is not consumed further
                mark_not_attempted(messages)
            send_robust(signals.batch_finished, type(self), messages_sent=batch.sent_count, alias=self.alias)
        return batch.result(fail_silently=config.fail_silently)

    def set_up(self) -> tuple[Config, MigmaClient]:
        """The settings in force and the client for one call. Raises `ConfigurationError`."""
        config = self.config()
        return config, make_client(config, clock=self.clock)

    def settled(self, job: Job) -> None:
        """Called for each message whose calls are over, before ``post_send``. For subclasses."""


def stored_emails() -> Resolver:
    """What knows stored emails by their keys, during one call; nothing does without the app."""
    if not (apps.apps_ready and apps.is_installed("django_migma")):
        from django_migma.content import resolve_without_app  # noqa: PLC0415 - lazy, as all that only a send needs

        return resolve_without_app
    from django_migma.models.stored_email import StoredEmailResolver  # noqa: PLC0415 - models need the app

    return StoredEmailResolver()


def _feed(dispatcher: Dispatcher, batch: Batch, messages: Iterator[EmailMessage]) -> None:
    for message in messages:
        dispatcher.add(message)
        if batch.stopped:
            return
