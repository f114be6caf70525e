"""The order of a checkup, and its sections on the site itself. Each section is a generator of findings."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

from django.conf import settings
from django.core import checks
from django.core.mail import EmailMultiAlternatives

from django_migma.api.retries import Clock
from django_migma.conf import is_set
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailer
from django_migma.models import Delivery
from django_migma.stored_emails import DeclaredEmails
from django_migma.testsends.sending import send_live

from .account import check_api, check_layout, check_senders
from .probe import ApiProbe, Finding, not_checked
from .queue import check_queue
from .stored_emails import DECLARED, KEYS, check_declared, check_references

T = TypeVar("T")


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
        yield from _guard("queue", check_queue())
    declared = chosen.stored_emails() if chosen else DeclaredEmails({})
    yield from _guard(DECLARED, check_declared(probe, declared.usable()))
    yield from _guard(KEYS, check_references(probe, declared))
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


def check_real_mail(probe: ApiProbe, chosen: Mailer, send_to: str) -> Generator[Finding, None, None]:
    """Send an ordinary mail in the way of the site itself."""
    if probe.skip_reason:
        yield not_checked("real test", probe.skip_reason)
        return
    body = "This mail was sent by manage.py migma_doctor: ordinary mail of this site is sent through Migma."
    for outcome in send_live(chosen, EmailMultiAlternatives("A real test mail", body, None, [send_to])):
        if outcome.status == Delivery.Status.ACCEPTED:
            page = chosen.mail_url(outcome.message_id)
            advice = f"Look at it: {page}" if page else ""
            yield Finding("real test", "ok", f"{outcome.text} Id: {outcome.message_id}", advice)
        else:
            yield Finding("real test", "error", outcome.text)
