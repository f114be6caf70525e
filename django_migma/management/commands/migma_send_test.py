"""``manage.py migma_send_test``: stored emails to addresses of one's own, as tests or as customers would get them."""

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

from django_migma.api.errors import InvalidAddress, MigmaError, StoredEmailNotFound
from django_migma.api.types import is_object_id
from django_migma.conf import Config
from django_migma.content import StoredEmailData
from django_migma.exceptions import ConfigurationError
from django_migma.livesends import send_all_live
from django_migma.mailers import Mailer, mailer
from django_migma.management.output import write_line
from django_migma.message import MigmaMessage
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.testsends import (
    MOST_CALLS,
    UNREADABLE,
    Outcome,
    TestSend,
    addresses_in,
    note_tested,
    send_tests,
)

_MARKS = {"sent": "✓", "failed": "✗", "unknown": "?", "not_sent": "✗"}
_WORDS = {"sent": "sent", "failed": "failed", "unknown": "in doubt", "not_sent": "not sent"}
Row = dict[str, Any]
"""One outcome, as ``--json`` shows it."""


class Command(BaseCommand):
    """Parses, sends through `django_migma.testsends` or `django_migma.livesends`, and prints."""

    help = "Sends stored emails to addresses of your own, one call per email and address."
    requires_system_checks: list[str] = []  # noqa: RUF012 - what a send needs is checked when it is sent

    def add_arguments(self, parser: CommandParser) -> None:
        """Which emails, to whom, and in which way."""
        parser.add_argument("ids", nargs="+", metavar="KEY_OR_ID", help="key of a stored email, or Migma's id of it")
        parser.add_argument(
            "--to", action="append", required=True, metavar="ADDRESS", help="who gets it; may be given several times"
        )
        parser.add_argument("--conversation", action="store_true", help="the ids are those of conversations")
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
        """Send, and exit with 1 unless everything was taken, or with 130 where somebody pressed Ctrl-C.

        Raises CommandError before anything is sent.
        """
        variables = _variables(options)
        try:
            chosen = mailer(options["using"])
            config = chosen.config()
            sends = _sends(options)
        except (ConfigurationError, InvalidAddress, StoredEmailNotFound) as error:
            raise CommandError(str(error)) from None
        rows = _test_rows(config, sends)
        if options["live"]:
            rows = _live_rows(chosen, [(send, _message(send, variables, options["subject"])) for send in sends])
        say: Callable[[str], None] = _silent if options["json"] else partial(write_line, self.stdout)
        say(_destination(chosen, live=options["live"]))
        results: list[Row] = []
        status = 0
        try:
            _work(rows, results, say)
        except KeyboardInterrupt:
            _work(_interrupted(sends[len(results) :]), results, say)
            status = 130
        self._conclude(chosen, results, say, options)
        if status or any(row["status"] != "sent" for row in results):
            sys.exit(status or 1)

    def _conclude(self, chosen: Mailer, results: list[Row], say: Callable[[str], None], options: Row) -> None:
        counts = Counter(row["status"] for row in results)
        say(", ".join(f"{counts[word]} {said}" for word, said in _WORDS.items() if counts[word]) + ".")
        if options["json"]:
            about = {"mailer": chosen.alias, "api_url": str(chosen.value("API_URL")), "sandbox": chosen.is_sandbox}
            document = about | {"live": options["live"], "results": results, "counts": dict(counts)}
            self.stdout.write(json.dumps(document, indent=2))


def _work(rows: Iterator[Row], results: list[Row], say: Callable[[str], None]) -> None:
    """Let the rows come about, and tell each."""
    for row in rows:
        results.append(row)
        for line in _lines(row):
            say(line)


def _silent(text: str) -> None:
    """Say nothing: the JSON document is to stand alone."""


def _destination(chosen: Mailer, *, live: bool) -> str:
    where = "a sandbox on this machine" if chosen.is_sandbox else "Migma itself, live"
    redirected = (
        " REDIRECT_TO is set: all of it goes to that address." if live and chosen.value("REDIRECT_TO") else ""
    )
    return f"To {where}: {chosen.value('API_URL')}{redirected}"


