"""``manage.py migma_track``: asks Migma what has become of accepted mail, and writes it into the delivery log."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError

from django_migma.management.arguments import positive_number
from django_migma.management.output import write_line
from django_migma.tracking import MAX_PAGES, TrackResult, track


class Command(BaseCommand):
    help = "Asks Migma what has become of accepted mail of stored emails, and brings its rows forward."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--max",
            type=positive_number,
            default=MAX_PAGES,
            metavar="N",
            help=f"make at most so many requests, each for 100 mails (default: {MAX_PAGES})",
        )

    def handle(self, **options: Any) -> None:
        """Track. Raises CommandError: status 3 if something is left, 1 if a setting is wrong, 130 after Ctrl-C."""
        try:
            result = track(max_pages=options["max"])
        except DatabaseError as error:
            text = f"The table of deliveries cannot be used ({type(error).__name__})."
            raise CommandError(f"{text} Check the database, and run manage.py migrate.") from None
        except KeyboardInterrupt:
            text = "Interrupted. What Migma has said so far is written."
            raise CommandError(text, returncode=130) from None
        if options["verbosity"] > 0:
            for line in _summary(result):
                write_line(self.stdout, line)
        for problem in result.problems:
            write_line(self.stderr, problem)
        self._conclude(result, options["max"])

    def _conclude(self, result: TrackResult, max_pages: int) -> None:
        if not result.left:
            return
        advice = "See the lines above."
        if result.pages >= max_pages:
            advice = f"--max {max_pages} is used up. Raise it, or run this more often."
        text = f"Not everything was looked at; stored emails left: {result.left}. {advice}"
        raise CommandError(text, returncode=1 if result.is_misconfigured else 3)


def _summary(result: TrackResult) -> list[str]:
    changes = ", ".join(f"{count} {status}" for status, count in sorted(result.changes.items()))
    lines = [f"Stored emails: {result.emails}; requests: {result.pages}; changes: {changes or 'none'}."]
    if result.missing:
        lines.append(f"Not in Migma's logs, or not yet: {result.missing}.")
    if result.untracked:
        lines.append(f"Mail that no log tells about, such as raw HTML: {result.untracked}.")
    if result.unknown_statuses:
        words = ", ".join(sorted(result.unknown_statuses))
        lines.append(f"Statuses of Migma's that are not known here, and change nothing: {words}.")
    return lines
