"""Whether the stored emails are there that the code of the project calls by a key or by Migma's id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from django_migma.api.errors import MigmaError, NotFound, StoredEmailNotFound
from django_migma.api.resources import Email
from django_migma.api.types import is_object_id
from django_migma.models import StoredEmail
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.testsends import UNREADABLE

from . import items
from .items import Item
from .probe import Probe, unanswered
from .references import Reference, references

_KEYS, _IDS = "keys in code", "ids in code"
_MOST_IDS = 20
"""Questions to Migma."""
_PERHAPS = "It is given to a call that may not be about mail; if it is: "
Found = Mapping[str, Sequence[Reference]]


def in_code(probe: Probe) -> Iterator[Item]:
    """An item for each key that no stored email has, and for each key or id that Migma has no email for (any more).

    An error where the code surely means a stored email, see `Reference.certain`; otherwise a warning.
    """
    keys: dict[str, list[Reference]] = {}
    ids: dict[str, list[Reference]] = {}
    for found in references():
        is_id = is_object_id(found.value)
        (ids if is_id else keys).setdefault(found.value.lower() if is_id else found.value, []).append(found)
    yield from _keys(keys)
    yield from _ids(ids, probe)


def _keys(keys: Found) -> Iterator[Item]:
    find = StoredEmailResolver()
    try:
        gone = set(StoredEmail.objects.filter(status=StoredEmail.Status.GONE).values_list("key", flat=True))
        wrong = [item for key, places in keys.items() if (item := _wrong(key, places, find, gone))]
    except UNREADABLE as error:
        certain = any(found.certain for places in keys.values() for found in places)
        problem = f"the table of stored emails cannot be read ({type(error).__name__})"
        yield (items.error if certain else items.warning)(
            _KEYS, problem, "Check the database, and run manage.py migrate."
        )
        return
    yield from wrong
    if not wrong:
        yield items.ok(_KEYS, f"{len(keys)}, and each has its stored email" if keys else "there are none")


def _wrong(key: str, places: Sequence[Reference], find: StoredEmailResolver, gone: set[str | None]) -> Item | None:
    try:
        find(key)
    except StoredEmailNotFound as error:
        return _fault(_KEYS, places, str(error), "Correct the key, or run manage.py migma_sync.")
    if key in gone:
        advice = "Give the key to another stored email, or restore this one at Migma."
        return _fault(_KEYS, places, f"the stored email {key!r} is no longer at Migma", advice)
    return None


def _ids(ids: Found, probe: Probe) -> Iterator[Item]:
    wrong = False
    for email_id, places in list(ids.items())[:_MOST_IDS]:
        answer = _asked(probe, email_id)
        if isinstance(answer, NotFound):
            wrong = True
            advice = "Correct the id: that of an email, not of a conversation, in the workspace of the API key."
            yield _fault(_IDS, places, f"Migma does not know the stored email {email_id}", advice)
        elif isinstance(answer, MigmaError):
            yield unanswered(_IDS, answer)
            return
    if (more := len(ids) - _MOST_IDS) > 0:
        yield items.not_checked(_IDS, f"{more} of {len(ids)}, since Migma is asked for {_MOST_IDS} at most")
    elif ids and not wrong:
        yield items.ok(_IDS, f"{len(ids)}, and Migma has each")


def _asked(probe: Probe, email_id: str) -> Email | MigmaError:
    return probe.ask(lambda client: client.get_email(email_id))


def _fault(name: str, places: Sequence[Reference], text: str, advice: str) -> Item:
    """What is wrong, with the first place that is certain, or else the first."""
    first = next((found for found in places if found.certain), places[0])
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    told = f"{first.place}{more}: {text}"
    if first.certain:
        return items.error(name, told, advice)
    return items.warning(name, told, f"{_PERHAPS}{advice[0].lower()}{advice[1:]}")
