"""``manage.py migma_batches``: the newsletters that this site has sent, and what has become of them."""

from __future__ import annotations

import json
import shlex
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from django_migma.api.errors import MigmaError
from django_migma.backends.base import make_client
from django_migma.batches import batch_of, find_batch
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import mailer
from django_migma.management.arguments import positive_number
from django_migma.management.batches import batch_as_json, forgotten, progress_text
from django_migma.management.output import write_line
from django_migma.models import UNREADABLE, Newsletter
from django_migma.models.newsletter import aware


class Command(BaseCommand):
    help = "Lists the newsletters that this site has sent, newest first, and asks Migma about unfinished ones."
    requires_system_checks: list[str] = []  # noqa: RUF012 - it must help where something is wrong

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", nargs="?", help="only the batch or campaign with this id of Migma's")
        parser.add_argument("--cancel", action="store_true", help="cancel it, before its time has come")
        parser.add_argument(
            "--limit", type=positive_number, default=20, metavar="N", help="list so many (default: 20)"
        )
        parser.add_argument("--using", metavar="ALIAS", help="mailer to ask with, for an id of another site")
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")

    def handle(self, **options: Any) -> None:
        """List or show. Raises CommandError where nothing can be shown, and if a batch cannot be cancelled."""
        if options["cancel"] and not options["id"]:
            raise CommandError("--cancel needs the id of the campaign.")
        try:
            documents = [self._one(options)] if options["id"] else self._all(options)
        except (ConfigurationError, MigmaError, ValueError) as error:
            raise CommandError(str(error)) from None
        except UNREADABLE as error:
            text = f"The table of newsletters cannot be read ({type(error).__name__})."
            raise CommandError(f"{text} Check the database, and run manage.py migrate.") from None
        if options["json"]:
            self.stdout.write(json.dumps(documents, indent=2))

    def _one(self, options: dict[str, Any]) -> dict[str, Any]:
        batch = find_batch(options["id"], using=options["using"])
        if options["cancel"]:
            batch.cancel()
        if not options["json"]:
            write_line(self.stdout, f"{batch.kind} {batch.id}: {progress_text(batch)}")
        return batch_as_json(batch)

    def _all(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        rows = list(Newsletter.objects.order_by("-pk")[: options["limit"]])
        if not rows and not options["json"]:
            write_line(self.stdout, "This site has sent no newsletter. manage.py migma_send_batch sends one.")
        documents = []
        for row in rows:
            problem = _ask(row)
            if not options["json"]:
                write_line(self.stdout, _line(row, problem))
            documents.append(_document(row) | {"problem": problem})
        return documents


_LIVE = "It went to Migma itself, and this site uses a sandbox now."


def _ask(row: Newsletter) -> str:
    """Bring a row up to date that is not at its end; return what kept Migma from answering, or an empty text."""
    if row.is_in_doubt:
        again = f"migma_send_batch with --key {shlex.quote(row.caller_key)}, as it was, finds out for a day"
        text = f"Nobody knows whether it went out: {again}. Then Migma's dashboard tells."
        return " ".join(filter(None, [row.error, text]))
    if row.is_finished or not row.migma_id:
        return ""
    try:
        chosen = mailer(row.alias or None)
        if chosen.is_sandbox != row.is_sandbox:
            return "It went to a sandbox, which this site no longer uses." if row.is_sandbox else _LIVE
        batch_of(row, make_client(chosen.config())).refresh()
    except (ConfigurationError, MigmaError) as error:
        return f"{error} {forgotten(error, is_sandbox=row.is_sandbox)}".rstrip()
    return ""


def _line(row: Newsletter, problem: str) -> str:
    sent = "" if row.sent is None else f", {row.sent} of {row.total} sent"
    moment = f"{timezone.localtime(aware(row.created_at)):%Y-%m-%d %H:%M}"
    where = ", in a sandbox" if row.is_sandbox else ""
    text = f"{moment}  {row.migma_id or 'no id yet'}  {row.status}{sent}{where}  {row}"
    return f"{text}  {problem or row.error}".rstrip()


def _document(row: Newsletter) -> dict[str, Any]:
    names = (
        "kind",
        "status",
        "is_finished",
        "template",
        "subject",
        "recipient_type",
        "recipient_id",
        "recipient_name",
        "is_sandbox",
    )
    return {
        "id": row.migma_id,
        "key": row.caller_key,
        **{name: getattr(row, name) for name in (*names, "total", "queued", "sent", "failed", "error")},
        "scheduled_at": row.scheduled_at and aware(row.scheduled_at).isoformat(),
        "created_at": aware(row.created_at).isoformat(),
    }
