"""Models of the app."""

from .delivery import Delivery
from .stored_email import StoredEmail

__all__ = ["Delivery", "StoredEmail"]
