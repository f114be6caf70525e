"""Models of the app."""

from django.core.exceptions import ImproperlyConfigured
from django.db import Error

from .delivery import Delivery
from .newsletter import Newsletter
from .stored_email import StoredEmail

UNREADABLE = (Error, ImproperlyConfigured)
"""What a query raises where there is no such table, since nobody has migrated, or no database."""

__all__ = ["UNREADABLE", "Delivery", "Newsletter", "StoredEmail"]
