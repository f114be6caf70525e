"""Questions to Migma's API, each within a time; after an answer that would meet all alike, no more are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django_migma.api.client import MigmaClient
from django_migma.api.errors import AuthenticationError, InvalidResponse, MigmaError, NoResponse
from django_migma.backends.base import make_client
from django_migma.conf import Config

from .items import Item, not_checked

T = TypeVar("T")
SECONDS = 10.0
"""What one question may take in all."""


class NotAsked(MigmaError):
    """The question was not asked, for a reason that is known already."""


class Probe:
    """Asks with the key and address of one mailer; without a ``config`` it asks nothing.

    ``why`` is the reason that no more is asked, and empty while there is none.
    """

    def __init__(self, config: Config | None, why: str) -> None:
        self.why = "" if config else why
        # No retries: what one sees is how it is.
        self._client = make_client(config._replace(max_retries=0), seconds=SECONDS) if config else None

    def ask(self, question: Callable[[MigmaClient], T]) -> T | MigmaError:
        """The answer, or the error in its place."""
        if self._client is None or self.why:
            return NotAsked(self.why)
        try:
            return question(self._client)
        except MigmaError as error:
            if isinstance(error, NoResponse | InvalidResponse):
                self.why = "Migma does not answer"
            elif isinstance(error, AuthenticationError):
                self.why = "Migma does not accept the key"
            return error


def unanswered(name: str, error: MigmaError) -> Item:
    """The item for an error that says nothing about the question."""
    return not_checked(name, error.reason)
