"""Asking Migma within a time: the list of a project's emails, and what each conversation holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django_migma.api.clock import Clock
from django_migma.api.errors import InvalidResponse, RateLimited
from django_migma.api.types import is_object_id
from django_migma.backends.base import make_client
from django_migma.conf import Config

if TYPE_CHECKING:
    from django_migma.api.client import MigmaClient
    from django_migma.api.resources import Email, EmailSummary, Page

T = TypeVar("T")
PAGE = 100
"""Conversations: the most that Migma lists at once."""
MOST_PAGES = 1_000
"""A list that goes on beyond them has no end."""
_SHORTEST = 0.05
"""Seconds that a request gets at least."""
_PAUSE = 5.0
"""Seconds to wait after a 429 that does not say how long."""


class Asking:
    """Asks under one deadline: each request gets what is left of ``seconds``, waits for rate limits included."""

    def __init__(self, config: Config, seconds: float, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._seconds = seconds
        self._end = clock.monotonic() + seconds
        self._may_wait = config.rate_limit_wait

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - self._clock.monotonic()

    @property
    def is_half_over(self) -> bool:
        """Whether less than half of the time is left."""
        return self.left < self._seconds / 2

    def ask(self, question: Callable[[MigmaClient], T]) -> T:
        """The answer; waits for a rate limit, within ``RATE_LIMIT_WAIT`` in all. Raises `MigmaError`."""
        while True:
            client = make_client(self._config, seconds=max(self.left, _SHORTEST), clock=self._clock)
            try:
                return question(client)
            except RateLimited as error:
                pause = error.retry_after or _PAUSE
                if pause > self._may_wait or pause >= self.left:
                    raise
            self._may_wait -= pause
            self._clock.sleep(pause)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Conversations by id. ``complete``: there are no others. ``unread``: others for which there was no time."""

    items: dict[str, EmailSummary]
    complete: bool
    unread: int = 0


def listed(asking: Asking, project_id: str) -> Listing:
    """The finished conversations of a project: to the end of the list, or until half of the time is over."""
    items: dict[str, EmailSummary] = {}
    totals = set()
    for number in range(1, MOST_PAGES + 1):
        page = _page(asking, project_id, number)
        before = len(items)
        for item in page.items:
            items.setdefault(item.conversation_id.lower(), item)
        totals.add(page.total)
        missing = (page.total or 0) - len(items)
        if not page.has_more and missing <= 0:
            return Listing(items=items, complete=len(totals) == 1)  # else some may have slipped to a page before
        if len(items) == before:
            break
        if asking.is_half_over:
            return Listing(items=items, complete=False, unread=max(1, missing))
    return Listing(items=items, complete=False)


def _page(asking: Asking, project_id: str, number: int) -> Page[EmailSummary]:
    page = asking.ask(lambda client: client.list_emails(project_id, status="completed", limit=PAGE, page=number))
    if not isinstance(page.raw.get("emails"), list):  # not to be taken for an empty list: all rows would be gone
        raise InvalidResponse("Migma's list of emails has a form that is not known")
    return page


def emails_of(asking: Asking, conversation_id: str) -> tuple[Email, ...]:
    """The emails of a conversation, at least one. Raises `MigmaError`."""
    if not is_object_id(conversation_id):
        raise InvalidResponse("Migma lists it without an id of 24 hex digits.")
    status = asking.ask(lambda client: client.generation_status(conversation_id))
    if not status.emails:
        raise InvalidResponse(f"Migma shows no email in it (status: {status.status or 'none'}).")
    return status.emails
