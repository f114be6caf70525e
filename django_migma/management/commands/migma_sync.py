"""``manage.py migma_sync``: the stored emails of a Migma project become rows of this site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from django_migma.conf import SETTINGS, Config
from django_migma.exceptions import ConfigurationError, MigmaError
from django_migma.mailers import mailer
from django_migma.management.terminal import say_to
from django_migma.sync import Summary, explained, projects, sync_project
from django_migma.testsends import UNREADABLE

_WIDTH = 30
_DOING = {"created": "Create", "updated": "Update", "gone": "Mark as gone"}


class Command(BaseCommand):
    """Parses and reports; the sync itself is in `django_migma.sync`."""

    help = "Fetches the stored emails of a Migma project. Keys and senders given here stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        """All have defaults."""
        parser.add_argument("--project", metavar="ID", help="Migma's id of the project; MIGMA['PROJECT_ID'] without.")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument("--using", metavar="ALIAS", help="The mailer in MAILERS whose key and address to use.")

    def handle(self, **options: Any) -> None:
        """Sync. Raises CommandError, with status 130 where somebody pressed Ctrl-C."""
        bar = _Bar(self.stderr, dry_run=options["dry_run"])
        try:
            config = mailer(options["using"]).config()
            project_id = _project_id(options["project"], config)
            summary = sync_project(config, project_id, dry_run=options["dry_run"], progress=bar)
        except ConfigurationError as error:
            raise CommandError(str(error)) from None
        except MigmaError as error:
            raise CommandError(f"{explained(error)} {bar.so_far}") from None
        except UNREADABLE as error:
            text = f"The table of stored emails cannot be used ({type(error).__name__})."
            raise CommandError(f"{text} Check the database, and run manage.py migrate. {bar.so_far}") from None
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {bar.so_far}", returncode=130) from None
        finally:
            bar.close()
        self._report(project_id, summary, options["verbosity"])

    def _report(self, project_id: str, summary: Summary, verbosity: int) -> None:
        if summary.dry_run or verbosity > 1:
            for change in summary.changes:
                fields = f": {', '.join(change.fields)}" if change.fields else ""
                say_to(self.stdout, _line(f"{_DOING[change.what]} {change.name}{fields}"))
        if verbosity > 0:
            self.stdout.write(_counts(project_id, summary))
        for broken in summary.broken:
            self.stderr.write(_line(str(broken)))
        if problems := list(_problems(summary)):
            raise CommandError(" ".join(problems))


def _project_id(given: str | None, config: Config) -> str:
    if given:
        if problem := SETTINGS["PROJECT_ID"].validate(given):
            raise CommandError(f"--project {problem}.")
        return given
    if config.project_id:
        return config.project_id
    found = "\n".join(_line(f"  {project.id}  {project.name}") for project in projects(config))
    raise CommandError(
        "Which project? Pass --project ID, or set MIGMA['PROJECT_ID'].\n"
        + (f"This account's projects are:\n{found}" if found else "This account has no projects yet.")
    )


def _counts(project_id: str, summary: Summary) -> str:
    counts = (
        f"{summary.created} created, {summary.updated} updated, {summary.unchanged} unchanged, {summary.gone} gone"
    )
    if summary.dry_run:
        return f"Project {project_id}, if this were no dry run: {counts}. Nothing was changed."
    return f"Project {project_id}: {counts}."


def _problems(summary: Summary) -> Iterator[str]:
    if summary.broken:
        yield f"Conversations that could not be read, or not as a whole: {len(summary.broken)}, named above."
    if summary.left:
        yield f"Conversations that a rate limit left no time for: {summary.left}. Wait a minute, then run this again."
    if not summary.complete:
        yield "The list of emails did not end, or changed meanwhile, so nothing was marked as gone. Run this again."


def _line(text: str) -> str:
    """A text that somebody typed at Migma, without what could move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


class _Bar:
    """Shows progress on a terminal, and knows how far it came."""

    def __init__(self, stream: OutputWrapper, *, dry_run: bool) -> None:
        self._stream = stream if stream.isatty() else None
        self._dry_run = dry_run
        self._done = self._total = 0

    def __call__(self, done: int, total: int) -> None:
        """Draw anew."""
        self._done, self._total = done, total
        if total:
            full = _WIDTH * done // total
            self._write(f"\r[{'#' * full}{'.' * (_WIDTH - full)}] {done}/{total}")

    def close(self) -> None:
        """Leave the line, so that what comes next begins one."""
        if self._total:
            self._write("\n")

    @property
    def so_far(self) -> str:
        """A sentence on what was done."""
        if self._dry_run or not self._done:
            return "Nothing was changed."
        return f"{self._done} of {self._total} conversations were done; run this again to go on."

    def _write(self, text: str) -> None:
        if self._stream:
            self._stream.write(text, str, ending="")
            self._stream.flush()
