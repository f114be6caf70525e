"""The backend that queues mail: rows in the caller's transaction, which a worker sends after the commit."""

from __future__ import annotations

from django.apps import apps

from django_migma.conf import has_mailers
from django_migma.exceptions import configuration_error

from . import direct

MAX_ALIAS = 64  # characters, as many as the column takes


class EmailBackend(direct.EmailBackend):
    """Takes mail as the direct backend does, with the same options, and writes one row per recipient.

    A refusal is raised at once, as by the direct backend, and nothing of a refused message is written. An exception
    that stops the call, such as one of the iterable, of a receiver of ``pre_send`` or of the database, leaves no row
    of the call. ``send_messages`` returns how many messages have a recipient in the queue, and ``migma_status`` says
    ``waiting``, or what has become of an earlier mail with the caller's key. What Migma cannot carry goes to the
    mailer of ``FALLBACK`` after the commit; its errors are logged then.
    """

    def dispatcher(self, *, is_single: bool, for_logging: bool) -> direct.MessageTaker:
        """Return what takes the messages of one call. Raises `ConfigurationError`."""
        if error := alias_error(self.alias) or app_error():
            raise configuration_error(error, self.alias)
        from .enqueuer import Enqueuer  # noqa: PLC0415 - the model needs the app

        config = self.config()
        fallback = self.open_fallback(config)
        log = None if for_logging else self.open_log(config)  # of what goes to the mailer of FALLBACK
        return Enqueuer(self, config, self.resolver(config), fallback, log=log, uses_savepoint=for_logging)


def alias_error(alias: str | None) -> str:
    """Return why rows cannot name this mailer, or an empty string."""
    if alias is None and has_mailers():
        return (
            "A worker would not find this mailer again, since it has no alias. Send through one that MAILERS names, "
            "such as send(using='default')."
        )
    if len(alias or "") <= MAX_ALIAS:
        return ""
    return f"The queue takes aliases of {MAX_ALIAS} characters at most. Give this mailer a shorter one."


def app_error() -> str:
    """Return why there is no table for the queue, or an empty string."""
    if apps.apps_ready and apps.is_installed("django_migma"):
        return ""
    return (
        "The queue keeps mail in a table of django-migma's, and 'django_migma' is not in INSTALLED_APPS. Add it and "
        "run manage.py migrate, or use 'django_migma.backends.EmailBackend', which sends at once."
    )
