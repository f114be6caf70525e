"""The email backends. Needs neither the app in ``INSTALLED_APPS`` nor a database nor a template engine."""

from .direct import EmailBackend

__all__ = ["EmailBackend"]
