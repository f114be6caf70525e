"""``manage.py migma_sync``: the stored emails of a Migma project become rows of this site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from django_migma.conf import SETTINGS, Config
from django_migma.error_messages import explain
from django_migma.exceptions import ConfigurationError, MigmaError
from django_migma.mailers import mailer
from django_migma.management.output import printable, write_line
from django_migma.models import UNREADABLE
from django_migma.sync import SyncResult, list_projects, sync_project

_COUNTS = ("created", "updated", "unchanged", "gone")
_VERBS = {"created": "Create", "updated": "Update", "gone": "Mark as gone"}


class Command(BaseCommand):
    help = "Fetches the stored emails of a Migma project. Keys, senders and variables given here stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--project", metavar="ID", help="Migma's id of the project (default: MIGMA['PROJECT_ID'])"
        )
        parser.add_argument("--dry-run", action="store_true", help="only print what would be done")
        parser.add_argument("--using", metavar="ALIAS", help="mailer to use (default: the default one, or the first)")

    def handle(self, **options: Any) -> None:
        """Sync. Raises CommandError if anything is left to do, with exit status 130 after Ctrl-C."""
        progress = _Progress(self.stderr, dry_run=options["dry_run"])
        try:
            config = mailer(options["using"]).config()
            project_id = _project_id(options["project"], config)
            result = sync_project(config, project_id, dry_run=options["dry_run"], progress=progress)
        except ConfigurationError as error:
            raise CommandError(printable(str(error))) from None
        except MigmaError as error:
            text = explain(error, permission="email:read")
            raise CommandError(printable(f"{text} {progress.summary}")) from None
        except UNREADABLE as error:
            text = f"The table of stored emails cannot be used ({type(error).__name__})."
            raise CommandError(f"{text} Check the database, and run manage.py migrate. {progress.summary}") from None
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {progress.summary}", returncode=130) from None
        finally:
            progress.end_line()
        self._report(project_id, result, options["verbosity"])

    def _report(self, project_id: str, result: SyncResult, verbosity: int) -> None:
        if result.dry_run or verbosity > 1:
            for change in result.changes:
                fields = f": {', '.join(change.fields)}" if change.fields else ""
                write_line(self.stdout, f"{_VERBS[change.what]} {change.name}{fields}")
        if verbosity > 0:
            counts = ", ".join(f"{getattr(result, name)} {name}" for name in _COUNTS)
            mode, end = (", dry run", " Nothing was changed.") if result.dry_run else ("", "")
            write_line(self.stdout, f"Project {project_id}{mode}: {counts}.{end}")
        for failure in result.failures:
            write_line(self.stderr, str(failure))
        if problems := list(_problems(result)):
            raise CommandError(" ".join(problems))


def _project_id(given: str | None, config: Config) -> str:
    if given and (problem := SETTINGS["PROJECT_ID"].validate(given)):
        raise CommandError(f"--project {problem}.")
    if project_id := given or config.project_id:
        return project_id
    found = [printable(f"  {project.id}  {project.name}") for project in list_projects(config)]
    projects = ["The projects of this account are:", *found] if found else ["This account has no projects yet."]
    raise CommandError("\n".join(["No project is given. Pass --project ID, or set MIGMA['PROJECT_ID'].", *projects]))


def _problems(result: SyncResult) -> Iterator[str]:
    if result.failures:
        yield f"Conversations that could not be read, or only in part: {len(result.failures)}, named above."
    if result.left:
        yield f"Conversations not read because of the rate limit: {result.left}. Wait a minute, then run this again."
    if not result.complete:
        yield "The list of emails did not end, or changed meanwhile, so nothing was marked as gone. Run this again."


class _Progress:
    def __init__(self, stream: OutputWrapper, *, dry_run: bool) -> None:
        self._stream = stream
        self._dry_run = dry_run
        self._done = self._total = 0

    def __call__(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        self._write(f"\r{done} of {total} conversations")

    def end_line(self) -> None:
        self._write("\n")

    @property
    def summary(self) -> str:
        if self._dry_run or not self._done:
            return "Nothing was changed."
        return f"{self._done} of {self._total} conversations are done; run this again to continue."

    def _write(self, text: str) -> None:
        if self._total and self._stream.isatty():
            self._stream.write(text, str, ending="")
            self._stream.flush()
