"""The button "Sync with Migma": from the request to its messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_migma.conf import is_set
from django_migma.error_messages import explain
from django_migma.exceptions import ConfigurationError, MigmaError
from django_migma.mailers import current_destination, mailer
from django_migma.models import StoredEmail
from django_migma.sync import SyncResult, sync_project

if TYPE_CHECKING:
    from django.http import HttpRequest

    Message = tuple[int, str]

SECONDS = 15.0  # limit of one request; the messages count what is left, and the next press goes on from there
_MAX_NAMED = 10  # failures
_MAX_NAMES, _MAX_NAME = 3, 40  # of changed emails, and characters of each


def has_project() -> bool:
    """Whether the settings name a project to sync. Reads no API key, since it runs for each view of the list."""
    try:
        return is_set(mailer().value("PROJECT_ID"))
    except ConfigurationError:
        return False


def sync(admin: Any, request: HttpRequest) -> Iterator[Message]:
    """Sync ``PROJECT_ID``, log it in the history, and yield messages. Skips rows that the user may not see."""
    target = current_destination()
    if target.config is None:
        yield messages.ERROR, target.problem
        return
    project_id = target.config.project_id
    if not project_id:
        text = _("No project is set. Set MIGMA['PROJECT_ID'], or run manage.py migma_sync --project with its id.")
        yield messages.ERROR, text
        return
    try:
        result = sync_project(target.config, project_id, seconds=SECONDS, queryset=admin.get_queryset(request))
        found = list(result_messages(result))
    except MigmaError as error:
        text = _("The sync stopped. %(error)s") % {"error": explain(error, permission="email:read")}
        found = [(messages.ERROR, text)]
    # The entry is about the list as a whole, so that its object is a row that is not saved and has no id.
    whole = StoredEmail(title=_("Stored emails of project %(project)s") % {"project": project_id})
    admin.log_change(request, whole, found[0][1])
    yield from found


def result_messages(result: SyncResult) -> Iterator[Message]:
    yield messages.WARNING if result.failures or result.left else messages.SUCCESS, _summary(result)
    for failure in result.failures[:_MAX_NAMED]:
        yield messages.ERROR, _("Not synced: %(failure)s") % {"failure": failure}
    if (more := len(result.failures) - _MAX_NAMED) > 0:
        yield messages.ERROR, _("Not synced besides these: %(more)d.") % {"more": more}
    if result.skipped:
        yield messages.WARNING, _("Left as they were, since you may not see them: %(skipped)d.") % vars(result)
    if not result.complete:
        yield messages.WARNING, _("Migma's list changed during the sync. Press the button again for the rest.")
    if result.left:
        text = _("Left when the time or Migma's rate limit ran out: %(left)d. Press the button again.")
        yield messages.WARNING, text % vars(result)


_CHANGES = {
    "created": gettext_lazy("%(count)d new: %(names)s."),
    "updated": gettext_lazy("%(count)d changed: %(names)s."),
    "gone": gettext_lazy("%(count)d no longer at Migma: %(names)s."),
}


def _summary(result: SyncResult) -> str:
    """What has changed, with some names; or that nothing has."""
    names = {what: [change.name for change in result.changes if change.what == what] for what in _CHANGES}
    changes = [
        text % {"count": len(names[what]), "names": _some(names[what])}
        for what, text in _CHANGES.items()
        if names[what]
    ]
    if not changes:
        return _("Nothing new. Emails that are as they were: %(unchanged)d.") % vars(result)
    return " ".join([_("Synced."), *changes])


def _some(names: list[str]) -> str:
    """The first names, each in quotes and not too long, and the number of the others."""
    shown = ", ".join(f"“{Truncator(name).chars(_MAX_NAME)}”" for name in names[:_MAX_NAMES])
    more = len(names) - _MAX_NAMES
    return shown if more <= 0 else _("%(names)s and %(more)d more") % {"names": shown, "more": more}
