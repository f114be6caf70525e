"""Whether the domains that mail is sent from are verified at Migma."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from django_migma.addresses import parse
from django_migma.api.errors import Forbidden, InvalidAddress, MigmaError
from django_migma.api.resources import Domain
from django_migma.conf import is_set
from django_migma.mailers import Mailer
from django_migma.models import StoredEmail
from django_migma.testsends import UNREADABLE

from . import items
from .items import Item
from .probe import Probe, unanswered

_PERMISSION = "permission domain:read"


def senders(probe: Probe, mailer: Mailer, *, sandbox: bool) -> Iterator[Item]:
    """The permission to see domains, and an item for each domain that something here sends from."""
    answers = [
        probe.ask(lambda client: client.list_domains()),
        probe.ask(lambda client: client.list_domains(managed=True)),
    ]
    yield _permission(answers)
    listed = {domain.domain.lower(): domain for answer in answers if isinstance(answer, tuple) for domain in answer}
    failures = [answer for answer in answers if isinstance(answer, MigmaError)]
    for domain, places in _domains(mailer).items():
        yield _sender(domain, ", ".join(places), listed, failures, sandbox=sandbox)


def _permission(answers: list[tuple[Domain, ...] | MigmaError]) -> Item:
    for answer in answers:
        if isinstance(answer, Forbidden):
            advice = "Give it to the key in Migma's dashboard to have senders checked; sending does not need it."
            return items.warning(_PERMISSION, "the key lacks it", advice)
        if isinstance(answer, MigmaError):
            return unanswered(_PERMISSION, answer)
    return items.ok(_PERMISSION, "the key has it")


def _domains(mailer: Mailer) -> dict[str, list[str]]:
    """The domains by name, each with the places that send from it; an empty name for what is no address."""
    found: dict[str, list[str]] = {}
    for place, address in _addresses(mailer):
        found.setdefault(_domain(address), []).append(place)
    return found


def _addresses(mailer: Mailer) -> Iterator[tuple[str, str]]:
    own = mailer.value("FROM_EMAIL")
    yield ("FROM_EMAIL", str(own)) if is_set(own) else ("DEFAULT_FROM_EMAIL", settings.DEFAULT_FROM_EMAIL)
    try:
        rows = list(StoredEmail.objects.exclude(from_email="").defer("html"))
    except UNREADABLE:  # the item on keys tells
        return
    for row in rows:
        yield f"stored email {row.as_stored().name!r}", row.from_email


def _domain(address: str) -> str:
    try:
        return parse(address, "sender").wire.rpartition("@")[2].lower()
    except InvalidAddress:
        return ""


def _sender(
    domain: str, places: str, listed: dict[str, Domain], failures: list[MigmaError], *, sandbox: bool
) -> Item:
    name = f"sender {domain}" if domain else "sender"
    if not domain:
        return items.error(name, f"{places}: not an address", "Write it as Example <hello@example.com>.")
    if domain in listed:
        if listed[domain].usable:
            return items.ok(name, f"verified ({places})")
        return items.error(name, f"not verified yet ({places})", "Finish its DNS records in Migma's dashboard.")
    if failures:
        return unanswered(name, failures[0])
    if sandbox:  # it may have been told to take any
        advice = "It takes the sender all the same if it was started with --verified-domain."
        return items.warning(name, f"the sandbox does not list the domain ({places})", advice)
    return items.error(
        name,
        f"Migma does not know the domain ({places})",
        "Add it in Migma's dashboard, or send from one that it has.",
    )
