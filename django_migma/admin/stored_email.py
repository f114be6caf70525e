"""The admin of stored emails: their list, their page, and the views behind the buttons."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.models import StoredEmail
from django_migma.testsends import MOST_CALLS

from .access import Access
from .columns import Columns, HasKey, WithoutHtml
from .connection import outside_transactions
from .forms import IDS, StoredEmailForm, too_many
from .preview import REMOTE, preview_of, preview_response
from .send_test import SendTestPage
from .syncing import sync

if TYPE_CHECKING:
    from django.db.models import QuerySet

_FROM_MIGMA = ("title", "subject", "preheader", "thumbnail", "project_id", "status")
_NOT_OURS = {
    *("id", "title", "subject", "preheader", "html", "thumbnail_url", "project_id", "status", "synced_at"),
    *("variable_names", "body_variable_names", "test_claim", "last_tested_at", "created_at"),
}
"""Columns that the sync or a test writes."""
_DATES = ("synced_at", "last_tested_at", "created_at", "updated_at")


class StoredEmailAdminMixin(Columns, Access):
    """All behaviour, for any theme's ModelAdmin: ``class MyAdmin(StoredEmailAdminMixin, ModelAdmin)``."""

    # By name: Django would look for them by the app's label, and a theme's base class may name others.
    change_form_template = "admin/django_migma/storedemail/change_form.html"
    change_list_template = "admin/django_migma/storedemail/change_list.html"
    form = StoredEmailForm
    actions = ("send_test",)
    list_display = (
        "thumbnail",
        "shown_title",
        "key",
        "subject",
        "shown_id",
        "variables",
        "status",
        "last_sync",
        "last_test",
    )
    list_display_links = ("shown_title",)
    list_filter = ("status", HasKey, "project_id")
    search_fields = ("title", "subject", "key", "email_id", "conversation_id")

    @property
    def media(self) -> forms.Media:
        """The admin's own, and ours. A property, since a ``Media`` of a subclass would replace another."""
        ours = forms.Media(css={"all": ["django_migma/admin.css"]}, js=["django_migma/admin.js"])
        return super().media + ours

    def get_urls(self) -> list[URLPattern]:
        """Ours come first: the last of the admin's own takes any path."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        send_test = outside_transactions(self.admin_site.admin_view(self.send_test_view))
        sync_now = outside_transactions(self.admin_site.admin_view(self.sync_view))
        preview = self.admin_site.admin_view(self.preview_view)
        return [
            path("send-test/", send_test, name=f"{prefix}_send_test"),
            path("sync/", sync_now, name=f"{prefix}_sync"),
            path("<int:pk>/preview/", preview, name=f"{prefix}_preview"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """The list that the theme uses, without the HTML."""
        theirs = super().get_changelist(request, **kwargs)
        return type("StoredEmailList", (WithoutHtml, theirs), {})

    def get_fieldsets(self, request: HttpRequest, obj: StoredEmail | None = None) -> Any:
        """A new one has nothing from Migma yet."""
        variables = ("optional_variables", "default_variables")
        own = [
            (None, {"fields": ("key", *IDS)}),
            (_("Variables"), {"fields": variables if obj is None else ("variables", *variables)}),
            (_("Sender"), {"fields": ("from_email", "from_name", "provider_type")}),
        ]
        return own if obj is None else [*own, (_("From Migma"), {"fields": (*_FROM_MIGMA, *_DATES)})]

    def get_readonly_fields(self, request: HttpRequest, obj: StoredEmail | None = None) -> Any:
        """What comes from Migma; the ids too once it has sent them."""
        given = super().get_readonly_fields(request, obj)
        return (*given, "variables", *_FROM_MIGMA, *_DATES, *(IDS if obj is not None and obj.synced_at else ()))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the button that syncs."""
        sync_url = self.admin_url("sync") if self.has_sync_permission(request) else ""
        return super().changelist_view(request, {**(extra_context or {}), "sync_url": sync_url})

    def render_change_form(  # noqa: PLR0917 - Django's own signature
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: StoredEmail | None = None,
    ) -> HttpResponse:
        """The page of one email, with its preview."""
        if obj is not None:
            context = context | self._preview_context(request, obj) | _around_preview(context["adminform"])
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _preview_context(self, request: HttpRequest, email: StoredEmail) -> dict[str, Any]:
        remote = REMOTE in request.GET
        toggled = request.GET.copy()
        if remote:
            del toggled[REMOTE]
        else:
            toggled[REMOTE] = "1"
        closed = self.admin_url("preview", email.pk)
        return {
            "preview": preview_of(email),
            "preview_closed": closed,
            "preview_remote": f"{closed}?{REMOTE}=1",
            "preview_is_remote": remote,
            "preview_toggle": f"{request.path}?{toggled.urlencode()}",
            "send_test_url": self.send_test_url([email.pk]) if self.has_send_test_permission(request, email) else "",
        }

    def save_model(
        self, request: HttpRequest, obj: StoredEmail, form: forms.ModelForm[StoredEmail], change: bool
    ) -> None:
        """Of one that is there, what belongs to this site: a test or a sync may have changed the rest meanwhile."""
        if change:
            others = {*_NOT_OURS, *(IDS if obj.synced_at else ())}
            obj.save(update_fields={field.name for field in self.opts.concrete_fields} - others)
        else:
            super().save_model(request, obj, form, change)

    @admin.action(description=_("Send a test…"), permissions=["send_test"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[StoredEmail]) -> HttpResponse | None:
        """Lead to the page that asks. It sends from a view of its own, since an action may run in a transaction."""
        ids = list(queryset.values_list("pk", flat=True))
        if len(ids) > MOST_CALLS:
            self.message_user(request, too_many(len(ids)), messages.ERROR)
            return None
        return HttpResponseRedirect(self.send_test_url(ids))

    def send_test_view(self, request: HttpRequest) -> HttpResponse:
        """Ask, and send when confirmed."""
        if not self.has_send_test_permission(request):
            raise PermissionDenied
        return SendTestPage(self, request).response()

    def sync_view(self, request: HttpRequest) -> HttpResponse:
        """Sync for some seconds, and say how it went on the list."""
        if not self.has_sync_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            for level, text in sync():
                self.message_user(request, text, level)
        else:  # where signing in again leads to, when the session had run out
            self.message_user(request, gettext("Nothing was synced: press the button again."), messages.WARNING)
        return HttpResponseRedirect(self.admin_url("changelist"))

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The HTML for the frame. Raises Http404 where there is none."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        email = self.get_object(request, str(pk))
        if email is not None and not self.has_view_or_change_permission(request, email):
            raise PermissionDenied
        if email is None or not email.html:
            raise Http404
        return preview_response(preview_of(email).html, remote=REMOTE in request.GET)


class StoredEmailAdmin(StoredEmailAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Under Django's own admin."""


def _around_preview(adminform: Any) -> dict[str, Any]:
    """The form in two parts: with the preview before it nobody would see the first fields, and below it none of it.

    Parts of the same kind, so that the page's own template, or a theme's, renders them.
    """
    above, below = copy.copy(adminform), copy.copy(adminform)
    above.fieldsets, below.fieldsets = adminform.fieldsets[:1], adminform.fieldsets[1:]
    return {"above_preview": above, "below_preview": below}
