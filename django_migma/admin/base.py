"""What the admins of this app share: addresses, media, pages of their own, and rows that nobody edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import connections, transaction
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from .cells import ago

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = object


class MigmaAdminMixin(ModelAdmin):
    """Addresses, media and pages, for the ModelAdmin of any theme."""

    @property
    def media(self) -> forms.Media:
        """The media of the base class and ours; a ``Media`` class of a subclass would replace one of them."""
        ours = forms.Media(css={"all": ["django_migma/admin.css"]}, js=["django_migma/admin.js"])
        return super().media + ours

    def admin_url(self, view: str, *args: Any) -> str:
        """Return the URL of a view of this admin, on the admin site that it belongs to."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def own_page(
        self, request: HttpRequest, template: str, title: Any, context: Mapping[str, Any]
    ) -> TemplateResponse:
        """Return a page that Django's admin has not. ``template`` is the name of one that extends ``page.html``."""
        request.current_app = self.admin_site.name
        common = {
            **self.admin_site.each_context(request),
            "title": title,
            "original": title,  # the last of the breadcrumbs, where the page of one row has that row
            "opts": self.opts,
            "has_view_permission": True,
            "media": self.media,
            "list_url": self.admin_url("changelist"),
        }
        return TemplateResponse(request, f"admin/django_migma/{template}", {**common, **context})


class LogAdminMixin(MigmaAdminMixin):
    """Rows that say what was sent: to look at, and not to edit."""

    @admin.display(description=_("when"))
    def when(self, row: Any) -> str:
        return ago(row.created_at)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: somebody may wait for the mail of a row, and without the row it could go out twice."""
        return False


def outside_transactions(view: Any) -> Any:
    """Exempt a view from ``ATOMIC_REQUESTS``: it waits for Migma, and should hold no lock meanwhile."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view
