"""The app: models, admin, commands, system checks and log lines. The backend works without it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MigmaConfig(AppConfig):
    """Connects the receivers and registers the checks."""

    name = "django_migma"
    verbose_name = _("Migma")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, receivers  # noqa: F401, PLC0415 - checks registers itself; apps must be loaded first

        receivers.connect()
