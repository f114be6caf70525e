"""What a checkup yields, and the probe with which its sections ask Migma's API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django_migma.api import errors
from django_migma.api.client import MigmaClient
from django_migma.api.errors import InvalidResponse, MigmaError, NoResponse
from django_migma.api.resources import Email
from django_migma.backends.base import make_client
from django_migma.conf import Config

T = TypeVar("T")
_TIMEOUT = 10.0  # seconds that one request may take in all


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    ``status``: ``ok``; ``warning``: mail is sent all the same; ``error``: some mail will fail, or all of it;
    ``not_checked``: nothing could be found out. ``text`` says what was found, ``advice`` what to do about it.
    """

    name: str
    status: str
    text: str
    advice: str = ""


def not_checked(name: str, reason: str) -> Finding:
    return Finding(name, "not_checked", f"not checked: {reason}")


class ApiProbe:
    """Makes single requests to Migma's API with the key and address of a mailer, until one shows that all would fail.

    ``skip_reason`` says why no more are made; it is empty while they are.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.skip_reason = "" if config else "the settings must be right first"
        # Without retries, which would hide that the first request failed.
        self._client = make_client(config._replace(max_retries=0), seconds=_TIMEOUT) if config else None

    def call(self, request: Callable[[MigmaClient], T]) -> T | MigmaError:
        if self._client is None or self.skip_reason:
            return MigmaError(self.skip_reason)
        try:
            return request(self._client)
        except MigmaError as error:
            if isinstance(error, NoResponse | InvalidResponse):
                self.skip_reason = "Migma does not answer"
            elif isinstance(error, errors.AuthenticationError):
                self.skip_reason = "Migma does not accept the key"
            return error

    def get_email(self, email_id: str) -> Email | MigmaError:
        return self.call(lambda client: client.get_email(email_id))
