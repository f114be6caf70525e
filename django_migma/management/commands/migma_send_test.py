"""``manage.py migma_send_test``: sends stored emails to a few addresses, as tests or as the site sends them."""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from math import inf
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_migma.api.errors import InvalidAddress, StoredEmailNotFound
from django_migma.api.types import is_object_id
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailer
from django_migma.management.output import write_line
from django_migma.message import MigmaMessage
from django_migma.models import UNREADABLE
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.stored_emails import DeclaredEmails, StoredEmailData
from django_migma.testsends.outcomes import Status, TestOutcome, count_outcomes, make_outcome
from django_migma.testsends.rows import log_test, record_test
from django_migma.testsends.sending import (
    MAX_TESTS,
    TestSend,
    parse_addresses,
    send_live_tests,
    send_tests,
)
from django_migma.variables import without_empty

_MARKS = {Status.ACCEPTED: "✓", Status.FAILED: "✗", Status.UNKNOWN: "?", Status.NOT_ATTEMPTED: "✗"}


class Command(BaseCommand):
    help = "Sends stored emails to addresses of your own, one call per email and address."
    requires_system_checks: list[str] = []  # noqa: RUF012 - a send checks the settings that it needs

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="+", metavar="KEY_OR_ID", help="key of a stored email, or its id at Migma")
        parser.add_argument(
            "--to", action="append", required=True, metavar="ADDRESS", help="recipient; may be given several times"
        )
        parser.add_argument("--conversation", action="store_true", help="the ids are ids of conversations")
        parser.add_argument("--using", metavar="ALIAS", help="mailer to use (default: the default one, or the first)")
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
        live = parser.add_argument_group(
            "live", "Send as the site does, with its sender and the variables given here."
        )
        live.add_argument("--live", action="store_true", help="send through /v1/sending instead of as a test")
        live.add_argument(
            "--var", action="append", default=[], metavar="NAME=VALUE", help="a variable; may be given several times"
        )
        live.add_argument("--subject", default="", help="the subject (default: that of the stored email)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exits with 1 unless all were accepted, 130 after Ctrl-C. Raises CommandError before anything is sent."""
        variables = _variables(options)
        try:
            chosen = mailer(options["using"])
            config = chosen.config()
            sends = _sends(options, StoredEmailResolver(DeclaredEmails(config.stored_emails)))
        except (ConfigurationError, InvalidAddress, StoredEmailNotFound) as error:
            raise CommandError(str(error)) from None

        batch = uuid.uuid4().hex
        if options["live"]:
            message_of = partial(_message, variables=variables, subject=options["subject"])
            outcomes = send_live_tests(chosen, sends, message_of, batch=batch, seconds=inf)
        else:
            outcomes = send_tests(config, sends, seconds=inf)
        say: Callable[[str], None] = _say_nothing if options["json"] else partial(write_line, self.stdout)
        say(_destination(chosen))
        rows: list[dict[str, Any]] = []
        log = partial(log_test, alias=chosen.alias or "", redirect_to=config.redirect_to or "", batch=batch)
        exit_status = 0
        try:
            _report(chosen, sends, outcomes, rows, say, log=None if options["live"] else log)
        except KeyboardInterrupt:
            rest = sends[len(rows) :]
            _report(chosen, rest, _interrupted(rest), rows, say, log=None if options["live"] else log)
            exit_status = 130
        self._conclude(chosen, rows, say, options)
        if exit_status or any(row["status"] != Status.ACCEPTED for row in rows):
            sys.exit(exit_status or 1)

    def _conclude(
        self, chosen: Mailer, rows: list[dict[str, Any]], say: Callable[[str], None], options: dict[str, Any]
    ) -> None:
        statuses = [row["status"] for row in rows]
        say(count_outcomes(statuses))
        if options["json"]:
            document = {
                "mailer": chosen.alias,
                "api_url": str(chosen.value("API_URL")),
                "sandbox": chosen.is_sandbox,
                "redirect_to": chosen.value("REDIRECT_TO") or None,
                "live": options["live"],
                "results": rows,
                "counts": dict(Counter(statuses)),
            }
            self.stdout.write(json.dumps(document, indent=2))


def _say_nothing(text: str) -> None:
    """Print no line: ``--json`` prints one document alone."""


def _destination(chosen: Mailer) -> str:
    where = "a sandbox on this machine" if chosen.is_sandbox else "Migma itself, live"
    redirected = " REDIRECT_TO is set: everything goes to that address." if chosen.value("REDIRECT_TO") else ""
    return f"To {where}: {chosen.value('API_URL')}{redirected}"


def _report(
    chosen: Mailer,
    sends: list[TestSend],
    outcomes: Iterable[TestOutcome],
    rows: list[dict[str, Any]],
    say: Callable[[str], None],
    *,
    log: Callable[[StoredEmailData, TestOutcome], None] | None,
) -> None:
    """Send, since outcomes are lazy; record, print and collect each as it comes.

    ``log`` writes the row of a test. Without it, the mailer does.
    """
    for send, outcome in zip(sends, outcomes, strict=True):
        with suppress(*UNREADABLE):  # an email given by its id needs no table
            record_test(send.stored, outcome)
        if log:
            with suppress(*UNREADABLE):
                log(send.stored, outcome)
        row = {
            "email": send.stored.name,
            "to": send.to,
            "status": outcome.status,
            "text": outcome.text,
            "message_id": outcome.message_id,
            "url": chosen.mail_url(outcome.message_id),
            "missing_variables": list(outcome.missing_variables),
        }
        rows.append(row)
        say(f"{_MARKS[outcome.status]} {send.stored.name} to {send.to}: {outcome.text}")
        if row["url"]:
            say(f"  See it at {row['url']}")
        if outcome.missing_variables:
            say(f"  Variables without a value: {', '.join(outcome.missing_variables)}. Give them with --var.")


def _variables(options: dict[str, Any]) -> dict[str, str]:
    if (options["var"] or options["subject"]) and not options["live"]:
        raise CommandError("--var and --subject need --live: as a test, Migma sends the email as it is stored.")
    pairs = [pair.partition("=") for pair in options["var"]]
    if not all(name and equals for name, equals, _ in pairs):
        raise CommandError("Give --var as name=value, such as --var first_name=Ada.")
    return {name: value for name, _, value in pairs}


def _sends(options: dict[str, Any], resolve: StoredEmailResolver) -> list[TestSend]:
    stored = [_stored(resolve, name, options["conversation"]) for name in dict.fromkeys(options["ids"])]
    unnamed = [one.name for one in stored if not (options["subject"] or one.subject)]
    if options["live"] and unnamed:
        raise CommandError(f"No subject is known for {unnamed[0]!r}: give --subject, as the code that sends it does.")
    addresses = parse_addresses("\n".join(options["to"]))
    if not addresses:
        raise CommandError("--to is empty. Give an address, such as --to you@example.com.")
    sends = [TestSend(stored=one, to=address) for one, address in product(stored, addresses)]
    if len(sends) > MAX_TESTS:
        raise CommandError(f"These are {len(sends)} calls, and at most {MAX_TESTS} go at a time. Name fewer emails.")
    return sends


def _stored(resolve: StoredEmailResolver, name: str, is_conversation: bool) -> StoredEmailData:
    if is_object_id(name) and is_conversation:
        return StoredEmailData(name=name, conversation_id=name)
    if is_object_id(name):
        return StoredEmailData(name=name, email_id=name)
    if is_conversation:
        raise CommandError(f"{name!r} is not the id of a conversation: Migma's ids have 24 hex digits.")
    try:
        return resolve(name)
    except UNREADABLE as error:
        raise CommandError(
            f"The table of stored emails cannot be read ({type(error).__name__}). Check the database, and run "
            "manage.py migrate. Or give Migma's id instead of a key: 24 hex digits."
        ) from None


def _message(send: TestSend, variables: dict[str, str], subject: str) -> MigmaMessage:
    stored = send.stored
    is_raw_conversation = stored.name == stored.conversation_id  # otherwise the name is a key or an email's id
    chosen: dict[str, Any] = {"conversation_id" if is_raw_conversation else "template_id": stored.name}
    merged = {**without_empty(stored.sample_variables), **variables}
    return MigmaMessage(subject, "", None, [send.to], merge_global_data=merged, **chosen)


def _interrupted(sends: list[TestSend]) -> Iterator[TestOutcome]:
    """Outcomes after Ctrl-C: the first send was under way, or about to be, and the others were not tried."""
    for number, send in enumerate(sends):
        status = Status.NOT_ATTEMPTED if number else Status.UNKNOWN
        yield make_outcome(send.to, status, reason="the command was interrupted.")
