"""The app's tables."""

from .stored_email import StoredEmail

__all__ = ["StoredEmail"]
