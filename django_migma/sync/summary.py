"""What a sync did, and what to do where it could not."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.api.errors import (
    AuthenticationError,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    MigmaError,
    NoResponse,
    NotFound,
    RateLimited,
)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A conversation that could not be read, or not as a whole. ``str()`` is a line with what to do."""

    conversation_id: str
    title: str
    error: MigmaError

    def __str__(self) -> str:
        advice = gettext("Sync again later; if it stays so, open it at Migma.")
        return f"{self.title or '-'} ({self.conversation_id or '-'}): {self.error.reason}. {advice}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a sync does to one row. ``what``: created, updated or gone; ``fields``: what an update changes."""

    what: str
    name: str
    fields: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Summary:
    """What a sync did, or would do if ``dry_run``.

    ``created``, ``updated``, ``unchanged`` and ``gone`` count rows. ``left`` counts conversations that were not
    looked at, because the time ran out or a rate limit left none: a repeat begins with them. ``complete`` is False
    where the list had no end or changed while it was read. Nothing is marked as gone in either case.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    gone: int = 0
    broken: list[Broken] = field(default_factory=list)
    left: int = 0
    dry_run: bool = False
    complete: bool = True
    changes: list[Change] = field(default_factory=list)

    def note(self, change: Change) -> None:
        """Count a change; one that changes nothing is ``unchanged``."""
        setattr(self, change.what, getattr(self, change.what) + 1)
        if change.what != "unchanged":
            self.changes.append(change)


_ADVICE = (
    (AuthenticationError, AuthenticationError.hint),
    (Forbidden, _("Give the API key the permission email:read in Migma's dashboard.")),
    (
        (NotFound, InvalidRequest),
        _("Check the id of the project, and that it belongs to the workspace of this API key."),
    ),
    (RateLimited, _("Wait a minute, then sync again.")),
    (NoResponse, _("Check API_URL, DNS, proxy and firewall, then sync again.")),
    (InvalidResponse, InvalidResponse.hint),
    (MigmaError, _("Sync again later; if it lasts, see Migma's status page.")),
)


def explained(error: MigmaError) -> str:
    """What happened and what to do, for an error that a sync raised: its own hint is about sends."""
    return f"{error.reason}. {next(advice for kind, advice in _ADVICE if isinstance(error, kind))}"
