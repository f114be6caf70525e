"""Models of the app."""

from .delivery import Delivery
from .newsletter import Newsletter
from .stored_email import StoredEmail

__all__ = ["Delivery", "Newsletter", "StoredEmail"]
