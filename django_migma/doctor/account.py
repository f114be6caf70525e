"""What the API says of the key, its permissions and the ids in the settings."""

from __future__ import annotations

from collections.abc import Iterator

from django_migma.api.clock import Clock
from django_migma.api.errors import (
    AuthenticationError,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    MigmaError,
    NoResponse,
    NotFound,
    ServerError,
)
from django_migma.api.resources import Page, Project
from django_migma.api.types import TestSendRequest
from django_migma.mailers import Mailer
from django_migma.variables import placeholder_names

from . import items
from .items import Item
from .probe import NotAsked, Probe, unanswered

_SLOW = 2.0
"""Seconds: an answer that takes longer makes web workers wait."""
_NOBODY = TestSendRequest(to="nobody", email_id="0" * 24)
"""Not an address, and an id that no email has: Migma can only refuse it."""


def key(probe: Probe, clock: Clock) -> tuple[list[Item], str]:
    """Whether Migma answers, how fast, and whether it takes the key; and the id of a project, if there is one."""
    began = clock.monotonic()
    answer = probe.ask(lambda client: client.list_projects(limit=1))
    seconds = clock.monotonic() - began
    project_id = answer.items[0].id if isinstance(answer, Page) and answer.items else ""
    return [_reached(answer, seconds), _accepted(answer, probe.why)], project_id


def _reached(answer: Page[Project] | MigmaError, seconds: float) -> Item:
    if isinstance(answer, NotAsked):
        return unanswered("API", answer)
    if isinstance(answer, NoResponse | InvalidResponse | ServerError):
        return items.error(
            "API", f"{answer.reason}.", "Check API_URL, DNS, proxy and firewall, or wait until Migma is back."
        )
    text = f"answers in {seconds * 1000:.0f} ms"
    if seconds > _SLOW:
        return items.warning("API", text, "Every mail takes that long: send it outside of web requests.")
    return items.ok("API", text)


def _accepted(answer: Page[Project] | MigmaError, why: str) -> Item:
    if isinstance(answer, AuthenticationError):
        return items.error("API key", f"{answer.reason}.", answer.hint)
    if isinstance(answer, Page | Forbidden):
        return items.ok("API key", "Migma accepts it")
    return items.not_checked("API key", why) if why else unanswered("API key", answer)


def permissions(probe: Probe, project_id: str) -> Iterator[Item]:
    """What the key may do."""
    yield may_send(probe)
    yield from may_read(probe, project_id)


def may_send(probe: Probe) -> Item:
    """``email:send``, by a test send that Migma can only refuse: without the permission it does so with 403.

    That the permission is looked at before the body is not documented, hence the cautious words.
    """
    name = "permission email:send"
    answer = probe.ask(lambda client: client.send_test(_NOBODY))
    if isinstance(answer, Forbidden):
        return items.error(
            name, "the key lacks it, and nothing can be sent", "Give it to the key in Migma's dashboard."
        )
    if isinstance(answer, InvalidRequest | NotFound):
        return items.ok(name, "the key seems to have it (a test send that cannot go out was refused for that alone)")
    return unanswered(name, answer) if isinstance(answer, MigmaError) else items.ok(name, "the key has it")


def may_read(probe: Probe, project_id: str) -> Iterator[Item]:
    """``email:read``, by the list of emails of a project."""
    name = "permission email:read"
    if not project_id:
        yield items.not_checked(name, probe.why or "no project is known to ask for")
        return
    answer = probe.ask(lambda client: client.list_emails(project_id, limit=1))
    if isinstance(answer, Forbidden):
        yield items.warning(name, "the key lacks it: no sync and no previews", "Give it to the key in the dashboard.")
    elif isinstance(answer, NotFound):
        yield items.error("project", f"Migma does not know the project {project_id}", "Check MIGMA['PROJECT_ID'].")
        yield items.ok(name, "the key seems to have it")
    else:
        yield unanswered(name, answer) if isinstance(answer, MigmaError) else items.ok(name, "the key has it")


def layout(probe: Probe, mailer: Mailer) -> Iterator[Item]:
    """Whether ``LAYOUT_EMAIL_ID`` exists, and has a place for the body."""
    name, email_id = "layout", str(mailer.value("LAYOUT_EMAIL_ID") or "")
    if not email_id:
        return
    email = probe.ask(lambda client: client.get_email(email_id))
    if isinstance(email, NotFound):
        text = f"Migma does not know the stored email {email_id}, and ordinary mail will fail"
        yield items.error(name, text, "Check MIGMA['LAYOUT_EMAIL_ID'], and that it is in the workspace of the key.")
    elif isinstance(email, MigmaError):
        yield unanswered(name, email)
    elif email.html and not {"body_html", "body_text"} & set(placeholder_names(email.html)):
        advice = "Put {{body_html}} into it, where the text of the mail is to stand."
        yield items.error(name, "the stored email has no place for the body of a mail", advice)
    else:
        yield items.ok(name, f"Migma has the stored email {email_id}")
