"""The admin of newsletters: what this site has sent to segments and tags. Nothing can be done here but look."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.mailers import current_destination
from django_migma.models import Newsletter

from .base import LogAdminMixin
from .cells import DASH, two_lines, with_link
from .status_groups import BAD, DOUBT, GOOD, QUIET, WAITING

_GROUPS = {
    "completed": GOOD,
    "sent": GOOD,
    "partial": BAD,
    "failed": BAD,
    "unknown": DOUBT,
    "cancelled": QUIET,
}
"""Statuses in the colours of those of deliveries. All others are on their way."""


class NewsletterAdminMixin(LogAdminMixin):
    """All behaviour, for the ModelAdmin of any theme: ``class MyAdmin(NewsletterAdminMixin, ModelAdmin)``.

    The statuses are those of the last time that somebody asked Migma, as ``migma_batches`` does.
    """

    list_display = ("newsletter", "audience", "chip", "progress", "when")
    list_filter = ("status", "recipient_type", "is_sandbox")
    search_fields = ("subject", "caller_key", "migma_id")
    readonly_fields = (
        "subject", "audience", "recipient_id", "from_email", "template", "is_transactional", "scheduled_at", "status",
        "progress", "error", "throttle_reason", "resumes_at", "id_at_migma", "caller_key", "kind", "alias",
        "created_at", "updated_at", "finished_at",
    )  # fmt: skip
    fieldsets = ((_("Details"), {"fields": readonly_fields, "classes": ["migma-details"]}),)

    @admin.display(description=_("newsletter"), ordering="subject")
    def newsletter(self, row: Newsletter) -> str:
        return two_lines(row.subject, row.template)

    @admin.display(description=_("to"))
    def audience(self, row: Newsletter) -> str:
        name = row.recipient_name or row.recipient_id
        where = f" ({gettext('in a sandbox')})" if row.is_sandbox else ""
        return f"{gettext('tag') if row.recipient_type == 'tag' else gettext('segment')} {name}{where}"

    @admin.display(description=_("status"), ordering="status")
    def chip(self, row: Newsletter) -> str:
        return _GROUPS.get(row.status, WAITING).chip(row.status)

    @admin.display(description=_("sent"))
    def progress(self, row: Newsletter) -> str:
        if row.sent is None or row.total is None:
            return DASH
        text = gettext("%(sent)d of %(total)d") % {"sent": row.sent, "total": row.total}
        return f"{text}, {gettext('%(failed)d failed') % {'failed': row.failed}}" if row.failed else text

    @admin.display(description=_("transactional"))
    def is_transactional(self, row: Newsletter) -> str:
        """Unset is no: that is Migma's default for segments and tags."""
        if row.transactional:
            return gettext("Yes: also to the unsubscribed, without a link to unsubscribe")
        return gettext("No: marketing, not to the unsubscribed, and with a link to unsubscribe")

    @admin.display(description=_("Migma's id"))
    def id_at_migma(self, row: Newsletter) -> str:
        """The id, with the way to the mail where it went to a sandbox that the site still uses."""
        url = current_destination(row.alias or None).mail_url(row.migma_id) if row.is_sandbox else ""
        return with_link(row.migma_id or DASH, url, gettext("See it in the sandbox"))


class NewsletterAdmin(NewsletterAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of newsletters in Django's own admin."""
