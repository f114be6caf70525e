"""``manage.py migma_doctor``: is it set up?"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_migma.addresses import parse
from django_migma.api.errors import InvalidAddress
from django_migma.doctor import Item, examine
from django_migma.management.output import write_line

_MARKS = {"ok": "✓", "warning": "!", "not_checked": "!", "error": "✗"}
_WORDS = {"ok": "in order", "warning": "to look at", "not_checked": "not checked", "error": "wrong"}


class Command(BaseCommand):
    """Parses and prints; what is looked at is in `django_migma.doctor`."""

    help = "Says whether mail through Migma is set up, and what to do where it is not."
    requires_system_checks: list[str] = []  # noqa: RUF012 - a site whose settings are broken needs it most

    def add_arguments(self, parser: CommandParser) -> None:
        """Which mailer, and whether to send."""
        parser.add_argument(
            "--using", metavar="ALIAS", help="mailer to look at (default: the default one, or the first)"
        )
        parser.add_argument("--send-to", default="", metavar="ADDRESS", help="send an ordinary mail there, for real")
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print an item a line as it comes, and exit with 1 where something is wrong."""
        if options["send_to"]:
            _check(options["send_to"])
        found = []
        for item in examine(options["using"], send_to=options["send_to"]):
            found.append(item)
            if not options["json"]:
                for line in _lines(item):
                    write_line(self.stdout, line)
        counts = Counter(item.status for item in found)
        if options["json"]:
            document = {"ok": not counts["error"], "items": [asdict(item) for item in found], "counts": dict(counts)}
            self.stdout.write(json.dumps(document, indent=2))
        else:
            write_line(
                self.stdout,
                ", ".join(f"{counts[word]} {said}" for word, said in _WORDS.items() if counts[word]) + ".",
            )
        if counts["error"]:
            sys.exit(1)


def _check(address: str) -> None:
    try:
        parse(address, "--send-to")
    except InvalidAddress as error:
        raise CommandError(str(error)) from None


def _lines(item: Item) -> Iterator[str]:
    yield f"{_MARKS[item.status]} {item.name}: {item.text}"
    if item.advice:
        yield f"  {item.advice}"
