"""Models of the app."""

from .stored_email import StoredEmail

__all__ = ["StoredEmail"]
