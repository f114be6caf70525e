"""``make soak``: the faults for longer, from a seed, with a summary. Fails if a promise is broken.

python -m tests.faults.soak --seed 7
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import django

from tests.faults import limited, mixed
from tests.faults.fuzzing import fuzz

FAULT_RATE = 0.2


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the summary. ``kept``: whether the figures keep the promise."""

    what: str
    figures: str
    kept: bool

    def __str__(self) -> str:
        return f"{'kept  ' if self.kept else 'BROKEN'}  {self.what}: {self.figures}"


def _line(what: str, messages: int, report: mixed.Report) -> Line:
    return Line(
        what=f"{what}, seed {report.seed}",
        figures=f"{report.accepted} of {messages} accepted, {report.duplicates} mails too many, "
        f"{len(report.untruths)} untrue statuses; {report.posts} POSTs, {sum(report.struck.values())} faults "
        f"of {len(report.struck)} kinds",
        kept=(report.accepted, report.duplicates, report.untruths) == (messages, 0, []),
    )


def through_faults(seed: int, rounds: int, messages: int) -> Iterator[Line]:
    """Lists through every kind of fault that is retried, with a probability of 20 % for each POST."""
    for number in range(rounds):
        report = mixed.run(messages=messages, fault_rate=FAULT_RATE, seed=seed + number)
        yield _line("One call", messages, report)


def sent_again(seed: int, messages: int) -> Iterator[Line]:
    """With redirects, which are not retried: what is not accepted is sent again, as the documentation advises."""
    kinds = (*mixed.KINDS, "redirect")
    report = mixed.run(messages=messages, fault_rate=FAULT_RATE, seed=seed, kinds=kinds, sends=4)
    yield _line("With redirects, and sent again until accepted", messages, report)


def control(seed: int, messages: int) -> Iterator[Line]:
    """Without keys the same faults must show duplicates; otherwise the lines above prove nothing."""
    report = mixed.run(messages=messages, fault_rate=FAULT_RATE, seed=seed, idempotency=False)
    yield Line(
        what=f"Control without keys, seed {report.seed}",
        figures=f"{report.accepted} of {messages} accepted, {report.duplicates} mails too many",
        kept=report.duplicates > 0,
    )


def under_a_limit(messages: int) -> Iterator[Line]:
    """A list against a token bucket of 50 a second, in real time."""
    for milliseconds, least in ((0, 0.85), (30, 0.80)):
        report = limited.run(rate=50, messages=messages, milliseconds=milliseconds)
        yield Line(
            what=f"Limit of 50/s, server time {milliseconds} ms",
            figures=f"{report.accepted} of {messages} accepted, {report.used:.1%} of the limit used, "
            f"{report.posts / messages:.2f} POSTs per message",
            kept=report.accepted == messages and report.used >= least and report.posts <= 1.2 * messages,
        )


def broken_responses(seed: int, count: int) -> Iterator[Line]:
    """Random responses. `fuzz` raises at the first one that is taken for more than it says."""
    outcomes = fuzz(seed, count)
    shown = ", ".join(f"{number} {name}" for name, number in sorted(outcomes.items()))
    yield Line(what=f"Random responses, seed {seed}", figures=shown, kept=sum(outcomes.values()) == count)


def shown(lines: Iterator[Line]) -> Iterator[bool]:
    """Print each line with the seconds that it took, and yield whether it keeps its promise."""
    began = time.monotonic()
    for line in lines:
        print(f"{line}  [{time.monotonic() - began:.0f} s]", flush=True)
        began = time.monotonic()
        yield line.kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="Soak the promises in faults.")
    parser.add_argument("--seed", type=int, default=None, help="of all chance in this run (default: drawn)")
    parser.add_argument("--rounds", type=int, default=5, help="calls through faults (default: 5)")
    parser.add_argument("--messages", type=int, default=1000, help="messages in each (default: 1000)")
    parser.add_argument("--limited", type=int, default=300, help="messages under a rate limit (default: 300)")
    parser.add_argument("--responses", type=int, default=20_000, help="random responses (default: 20000)")
    chosen = parser.parse_args(arguments)
    seed = secrets.randbelow(2**31) if chosen.seed is None else chosen.seed
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    logging.getLogger("django_migma").addHandler(logging.NullHandler())  # failures are in the summary
    print(f"Seed {seed}, Python {platform.python_version()}, Django {django.__version__}, {os.cpu_count()} cores")
    parts = (
        through_faults(seed, chosen.rounds, chosen.messages),
        sent_again(seed, chosen.messages),
        control(seed, chosen.messages),
        under_a_limit(chosen.limited),
        broken_responses(seed, chosen.responses),
    )
    kept = [line for part in parts for line in shown(part)]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
