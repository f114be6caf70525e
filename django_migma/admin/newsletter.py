"""The admin of newsletters: what this site has sent to segments and tags. Nothing can be done here but look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.models import Newsletter

from .stored_email_list import ago

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Newsletter]
else:
    ModelAdmin = object

_EMPTY = "-"


class NewsletterAdminMixin(ModelAdmin):
    """All behaviour, for the ModelAdmin of any theme: ``class MyAdmin(NewsletterAdminMixin, ModelAdmin)``.

    The statuses are those of the last time that somebody asked Migma, as ``migma_batches`` does.
    """

    list_display = ("newsletter", "audience", "status", "progress", "when")
    list_filter = ("status", "recipient_type")
    search_fields = ("subject", "caller_key", "migma_id")
    fields = readonly_fields = (
        "subject", "audience", "recipient_id", "from_email", "template", "transactional", "scheduled_at", "status",
        "progress", "error", "throttle_reason", "resumes_at", "caller_key", "migma_id", "kind", "alias", "created_at",
        "updated_at", "finished_at",
    )  # fmt: skip

    @admin.display(description=_("newsletter"), ordering="subject")
    def newsletter(self, row: Newsletter) -> str:
        return format_html('{} <span class="migma-second">{}</span>', row.subject, row.template)

    @admin.display(description=_("to"))
    def audience(self, row: Newsletter) -> str:
        name = row.recipient_name or row.recipient_id
        return f"{gettext('tag') if row.recipient_type == 'tag' else gettext('segment')} {name}"

    @admin.display(description=_("sent"))
    def progress(self, row: Newsletter) -> str:
        if row.sent is None or row.total is None:
            return _EMPTY
        text = gettext("%(sent)d of %(total)d") % {"sent": row.sent, "total": row.total}
        return f"{text}, {gettext('%(failed)d failed') % {'failed': row.failed}}" if row.failed else text

    @admin.display(description=_("when"), ordering="created_at")
    def when(self, row: Newsletter) -> str:
        return ago(row.created_at)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Newsletter | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Newsletter | None = None) -> bool:
        """Never: the row is what keeps the newsletter from going out twice."""
        return False


class NewsletterAdmin(NewsletterAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of newsletters in Django's own admin."""

    class Media:
        css = {"all": ["django_migma/admin.css"]}  # noqa: RUF012 - Django's own way to write it
