"""The admin of deliveries: their list, their page, and the way to the deeds. Nobody edits or deletes a row here."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_migma.html import shorten
from django_migma.mailers import current_destination
from django_migma.models import Delivery

from . import delivery_list as listing
from .delivery_actions import MAX_ROWS, TITLES, DeedPage
from .delivery_summary import summary
from .delivery_verdict import Deed, ahead, group_of, timeline, verdict, why_not
from .stored_email import outside_transactions
from .stored_email_list import ago

if TYPE_CHECKING:
    from django.db.models import QuerySet

    ModelAdmin = admin.ModelAdmin[Delivery]
else:
    ModelAdmin = object

_EMPTY = "-"
MAX_REPEATS = 20  # links on the page of a row that was sent anew
_DETAILS = (
    "recipient", "from_email", "subject", "stored_email", "email_id", "mailer", "key", "caller_key", "message_id",
    "send_id", "provider", "attempts", "first_attempt_at", "purpose", "repeated",
)  # fmt: skip


class DeliveryAdminMixin(ModelAdmin):
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

    @property
    def media(self) -> forms.Media:
        """The media of the base class and ours; a ``Media`` class of a subclass would replace one of them."""
        ours = forms.Media(css={"all": ["django_migma/admin.css"]}, js=["django_migma/admin.js"])
        return super().media + ours

    @admin.display(description=_("status"))
    def status_chip(self, delivery: Delivery) -> str:
        return chip(delivery)

    @admin.display(description=_("mail"))
    def mail(self, delivery: Delivery) -> str:
        subject = delivery.subject or gettext("(no subject)")
        return format_html('{} <span class="migma-second">{}</span>', delivery.recipient, subject)

    @admin.display(description=_("email"))
    def email(self, delivery: Delivery) -> str:
        stored = delivery.stored_email
        name = (stored.key or stored.title or stored.subject) if stored else ""
        shown = name or delivery.email_id or _EMPTY
        if not delivery.is_test:
            return shown
        return format_html('{} <span class="migma-chip migma-quiet">{}</span>', shown, gettext("test"))

    @admin.display(description=_("tries"))
    def tries(self, delivery: Delivery) -> str:
        now = timezone.now()
        if delivery.status != Delivery.Status.WAITING or delivery.due_at is None or delivery.due_at <= now:
            return str(delivery.attempts)
        text = gettext("next %(when)s") % {"when": ahead(delivery.due_at, now)}
        return format_html('{} <span class="migma-second">{}</span>', delivery.attempts, text)

    @admin.display(description=_("when"))
    def when(self, delivery: Delivery) -> str:
        return ago(delivery.created_at)

    @admin.display(description=_("mailer"))
    def mailer(self, delivery: Delivery) -> str:
        return delivery.alias or "EMAIL_BACKEND"

    @admin.display(description=_("purpose"))
    def purpose(self, delivery: Delivery) -> str:
        return gettext("a test") if delivery.is_test else gettext("mail of the site")

    @admin.display(description=_("idempotency key"))
    def key(self, delivery: Delivery) -> str:
        return delivery.idempotency_key or _EMPTY

    @admin.display(description=_("sent anew"))
    def repeated(self, delivery: Delivery) -> str:
        """Links to the row that this one repeats, and to those that repeat this one."""
        found = [(delivery.resent_from_id, gettext("repeats the delivery %(id)d"))]
        repeats = delivery.repeats.order_by("pk").values_list("pk", flat=True)[:MAX_REPEATS]
        found += [(pk, gettext("repeated by the delivery %(id)d")) for pk in repeats]
        links = [(self.admin_url("change", pk), text % {"id": pk}) for pk, text in found if pk]
        return format_html_join(", ", '<a href="{}">{}</a>', links) or _EMPTY

    def admin_url(self, view: str, *args: Any) -> str:
        """Return the URL of a view of this admin, on the admin site that it belongs to."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """Never: a row on its way is a mail that somebody waits for. ``migma_prune`` deletes old rows."""
        return False

    def has_deed_permission(self, request: HttpRequest, deed: Deed, obj: Delivery | None = None) -> bool:
        codename = get_permission_codename(deed.value, self.opts)
        allowed: bool = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return allowed and self.has_view_permission(request, obj)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return self.has_deed_permission(request, Deed.RETRY)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return self.has_deed_permission(request, Deed.RESEND)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return self.has_deed_permission(request, Deed.CANCEL)

    def get_urls(self) -> list[URLPattern]:
        """Return our views before the admin's own, the last of which matches any path."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"
        views = {deed: self.admin_site.admin_view(partial(self.deed_view, deed=deed)) for deed in Deed}
        return [
            *(
                path(f"{deed.value}/", outside_transactions(view), name=f"{prefix}_{deed.value}")
                for deed, view in views.items()
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
        allowed = [deed for deed in Deed if self.has_deed_permission(request, deed, delivery)]
        possible = [deed for deed in allowed if not why_not(deed, delivery, today, now)]
        found = verdict(delivery, today, now)
        return {
            "subtitle": None,  # the heading below says more
            "group": group_of(delivery.status),
            "chip": chip(delivery),
            "verdict": found.text,
            "events": timeline(delivery),
            "deeds": [
                (f"{self.admin_url(deed.value)}?ids={delivery.pk}", TITLES[deed], deed is found.deed)
                for deed in possible
            ],
            "exact_request": pretty(delivery.payload),
            "exact_bytes": len(delivery.payload.encode()),
            "sandbox_url": today.mail_url(delivery.message_id),
        }

    @admin.action(description=_("Try again with the same key…"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, Deed.RETRY)

    @admin.action(description=_("Send anew…"), permissions=["resend"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, Deed.RESEND)

    @admin.action(description=_("Give up…"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> HttpResponse:
        return self._ask(request, queryset, Deed.CANCEL)

    def _ask(self, request: HttpRequest, queryset: QuerySet[Delivery], deed: Deed) -> HttpResponse:
        """Answer with the page that asks for a confirmation: an address could not hold so many ids."""
        return DeedPage(self, request, deed).page(list(queryset.values_list("pk", flat=True)[: MAX_ROWS + 1]))

    def deed_view(self, request: HttpRequest, deed: Deed) -> HttpResponse:
        if not self.has_deed_permission(request, deed):
            raise PermissionDenied
        return DeedPage(self, request, deed).response()


class DeliveryAdmin(DeliveryAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of deliveries in Django's own admin."""


def chip(delivery: Delivery) -> str:
    """The status as a word with the symbol and the colour of its group."""
    group = group_of(delivery.status)
    return format_html(
        '<span class="migma-chip migma-{}"><span aria-hidden="true">{}</span> {}</span>',
        group.name,
        group.symbol,
        delivery.get_status_display(),
    )


def pretty(payload: str) -> str:
    """The request with line breaks and indents for people; as it is, where it is no JSON."""
    try:
        found = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    except ValueError:
        found = payload
    return shorten(found)
