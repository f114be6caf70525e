"""What the site's own settings say, without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core import checks

from django_migma.conf import is_set
from django_migma.mailers import Mailer

from . import items
from .items import Item


def destination(mailer: Mailer) -> Item:
    """Whom the mailer talks to."""
    name = f"mailer {mailer.alias!r}" if mailer.alias else "mailer"
    where = "a sandbox on this machine" if mailer.is_sandbox else "Migma itself, live"
    return items.ok(name, f"talks to {where}: {mailer.value('API_URL')}")


def system_checks() -> Iterator[Item]:
    """What our system checks say; those for a deployment as warnings, and only with DEBUG off."""
    found = _checked(deploy=False)
    later = [] if settings.DEBUG else [message for message in _checked(deploy=True) if message not in found]
    for message in (*found, *later):
        serious = message in found and message.is_serious()
        yield (items.error if serious else items.warning)(message.id or "check", message.msg, message.hint or "")
    if not found and not later:
        yield items.ok("system checks", "say nothing")


def _checked(*, deploy: bool) -> list[checks.CheckMessage]:
    found = checks.run_checks(tags=["migma"], include_deployment_checks=deploy)
    return [message for message in found if not message.is_silenced()]


def content_route(mailer: Mailer) -> Iterator[Item]:
    """How mail with a body of its own, such as a password reset, goes out."""
    name = "ordinary mail"
    if is_set(mailer.value("LAYOUT_EMAIL_ID")):
        yield items.ok(name, "goes out inside the stored email LAYOUT_EMAIL_ID")
    elif is_set(mailer.value("PROJECT_ID")):
        yield items.ok(name, "goes out as raw HTML with PROJECT_ID, which Migma's older guides document")
    else:
        yield items.warning(
            name,
            "is refused: mail with a body of its own, such as a password reset, has no way out",
            "Set MIGMA['LAYOUT_EMAIL_ID'], or MIGMA['PROJECT_ID'], unless all mail has a template_id.",
        )
