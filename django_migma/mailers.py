"""The mailers of this site that use our backend, and the settings in force for each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin

from django.conf import settings
from django.utils.module_loading import import_string

from .api.credentials import Secret, account_digest, is_local
from .backends import queue
from .backends.base import MigmaBackend
from .conf import Config, get_setting, has_mailers, load_config, setting_location
from .exceptions import ConfigurationError, configuration_error
from .stored_emails import DeclaredEmails


class Mailer(NamedTuple):
    """A mailer that uses our backend: its alias (None under ``EMAIL_BACKEND``) and its options, the key masked.

    ``uses_queue``: its backend is that of the queue, or a subclass.
    """

    alias: str | None
    options: Mapping[str, Any]
    uses_queue: bool = False

    def value(self, name: str) -> Any:
        """Return the value of a setting that is in force for this mailer."""
        return get_setting(name, self.options)

    def describe(self, name: str, problem: str) -> str:
        """Return an error text that starts with the place of the setting."""
        place = setting_location(name, self.options)
        return f"{f'MAILERS[{self.alias!r}] ' if place.startswith('OPTIONS') else ''}{place} {problem}."

    def config(self) -> Config:
        """Return the settings in force, validated.

        Raises `ConfigurationError`, also where a callable ``API_KEY`` raises. Only the type of that error is named,
        since its text may hold secrets.
        """
        try:
            return load_config(self.options, self.alias)
        except ConfigurationError:
            raise
        except Exception as error:
            if not callable(self.value("API_KEY")):
                raise
            problem = f"is a callable, and it raised {type(error).__name__}. Try it in manage.py shell."
        raise configuration_error(f"{setting_location('API_KEY', self.options)} {problem}", self.alias)

    def stored_emails(self) -> DeclaredEmails:
        """Return the stored emails that the settings declare for this mailer."""
        declared = self.value("STORED_EMAILS")
        return DeclaredEmails(declared if isinstance(declared, Mapping) else {})

    @property
    def is_sandbox(self) -> bool:
        """Whether the API address is on this machine."""
        return is_local(str(self.value("API_URL")))

    def mail_url(self, message_id: str) -> str:
        """Return the page of a mail in the inbox of the sandbox; empty for Migma itself, and without an id."""
        return _mail_url(str(self.value("API_URL")), message_id) if self.is_sandbox else ""


def mailers() -> Iterator[Mailer]:
    """Return every mailer that uses our backend or a subclass of it."""
    if has_mailers():
        configured: Mapping[str, Any] = settings.MAILERS or {}
        for alias, mailer in configured.items():
            chosen = mailer or {}
            if is_ours(path := chosen.get("BACKEND")):
                options = _mask_key(chosen.get("OPTIONS") or {})
                yield Mailer(alias=alias, options=options, uses_queue=_is_queue(path))
        return
    with warnings.catch_warnings():  # Django 6.1 deprecates the setting, and has warned where the site sets it
        warnings.simplefilter("ignore")
        backend = settings.EMAIL_BACKEND
    if is_ours(backend):
        yield Mailer(alias=None, options={}, uses_queue=_is_queue(backend))


def _mask_key(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options with the key as a `Secret`: logs and debug pages show the ``repr`` of a mailer."""
    key = options.get("api_key")
    return {**options, "api_key": Secret(key)} if isinstance(key, str) else options


def is_ours(path: Any) -> bool:
    """Whether the path of a backend leads to ours or a subclass of it."""
    if not isinstance(path, str):
        return False
    try:
        backend = import_string(path)
    except ImportError:  # Django reports it when the mailer is used
        return False
    return isinstance(backend, type) and issubclass(backend, MigmaBackend)


def _is_queue(path: Any) -> bool:
    return issubclass(import_string(path), queue.EmailBackend)


def mailer(alias: str | None = None) -> Mailer:
    """Return the mailer of an alias; without one, the default mailer, or else the first that uses our backend.

    Raises `ConfigurationError` where no mailer fits.
    """
    ours = {found.alias: found for found in mailers()}
    if alias is not None:
        if alias not in ours:
            known = ", ".join(repr(name) for name in ours if name is not None) or "none"
            raise ConfigurationError(
                f"There is no mailer {alias!r} that uses Migma in MAILERS. Those that do: {known}."
            )
        return ours[alias]
    if not ours:
        raise ConfigurationError(
            "No mailer uses Migma. Set MAILERS['default']['BACKEND'] (EMAIL_BACKEND before Django 6.1) to "
            "'django_migma.backends.EmailBackend'."
        )
    return ours.get("default") or next(iter(ours.values()))


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a mailer sends: its alias (empty under ``EMAIL_BACKEND``) and settings, or the ``problem`` with them."""

    alias: str = ""
    is_sandbox: bool = False
    config: Config | None = None
    problem: str = ""

    @property
    def redirect_to(self) -> str:
        """The address that gets all mail in place of its recipients; empty where there is none."""
        return (self.config and self.config.redirect_to) or ""

    @property
    def fingerprint(self) -> str:
        """A text that changes with the destination, for a form to send back."""
        return f"{self.alias} {self.config.api_url} {self.redirect_to}".strip() if self.config else ""

    @property
    def account(self) -> str:
        """The `account_digest` of address and key, within which Migma recognises idempotency keys; or empty."""
        return account_digest(self.config.api_url, self.config.api_key) if self.config else ""

    def mail_url(self, message_id: str) -> str:
        """Return the page of a mail in the inbox of the sandbox; empty for Migma itself, and without an id."""
        return _mail_url(self.config.api_url, message_id) if self.config and self.is_sandbox else ""

    def search_url(self, address: str) -> str:
        """Return the page with all mail to an address in the inbox of the sandbox; empty for Migma itself."""
        query = quote(f"to:{address}", safe="")
        return urljoin(self.config.api_url, f"/?q={query}") if self.config and self.is_sandbox else ""


def _mail_url(api_url: str, message_id: str) -> str:
    return urljoin(api_url, f"/mail/{quote(message_id, safe='')}") if message_id else ""


def current_destination(alias: str | None = None) -> Destination:
    """Return the destination of a mailer; without an alias, of the default one, or the first that is ours."""
    try:
        chosen = mailer(alias)
        config = chosen.config()
    except ConfigurationError as error:
        return Destination(problem=str(error))
    return Destination(alias=chosen.alias or "", is_sandbox=chosen.is_sandbox, config=config)
