"""The options of the command line, and the switches that they turn."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, get_args

from django_migma.sandbox.faults import KINDS, parse_fault
from django_migma.sandbox.limits import parse_rate
from django_migma.sandbox.plan import DEFAULT_KINDS
from django_migma.sandbox.switches import MissingVariables, Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PORT = 8026
_HIGHEST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"port to listen on, 0 for any free one (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--max-messages",
        type=_positive,
        default=Switches.max_messages,
        help=f"how many accepted messages to keep (default: {Switches.max_messages})",
    )
    _add_switches(parser)
    _add_faults(parser)
    _add_account(parser)


def _add_switches(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("switches", "What is not publicly known of Migma, to be tried both ways.")
    group.add_argument(
        "--accept-template",
        action="store_true",
        help="take raw HTML as template + projectId (default: refuse it)",
    )
    group.add_argument(
        "--escape-variables",
        action="store_true",
        help="HTML-escape the values of variables (default: put them in as they are)",
    )
    group.add_argument(
        "--missing-variables",
        choices=get_args(MissingVariables),
        default=Switches.missing_variables,
        help="a placeholder without a variable stays, disappears, or is refused (default: keep)",
    )
    group.add_argument(
        "--no-subject-variables",
        dest="subject_variables",
        action="store_false",
        help="leave placeholders in the subject alone (default: replace them)",
    )
    group.add_argument(
        "--errors-consume-key",
        action=argparse.BooleanOptionalAction,
        default=Switches.errors_consume_key,
        help="an Idempotency-Key whose answer was 4xx gets that answer again, or is forgotten",
    )


def _add_faults(parser: argparse.ArgumentParser) -> None:
    words = ", ".join(word for kind in KINDS for word in kind.words)
    group = parser.add_argument_group("faults", f"What may happen to a send on its way. Faults: {words}.")
    group.add_argument(
        "--script",
        type=_words,
        metavar="FAULT,...",
        default=(),
        help="strike the first sends with these, one after the other",
    )
    group.add_argument(
        "--fault-rate",
        type=_fraction,
        metavar="FRACTION",
        default=Switches.fault_rate,
        help="strike so many of the sends by chance, 0 to 1 (default: 0)",
    )
    group.add_argument("--fault-seed", type=int, metavar="NUMBER", help="for the same faults again (default: any)")
    group.add_argument(
        "--fault-kinds",
        type=_words,
        metavar="FAULT,...",
        default=Switches.fault_kinds,
        help=f"what strikes by chance (default: {','.join(DEFAULT_KINDS)})",
    )
    group.add_argument(
        "--rate",
        type=_rate,
        default=Switches.rate,
        help="a limit for each API key, such as 10/s, 100/m or 1000/h, above which it answers 429 (default: none)",
    )
    group.add_argument(
        "--ignore-keys",
        dest="idempotency",
        action="store_false",
        help="ignore every Idempotency-Key: each request is a new mail",
    )


def _add_account(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("account", "What of your own account the sandbox should know.")
    group.add_argument(
        "--verified-domain",
        dest="verified_domains",
        metavar="DOMAIN",
        action="append",
        default=[],
        help="a further domain to accept senders from, * for any; may be repeated",
    )
    group.add_argument(
        "--any-id",
        action="store_true",
        help="take any well-formed id of an email, conversation or project (default: the sandbox's own)",
    )


def switches(options: Mapping[str, Any]) -> Switches:
    """Of options as parsed."""
    return Switches(
        accept_template=options["accept_template"],
        escape_variables=options["escape_variables"],
        missing_variables=options["missing_variables"],
        subject_variables=options["subject_variables"],
        verified_domains=tuple(options["verified_domains"]),
        errors_consume_key=options["errors_consume_key"],
        idempotency=options["idempotency"],
        rate=options["rate"],
        fault_rate=options["fault_rate"],
        fault_seed=options["fault_seed"],
        fault_kinds=options["fault_kinds"],
        any_id=options["any_id"],
        max_messages=options["max_messages"],
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {_HIGHEST_PORT}")


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        _explained(parse_fault, word)
    return words


def _rate(text: str) -> str:
    if text:  # argparse checks a default that is text, too
        _explained(parse_rate, text)
    return text


def _explained(parse: Callable[[str], object], text: str) -> None:
    """Argparse shows the text of this error only, not of a ValueError."""
    try:
        parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
