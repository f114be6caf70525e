"""All errors of django-migma, to import from one place. The tree is drawn in `django_migma.api.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django
from django.core.exceptions import ImproperlyConfigured

from .api import errors
from .api.errors import *  # noqa: F403 - all that it exports

__all__ = ["ConfigurationError"]
__all__ += errors.__all__

if TYPE_CHECKING or django.VERSION < (6, 1):
    _InvalidMailer = ImproperlyConfigured
else:
    from django.core.mail import InvalidMailer as _InvalidMailer


class ConfigurationError(ImproperlyConfigured):
    """A setting is missing or unusable. Not a `MigmaError`, so that ``fail_silently`` does not hide it.

    An ``ImproperlyConfigured``. Under an alias of ``MAILERS``, from Django 6.1 on, also Django's ``InvalidMailer``.
    """


class MailerConfigurationError(ConfigurationError, _InvalidMailer):
    """A `ConfigurationError` of one alias of ``MAILERS``; also Django's ``InvalidMailer``, from Django 6.1 on."""

    def __init__(self, text: str = "", *, alias: str | None = None) -> None:
        super().__init__(text if alias is None else f"MAILERS[{alias!r}]: {text}")


def configuration_error(text: str, alias: str | None) -> ConfigurationError:
    """Return the error for a faulty setting: under an alias, one that is also Django's ``InvalidMailer``."""
    return MailerConfigurationError(text, alias=alias) if alias is not None else ConfigurationError(text)
