"""``manage.py migma_sandbox``: a local Migma that takes this project's mail and shows it."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from django_migma.addresses import parse
from django_migma.api.errors import InvalidAddress
from django_migma.mailers import mailers as configured_mailers
from django_migma.sandbox.__main__ import run
from django_migma.sandbox.options import add_arguments


class Command(BaseCommand):
    help = "Starts a local Migma: it takes mail through Migma's API, shows it, and sends nothing."
    requires_system_checks: list[str] = []  # noqa: RUF012 - a site whose settings are half done needs it most

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)

    def handle(self, **options: Any) -> None:
        """Serve until Ctrl-C. The domains of the project's own senders count as verified."""
        options["verified_domains"] = [*options["verified_domains"], *sorted(own_domains())]
        if status := run(options, stdout=self.stdout, stderr=self.stderr):
            sys.exit(status)


def own_domains() -> set[str]:
    """The domains that the project sends from, according to its settings and the options of its mailers."""
    senders = [settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL, getattr(settings, "MIGMA", {}).get("FROM_EMAIL")]
    mailers: dict[str, Any] = getattr(settings, "MAILERS", {})
    senders += [mailer.get("OPTIONS", {}).get("from_email") for mailer in mailers.values()]
    senders += [stored.from_email for mailer in configured_mailers() for stored in mailer.stored_emails().usable()]
    return {domain for sender in senders if sender and (domain := _domain(sender))}


def _domain(sender: str) -> str:
    try:
        return parse(sender, "sender").wire.rpartition("@")[2].lower()
    except InvalidAddress:
        return ""
