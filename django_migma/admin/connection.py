"""Where the admin's requests go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin

from django.db import connections, transaction

from django_migma.conf import Config
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import mailer

View = TypeVar("View", bound=Any)


@dataclass(frozen=True, kw_only=True)
class Destination:
    """The mailer in force and its settings, or the ``problem`` with them."""

    alias: str = ""
    is_sandbox: bool = False
    config: Config | None = None
    problem: str = ""

    @property
    def seen(self) -> str:
        """What a page says of it, for the page's form to bring back."""
        return f"{self.alias} {self.config.api_url}" if self.config else ""

    @property
    def inbox(self) -> str:
        """Where the sandbox shows what it has taken; empty for Migma itself."""
        return urljoin(self.config.api_url, "/_sandbox/messages") if self.config and self.is_sandbox else ""


def destination() -> Destination:
    """The default mailer, or the first that uses Migma."""
    try:
        chosen = mailer()
        config = chosen.config()
    except ConfigurationError as error:
        return Destination(problem=str(error))
    return Destination(alias=chosen.alias or "EMAIL_BACKEND", is_sandbox=chosen.is_sandbox, config=config)


def outside_transactions(view: View) -> View:
    """The view, outside the transactions of ``ATOMIC_REQUESTS``: it waits for Migma, and holds no lock meanwhile."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
