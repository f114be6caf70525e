"""The sections of a checkup, each a generator of findings, and the probe that asks Migma's API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from django.conf import settings
from django.core import checks
from django.core.mail import EmailMultiAlternatives

from django_migma.addresses import parse
from django_migma.api import errors
from django_migma.api.client import MigmaClient
from django_migma.api.errors import Forbidden, InvalidResponse, MigmaError, NoResponse, NotFound
from django_migma.api.resources import Domain, Email, Page, Project
from django_migma.api.retries import Clock
from django_migma.api.types import TestSendRequest, is_object_id
from django_migma.backends.base import make_client
from django_migma.conf import Config, is_set
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailer
from django_migma.models import StoredEmail
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.stored_emails import DeclaredEmails, StoredEmailData
from django_migma.testsends import UNREADABLE, send_live
from django_migma.variables import placeholder_names

from .references import find_references

T = TypeVar("T")
_TIMEOUT = 10.0  # seconds that one request may take in all
_SLOW = 2.0  # seconds
_MAX_IDS = 20  # ids in code that Migma is asked for
_INVALID_SEND = TestSendRequest(to="nobody", email_id="0" * 24)  # no address, no email: Migma can only refuse it
_DASHBOARD = "Add it to the key in Migma's dashboard."
_READ, _SEND, _DOMAINS = "permission email:read", "permission email:send", "permission domain:read"
_DECLARED, _KEYS, _IDS = "keys in settings", "keys in code", "ids in code"


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


def _not_checked(name: str, reason: str) -> Finding:
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


def run_checkup(alias: str | None = None, *, send_to: str = "", clock: Clock | None = None) -> Iterator[Finding]:
    """Check everything for the mailer of this alias, and yield the findings one by one. Raises nothing.

    Makes about six requests to the API, and one for each id in the code, 20 at most: each takes ten seconds at most,
    and none follows one without an answer. Sends nothing, unless ``send_to`` is an address, which then gets an
    ordinary mail under the timeouts of the mailer.
    """
    probe = ApiProbe()
    chosen = yield from _guard("mailer", check_mailer(alias))
    yield from _guard("system checks", check_system_checks())
    if chosen:
        probe = (yield from _guard("settings", check_settings(chosen))) or probe
        yield from _guard("API", check_api(probe, chosen, clock or Clock()))
        yield from _guard("senders", check_senders(probe, chosen))
        yield from _guard("layout", check_layout(probe, chosen))
        yield from _guard("ordinary mail", check_ordinary_mail(chosen))
    declared = chosen.stored_emails() if chosen else DeclaredEmails({})
    yield from _guard(_DECLARED, check_declared(probe, declared.usable()))
    yield from _guard(_KEYS, check_references(probe, declared))
    if chosen and send_to:
        yield from _guard("real test", check_real_mail(probe, chosen, send_to))


def _guard(name: str, section: Generator[Finding, None, T]) -> Generator[Finding, None, T | None]:
    """The findings of a section, and what it returns. An unexpected error becomes a finding that names its type."""
    try:
        return (yield from section)
    except ConfigurationError as error:
        yield Finding(name, "error", str(error))
    except Exception as error:  # noqa: BLE001 - the sections after it count as well
        text = f"could not be checked ({type(error).__name__})"
        advice = "Look for a setting of an unusual type or an import that fails; if there is none, report this."
        yield Finding(name, "error", text, advice)
    return None


def check_mailer(alias: str | None) -> Generator[Finding, None, Mailer]:
    yield from ()  # a section is a generator, and this one has nothing to say if all is well
    return mailer(alias)


def check_system_checks() -> Generator[Finding, None, None]:
    """The checks of this package. Those for a deployment are warnings, and only run with DEBUG off."""
    found = _run_checks(deploy=False)
    on_deploy = [] if settings.DEBUG else [message for message in _run_checks(deploy=True) if message not in found]
    for message in (*found, *on_deploy):
        status = "error" if message in found and message.is_serious() else "warning"
        yield Finding(message.id or "check", status, message.msg, message.hint or "")
    if not found and not on_deploy:
        yield Finding("system checks", "ok", "no problems found")


def _run_checks(*, deploy: bool) -> list[checks.CheckMessage]:
    found = checks.run_checks(tags=["migma"], include_deployment_checks=deploy)
    return [message for message in found if not message.is_silenced()]


def check_settings(chosen: Mailer) -> Generator[Finding, None, ApiProbe]:
    probe = ApiProbe(chosen.config())
    name = f"mailer {chosen.alias!r}" if chosen.alias else "mailer"
    where = "a sandbox on this machine" if chosen.is_sandbox else "Migma itself, live"
    yield Finding(name, "ok", f"sends to {where}: {chosen.value('API_URL')}")
    return probe


def check_api(probe: ApiProbe, chosen: Mailer, clock: Clock) -> Generator[Finding, None, None]:
    """Whether Migma answers and how fast, whether it accepts the key, and what the key may do."""
    start = clock.monotonic()
    projects = probe.call(lambda client: client.list_projects(limit=1))
    yield _check_answer(projects, clock.monotonic() - start)
    if isinstance(projects, errors.AuthenticationError):
        yield Finding("API key", "error", f"{projects.reason}.", projects.hint)
    elif isinstance(projects, Page | Forbidden):
        yield Finding("API key", "ok", "Migma accepts it")
    else:
        yield _not_checked("API key", probe.skip_reason or projects.reason)
    yield check_send_permission(probe)
    first = projects.items[0].id if isinstance(projects, Page) and projects.items else ""
    yield from check_read_permission(probe, str(chosen.value("PROJECT_ID") or "") or first)


def _check_answer(answer: Page[Project] | MigmaError, seconds: float) -> Finding:
    if isinstance(answer, NoResponse | InvalidResponse | errors.ServerError):
        advice = "Check API_URL, DNS, proxy and firewall, or wait until Migma answers again."
        return Finding("API", "error", f"{answer.reason}.", advice)
    if not isinstance(answer, Page | errors.APIError):
        return _not_checked("API", answer.reason)
    text = f"answers in {seconds * 1000:.0f} ms"
    if seconds > _SLOW:
        return Finding("API", "warning", text, "Each mail takes that long, so send mail outside of web requests.")
    return Finding("API", "ok", text)


def check_send_permission(probe: ApiProbe) -> Finding:
    """``email:send``, by a test send that Migma can only refuse: without the permission it does so with 403.

    That Migma checks the permission before the body is not documented, hence "seems".
    """
    answer = probe.call(lambda client: client.send_test(_INVALID_SEND))
    if isinstance(answer, errors.InvalidRequest | NotFound):
        return Finding(_SEND, "ok", "the key seems to have it: Migma refused an invalid test send for other reasons")
    lacking = Finding(_SEND, "error", "the key lacks it, and nothing can be sent", _DASHBOARD)
    return _check_permission(answer, lacking)


def check_read_permission(probe: ApiProbe, project_id: str) -> Iterator[Finding]:
    if not project_id:
        yield _not_checked(_READ, probe.skip_reason or "no project is known whose emails could be listed")
        return
    answer = probe.call(lambda client: client.list_emails(project_id, limit=1))
    if isinstance(answer, NotFound):
        text = f"Migma does not know the project {project_id}"
        yield Finding("project", "error", text, "Check MIGMA['PROJECT_ID'].")
        yield Finding(_READ, "ok", "the key seems to have it")
    else:
        lacking = Finding(_READ, "warning", "the key lacks it, and stored emails cannot be synced", _DASHBOARD)
        yield _check_permission(answer, lacking)


def _check_permission(answer: object, lacking: Finding) -> Finding:
    if isinstance(answer, Forbidden):
        return lacking
    if isinstance(answer, MigmaError):
        return _not_checked(lacking.name, answer.reason)
    return Finding(lacking.name, "ok", "the key has it")


def check_senders(probe: ApiProbe, chosen: Mailer) -> Generator[Finding, None, None]:
    """Whether Migma has verified the domains that this site sends from."""
    answers = [probe.call(MigmaClient.list_domains), probe.call(lambda client: client.list_domains(managed=True))]
    failure = next((answer for answer in answers if isinstance(answer, MigmaError)), None)
    advice = f"{_DASHBOARD} Only this check of senders needs it; sending does not."
    yield _check_permission(failure, Finding(_DOMAINS, "warning", "the key lacks it", advice))
    listed = {domain.domain.lower(): domain for answer in answers if isinstance(answer, tuple) for domain in answer}
    for domain, places in _sender_domains(chosen).items():
        if not domain:
            text = f"{', '.join(places)}: not an address"
            yield Finding("sender", "error", text, "Write it as Example <hello@example.com>.")
        elif failure and domain not in listed:
            yield _not_checked(f"sender {domain}", failure.reason)
        else:
            yield _check_domain(domain, listed.get(domain), ", ".join(places), is_sandbox=chosen.is_sandbox)


def _check_domain(domain: str, known: Domain | None, places: str, *, is_sandbox: bool) -> Finding:
    name = f"sender {domain}"
    if known and known.usable:
        return Finding(name, "ok", f"verified ({places})")
    if known:
        return Finding(name, "error", f"not verified yet ({places})", "Finish its DNS records in Migma's dashboard.")
    if is_sandbox:
        advice = "The sandbox accepts the sender if it was started with --verified-domain."
        return Finding(name, "warning", f"the sandbox does not list the domain ({places})", advice)
    advice = "Add the domain in Migma's dashboard, or send from one that is verified there."
    return Finding(name, "error", f"Migma does not know the domain ({places})", advice)


def _sender_domains(chosen: Mailer) -> dict[str, list[str]]:
    """The domains that this site sends from, with the places that set them; empty for what is not an address."""
    own = chosen.value("FROM_EMAIL")
    addresses = {"FROM_EMAIL": str(own)} if is_set(own) else {"DEFAULT_FROM_EMAIL": settings.DEFAULT_FROM_EMAIL}
    for stored in chosen.stored_emails().usable():
        if stored.from_email:
            addresses[f"STORED_EMAILS[{stored.name!r}]"] = stored.from_email
    rows = StoredEmail.objects.exclude(from_email="")
    with suppress(*UNREADABLE):  # check_references() reports it
        for *names, address in rows.values_list("key", "email_id", "conversation_id", "from_email"):
            addresses[f"stored email {next(filter(None, names))!r}"] = address
    domains = defaultdict(list)
    for place, address in addresses.items():
        try:
            domain = parse(address, "sender").wire.rpartition("@")[2].lower()
        except errors.InvalidAddress:
            domain = ""
        domains[domain].append(place)
    return domains


def check_layout(probe: ApiProbe, chosen: Mailer) -> Generator[Finding, None, None]:
    """Whether ``LAYOUT_EMAIL_ID`` exists, and has a placeholder for the body."""
    email_id = str(chosen.value("LAYOUT_EMAIL_ID") or "")
    if not email_id:
        return
    email = probe.get_email(email_id)
    if isinstance(email, NotFound):
        text = f"Migma does not know the stored email {email_id}, and ordinary mail will fail"
        yield Finding("layout", "error", text, f"Check MIGMA['LAYOUT_EMAIL_ID']. {email.hint}")
    elif isinstance(email, MigmaError):
        yield _not_checked("layout", email.reason)
    elif email.html and not {"body_html", "body_text"} & set(placeholder_names(email.html)):
        text = "the stored email has no placeholder for the body of a mail"
        yield Finding("layout", "error", text, "Add {{body_html}} to it where the text of the mail belongs.")
    else:
        yield Finding("layout", "ok", f"Migma has the stored email {email_id}")


def check_ordinary_mail(chosen: Mailer) -> Generator[Finding, None, None]:
    """How mail with a body of its own, such as a password reset, is sent."""
    status, advice = "ok", ""
    if is_set(chosen.value("LAYOUT_EMAIL_ID")):
        text = "is sent inside the stored email LAYOUT_EMAIL_ID"
    elif is_set(chosen.value("PROJECT_ID")):
        text = "is sent as raw HTML with PROJECT_ID, which Migma's older guides document"
    elif is_set(chosen.value("FALLBACK")):
        text = f"goes through the mailer {chosen.value('FALLBACK')!r} of FALLBACK, and not through Migma"
    else:
        status = "warning"
        text = "is refused: mail with a body of its own, such as a password reset, needs a layout or a project"
        advice = "Set MIGMA['LAYOUT_EMAIL_ID'] or MIGMA['PROJECT_ID'] unless all mail has a template_id."
    yield Finding("ordinary mail", status, text, advice)


def check_declared(probe: ApiProbe, declared: list[StoredEmailData]) -> Generator[Finding, None, None]:
    """Whether the emails of ``STORED_EMAILS`` exist and use the variables given there, and whether rows differ."""
    places = {stored.email_id or "": f"STORED_EMAILS[{stored.name!r}]" for stored in declared}
    known: dict[str, Email] = {}
    yield from _check_ids(probe, places, _DECLARED, known)
    with suppress(*UNREADABLE):  # check_references() reports it
        rows = dict(StoredEmail.objects.named().values_list("key", "email_id"))
        different = [stored.name for stored in declared if rows.get(stored.name, stored.email_id) != stored.email_id]
        for name in different:
            advice = "Give the row another key, or the setting its id: mail is sent with the id in the settings."
            yield Finding(
                _DECLARED, "warning", f"the row of the key {name!r} has another id than STORED_EMAILS", advice
            )
    for stored in declared:
        if (email := known.get(stored.email_id or "")) and (unused := _unused_variables(stored, email)):
            text = f"STORED_EMAILS[{stored.name!r}] has variables that the email does not use: {', '.join(unused)}"
            yield Finding(_DECLARED, "warning", text, "Correct their names, or leave them out.")


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
        yield Finding(_KEYS, "error" if others else "warning", text, advice)
        return
    yield from faults
    if not faults:
        yield Finding(_KEYS, "ok", f"{len(keys)} found, each with its stored email" if keys else "none found")


def _check_key(key: str, place: str, resolve: StoredEmailResolver, gone: set[str | None]) -> Finding | None:
    try:
        resolve(key)
    except errors.StoredEmailNotFound as error:
        advice = f"{error.hint} If the email is new at Migma, run manage.py migma_sync first."
        return Finding(_KEYS, "error", f"{place}: {error.reason}.", advice)
    if key in gone:
        advice = "Give the key to another stored email, or restore this one at Migma."
        return Finding(_KEYS, "error", f"{place}: the stored email {key!r} is no longer at Migma", advice)
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
            yield _not_checked(name, answer.reason)
            return
        else:
            known[email_id] = answer
    if (more := len(ids) - _MAX_IDS) > 0:
        yield _not_checked(name, f"{more} of {len(ids)}, since Migma is asked for {_MAX_IDS} at most")
    elif ids and not unknown:
        yield Finding(name, "ok", f"{len(ids)} found, each known to Migma")


def check_real_mail(probe: ApiProbe, chosen: Mailer, send_to: str) -> Generator[Finding, None, None]:
    """Send an ordinary mail in the way of the site itself."""
    if probe.skip_reason:
        yield _not_checked("real test", probe.skip_reason)
        return
    body = "This mail was sent by manage.py migma_doctor: ordinary mail of this site is sent through Migma."
    for outcome in send_live(chosen, EmailMultiAlternatives("A real test mail", body, None, [send_to])):
        if outcome.status == "sent":
            yield Finding("real test", "ok", f"{outcome.text} Id: {outcome.message_id}")
        else:
            yield Finding("real test", "error", outcome.text)
