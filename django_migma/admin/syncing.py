"""The button that syncs, from the request to its messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_migma.error_messages import explain
from django_migma.exceptions import MigmaError
from django_migma.sync import SyncResult, sync_project

from .connection import destination

if TYPE_CHECKING:
    from django_migma.conf import Config

    Message = tuple[int, str]

SECONDS = 15.0
"""How long a person waits. What is left then is told, and the next press goes on."""
_MOST_BROKEN = 10


def sync() -> Iterator[Message]:
    """Sync the project of the settings; yield messages, each with its level."""
    target = destination()
    if target.config is None:
        yield messages.ERROR, target.problem
    elif not target.config.project_id:
        yield (
            messages.ERROR,
            _("Which project? Set MIGMA['PROJECT_ID'], or run manage.py migma_sync --project with its id."),
        )
    else:
        yield from _synced(target.config, target.config.project_id)


def _synced(config: Config, project_id: str) -> Iterator[Message]:
    try:
        summary = sync_project(config, project_id, seconds=SECONDS)
    except MigmaError as error:
        told = explain(error, permission="email:read")
        yield messages.ERROR, _("The sync came to a stop. %(error)s") % {"error": told}
    else:
        yield from messages_for(summary)


def messages_for(summary: SyncResult) -> Iterator[Message]:
    """What a sync did, as messages for whoever pressed the button."""
    counts = {name: getattr(summary, name) for name in ("created", "updated", "unchanged", "gone")}
    text = _("Synced: %(created)d new, %(updated)d changed, %(unchanged)d unchanged, %(gone)d no longer at Migma.")
    yield messages.WARNING if summary.failures or summary.left else messages.SUCCESS, text % counts
    for broken in summary.failures[:_MOST_BROKEN]:
        yield messages.ERROR, _("Could not be synced: %(broken)s") % {"broken": broken}
    if (more := len(summary.failures) - _MOST_BROKEN) > 0:
        text = ngettext("%(more)d more could not be synced.", "%(more)d more could not be synced.", more)
        yield messages.ERROR, text % {"more": more}
    if not summary.complete:
        yield messages.WARNING, _("Migma's list changed while it was read. Press the button again for the rest.")
    if summary.left:
        yield messages.WARNING, _left(summary.left)


def _left(left: int) -> str:
    text = ngettext(
        "%(left)d conversation is left, since the time or Migma's rate limit was over. Press again to go on.",
        "%(left)d conversations are left, since the time or Migma's rate limit was over. Press again to go on.",
        left,
    )
    return text % {"left": left}
