"""``manage.py migma_send_batch``: a stored email to everybody in a segment or with a tag, after a look at it."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_migma.api.errors import Forbidden, MigmaError
from django_migma.batches import CAMPAIGN, Batch, PreparedBatch, prepare_batch
from django_migma.exceptions import ConfigurationError
from django_migma.management.arguments import seconds
from django_migma.management.batches import BatchProgress, batch_as_json, time_text
from django_migma.management.output import ProgressLine, write_line
from django_migma.models import UNREADABLE
from django_migma.models.newsletter import aware

if TYPE_CHECKING:
    from django_migma.models import Newsletter

INCOMPLETE = 3
"""The exit status of a batch that is partial, or not at its end after ``--timeout``."""
_MARKETING = "marketing: not to the unsubscribed, and with a link to unsubscribe"
_TRANSACTIONAL = "transactional: also to the unsubscribed, without a link to unsubscribe"
_RULE = """\
Transactional is only for mail that people expect whatever their subscription, such as renewals and security.
Promotional content under it breaks the law of many countries: CAN-SPAM in the USA, the GDPR in Europe."""


class Command(BaseCommand):
    help = "Sends a stored email to a segment or a tag, once, and follows it to its end."
    requires_system_checks: list[str] = []  # noqa: RUF012 - a send checks the settings that it needs

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("template", metavar="KEY", help="key of a stored email, or its id at Migma")
        to = parser.add_mutually_exclusive_group(required=True)
        to.add_argument("--segment", metavar="NAME", help="everybody in this segment, by its name or id")
        to.add_argument("--tag", metavar="NAME", help="everybody with this tag, by its name or id")
        add = parser.add_argument
        add("--subject", default="", help="the subject (default: that of the stored email)")
        add("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable; may be given several times")
        add("--from", dest="from_email", metavar="ADDRESS", help="the sender (default: as for other mail)")
        add("--transactional", action="store_true", help="also to the unsubscribed; asks again")
        add("--at", type=_moment, metavar="TIME", help="send it then, such as 2030-05-01T09:00+02:00")
        add("--using", metavar="ALIAS", help="mailer to use (default: the default one, or the first)")
        add("--key", default="", help="idempotency key (default: one that is the same today for the same newsletter)")
        add("--dry-run", action="store_true", help="show what would happen, and send nothing")
        add("--yes", action="store_true", help="do not ask; needs --key")
        add("--no-wait", action="store_true", help="do not follow it")
        add("--timeout", type=seconds, default=3600.0, metavar="S", help="follow it for S seconds (default: 3600)")
        add("--json", action="store_true", help="print one JSON document instead of lines; needs --yes")

    def handle(self, **options: Any) -> None:
        """Exits with 0 once it is completed, see `INCOMPLETE`, and with 130 after Ctrl-C, when the batch goes on."""
        _refuse_combination(options)
        line = ProgressLine(self.stdout, is_quiet=options["json"])
        try:
            prepared = _prepare(options)
            row = _remembered(prepared, options["key"])
            key = row.caller_key if row else options["key"] or prepared.usual_key()
            earlier = _earlier(row or prepared.previous(), is_same=row is not None)
            for text in [*_description(prepared), f"Key      {key}", *earlier]:
                line.write_line(text)
        except KeyboardInterrupt:
            raise CommandError("Interrupted. Nothing was sent.", returncode=130) from None
        if options["dry_run"]:
            line.write_line("Nothing was sent: this was a dry run.")
            return
        if not (options["yes"] or (row and row.migma_id)):
            self._confirm(prepared)
            # Another terminal may have sent it meanwhile, under the key of the day before.
            if begun := _remembered(prepared, options["key"]):
                key = begun.caller_key
        batch = self._send(prepared, key, line)
        if batch.kind == CAMPAIGN or options["no_wait"]:
            line.write_line(f"It is {batch.status}. {_where_to_look(batch)}")
        else:
            self._follow(batch, BatchProgress(line, is_sandbox=prepared.mailer.is_sandbox), line, options["timeout"])
        if options["json"]:
            self.stdout.write(json.dumps(batch_as_json(batch) | {"key": key}, indent=2))
        sys.exit(_exit_status(batch, is_followed=not options["no_wait"]))

    def _confirm(self, prepared: PreparedBatch) -> None:
        """Ask for the number of people, and once more for transactional mail. Raises CommandError if it differs."""
        if not self.stdin_is_terminal():
            raise CommandError("This is no terminal, so nobody can be asked. Add --yes and --key to send it.")
        count = prepared.audience.count
        wanted = prepared.audience.id if count is None else str(count)
        what = "the id of the audience" if count is None else "the number of people"
        self._ask(f"Type {what}, {wanted}, to send it: ", wanted)
        if prepared.body.get("transactional"):
            for text in _RULE.splitlines():
                write_line(self.stdout, text)
            self._ask("Type transactional to send it so: ", "transactional")

    def stdin_is_terminal(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()

    def _ask(self, question: str, wanted: str) -> None:
        try:
            given = input(question)
        except (EOFError, KeyboardInterrupt):
            self.stdout.write("")
            raise CommandError("Nothing was sent.", returncode=130) from None
        if given.strip() != wanted:
            raise CommandError(f"Nothing was sent: the answer was not {wanted}.")

    def _send(self, prepared: PreparedBatch, key: str, line: ProgressLine) -> Batch:
        command = f"Run the command again with --key {shlex.quote(key)}"
        again = f"{command} to find out: it is the same batch, and goes out once."
        try:
            batch = prepared.send(key)
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. The batch may be on its way. {again}", returncode=130) from None
        except (MigmaError, ValueError) as error:
            is_in_doubt = getattr(error, "may_have_been_accepted", False)
            what = f"It may be on its way. {again}" if is_in_doubt else "Nothing was sent."
            raise CommandError(f"{error} {what}") from None
        word = "has it from before" if batch.replayed else "has taken it"
        line.write_line(f"Migma {word}: {batch.kind} {batch.id}.")
        if url := prepared.mailer.mail_url(batch.id):
            line.write_line(f"See it at {url}")
        return batch

    def _follow(self, batch: Batch, progress: BatchProgress, line: ProgressLine, timeout: float) -> None:
        try:
            batch.wait(timeout, on_change=progress.show, on_error=progress.show_error)
        except KeyboardInterrupt:
            line.end()
            raise CommandError(f"Interrupted. The batch goes on. {_where_to_look(batch)}", returncode=130) from None
        except MigmaError as error:
            line.end()
            text = f"{error} Migma has taken the batch. {_where_to_look(batch)}"
            raise CommandError(text, returncode=INCOMPLETE) from None
        progress.end(batch)
        if not batch.is_finished:
            line.write_line(f"It is not at its end after {timeout:g} s, and goes on. {_where_to_look(batch)}")


def _prepare(options: dict[str, Any]) -> PreparedBatch:
    pairs = [pair.partition("=") for pair in options["var"]]
    if not all(name and equals for name, equals, _ in pairs):
        raise CommandError("Give --var as name=value, such as --var month=May.")
    try:
        prepared = prepare_batch(
            options["template"],
            segment=options["segment"],
            tag=options["tag"],
            subject=options["subject"],
            variables={name: value for name, _, value in pairs},
            from_email=options["from_email"],
            transactional=options["transactional"] or None,
            scheduled_at=options["at"],
            using=options["using"],
        )
    except (ConfigurationError, MigmaError, ValueError) as error:
        raise CommandError(str(error)) from None
    except UNREADABLE as error:
        text = f"The table of stored emails cannot be read ({type(error).__name__})."
        raise CommandError(f"{text} Check the database, and run manage.py migrate. Or give Migma's id.") from None
    return prepared


def _remembered(prepared: PreparedBatch, key: str) -> Newsletter | None:
    try:
        row = prepared.remembered(key)
        prepared.check(row)
    except (MigmaError, ValueError) as error:
        raise CommandError(str(error)) from None
    except UNREADABLE as error:
        text = f"The table of newsletters cannot be read ({type(error).__name__})"
        raise CommandError(f"{text}, and it keeps one from going out twice. Run manage.py migrate.") from None
    return row


def _refuse_combination(options: dict[str, Any]) -> None:
    if options["json"] and (options["dry_run"] or not options["yes"]):
        raise CommandError("--json tells what became of a batch, and asks no questions: add --yes, not --dry-run.")
    if options["yes"] and not (options["key"] or options["dry_run"]):
        raise CommandError(
            "Where nobody is asked, only a key tells a repeat from the next newsletter. Add --key with a text that "
            "is the same whenever this newsletter is meant, such as --key letter-2026-05."
        )


def _moment(text: str) -> dt.datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or timezone.is_naive(moment):
        raise ArgumentTypeError(f"invalid time {text!r}: give it with its offset, such as 2030-05-01T09:00+02:00")
    return moment


def _description(prepared: PreparedBatch) -> list[str]:
    """What will happen, for somebody to read before it does."""
    body, audience = prepared.body, prepared.audience
    people = "an unknown number of people" if audience.count is None else f"{audience.count} people"
    when = "now" if prepared.scheduled_at is None else f"{prepared.scheduled_at.isoformat()}, by a campaign"
    lines = [
        f"Email    {prepared.template}: {body['subject']}",
        f"From     {body['fromName']} <{body['from']}>, {_domain_state(prepared)}",
        f"To       {audience}: {people}",
        f"Kind     {_TRANSACTIONAL if body.get('transactional') else _MARKETING}",
        f"When     {when}",
        f"Where    {'a sandbox on this machine' if prepared.mailer.is_sandbox else 'Migma itself, live'}",
    ]
    if prepared.missing_variables:
        names = ", ".join(sorted(prepared.missing_variables))
        lines.append(f"Missing  {names}: Migma may know them of each contact. Else give them with --var.")
    return lines


def _earlier(row: Newsletter | None, *, is_same: bool) -> list[str]:
    """What is known of the same newsletter from before, or of another one of this email to this audience."""
    if row is None:
        return []
    moment = time_text(aware(row.created_at))
    if not is_same:
        time = f" for {time_text(aware(row.scheduled_at))}" if row.scheduled_at else ""
        what = f"this email to this {row.recipient_type}, at {moment}{time}: {row.status}, key {row.caller_key}"
        return [f"Earlier  Another one of {what}. This one goes out as well."]
    if row.migma_id:
        taken = f"Migma took it at {moment} under this key, and it is {row.status}"
        return [f"Earlier  {taken}. It goes out once: give another --key for a second time."]
    if row.is_refused:
        return [f"Earlier  Refused at {moment} under this key, so nothing was sent."]
    if row.claimed_until and row.claimed_until > timezone.now():
        return ["Earlier  Another process sends it at this moment, or was killed. This waits for what becomes of it."]
    return [f"Earlier  Begun at {moment} under this key, and what became of it is unknown. This finds out."]


def _domain_state(prepared: PreparedBatch) -> str:
    domain = prepared.body["from"].rpartition("@")[2].lower()
    try:
        known = [*prepared.client.list_domains(), *prepared.client.list_domains(managed=True)]
    except Forbidden:
        return "a domain that this API key may not look up"
    except MigmaError:
        return "a domain that could not be looked up"
    is_verified = any(each.usable for each in known if each.domain.lower() == domain)
    return "a verified domain" if is_verified else "a domain that is NOT VERIFIED: Migma may refuse it"


def _exit_status(batch: Batch, *, is_followed: bool) -> int:
    if batch.status in {"failed", "cancelled"}:
        return 1
    return 0 if batch.kind == CAMPAIGN or not is_followed or batch.status == "completed" else INCOMPLETE


def _where_to_look(batch: Batch) -> str:
    look = f"Look at it with manage.py migma_batches {batch.id}"
    return f"{look}, cancel it with --cancel." if batch.kind == CAMPAIGN and not batch.is_finished else f"{look}."
