"""The order of the questions."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.mail import EmailMultiAlternatives

from django_migma.api.clock import Clock
from django_migma.conf import Config
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailer
from django_migma.testsends import send_live

from . import items
from .account import key, layout, permissions
from .items import Item
from .keys import in_code
from .probe import Probe
from .senders import senders
from .site import content_route, destination, system_checks

_SUBJECT = "A real test mail"
_BODY = "This mail was sent by manage.py migma_doctor: ordinary mail of this site goes out through Migma."


def examine(alias: str | None = None, *, send_to: str = "", clock: Clock | None = None) -> Iterator[Item]:
    """Look at everything, for the mailer of this alias, and yield what was found, item by item; raises nothing.

    Asks the API a handful of questions, and one for each id in the code, 20 at most: ten seconds each at most, and
    none after one that it does not answer. Sends nothing, unless ``send_to`` is an address: it gets an ordinary mail,
    in the mailer's own time.
    """
    found = _Found(clock or Clock())
    yield from _guarded("mailer", _choice(found, alias))
    yield from _guarded("system checks", system_checks())
    if chosen := found.mailer:
        yield from _guarded("settings", _settings(found, chosen))
        yield from _guarded("API", _account(found))
        yield from _guarded("senders", _senders(found, chosen))
        yield from _guarded("layout", layout(found.probe, chosen))
        yield from _guarded("ordinary mail", content_route(chosen))
    yield from _guarded("keys in code", in_code(found.probe))
    if send_to and chosen:
        yield from _guarded("real test", _real_test(chosen, found.probe, send_to))


def _guarded(name: str, section: Iterator[Item]) -> Iterator[Item]:
    """The items of a section; where it breaks down, an item that says so, without the error's text."""
    try:
        yield from section
    except Exception as error:  # noqa: BLE001 - the other sections count, and what comes up here nobody foresaw
        advice = "Look for a setting of an unusual type, or an import that fails; if there is none, report it to us."
        yield items.error(name, f"could not be looked at ({type(error).__name__})", advice)


class _Found:
    """What sections have found out for those after them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.mailer: Mailer | None = None
        self.config: Config | None = None
        self.probe = Probe(None, "the settings must be right first")


def _choice(found: _Found, alias: str | None) -> Iterator[Item]:
    """The mailer, or why there is none."""
    try:
        found.mailer = mailer(alias)
    except ConfigurationError as error:
        yield items.error("mailer", str(error))


def _settings(found: _Found, chosen: Mailer) -> Iterator[Item]:
    """The settings in force, or what is wrong with them."""
    try:
        found.config = chosen.config()
    except ConfigurationError as error:
        yield items.error("settings", str(error))
    else:
        found.probe = Probe(found.config, "")
        yield destination(chosen)


def _account(found: _Found) -> Iterator[Item]:
    """The key, and what it may do."""
    told, project_id = key(found.probe, found.clock)
    yield from told
    yield from permissions(found.probe, found.config.project_id or project_id if found.config else "")


def _senders(found: _Found, chosen: Mailer) -> Iterator[Item]:
    yield from senders(found.probe, chosen, sandbox=found.config is not None and chosen.is_sandbox)


def _real_test(chosen: Mailer, probe: Probe, send_to: str) -> Iterator[Item]:
    """An ordinary mail, as the site itself sends them."""
    name = "real test"
    if probe.why:
        yield items.not_checked(name, probe.why)
        return
    for outcome in send_live(chosen, EmailMultiAlternatives(_SUBJECT, _BODY, None, [send_to])):
        if outcome.status == "sent":
            yield items.ok(name, f"{outcome.text} Id: {outcome.message_id}")
        else:
            yield items.error(name, outcome.text)
