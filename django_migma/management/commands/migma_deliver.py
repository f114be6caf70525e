"""``manage.py migma_deliver``: the worker that delivers queued mail."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_migma.delivery.deliverer import Deliverer


class Command(BaseCommand):
    help = "Delivers the mail that waits in the queue, until it is stopped; with --once, until nothing is due."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="deliver what is due, then end")

    def handle(self, **options: Any) -> None:
        """Deliver."""
        result = Deliverer().run(idle=0 if options["once"] else None)
        counts = ", ".join(f"{count} {word}" for word, count in result.counts.items()) or "nothing to do"
        self.stdout.write(f"Done: {counts}.")
