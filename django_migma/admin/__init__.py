"""The admin of stored emails, deliveries and newsletters.

A site with a ModelAdmin of its own derives it from `StoredEmailAdminMixin`, `DeliveryAdminMixin` or
`NewsletterAdminMixin`.
"""

from django.contrib import admin

from django_migma.models import Delivery, Newsletter, StoredEmail

from .delivery import DeliveryAdmin, DeliveryAdminMixin
from .newsletter import NewsletterAdmin, NewsletterAdminMixin
from .stored_email import StoredEmailAdmin, StoredEmailAdminMixin

__all__ = [
    "DeliveryAdmin",
    "DeliveryAdminMixin",
    "NewsletterAdmin",
    "NewsletterAdminMixin",
    "StoredEmailAdmin",
    "StoredEmailAdminMixin",
]

if not admin.site.is_registered(StoredEmail):
    admin.site.register(StoredEmail, StoredEmailAdmin)
if not admin.site.is_registered(Delivery):
    admin.site.register(Delivery, DeliveryAdmin)
if not admin.site.is_registered(Newsletter):
    admin.site.register(Newsletter, NewsletterAdmin)
