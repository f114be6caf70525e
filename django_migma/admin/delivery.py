"""The admin of deliveries: their list, their page, and the way to the actions. Nobody edits or deletes a row here."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.html import shorten
from django_migma.mailers import current_destination
from django_migma.models import Delivery

from . import delivery_list as listing
from .base import LogAdminMixin, outside_transactions
from .cells import DASH, chip, two_lines
from .delivery_actions import MAX_ROWS, TITLES, ActionPage
from .delivery_summary import summary
from .delivery_verdict import Action, ahead, timeline, verdict, why_not
from .status_groups import group_of, status_chip

if TYPE_CHECKING:
    from django.db.models import QuerySet

MAX_REPEATS = 20  # links on the page of a row that was sent anew
_DETAILS = (
    "recipient", "from_email", "subject", "stored_email", "email_id", "mailer", "key", "caller_key", "message_id",
    "send_id", "provider", "attempts", "first_attempt_at", "purpose", "repeated",
)  # fmt: skip


class DeliveryAdminMixin(LogAdminMixin):
    """All behaviour, for the ModelAdmin of any theme: ``class MyAdmin(DeliveryAdminMixin, ModelAdmin)``."""

    # Named, since Django would look for them by the app's label, and a theme's base class may name others.
    change_form_template = "admin/django_migma/delivery/change_form.html"
    change_list_template = "admin/django_migma/delivery/change_list.html"
    actions = ("retry", "resend", "cancel")
    list_display = ("status_chip", "mail", "email", "tries", "when")
    list_display_links = ("mail",)
    list_filter = (
        listing.AttentionFilter, "status", listing.TimeFilter, listing.StoredEmailFilter, listing.MailerFilter,
        listing.TestFilter,
    )  # fmt: skip
    list_select_related = ("stored_email",)
    sortable_by = ()
    search_fields = ("recipient",)  # shows the box; `get_search_results` looks into more
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = listing.BoundedPaginator
    fieldsets = ((_("Details"), {"fields": _DETAILS, "classes": ["migma-details"]}),)
    readonly_fields = _DETAILS

    @admin.display(description=_("status"))
    def status_chip(self, delivery: Delivery) -> str:
        return status_chip(delivery)

    @admin.display(description=_("mail"))
    def mail(self, delivery: Delivery) -> str:
        subject = delivery.subject or gettext("(no subject)")
        return two_lines(delivery.recipient, subject)

    @admin.display(description=_("email"))
    def email(self, delivery: Delivery) -> str:
        stored = delivery.stored_email
        name = (stored.key or stored.title or stored.subject) if stored else ""
        shown = name or delivery.email_id or DASH
        if not delivery.is_test:
            return shown
        return format_html("{} {}", shown, chip("quiet", "", gettext("test")))

    @admin.display(description=_("tries"))
    def tries(self, delivery: Delivery) -> str:
        now = timezone.now()
        if delivery.status != Delivery.Status.WAITING or delivery.due_at is None or delivery.due_at <= now:
            return str(delivery.attempts)
        text = gettext("next %(when)s") % {"when": ahead(delivery.due_at, now)}
        return two_lines(delivery.attempts, text)

    @admin.display(description=_("mailer"))
    def mailer(self, delivery: Delivery) -> str:
        return delivery.alias or "EMAIL_BACKEND"

    @admin.display(description=_("purpose"))
    def purpose(self, delivery: Delivery) -> str:
        return gettext("a test") if delivery.is_test else gettext("mail of the site")

    @admin.display(description=_("idempotency key"))
    def key(self, delivery: Delivery) -> str:
        return delivery.idempotency_key or DASH

    @admin.display(description=_("sent anew"))
    def repeated(self, delivery: Delivery) -> str:
        """Links to the row that this one repeats, and to those that repeat this one."""
        found = [(delivery.resent_from_id, gettext("repeats the delivery %(id)d"))]
        repeats = delivery.repeats.order_by("pk").values_list("pk", flat=True)[:MAX_REPEATS]
        found += [(pk, gettext("repeated by the delivery %(id)d")) for pk in repeats]
        links = [(self.admin_url("change", pk), text % {"id": pk}) for pk, text in found if pk]
        return format_html_join(", ", '<a href="{}">{}</a>', links) or DASH

    def has_action_permission(self, request: HttpRequest, action: Action, obj: Delivery | None = None) -> bool:
        codename = get_permission_codename(action.value, self.opts)
        allowed: bool = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return allowed and self.has_view_permission(request, obj)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self.has_action_permission(request, Action.RETRY)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return self.has_action_permission(request, Action.RESEND)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self.has_action_permission(request, Action.CANCEL)

    def get_urls(self) -> list[URLPattern]:
        """Return our views before the admin's own, the last of which matches any path."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        views = {action: self.admin_site.admin_view(partial(self.action_view, action=action)) for action in Action}
        return [
            *(
                path(f"{action.value}/", outside_transactions(view), name=f"{prefix}_{action.value}")
                for action, view in views.items()
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the rows without their requests and without the HTML of stored emails, which may be large."""
        return super().get_queryset(request).select_related("stored_email").defer("payload", "stored_email__html")

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return listing.ordering(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        return listing.search(queryset, search_term), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"summary": summary(Delivery.objects.all()), "max_count": listing.MAX_COUNT}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> HttpResponse:
        return super().render_change_form(
            request, context | self._page_context(request, context["original"]), *args, **options
        )

    def _page_context(self, request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
        today, now = current_destination(delivery.alias or None), timezone.now()
        allowed = [action for action in Action if self.has_action_permission(request, action, delivery)]
        possible = [action for action in allowed if not why_not(action, delivery, today, now)]
        found = verdict(delivery, today, now)
        return {
            "subtitle": None,  # the heading below says more
            "group": group_of(delivery.status),
            "chip": status_chip(delivery),
            "verdict": found.text,
            "events": timeline(delivery),
            "actions": [
                (f"{self.admin_url(action.value)}?ids={delivery.pk}", TITLES[action], action is found.action)
                for action in possible
            ],
            "exact_request": pretty(delivery.payload),
            "exact_bytes": len(delivery.payload.encode()),
            "sandbox_url": today.mail_url(delivery.message_id),
        }

    @admin.action(description=_("Try again with the same key…"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, Action.RETRY)

    @admin.action(description=_("Send anew…"), permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, Action.RESEND)

    @admin.action(description=_("Give up…"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, Action.CANCEL)

    def _ask(self, request: HttpRequest, queryset: QuerySet[Delivery], action: Action) -> HttpResponse:
        """Answer with the page that asks for a confirmation: an address could not hold so many ids."""
        return ActionPage(self, request, action).page(list(queryset.values_list("pk", flat=True)[: MAX_ROWS + 1]))

    def action_view(self, request: HttpRequest, action: Action) -> HttpResponse:
        if not self.has_action_permission(request, action):
            raise PermissionDenied
        return ActionPage(self, request, action).response()


class DeliveryAdmin(DeliveryAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of deliveries in Django's own admin."""


def pretty(payload: str) -> str:
    """The request with line breaks and indents for people; as it is, where it is no JSON."""
    try:
        found = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        found = payload
    return shorten(found)
