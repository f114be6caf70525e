"""``manage.py migma_send_test``: sends stored emails to a few addresses, as tests or as the site sends them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from math import inf
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_migma.api.errors import InvalidAddress, StoredEmailNotFound
from django_migma.api.types import is_object_id
from django_migma.content import StoredEmailData
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailer
from django_migma.management.output import write_line
from django_migma.message import MigmaMessage
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.testsends import (
    MAX_TESTS,
    UNREADABLE,
    TestOutcome,
    TestSend,
    affects_every_call,
    not_sent,
    parse_addresses,
    record_test,
    send_live,
    send_tests,
)

_MARKS = {"sent": "✓", "failed": "✗", "unknown": "?", "not_sent": "✗"}
_WORDS = {"sent": "sent", "failed": "failed", "unknown": "in doubt", "not_sent": "not sent"}
Results = Iterator[tuple[TestSend, TestOutcome]]


class Command(BaseCommand):
    """Parses the arguments, sends through `django_migma.testsends`, and prints the outcomes."""

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
        """Send; exit with 1 unless all were accepted, with 130 after Ctrl-C.

        Raises CommandError before anything is sent.
        """
        variables = _variables(options)
        try:
            chosen = mailer(options["using"])
            config = chosen.config()
            sends = _sends(options)
        except (ConfigurationError, InvalidAddress, StoredEmailNotFound) as error:
            raise CommandError(str(error)) from None
        if options["live"]:
            results = _send_live(chosen, sends, [_message(send, variables, options["subject"]) for send in sends])
        else:
            results = zip(sends, send_tests(config, sends, seconds=inf), strict=True)
        say: Callable[[str], None] = _say_nothing if options["json"] else partial(write_line, self.stdout)
        say(_destination(chosen))
        rows: list[dict[str, Any]] = []
        exit_status = 0
        try:
            _report(results, rows, say)
        except KeyboardInterrupt:
            _report(_interrupted(sends[len(rows) :]), rows, say)
            exit_status = 130
        self._conclude(chosen, rows, say, options)
        if exit_status or any(row["status"] != "sent" for row in rows):
            sys.exit(exit_status or 1)

    def _conclude(
        self, chosen: Mailer, rows: list[dict[str, Any]], say: Callable[[str], None], options: dict[str, Any]
    ) -> None:
        counts = Counter(row["status"] for row in rows)
        say(", ".join(f"{counts[status]} {word}" for status, word in _WORDS.items() if counts[status]) + ".")
        if options["json"]:
            document = {
                "mailer": chosen.alias,
                "api_url": str(chosen.value("API_URL")),
                "sandbox": chosen.is_sandbox,
                "redirect_to": chosen.value("REDIRECT_TO") or None,
                "live": options["live"],
                "results": rows,
                "counts": dict(counts),
            }
            self.stdout.write(json.dumps(document, indent=2))


def _say_nothing(text: str) -> None:
    """Print no line: ``--json`` prints one document alone."""


def _destination(chosen: Mailer) -> str:
    where = "a sandbox on this machine" if chosen.is_sandbox else "Migma itself, live"
    redirected = " REDIRECT_TO is set: everything goes to that address." if chosen.value("REDIRECT_TO") else ""
    return f"To {where}: {chosen.value('API_URL')}{redirected}"


def _report(results: Results, rows: list[dict[str, Any]], say: Callable[[str], None]) -> None:
    """Send, since results are lazy; record, print and collect each result as it comes."""
    for send, outcome in results:
        with suppress(*UNREADABLE):  # an email given by its id needs no table
            record_test(send.stored, outcome)
        row = {
            "email": send.stored.name,
            "to": send.to,
            "status": outcome.status,
            "text": outcome.text,
            "message_id": outcome.message_id,
            "missing_variables": list(outcome.missing_variables),
        }
        rows.append(row)
        say(f"{_MARKS[outcome.status]} {send.stored.name} to {send.to}: {outcome.text}")
        if outcome.missing_variables:
            say(f"  Variables without a value: {', '.join(outcome.missing_variables)}. Give them with --var.")


def _variables(options: dict[str, Any]) -> dict[str, str]:
    if options["var"] and not options["live"]:
        raise CommandError(
            "--var needs --live: a test send takes no variables. Migma sends the email as it is stored."
        )
    if options["subject"] and not options["live"]:
        raise CommandError("--subject needs --live: a test send has the subject of the stored email.")
    pairs = [pair.partition("=") for pair in options["var"]]
    if not all(name and equals for name, equals, _ in pairs):
        raise CommandError("Give --var as name=value, such as --var first_name=Ada.")
    return {name: value for name, _, value in pairs}


def _sends(options: dict[str, Any]) -> list[TestSend]:
    resolve = StoredEmailResolver()
    stored = [_stored(resolve, name, options["conversation"]) for name in dict.fromkeys(options["ids"])]
    addresses = parse_addresses("\n".join(options["to"]))
    if not addresses:
        raise CommandError("--to is empty. Give an address, such as --to you@example.com.")
    count = len(stored) * len(addresses)
    if count > MAX_TESTS:
        raise CommandError(f"These are {count} calls, and at most {MAX_TESTS} go at a time. Name fewer emails.")
    return [TestSend(stored=one, to=address) for one, address in product(stored, addresses)]


def _stored(resolve: StoredEmailResolver, name: str, is_conversation: bool) -> StoredEmailData:
    if is_object_id(name):
        return StoredEmailData(
            name=name, email_id=None if is_conversation else name, conversation_id=name if is_conversation else None
        )
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
    if not (subject or stored.subject):
        raise CommandError(
            f"No subject is known for {stored.name!r}: give --subject, as the code that sends it does."
        )
    is_raw_conversation = stored.name == stored.conversation_id  # otherwise the name is a key or an email's id
    return MigmaMessage(
        subject,
        "",
        None,
        [send.to],
        template_id=None if is_raw_conversation else stored.name,
        conversation_id=stored.name if is_raw_conversation else None,
        merge_global_data=variables,
    )


def _send_live(chosen: Mailer, sends: list[TestSend], messages: list[MigmaMessage]) -> Results:
    """Send one after the other, until an error affects every call."""
    fatal: BaseException | None = None
    for send, message in zip(sends, messages, strict=True):
        outcomes = [not_sent(send.to, fatal)] if fatal else send_live(chosen, message)
        for outcome in outcomes:
            yield send, outcome
            if affects_every_call(outcome.error):
                fatal = outcome.error


def _interrupted(sends: list[TestSend]) -> Results:
    """Outcomes after Ctrl-C: the first send was under way, or about to be, and the others were not tried."""
    for number, send in enumerate(sends):
        status, text = "not_sent", "Not sent: interrupted."
        if number == 0:
            status = "unknown"
            text = "Interrupted. It may have arrived: check the inbox before you send it again."
        yield send, TestOutcome(to=send.to, status=status, text=text)
