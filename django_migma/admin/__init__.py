"""The admin of stored emails. A site with a ModelAdmin of its own derives it from `StoredEmailAdminMixin`."""

from django.contrib import admin

from django_migma.models import StoredEmail

from .stored_email import StoredEmailAdmin, StoredEmailAdminMixin

__all__ = ["StoredEmailAdmin", "StoredEmailAdminMixin"]

if not admin.site.is_registered(StoredEmail):
    admin.site.register(StoredEmail, StoredEmailAdmin)
