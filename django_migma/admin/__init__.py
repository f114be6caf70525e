"""The admin of stored emails and deliveries.

A site with a ModelAdmin of its own derives it from `StoredEmailAdminMixin` or `DeliveryAdminMixin`.
"""

from django.contrib import admin

from django_migma.models import Delivery, StoredEmail

from .delivery import DeliveryAdmin, DeliveryAdminMixin
from .stored_email import StoredEmailAdmin, StoredEmailAdminMixin

__all__ = ["DeliveryAdmin", "DeliveryAdminMixin", "StoredEmailAdmin", "StoredEmailAdminMixin"]

if not admin.site.is_registered(StoredEmail):
    admin.site.register(StoredEmail, StoredEmailAdmin)
if not admin.site.is_registered(Delivery):
    admin.site.register(Delivery, DeliveryAdmin)