def _lines(row: Row) -> Iterator[str]:
    yield f"{_MARKS[row['status']]} {row['email']} to {row['to']}: {row['text']}"
    if lacking := ", ".join(row.get("missing_variables", ())):
        yield f"  It lacks variables that it uses: {lacking}. Give them with --var."


def _variables(options: Row) -> dict[str, str]:
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


def _sends(options: Row) -> list[TestSend]:
    find = StoredEmailResolver()
    stored = [_stored(find, name, conversation=options["conversation"]) for name in dict.fromkeys(options["ids"])]
    addresses = addresses_in("\n".join(options["to"]))
    if not addresses:
        raise CommandError("--to is empty. Give an address, such as --to you@example.com.")
    calls = len(stored) * len(addresses)
    if calls > MOST_CALLS:
        raise CommandError(f"These are {calls} calls, and at most {MOST_CALLS} go at a time. Name fewer emails.")
    return [TestSend(stored=one, to=address) for one, address in product(stored, addresses)]


def _stored(find: StoredEmailResolver, name: str, *, conversation: bool) -> StoredEmailData:
    if is_object_id(name):
        return (
            StoredEmailData(name=name, conversation_id=name)
            if conversation
            else StoredEmailData(name=name, email_id=name)
        )
    if conversation:
        raise CommandError(f"{name!r} is not the id of a conversation: Migma's ids have 24 hex digits.")
    try:
        return find(name)
    except UNREADABLE as error:
        raise CommandError(
            f"The table of stored emails cannot be read ({type(error).__name__}). Check the database, and run "
            "manage.py migrate. Or give Migma's id instead of a key: 24 hex digits."
        ) from None


def _test_rows(config: Config, sends: list[TestSend]) -> Iterator[Row]:
    for outcome in send_tests(config, sends, seconds=inf):
        _note(outcome)
        message_id = outcome.result.message_id if outcome.result else ""
        yield _row(outcome.send, outcome.status, outcome.text) | {"message_id": message_id}


def _live_rows(chosen: Mailer, messages: list[tuple[TestSend, MigmaMessage]]) -> Iterator[Row]:
    outcomes = send_all_live(chosen, [message for _, message in messages])
    for (send, _), found in zip(messages, outcomes, strict=True):
        for live in found:
            error = live.error if isinstance(live.error, MigmaError) else None
            _note(Outcome(send=send, status=live.status, error=error))
            row = _row(send, live.status, live.text)
            yield row | {"message_id": live.message_id, "missing_variables": list(live.missing_variables)}


def _interrupted(sends: list[TestSend]) -> Iterator[Row]:
    """The rows that Ctrl-C left: one call was under way, or about to be, and the others were not."""
    for number, send in enumerate(sends):
        if number:
            yield _row(send, "not_sent", "Not sent: interrupted.") | {"message_id": ""}
        else:
            _note(Outcome(send=send, status="unknown"))
            text = "Interrupted. It may have arrived: look into the inbox before you send it again."
            yield _row(send, "unknown", text) | {"message_id": ""}


def _message(send: TestSend, variables: dict[str, str], subject: str) -> MigmaMessage:
    stored = send.stored
    if not (subject or stored.subject):
        raise CommandError(
            f"No subject is known for {stored.name!r}: give --subject, as the code that sends it does."
        )
    by_id = stored.name == stored.conversation_id  # and not by a key
    return MigmaMessage(
        subject,
        "",
        None,
        [send.to],
        template_id=None if by_id else stored.name,
        conversation_id=stored.name if by_id else None,
        merge_global_data=variables,
    )


def _row(send: TestSend, status: str, text: str) -> Row:
    return {"email": send.stored.name, "to": send.to, "status": status, "text": text}


def _note(outcome: Outcome) -> None:
    with suppress(*UNREADABLE):  # a raw id needs no table
        note_tested([outcome])
