"""``manage.py migma_doctor``: checks whether the site is set up to send mail through Migma."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_migma.addresses import parse
from django_migma.api.errors import InvalidAddress
from django_migma.doctor import Finding, run_checkup
from django_migma.management.output import write_line

_MARKS = {"ok": "✓", "warning": "!", "not_checked": "!", "error": "✗"}


class Command(BaseCommand):
    help = "Checks whether mail through Migma is set up, and says what to do if it is not."
    requires_system_checks: list[str] = []  # noqa: RUF012 - a site whose settings are broken needs it most

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--using", metavar="ALIAS", help="mailer to check (default: the default one, or the first)"
        )
        parser.add_argument("--send-to", default="", metavar="ADDRESS", help="send a real mail to this address")
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each finding when it is there. Exits with 1 if there is an error."""
        if options["send_to"]:
            try:
                parse(options["send_to"], "--send-to")
            except InvalidAddress as error:
                raise CommandError(str(error)) from None
        findings = []
        for finding in run_checkup(options["using"], send_to=options["send_to"]):
            findings.append(finding)
            if not options["json"]:
                self._write(finding)
        counts = Counter(finding.status for finding in findings)
        if options["json"]:
            items = [asdict(finding) for finding in findings]
            document = {"ok": not counts["error"], "items": items, "counts": dict(counts)}
            self.stdout.write(json.dumps(document, indent=2))
        else:
            parts = [_counted(counts[status], status) for status in _MARKS if counts[status]]
            write_line(self.stdout, f"{', '.join(parts)}.")
        if counts["error"]:
            sys.exit(1)

    def _write(self, finding: Finding) -> None:
        write_line(self.stdout, f"{_MARKS[finding.status]} {finding.name}: {finding.text}")
        if finding.advice:
            write_line(self.stdout, f"  {finding.advice}")


def _counted(count: int, status: str) -> str:
    plural = "s" if count > 1 and status in {"warning", "error"} else ""
    return f"{count} {status.replace('_', ' ')}{plural}"
