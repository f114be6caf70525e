"""Where the views of the stored emails' admin are, and who may use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.urls import reverse
from django.utils.http import urlencode

from django_migma.models import StoredEmail

if TYPE_CHECKING:
    from django.http import HttpRequest

    ModelAdmin = admin.ModelAdmin[StoredEmail]
else:
    ModelAdmin = object


class Access(ModelAdmin):
    """For a class with a ModelAdmin behind it."""

    def admin_url(self, view: str, *args: Any) -> str:
        """The address of a view of this admin, on the admin site that it belongs to."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def send_test_url(self, ids: Iterable[int]) -> str:
        """The address of the page that sends tests of these."""
        return f"{self.admin_url('send_test')}?{urlencode({'ids': ','.join(map(str, ids))})}"

    def has_send_test_permission(self, request: HttpRequest, obj: StoredEmail | None = None) -> bool:
        """Whether this user may send tests: a permission of its own, of use to those who may see the emails."""
        codename = get_permission_codename("send_test", self.opts)
        allowed: bool = request.user.has_perm(f"{self.opts.app_label}.{codename}")
        return allowed and self.has_view_or_change_permission(request, obj)

    def has_sync_permission(self, request: HttpRequest) -> bool:
        """Whether this user may sync, which adds and changes rows."""
        return self.has_add_permission(request) and self.has_change_permission(request)
