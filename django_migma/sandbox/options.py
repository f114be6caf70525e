"""The sandbox's switches, and the command line that sets them."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from django_migma.sandbox.faults import DEFAULT_KINDS, KINDS, parse_fault
from django_migma.sandbox.rate_limits import parse_rate

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")

MissingVariables = Literal["keep", "blank", "error"]
_MISSING_VARIABLES = get_args(MissingVariables)
DEFAULT_PORT = 8026
_MAX_PORT = 65535


def _argument(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Let argparse show the text of the ValueError that ``parse`` raises."""

    @wraps(parse)
    def parse_argument(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return parse_argument


@_argument
def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _MAX_PORT:
        return int(text)
    raise ValueError(f"{text!r} is no port: 0 to {_MAX_PORT}")


@_argument
def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise ValueError(f"{text!r} is not a whole number of at least 1")


@_argument
def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a number from 0 to 1")
    return value


@_argument
def _fault_words(text: str) -> tuple[str, ...]:
    return tuple(parse_fault(word.strip()).word for word in text.split(","))


@_argument
def _rate(text: str) -> str:
    if text:  # argparse parses a default that is text, too
        parse_rate(text)
    return text


def _switch(default: Any, group: str, help_text: str, *, flag: str = "", **argument: Any) -> Any:
    """A field of `Switches` with its option; the flag is the name of the field unless given."""
    return field(default=default, metadata={"group": group, "flag": flag, "help": help_text} | argument)


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Behaviours of Migma that its public material leaves open or contradicts, to be tried both ways; and controls.

    Raises ValueError for a value that is not understood.
    """

    # Raw HTML as `template` + `projectId`: in Migma's older guides, absent from its OpenAPI excerpt and its
    # Node SDK since mid 2026. Whether the server still takes it is unknown.
    accept_template: bool = _switch(
        False, "switches", "take raw HTML as template + projectId (default: refuse it)", action="store_true"
    )

    # Whether values of `variables` are HTML-escaped when they are put into the email is documented nowhere.
    escape_variables: bool = _switch(
        False,
        "switches",
        "HTML-escape the values of variables (default: put them in as they are)",
        action="store_true",
    )

    # What a placeholder without a variable becomes is unknown: it stays ("keep"), disappears ("blank"), or the
    # send is refused with 400 ("error").
    missing_variables: MissingVariables = _switch(  # noqa: RUF009 - a field
        "keep",
        "switches",
        "a placeholder without a variable stays, disappears, or is refused (default: keep)",
        choices=_MISSING_VARIABLES,
    )

    # Placeholders in `subject` are replaced in one official command-line example, from the time of raw HTML.
    # Whether that holds for sends by `emailId` is unknown.
    subject_variables: bool = _switch(
        True,
        "switches",
        "leave placeholders in the subject alone (default: replace them)",
        flag="--no-subject-variables",
        action="store_false",
    )

    # The Node SDK's README exempts 429 and 5xx from being remembered under an Idempotency-Key. That a refusal
    # such as 400 is remembered, and replayed for 24 hours, is only inferred from that.
    errors_consume_key: bool = _switch(
        True,
        "switches",
        "an Idempotency-Key whose answer was 4xx gets that answer again, or is forgotten",
        action=BooleanOptionalAction,
    )

    # Which of an account's domains are verified is data, not behaviour; these come on top of the account's.
    # "*" takes any sender.
    verified_domains: tuple[str, ...] = _switch(
        (),
        "account",
        "a further domain to accept senders from, * for any; may be repeated",
        flag="--verified-domain",
        metavar="DOMAIN",
        action="append",
    )

    # Which ids an account has is data, too. True takes any well-formed id of an email, a conversation or a project,
    # and shows a page with the variables in place of the email that only Migma knows.
    any_id: bool = _switch(
        False,
        "account",
        "take any well-formed id of an email, conversation or project (default: the sandbox's own)",
        action="store_true",
    )

    # The others are no behaviours of Migma but controls. Faults by chance: the fraction of sends that is struck,
    # the seed of the random numbers (None: drawn), and the words of `faults` that may strike (empty: DEFAULT_KINDS).
    fault_rate: float = _switch(
        0.0,
        "faults",
        "strike so many of the sends by chance, 0 to 1 (default: 0)",
        type=_fraction,
        metavar="FRACTION",
    )
    fault_seed: int | None = _switch(
        None, "faults", "for the same faults again (default: any)", type=int, metavar="NUMBER"
    )
    fault_kinds: tuple[str, ...] = _switch(
        (),
        "faults",
        f"what strikes by chance (default: {','.join(DEFAULT_KINDS)})",
        type=_fault_words,
        metavar="FAULT,...",
    )

    # A limit per API key, such as "10/s", "100/m" or "1000/h"; "" is none. Migma's own numbers are contradictory
    # (10 to 1,000 a minute in its documents of 2026) and its algorithm is unknown; see `rate_limits`.
    rate: str = _switch(
        "",
        "faults",
        "a limit for each API key, such as 10/s, 100/m or 1000/h, above which it answers 429 (default: none)",
        type=_rate,
    )

    # False ignores every Idempotency-Key, which shows what keys are good for.
    idempotency: bool = _switch(
        True,
        "faults",
        "ignore every Idempotency-Key: each request is a new mail",
        flag="--ignore-keys",
        action="store_false",
    )

    # How many accepted messages the sandbox keeps in memory, the newest ones.
    max_messages: int = _switch(500, "", "how many accepted messages to keep (default: 500)", type=_positive)

    def __post_init__(self) -> None:
        if self.missing_variables not in _MISSING_VARIABLES:
            known = ", ".join(_MISSING_VARIABLES)
            raise ValueError(f"missing_variables must be one of {known}, not {self.missing_variables!r}")
        if not 0 <= self.fault_rate <= 1:
            raise ValueError(f"fault_rate must be from 0 to 1, not {self.fault_rate}")
        if self.max_messages < 1:
            raise ValueError(f"max_messages must be at least 1, not {self.max_messages}")
        for word in self.fault_kinds:
            parse_fault(word)
        if self.rate:
            parse_rate(self.rate)


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command line: one per switch, the address to listen on, and a script of faults."""
    words = ", ".join(word for kind in KINDS for word in kind.words)
    groups: dict[str, Any] = {
        "": parser,
        "switches": parser.add_argument_group(
            "switches", "What is not publicly known of Migma, to be tried both ways."
        ),
        "faults": parser.add_argument_group("faults", f"What may happen to a send on its way. Faults: {words}."),
        "account": parser.add_argument_group("account", "What of your own account the sandbox should know."),
    }
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"port to listen on, 0 for any free one (default: {DEFAULT_PORT})",
    )
    groups["faults"].add_argument(
        "--script",
        type=_fault_words,
        metavar="FAULT,...",
        default=(),
        help="strike the first sends with these, one after the other",
    )
    for switch in fields(Switches):
        argument = {"dest": switch.name, "default": switch.default, **switch.metadata}
        flag = argument.pop("flag") or "--" + switch.name.replace("_", "-")
        if argument.get("action") == "append":
            argument["default"] = []
        groups[argument.pop("group")].add_argument(flag, **argument)


def switches_from(options: Mapping[str, Any]) -> Switches:
    """The switches among parsed options."""
    chosen = {switch.name: options[switch.name] for switch in fields(Switches)}
    return Switches(**chosen | {"verified_domains": tuple(chosen["verified_domains"])})
