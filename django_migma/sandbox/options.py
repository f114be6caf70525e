"""The sandbox's switches, and the command line that sets them."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from django_migma.sandbox.faults import DEFAULT_KINDS, KINDS, check_rate, parse_fault
from django_migma.sandbox.rate_limits import parse_rate

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Mapping

MissingVariables = Literal["keep", "blank", "error"]
_MISSING_VARIABLES = get_args(MissingVariables)
TrackingId = Literal["sendId", "id"]
_TRACKING_IDS = get_args(TrackingId)
BatchOutcome = Literal["completed", "partial", "failed", "throttled", "endless"]
BATCH_OUTCOMES = get_args(BatchOutcome)
_MAX_DELAY = 30 * 24 * 3600  # what is later than that is not in the logs
_WORDS = ", ".join(word for kind in KINDS for word in kind.words)
_GROUPS = {
    "switches": "What is not publicly known of Migma, to be tried both ways.",
    "account": "What of your own account the sandbox should know.",
    "faults": f"What may happen to a send on its way. Faults: {_WORDS}.",
    "server": "Where the sandbox listens, and how much it keeps.",
}


def _fault_words(text: str) -> tuple[str, ...]:
    try:
        return tuple(parse_fault(word.strip()).word for word in text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _switch(default: Any, group: str, help_text: str, *, flag: str = "", unknown: str = "", **argument: Any) -> Any:
    """A field of `Switches` with its option. The flag is the name of the field, unless given; True or False flips.

    ``unknown`` is the question about Migma that the switch decides here.
    """
    if isinstance(default, bool):
        argument = {"action": "store_false" if default else "store_true"} | argument
    metadata = {"group": group, "flag": flag, "unknown": unknown, "help": help_text}
    return field(default=default, metadata=metadata | argument)


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Behaviours of Migma that its public material leaves open or contradicts; contents of an account; and controls.

    Raises ValueError for a value that is not understood.
    """

    # In Migma's older guides, absent from its OpenAPI excerpt and its Node SDK since mid 2026.
    accept_template: bool = _switch(
        False,
        "switches",
        "take raw HTML as template + projectId (default: refuse it)",
        unknown="Does Migma still take raw HTML?",
    )

    # Documented nowhere.
    escape_variables: bool = _switch(
        False,
        "switches",
        "HTML-escape the values of variables (default: leave them)",
        unknown="Does Migma escape values?",
    )

    # Documented nowhere. With "error", the send is refused with 400.
    missing_variables: MissingVariables = _switch(  # noqa: RUF009 - a field
        "keep",
        "switches",
        "what a placeholder without a variable does (default: keep)",
        unknown="What does Migma do with a placeholder without a variable?",
        choices=_MISSING_VARIABLES,
    )

    # They are replaced in one official command-line example, from the time of raw HTML. Whether that holds for sends
    # by `emailId` is unknown.
    subject_variables: bool = _switch(
        True,
        "switches",
        "leave placeholders in the subject alone",
        flag="--no-subject-variables",
        unknown="Does Migma fill in the subject?",
    )

    # The Node SDK's README exempts 429 and 5xx from being remembered under an Idempotency-Key. That a refusal such as
    # 400 is remembered, and replayed for 24 hours, is only inferred from that.
    errors_consume_key: bool = _switch(
        True,
        "switches",
        "repeat a 4xx answer under its Idempotency-Key, or forget it",
        unknown="Does Migma remember refusals?",
        action=BooleanOptionalAction,
    )

    # That they are the `sendId` is inferred from a comment in the Node SDK.
    tracking_id: TrackingId = _switch(  # noqa: RUF009 - a field
        "sendId",
        "switches",
        "what identifies a mail in the logs (default: sendId)",
        unknown="Is sendId the tracking_id of the logs?",
        choices=_TRACKING_IDS,
    )

    # Documented nowhere.
    log_delay: float = _switch(
        0.0,
        "switches",
        "seconds until a mail stands in the logs (default: 0)",
        unknown="How soon does a mail appear in the logs?",
        type=float,
        metavar="SECONDS",
    )
    outcome_delay: float = _switch(
        1.0, "switches", "seconds from one status of a mail to the next (default: 1)", type=float, metavar="SECONDS"
    )

    # The words are documented, what leads to them is not.
    batch_outcome: BatchOutcome = _switch(  # noqa: RUF009 - a field
        "completed",
        "switches",
        "what becomes of a batch (default: completed)",
        unknown="When is a batch throttled, and when does one fail?",
        choices=BATCH_OUTCOMES,
    )
    batch_step: float = _switch(
        1.0, "switches", "seconds from one status of a batch to the next (default: 1)", type=float, metavar="SECONDS"
    )
    # That a status can be asked for at once is not documented.
    batch_delay: float = _switch(
        0.0,
        "switches",
        "seconds until the status of a batch is found (default: 0)",
        unknown="How soon does Migma know a batch?",
        type=float,
        metavar="SECONDS",
    )

    verified_domains: tuple[str, ...] = _switch(
        (),
        "account",
        "a further domain to accept senders from, * for any; may be repeated",
        flag="--verified-domain",
        metavar="DOMAIN",
        action="append",
    )

    # Instead of the email that only Migma knows, a page with the variables is shown.
    any_id: bool = _switch(
        False, "account", "take any well-formed id of an email, conversation or project (default: the sandbox's own)"
    )

    fault_rate: float = _switch(
        0.0, "faults", "strike this share of the sends by chance, 0 to 1 (default: 0)", type=float, metavar="FRACTION"
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
    rate: str = _switch(
        "",
        "faults",
        "a limit for each API key, such as 10/s, 100/m or 1000/h; 429 above it (default: none)",
        unknown="How many requests does Migma take?",
    )
    idempotency: bool = _switch(
        True,
        "faults",
        "ignore every Idempotency-Key: each request is a new mail",
        flag="--ignore-keys",
        unknown="Does Migma honour keys when it sends?",
    )

    max_messages: int = _switch(500, "server", "how many mails to keep (default: 500)", type=int)

    def __post_init__(self) -> None:
        if self.missing_variables not in _MISSING_VARIABLES:
            known = ", ".join(_MISSING_VARIABLES)
            raise ValueError(f"missing_variables must be one of {known}, not {self.missing_variables!r}")
        if self.tracking_id not in _TRACKING_IDS:
            raise ValueError(f"tracking_id must be one of {', '.join(_TRACKING_IDS)}, not {self.tracking_id!r}")
        if self.batch_outcome not in BATCH_OUTCOMES:
            raise ValueError(f"batch_outcome must be one of {', '.join(BATCH_OUTCOMES)}, not {self.batch_outcome!r}")
        for name in ("log_delay", "outcome_delay", "batch_step", "batch_delay"):
            if not 0 <= getattr(self, name) <= _MAX_DELAY:
                raise ValueError(f"{name} must be from 0 to {_MAX_DELAY} seconds, not {getattr(self, name)}")
        check_rate(self.fault_rate)
        if self.max_messages < 1:
            raise ValueError(f"max_messages must be at least 1, not {self.max_messages}")
        if self.rate:
            parse_rate(self.rate)
        for word in self.fault_kinds:
            parse_fault(word)


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command line: one per switch, the address to listen on, and a script of faults."""
    groups = {title: parser.add_argument_group(title, description) for title, description in _GROUPS.items()}
    add_to_server, add_to_faults = groups["server"].add_argument, groups["faults"].add_argument
    add_to_server("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    names = "a name by which others call it, such as neighbouring containers; may be repeated"
    add_to_server("--allowed-host", dest="allowed_hosts", metavar="NAME", action="append", default=[], help=names)
    add_to_server("--port", type=int, default=8026, help="port to listen on, 0 for any free one (default: 8026)")
    add_to_server("--quiet", action="store_true", help="print no line for each request to send")
    script = "strike the first sends with these, one after the other"
    add_to_faults("--script", type=_fault_words, metavar="FAULT,...", default=(), help=script)
    for switch in fields(Switches):
        argument = {"dest": switch.name, "default": switch.default, **switch.metadata}
        del argument["flag"], argument["unknown"]
        if argument.get("action") == "append":
            argument["default"] = []
        groups[argument.pop("group")].add_argument(flag_of(switch), **argument)


def flag_of(switch: Field[Any]) -> str:
    """The option of a field of `Switches`."""
    return switch.metadata["flag"] or "--" + switch.name.replace("_", "-")


def switches_from(options: Mapping[str, Any]) -> Switches:
    chosen = {switch.name: options[switch.name] for switch in fields(Switches)}
    return Switches(**chosen | {"verified_domains": tuple(chosen["verified_domains"])})
