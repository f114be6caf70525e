"""Whether the stored emails that settings and code name exist, and fit what the settings say of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress

from django_migma.api import errors
from django_migma.api.errors import MigmaError, NotFound
from django_migma.api.resources import Email
from django_migma.api.types import is_object_id
from django_migma.models import UNREADABLE, StoredEmail
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.stored_emails import DeclaredEmails, StoredEmailData
from django_migma.variables import placeholder_names

from .probe import ApiProbe, Finding, not_checked
from .references import find_references

_MAX_IDS = 20  # ids in code that Migma is asked for
DECLARED, KEYS, _IDS = "keys in settings", "keys in code", "ids in code"


def check_declared(probe: ApiProbe, declared: list[StoredEmailData]) -> Generator[Finding, None, None]:
    """Whether the emails of ``STORED_EMAILS`` exist and use the variables given there, and whether rows differ."""
    places = {stored.email_id or "": f"STORED_EMAILS[{stored.name!r}]" for stored in declared}
    known: dict[str, Email] = {}
    yield from _check_ids(probe, places, DECLARED, known)
    with suppress(*UNREADABLE):  # check_references() reports it
        rows = dict(StoredEmail.objects.named().values_list("key", "email_id"))
        different = [stored.name for stored in declared if rows.get(stored.name, stored.email_id) != stored.email_id]
        for name in different:
            advice = "Give the row another key, or the setting its id: mail is sent with the id in the settings."
            yield Finding(
                DECLARED, "warning", f"the row of the key {name!r} has another id than STORED_EMAILS", advice
            )
    for stored in declared:
        if (email := known.get(stored.email_id or "")) and (unused := _unused_variables(stored, email)):
            text = f"STORED_EMAILS[{stored.name!r}] has variables that the email does not use: {', '.join(unused)}"
            yield Finding(DECLARED, "warning", text, "Correct their names, or leave them out.")


def _unused_variables(stored: StoredEmailData, email: Email) -> list[str]:
    named = {*stored.default_variables, *stored.optional_variables, *stored.sample_variables}
    texts = (stored.subject, email.subject, email.preheader, email.html)
    return sorted(named.difference(placeholder_names(*texts))) if email.html else []


def check_references(probe: ApiProbe, declared: DeclaredEmails) -> Generator[Finding, None, None]:
    """Whether each ``template_id`` in the project's code leads to a stored email."""
    places = {value: _first(found) for value, found in find_references().items()}
    yield from _check_keys({value: place for value, place in places.items() if not is_object_id(value)}, declared)
    ids = {value: place for value, place in places.items() if is_object_id(value)}
    yield from _check_ids(probe, ids, _IDS, {})


def _first(places: list[str]) -> str:
    return f"{places[0]} and {len(places) - 1} more" if len(places) > 1 else places[0]


def _check_keys(keys: dict[str, str], declared: DeclaredEmails) -> Iterator[Finding]:
    resolve, others = StoredEmailResolver(declared), keys.keys() - set(declared)
    try:
        gone = set(StoredEmail.objects.filter(status=StoredEmail.Status.GONE).values_list("key", flat=True))
        faults = [fault for key in keys if key in others and (fault := _check_key(key, keys[key], resolve, gone))]
    except UNREADABLE as error:
        text = f"the table of stored emails cannot be read ({type(error).__name__})"
        advice = "Check the database, and run manage.py migrate."
        yield Finding(KEYS, "error" if others else "warning", text, advice)
        return
    yield from faults
    if not faults:
        yield Finding(KEYS, "ok", f"{len(keys)} found, each with its stored email" if keys else "none found")


def _check_key(key: str, place: str, resolve: StoredEmailResolver, gone: set[str | None]) -> Finding | None:
    try:
        resolve(key)
    except errors.StoredEmailNotFound as error:
        advice = f"{error.hint} If the email is new at Migma, run manage.py migma_sync first."
        return Finding(KEYS, "error", f"{place}: {error.reason}.", advice)
    if key in gone:
        advice = "Give the key to another stored email, or restore this one at Migma."
        return Finding(KEYS, "error", f"{place}: the stored email {key!r} is no longer at Migma", advice)
    return None


def _check_ids(probe: ApiProbe, ids: dict[str, str], name: str, known: dict[str, Email]) -> Iterator[Finding]:
    """Whether Migma knows these ids, each with its place. Collects in ``known`` what it answers."""
    unknown = False
    for email_id, place in list(ids.items())[:_MAX_IDS]:
        answer = probe.get_email(email_id)
        if isinstance(answer, NotFound):
            unknown = True
            advice = f"It must be the id of an email, not of a conversation. {answer.hint}"
            yield Finding(name, "error", f"{place}: Migma does not know the stored email {email_id}", advice)
        elif isinstance(answer, MigmaError):
            yield not_checked(name, answer.reason)
            return
        else:
            known[email_id] = answer
    if (more := len(ids) - _MAX_IDS) > 0:
        yield not_checked(name, f"{more} of {len(ids)}, since Migma is asked for {_MAX_IDS} at most")
    elif ids and not unknown:
        yield Finding(name, "ok", f"{len(ids)} found, each known to Migma")
