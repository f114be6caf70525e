"""What Migma says about the account: its key and permissions, the senders' domains and the layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import suppress

from django.conf import settings

from django_migma.addresses import parse
from django_migma.api import errors
from django_migma.api.client import MigmaClient
from django_migma.api.errors import Forbidden, InvalidResponse, MigmaError, NoResponse, NotFound
from django_migma.api.resources import Domain, Page, Project
from django_migma.api.retries import Clock
from django_migma.api.types import TestSendRequest
from django_migma.conf import is_set
from django_migma.mailers import Mailer
from django_migma.models import UNREADABLE, StoredEmail
from django_migma.variables import placeholder_names

from .probe import ApiProbe, Finding, not_checked

_SLOW = 2.0  # seconds
_INVALID_SEND = TestSendRequest(to="nobody", email_id="0" * 24)  # no address, no email: Migma can only refuse it
_DASHBOARD = "Add it to the key in Migma's dashboard."
_READ, _SEND, _DOMAINS = "permission email:read", "permission email:send", "permission domain:read"


def check_api(probe: ApiProbe, chosen: Mailer, clock: Clock) -> Generator[Finding, None, None]:
    """Whether Migma answers and how fast, whether it accepts the key, and what the key may do."""
    projects, seconds = _projects(probe, clock)
    if seconds > _SLOW and not probe.skip_reason:  # the first request also loads modules and connects
        projects, seconds = _projects(probe, clock)
    yield _check_answer(projects, seconds)
    if isinstance(projects, errors.AuthenticationError):
        yield Finding("API key", "error", f"{projects.reason}.", projects.hint)
    elif isinstance(projects, Page | Forbidden):
        yield Finding("API key", "ok", "Migma accepts it")
    else:
        yield not_checked("API key", probe.skip_reason or projects.reason)
    yield check_send_permission(probe)
    first = projects.items[0].id if isinstance(projects, Page) and projects.items else ""
    yield from check_read_permission(probe, str(chosen.value("PROJECT_ID") or "") or first)


def _projects(probe: ApiProbe, clock: Clock) -> tuple[Page[Project] | MigmaError, float]:
    """The answer, and how many seconds it took."""
    start = clock.monotonic()
    answer = probe.call(lambda client: client.list_projects(limit=1))
    return answer, clock.monotonic() - start


def _check_answer(answer: Page[Project] | MigmaError, seconds: float) -> Finding:
    if isinstance(answer, NoResponse | InvalidResponse | errors.ServerError):
        advice = "Check API_URL, DNS, proxy and firewall, or wait until Migma answers again."
        return Finding("API", "error", f"{answer.reason}.", advice)
    if not isinstance(answer, Page | errors.APIError):
        return not_checked("API", answer.reason)
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
        yield not_checked(_READ, probe.skip_reason or "no project is known whose emails could be listed")
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
        return not_checked(lacking.name, answer.reason)
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
            yield not_checked(f"sender {domain}", failure.reason)
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
        yield not_checked("layout", email.reason)
    elif email.html and not {"body_html", "body_text"} & set(placeholder_names(email.html)):
        text = "the stored email has no placeholder for the body of a mail"
        yield Finding("layout", "error", text, "Add {{body_html}} to it where the text of the mail belongs.")
    else:
        yield Finding("layout", "ok", f"Migma has the stored email {email_id}")
