"""Behaviours of Migma that its public material leaves open or contradicts, to be tried both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MissingVariables = Literal["keep", "blank", "error"]


@dataclass(frozen=True, kw_only=True)
class Switches:
    """How the sandbox behaves where nobody outside Migma knows how Migma does."""

    # Raw HTML as `template` + `projectId`: in Migma's older guides, absent from its OpenAPI excerpt and its
    # Node SDK since mid 2026. Whether the server still takes it is unknown.
    accept_template: bool = False

    # Whether values of `variables` are HTML-escaped when they are put into the email is documented nowhere.
    escape_variables: bool = False

    # What a placeholder without a variable becomes is unknown: it stays ("keep"), disappears ("blank"), or the
    # send is refused with 400 ("error").
    missing_variables: MissingVariables = "keep"

    # Placeholders in `subject` are replaced in one official command-line example, from the time of raw HTML.
    # Whether that holds for sends by `emailId` is unknown.
    subject_variables: bool = True

    # Which of an account's domains are verified is data, not behaviour; these come on top of the fixtures'.
    # "*" takes any sender.
    verified_domains: tuple[str, ...] = ()

    # The Node SDK's README exempts 429 and 5xx from being remembered under an Idempotency-Key. That a refusal
    # such as 400 is remembered, and replayed for 24 hours, is only inferred from that.
    errors_consume_key: bool = True

    # Not a behaviour of Migma but a control: False ignores every Idempotency-Key, which shows what keys are good for.
    idempotency: bool = True

    # A limit per API key, such as "10/s", "100/m" or "1000/h"; "" is none. Migma's own numbers are contradictory
    # (10 to 1,000 a minute in its documents of 2026) and its algorithm is unknown; see `limits`.
    rate: str = ""

    # Faults by chance: how many of the sends (0 to 1), which random numbers (None: drawn), and the words of `faults`
    # that may strike (empty: `plan.DEFAULT_KINDS`).
    fault_rate: float = 0.0
    fault_seed: int | None = None
    fault_kinds: tuple[str, ...] = ()

    # Which ids an account has is data, too. True takes any well-formed id of an email, a conversation or a project,
    # and shows a page with the variables in place of the email that only Migma knows.
    any_id: bool = False

    # Not a behaviour of Migma: how many accepted messages the sandbox keeps in memory, the newest ones.
    max_messages: int = 500
