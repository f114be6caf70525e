"""The admin of stored emails: their list, their page with its form, and the views behind the buttons."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_migma.html import shorten
from django_migma.models import Delivery, StoredEmail
from django_migma.testsends.sending import MAX_TESTS

from . import stored_email_list as listing
from .base import MigmaAdminMixin, outside_transactions
from .cells import DASH, NOTHING, ago, chip, copy_button, two_lines
from .preview import REMOTE, TEXTS, make_frame, make_preview, preview_response
from .sample_values import posted_texts, shown_values, without_sample
from .send_test import SendTestPage
from .send_test_form import STORED
from .send_test_results import results_page
from .stored_email_form import IDS, SAMPLES, StoredEmailForm, lines_of_code, places_in_code
from .sync import has_project, sync

if TYPE_CHECKING:
    from django.db.models import QuerySet

_FROM_MIGMA = ("title", "subject", "preheader", "project_id", "status")
_DATES = ("synced_at", "last_tested_at", "created_at", "updated_at")


class StoredEmailAdminMixin(MigmaAdminMixin):
    """All behaviour, for the ModelAdmin of any theme: ``class MyAdmin(StoredEmailAdminMixin, ModelAdmin)``."""

    # Named, since Django would look for them by the app's label, and a theme's base class may name others.
    change_form_template = "admin/django_migma/storedemail/change_form.html"
    change_list_template = "admin/django_migma/storedemail/change_list.html"
    form = StoredEmailForm
    actions = ("send_test",)
    list_display = (
        "display_email",
        "display_key",
        "count_variables",
        "display_state",
        "display_use",
        "display_last_test",
    )
    list_display_links = ("display_email",)
    list_filter = (listing.MissingFilter, "status", "project_id")
    search_fields = ("title", "subject", "key", "email_id", "conversation_id")

    def display_title(self, email: StoredEmail) -> str:
        return email.title or email.subject or email.email_id or email.conversation_id or DASH

    @admin.display(description=_("email"), ordering="title")
    def display_email(self, email: StoredEmail) -> str:
        title = self.display_title(email)
        subject = email.subject if email.subject != title else ""
        return format_html("{}{}", listing.picture(email, title), two_lines(title, subject))

    @admin.display(description=_("key"), ordering="key")
    def display_key(self, email: StoredEmail) -> str:
        if not email.key:
            return NOTHING
        button = copy_button(email.key, gettext("Copy the key %(key)s") % {"key": email.key})
        return format_html('<code title="{}">{}</code> {}', email.key, email.key, button)

    @admin.display(description=_("variables"))
    def count_variables(self, email: StoredEmail) -> str:
        names, missing = email.variable_names, without_sample(email)
        if not names:
            return NOTHING
        unit = ngettext("variable", "variables", len(names))
        count = format_html(
            '<span title="{}">{} <span class="migma-unit">{}</span></span>', ", ".join(names), len(names), unit
        )
        if not missing:
            return count
        text = gettext("%(count)d without sample") % {"count": len(missing)}
        return format_html("{} {}", count, chip("doubt", "", text, ", ".join(missing)))

    @admin.display(description=_("state"), ordering="status")
    def display_state(self, email: StoredEmail) -> str:
        return listing.state_chip(email)

    @admin.display(description=_("used"))
    def display_use(self, email: Any) -> str:
        use: str = email.use  # of `get_changelist_instance`
        return use

    @admin.display(description=_("last test"), ordering="last_tested_at")
    def display_last_test(self, email: StoredEmail) -> str:
        if not email.last_tested_at:
            return NOTHING
        return format_html('<span class="migma-unit">{}</span> {}', gettext("tested"), ago(email.last_tested_at))

    def send_test_url(self, ids: Iterable[int]) -> str:
        return f"{self.admin_url('send_test')}?{urlencode({'ids': ','.join(map(str, ids))})}"

    def has_send_test_permission(self, request: HttpRequest, obj: StoredEmail | None = None) -> bool:
        codename = get_permission_codename("send_test", self.opts)
        allowed: bool = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return allowed and self.has_view_or_change_permission(request, obj)

    def has_sync_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """Return our views before the admin's own, the last of which matches any path."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        send_test = outside_transactions(self.admin_site.admin_view(self.send_test_view))
        sync_now = outside_transactions(self.admin_site.admin_view(self.sync_view))
        results = self.admin_site.admin_view(self.test_results_view)
        preview = self.admin_site.admin_view(self.preview_view)
        return [
            path("send-test/", send_test, name=f"{prefix}_send_test"),
            path("tests/<slug:batch>/", results, name=f"{prefix}_test_results"),
            path("sync/", sync_now, name=f"{prefix}_sync"),
            path("<int:pk>/preview/", preview, name=f"{prefix}_preview"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoredEmail]:
        """Return the rows without their HTML, hundreds of kilobytes each: only a preview reads it."""
        return super().get_queryset(request).defer("html")

    def get_fieldsets(self, request: HttpRequest, obj: StoredEmail | None = None) -> Any:
        sender, look = ("from_email", "from_name", "provider_type"), ["migma-sender"]
        variables = ("default_variables", "optional_variables")
        if obj is None:
            shown = (_("Variables"), {"fields": (SAMPLES, *variables), "classes": ["collapse"]})
            return [(None, {"fields": ("key", *IDS)}), (_("Sender"), {"fields": (sender,), "classes": look}), shown]
        ids_are_migmas = obj.synced_at is not None
        own = ("key", sender) if ids_are_migmas else ("key", *IDS, sender)
        from_migma = (*_FROM_MIGMA, *(IDS if ids_are_migmas else ()), *_DATES)
        return [
            (_("Sample values"), {"fields": (SAMPLES,)}),
            (_("Key and sender"), {"fields": own, "classes": look}),
            (_("Variables"), {"fields": variables}),
            (_("From Migma"), {"fields": from_migma, "classes": ["collapse", "migma-details"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: StoredEmail | None = None) -> Any:
        given = super().get_readonly_fields(request, obj)
        return (*given, *_FROM_MIGMA, *_DATES, *(IDS if obj is not None and obj.synced_at else ()))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"sync_url": self._sync_url(request), **(extra_context or {})})

    def _sync_url(self, request: HttpRequest) -> str:
        return self.admin_url("sync") if self.has_sync_permission(request) and has_project() else ""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> HttpResponse:
        if email := context["original"]:
            context = context | self._page_context(request, email) | _without_samples(context["adminform"])
        else:
            context = context | {"sync_url": self._sync_url(request)}
        return super().render_change_form(request, context, *args, **options)

    def _page_context(self, request: HttpRequest, email: StoredEmail) -> dict[str, Any]:
        return {
            "preview": make_preview(email),
            "frame": make_frame(request, email, self.admin_url("preview", email.pk)),
            "source": shorten(email.html),
            "samples": shown_values(email),
            "code": lines_of_code(email),
            "copy_code": copy_button(lines_of_code(email), gettext("Copy the code")),
            "places": places_in_code(email),
            "deliveries_url": self._deliveries_url(request, email),
            "send_test_url": self.send_test_url([email.pk]) if self.has_send_test_permission(request, email) else "",
        }

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if self._deliveries(request) else [name for name in shown if name != "display_use"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list, with what it says of each row's use, found for all of them together."""
        listed: Any = super().get_changelist_instance(request)
        if deliveries := self._deliveries(request):
            uses = listing.Uses(listed.result_list, deliveries.get_queryset(request))
            for email in listed.result_list:
                email.use = uses.cell(email, self._deliveries_url(request, email))
        return listed

    def _deliveries(self, request: HttpRequest) -> Any:
        """The admin of deliveries; None for users who may not see them, and where this site has none."""
        deliveries = self.admin_site._registry.get(Delivery)  # noqa: SLF001 - get_model_admin() raises instead
        return deliveries if deliveries and deliveries.has_view_permission(request) else None

    def _deliveries_url(self, request: HttpRequest, email: StoredEmail) -> str:
        """The list of the email's deliveries; empty where there is none for this user."""
        deliveries = self._deliveries(request)
        if not deliveries:
            return ""
        name = f"admin:{deliveries.opts.app_label}_{deliveries.opts.model_name}_changelist"
        return f"{reverse(name, current_app=self.admin_site.name)}?{urlencode({'stored_email': email.pk})}"

    def save_model(
        self, request: HttpRequest, obj: StoredEmail, form: forms.ModelForm[StoredEmail], change: bool
    ) -> None:
        """Save the edited columns only: a test or a sync may have changed the others since the row was read."""
        edited = {*StoredEmailForm.Meta.fields, "updated_at"}.difference(IDS if obj.synced_at else ())
        obj.save(update_fields=edited if change else None)

    @admin.action(description=_("Send a test…"), permissions=["send_test"])
    def send_test(self, request: HttpRequest, queryset: QuerySet[StoredEmail]) -> HttpResponse:
        """Redirect to the page that sends, since an action may run in a transaction."""
        ids = queryset.values_list("pk", flat=True)[: MAX_TESTS + 1]  # the page refuses this many
        return HttpResponseRedirect(self.send_test_url(ids))

    def send_test_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_send_test_permission(request):
            raise PermissionDenied
        return SendTestPage(self, request).response()

    def test_results_view(self, request: HttpRequest, batch: str) -> HttpResponse:
        """Return the page with the tests that this user has confirmed at once. Raises Http404 for those of others."""
        if not self.has_send_test_permission(request):
            raise PermissionDenied
        return results_page(self, request, batch)

    def sync_view(self, request: HttpRequest) -> HttpResponse:
        """Sync the rows that the user may see, and redirect to the list with messages."""
        if not self.has_sync_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            for level, text in sync(self, request):
                self.message_user(request, text, level)
        else:  # a login after the session ran out redirects here
            self.message_user(request, gettext("Nothing was synced. Press the button again."), messages.WARNING)
        return HttpResponseRedirect(self.admin_url("changelist"))

    def preview_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the HTML for the preview's frame, or the texts beside it as JSON. Raises Http404 without HTML.

        A POST brings values of variables, which replace the samples.
        """
        email = self.get_object(request, str(pk))
        if not self.has_view_or_change_permission(request, email):
            raise PermissionDenied
        if email is None or not email.html:
            raise Http404
        if request.POST.get("kind") == STORED:  # on the page "Send a test": Migma would fill nothing in
            values = {name: f"{{{{{name}}}}}" for name in email.variable_names}
        else:
            values = posted_texts(request.POST)
        preview = make_preview(email, values)
        if TEXTS in request.GET:
            return JsonResponse({"subject": preview.subject, "preheader": preview.preheader, "text": preview.text})
        return preview_response(preview.html, remote=REMOTE in request.GET)


class StoredEmailAdmin(StoredEmailAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of stored emails in Django's own admin."""


def _without_samples(adminform: Any) -> dict[str, Any]:
    """The form without the samples, which stand beside the preview; all of it for a site's own fieldsets."""
    below = copy.copy(adminform)
    below.fieldsets = [found for found in adminform.fieldsets if tuple(found[1]["fields"]) != (SAMPLES,)]
    is_apart = len(below.fieldsets) < len(adminform.fieldsets)
    fields = adminform.form.fields if is_apart else {}
    return {"below_preview": below, "samples_field": adminform.form[SAMPLES] if SAMPLES in fields else None}
