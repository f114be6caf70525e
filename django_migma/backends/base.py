"""The base class of our backends: options, settings, and the API client made from them."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import django
from django.core.mail.backends.base import BaseEmailBackend

from django_migma.api.credentials import Secret
from django_migma.api.retries import Clock
from django_migma.conf import OPTION_NAMES, Config, get_setting, load_config
from django_migma.signals import is_inside_logging

if TYPE_CHECKING:
    from django_migma.api import MigmaClient

    from .outgoing import OutgoingMessage

LOGGING_SECONDS = 5.0  # for mail that a log record causes: a visitor waits meanwhile for the error page
LOGGING_REQUEST_SECONDS = 4.0  # for the one attempt of each such request, so that it ends with an error of its own


class MigmaBackend(BaseEmailBackend):
    """Takes every setting of ``MIGMA`` in lower case as a keyword, and passes on unknown ones.

    Under an alias, Django raises ``InvalidMailer`` for an unknown option; without one, there is a warning. ``clock``
    is what waits and deadlines go by, for subclasses in tests. ``test_batch`` marks the rows of what it sends as
    tests: it is the id of the confirmation that sends them. ``test_row`` is the id of a row that was written for the
    mail beforehand, and ``time_limit`` the seconds that each request may take with its repeats.
    """

    clock = Clock()
    test_batch = ""
    test_row = 0
    time_limit = math.inf

    def __init__(self, fail_silently: bool | None = None, *, alias: str | None = None, **kwargs: Any) -> None:
        if isinstance(kwargs.get("api_key"), str):
            kwargs["api_key"] = Secret(kwargs["api_key"])  # before anything can raise and show it
        self.options = {name: kwargs.pop(name) for name in OPTION_NAMES & kwargs.keys()}
        # send_mail() before 6.1 always passes fail_silently=False, which means nothing; as an option it does.
        if fail_silently or (fail_silently is not None and alias is not None):
            self.options["fail_silently"] = fail_silently
        if alias is None:
            kwargs = {name: value for name, value in kwargs.items() if name not in {"username", "password"}}
        if django.VERSION >= (6, 1):
            super().__init__(alias=alias, **kwargs)
        else:
            super().__init__()
            _warn_of(sorted(kwargs))
        self.alias = alias
        self.fail_silently = bool(get_setting("FAIL_SILENTLY", self.options))

    def config(self) -> Config:
        """The settings in force now, with short limits while a log record is handled. Raises `ConfigurationError`."""
        config = load_config(self.options, self.alias)
        if not is_inside_logging():
            return config
        seconds = min(config.retry_deadline, LOGGING_REQUEST_SECONDS)
        return config._replace(max_retries=0, retry_deadline=seconds, fail_silently=False)  # errors go to stderr

    def message_finished(self, outgoing: OutgoingMessage) -> None:
        """Called for each message whose calls are over, before ``post_send``. For subclasses."""


def _warn_of(unknown: list[str]) -> None:
    """Warn of unknown keywords, which Django before 6.1 ignores."""
    import difflib  # noqa: PLC0415 - lazy: for a mistake only

    for name in unknown:
        near = difflib.get_close_matches(name, OPTION_NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        warnings.warn(f"The Migma backend does not know the option {name!r}.{hint}", RuntimeWarning, stacklevel=4)


def make_client(config: Config, *, seconds: float = math.inf, clock: Clock | None = None) -> MigmaClient:
    """A client with these settings. ``seconds`` bounds each request in all, if the settings allow more."""
    from django_migma.api.client import MigmaClient  # noqa: PLC0415 - lazy: some 10 ms that start-up can do without

    connect, read = config.timeout
    return MigmaClient(
        config.api_key,
        api_url=config.api_url,
        allow_http=config.allow_http,
        timeout=(min(connect, seconds), min(read, seconds)),
        max_retries=config.max_retries,
        retry_deadline=min(config.retry_deadline, seconds),
        rate_limit=config.rate_limit or "",
        clock=clock,
    )
