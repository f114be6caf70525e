"""The sync of a project: the list, then conversation by conversation, then what is gone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from django_migma.api.clock import Clock
from django_migma.api.errors import AuthenticationError, MigmaError, NoResponse, RateLimited
from django_migma.backends.base import make_client
from django_migma.conf import Config

from .asking import MOST_PAGES, PAGE, Asking, emails_of, listed
from .rows import Rows
from .summary import Summary

if TYPE_CHECKING:
    from django_migma.api.resources import EmailSummary, Project


def sync_project(
    config: Config,
    project_id: str,
    *,
    dry_run: bool = False,
    seconds: float = math.inf,
    progress: Callable[[int, int], None] | None = None,
    clock: Clock | None = None,
) -> Summary:
    """Bring the rows of a project up to date with its finished emails at Migma.

    Conversations that were never synced come first, then those synced longest ago; each is written as a whole, so
    an interruption at any point does no harm. ``seconds`` is for all requests together; waits for rate limits are
    bound by ``RATE_LIMIT_WAIT`` besides. ``progress`` gets the numbers of conversations done and of all. Raises
    `MigmaError` where the list cannot be read, the key is refused or Migma cannot be reached: what was done until
    then stays, and `explained` says what to do. ValueError for an empty ``project_id``.
    """
    asking = Asking(config, seconds, clock or Clock())
    listing = listed(asking, project_id)
    rows = Rows(project_id, Summary(dry_run=dry_run, complete=listing.complete))
    items = rows.longest_ago_first(listing.items)
    done = _done(asking, rows, items, progress or _silent)
    rows.summary.left = len(items) - done + listing.unread
    if listing.complete and not rows.summary.left:
        rows.mark_gone(listing.items.keys())
    return rows.summary


def _silent(done: int, total: int) -> None:
    """The progress that nobody follows."""


def _done(asking: Asking, rows: Rows, items: list[EmailSummary], progress: Callable[[int, int], None]) -> int:
    """Bring conversations up to date while there is time; how many."""
    progress(0, len(items))
    for done, item in enumerate(items):
        if asking.left <= 0 or not _bring_up_to_date(asking, rows, item):
            return done
        progress(done + 1, len(items))
    return len(items)


def _bring_up_to_date(asking: Asking, rows: Rows, item: EmailSummary) -> bool:
    """One conversation; False where there is no time for it."""
    try:
        emails = emails_of(asking, item.conversation_id)
    except RateLimited:
        return False
    except AuthenticationError:
        raise
    except NoResponse:
        if asking.left > 0:
            raise
        return False
    except MigmaError as error:
        rows.report(item, error)
    else:
        rows.take(item, emails)
    return True


def projects(config: Config) -> Iterator[Project]:
    """The account's projects, to choose from. Raises `MigmaError`."""
    client, offset = make_client(config), 0
    for _page in range(MOST_PAGES):
        page = client.list_projects(limit=PAGE, offset=offset)
        yield from page.items
        offset += len(page.items)
        if not (page.has_more and page.items):
            return
