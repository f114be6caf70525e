"""The button "Sync with Migma": from the request to its messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_migma.error_messages import explain
from django_migma.exceptions import MigmaError
from django_migma.mailers import current_destination
from django_migma.models import StoredEmail
from django_migma.sync import SyncResult, sync_project

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_migma.conf import Config
    from django_migma.models.stored_email import StoredEmailQuerySet

    Message = tuple[int, str]

SECONDS = 15.0
"""Time limit of one request. The messages count what is left, and pressing the button again goes on from there."""
_MAX_NAMED = 10


def sync(request: HttpRequest, queryset: StoredEmailQuerySet) -> Iterator[Message]:
    """Sync the project of ``PROJECT_ID``, log it in the admin's history, and yield messages with their levels.

    Rows outside of ``queryset``, which the user may not see, are left as they are.
    """
    target = current_destination()
    if target.config is None:
        yield messages.ERROR, target.problem
    elif not target.config.project_id:
        text = _("No project is set. Set MIGMA['PROJECT_ID'], or run manage.py migma_sync --project with its id.")
        yield messages.ERROR, text
    else:
        found = _sync(target.config, target.config.project_id, queryset)
        _log(request, target.config.project_id, found[0][1])
        yield from found


def _sync(config: Config, project_id: str, queryset: StoredEmailQuerySet) -> list[Message]:
    try:
        result = sync_project(config, project_id, seconds=SECONDS, queryset=queryset)
    except MigmaError as error:
        text = _("The sync stopped. %(error)s") % {"error": explain(error, permission="email:read")}
        return [(messages.ERROR, text)]
    return list(result_messages(result))


def _log(request: HttpRequest, project_id: str, text: str) -> None:
    """Add an entry for the sync as a whole to the history of the admin."""
    user: Any = request.user
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(StoredEmail),
        object_repr=_("Stored emails of project %(project)s") % {"project": project_id},
        action_flag=CHANGE,
        change_message=text,
    )


def result_messages(result: SyncResult) -> Iterator[Message]:
    """Yield what a sync did, as messages for the user who started it."""
    counts = {name: getattr(result, name) for name in ("created", "updated", "unchanged", "gone")}
    text = _("Synced: %(created)d new, %(updated)d changed, %(unchanged)d unchanged, %(gone)d no longer at Migma.")
    yield messages.WARNING if result.failures or result.left else messages.SUCCESS, text % counts
    for failure in result.failures[:_MAX_NAMED]:
        yield messages.ERROR, _("Not synced: %(failure)s") % {"failure": failure}
    if (more := len(result.failures) - _MAX_NAMED) > 0:
        text = ngettext("%(more)d more was not synced.", "%(more)d more were not synced.", more)
        yield messages.ERROR, text % {"more": more}
    if result.skipped:
        text = ngettext(
            "%(skipped)d email that you may not see was left as it is.",
            "%(skipped)d emails that you may not see were left as they are.",
            result.skipped,
        )
        yield messages.WARNING, text % {"skipped": result.skipped}
    if not result.complete:
        yield messages.WARNING, _("Migma's list changed during the sync. Press the button again for the rest.")
    if result.left:
        text = ngettext(
            "%(left)d conversation is left, since the time or Migma's rate limit ran out. Press the button again.",
            "%(left)d conversations are left, since the time or Migma's rate limit ran out. Press the button again.",
            result.left,
        )
        yield messages.WARNING, text % {"left": result.left}
