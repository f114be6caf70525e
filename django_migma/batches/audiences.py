"""Segments and tags by their name or id: Migma takes ids only, and people know names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django_migma.api.errors import Forbidden, UnusableAudience
from django_migma.api.types import is_object_id
from django_migma.exceptions import ConfigurationError
from django_migma.stored_emails import near_keys

if TYPE_CHECKING:
    from django_migma.api import MigmaClient

_PAGE = 100  # tags that one request asks for
_MAX_PAGES = 100  # a list without an end must not keep a command for ever


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Everybody in a segment or with a tag. ``kind``: segment or tag.

    ``count`` is the number of people as Migma lists it, unsubscribed ones perhaps included. It is None, and ``name``
    empty, where the list could not be read.
    """

    kind: str
    id: str
    name: str = ""
    count: int | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" if self.name else f"{self.kind} {self.id}"


def find_audience(client: MigmaClient, project_id: str, *, segment: str | None, tag: str | None) -> Audience:
    """Return the segment or tag of this name or id.

    Raises `UnusableAudience` for one that is unknown, not the only one of its name, or empty; `ConfigurationError`
    for a name without a project; ValueError unless either a segment or a tag is given; the errors of the API.
    """
    if bool(segment) == bool(tag):
        raise ValueError("Give a segment or a tag: one of them.")
    kind, given = ("segment", segment) if segment else ("tag", tag or "")
    if not project_id:
        if not is_object_id(given):
            raise ConfigurationError(
                f"The {kind} {given!r} is a name, and names need a project. Set PROJECT_ID, run migma_sync, whose "
                f"stored emails know their project, or give the id of the {kind}: 24 hex digits."
            )
        return Audience(kind=kind, id=given)
    try:
        known = list(_audiences(client, project_id, kind))
    except Forbidden:
        if is_object_id(given):  # all that Migma needs; a key may send and not list
            return Audience(kind=kind, id=given)
        raise
    found = _matching(known, given, kind)
    if found.count == 0:
        raise UnusableAudience(f"The {found} is empty", hint="Nobody would get the mail. Add contacts at Migma.")
    return found


def _audiences(client: MigmaClient, project_id: str, kind: str) -> Iterator[Audience]:
    if kind == "segment":
        for each in client.list_segments(project_id):
            yield Audience(kind=kind, id=each.id, name=each.name, count=each.count)
        return
    for number in range(1, _MAX_PAGES + 1):
        page = client.list_tags(project_id, limit=_PAGE, page=number)
        for tag in page.items:
            yield Audience(kind=kind, id=tag.id, name=tag.name, count=tag.count)
        if not (page.has_more and page.items):
            break


def _matching(known: list[Audience], given: str, kind: str) -> Audience:
    found = [each for each in known if given in (each.id, each.name)] or [
        each for each in known if each.name.casefold() == given.casefold() or each.id == given.lower()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{each.id} ({_people(each)})" for each in found)
        raise UnusableAudience(f"{len(found)} {kind}s have the name {given!r}", hint=f"Give one of the ids: {ids}.")
    names = [each.name for each in known]
    hint = near_keys(given, names) or f"Known are {', '.join(map(repr, names[:10]))}." if names else "There is none."
    raise UnusableAudience(f"The project has no {kind} {given!r}", hint=hint)


def _people(audience: Audience) -> str:
    return "unknown size" if audience.count is None else f"{audience.count} people"
