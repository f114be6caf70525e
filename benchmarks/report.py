"""Targets, comparisons and tables, as reStructuredText that reads well in a terminal too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .results import Figure, Measured, Run, figure
from .scenarios import OTHER, Scenario

NOT_MEASURED = "n/a"
COLUMNS = {"messages": "Messages", "rate": "Messages/s", "cpu": "CPU, µs each", "connections": "Connections"}
COLUMNS |= {"memory": "Memory, MiB", "server_share": "Server busy", "errors": "Errors"}
_SPREAD = {"rate", "cpu", "milliseconds"}
_DECIMALS = {"memory": 1, "server_share": 2}


@dataclass(frozen=True)
class Target:
    """A bound for the median of a metric of an entry, or of its ``how`` to the entry ``against``."""

    what: str
    scenario: str
    entry: str
    metric: str
    bound: str
    limit: float
    unit: str = ""
    against: str = ""
    how: str = "ratio"

    def row(self, runs: Sequence[Measured]) -> list[str]:
        """The target, what was measured, and whether the median keeps the bound."""
        found = figure(runs, self.scenario, self.entry, self.metric, against=self.against, how=self.how)
        verdict = NOT_MEASURED
        if found:
            is_met = found.median >= self.limit if self.bound == "at least" else found.median <= self.limit
            verdict = "yes" if is_met else "NO"
        return [self.what, f"{self.bound} {self.limit:g}{self.unit}", str(found or NOT_MEASURED), verdict]


_AT_50, _TLS = "List at 50 ms, MAX_CONCURRENCY", "200 times send_mail over TLS, bundle of one certificate"
_AT_0, _GENERATOR = "List at 0 ms, MAX_CONCURRENCY 1", "100,000 from a generator"
_SETUP = "Start-up: django.setup() with the app, beyond that without"
TARGETS = (
    Target(f"{_AT_50} 16: rate against Anymail", "list-50", "migma", "rate", "at least", 14, " times", "anymail"),
    Target(f"{_AT_50} 16: share of the ideal, 16 / 50 ms", "list-50", "migma", "share_of_ideal", "at least", 0.92),
    Target(f"{_AT_50} 64: rate against Anymail", "list-50", "migma-64", "rate", "at least", 40, " times", "anymail"),
    Target(f"{_AT_50} 64: share of the ideal, 64 / 50 ms", "list-50", "migma-64", "share_of_ideal", "at least", 0.8),
    Target(f"{_AT_0}: CPU against Anymail", "list-0", "migma-1", "cpu", "at most", 0.6, " times", "anymail"),
    Target(f"{_AT_0}: CPU against a requests loop", "list-0", "migma-1", "cpu", "at most", 1, " times", "requests"),
    Target("200 times send_mail: connections", "send-mail", "migma", "connections", "at most", 1),
    Target(f"{_TLS}: rate against Anymail", "send-mail-tls", "migma", "rate", "at least", 5, " times", "anymail"),
    Target(f"{_GENERATOR}: memory growth", "generator", "migma-100k", "memory", "at most", 20, " MiB"),
    Target(
        *(f"{_GENERATOR}: time each against 10,000", "generator", "migma-100k", "milliseconds"),
        *("at most", 1.1, " times", "migma-10k"),
    ),
    Target("Start-up: import django_migma.backends", "start", "import-migma", "milliseconds", "at most", 15, " ms"),
    Target(_SETUP, "start", "setup-migma", "milliseconds", "at most", 25, " ms", "setup", "difference"),
)
COMPARED = {
    "Messages/s, list at 50 ms, MAX_CONCURRENCY 16": ("list-50", "migma", "rate"),
    "Messages/s, list at 50 ms, MAX_CONCURRENCY 64": ("list-50", "migma-64", "rate"),
    "CPU per message, list at 0 ms, MAX_CONCURRENCY 1": ("list-0", "migma-1", "cpu"),
    "CPU per message, list at 0 ms, MAX_CONCURRENCY 16": ("list-0", "migma", "cpu"),
    "CPU per message, send_mail": ("send-mail", "migma", "cpu"),
    "CPU per message, send_mail over TLS": ("send-mail-tls", "migma", "cpu"),
    "Messages/s, send_mail over TLS": ("send-mail-tls", "migma", "rate"),
    "Time of import django_migma.backends": ("start", "import-migma", "milliseconds"),
}
"""What is compared with another checkout."""


def document(machine: dict[str, Any], scale: float, scenarios: Sequence[Scenario], runs: Sequence[Run]) -> str:
    """Everything, the targets and the comparison last."""
    text = (
        f"{described(machine)} The stub server by itself answered {machine['stub_capacity']:,.0f} requests a "
        "second.\n\n"
        "Medians of interleaved rounds, smallest and largest value in brackets, each run in a fresh process. "
        "Connections include those of a short warm-up. *Memory* is the growth of the peak of resident memory. "
        "*Server busy* is what the server used of one core.\n"
    )
    if scale != 1:
        text += f"\nNOT FOR PUBLICATION: sizes are {scale:g} of those that titles and targets speak of.\n"
    parts = [text, *(_scenario(scenario, runs) for scenario in scenarios)]
    title = "Targets: ratios within one round, medians of all rounds"
    parts.append(table(title, ["What", "Target", "Measured", "Met"], [target.row(runs) for target in TARGETS]))
    if "other_revision" in machine:
        title = f"This checkout against revision {machine['other_revision']}: ratios within one round"
        found = {what: figure(runs, *entry, against=f"{entry[1]}-{OTHER}") for what, entry in COMPARED.items()}
        rows = [[what, str(ratio or NOT_MEASURED)] for what, ratio in found.items()]
        parts.append(table(title, ["What", "Ratio"], rows))
    return "\n".join(parts)


def described(machine: dict[str, Any]) -> str:
    """What was measured on and with, in a few sentences."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {machine['system']}. "
        f"{versions}. Revision {machine['revision']}, {machine['date']}."
    )


def _scenario(scenario: Scenario, runs: Sequence[Run]) -> str:
    columns = {"milliseconds": "ms"} if scenario.shape == "start" else COLUMNS
    rows = [
        [entry.title, *(_cell(figure(runs, scenario.name, entry.key, metric), metric) for metric in columns)]
        for entry in scenario.entries
    ]
    rounds = max(run.round for run in runs if run.scenario == scenario.name)
    return table(f"{scenario.title}, {rounds} rounds", ["Contender", *columns.values()], rows)


def _cell(found: Figure | None, metric: str) -> str:
    if not found:
        return NOT_MEASURED
    decimals = 1 if metric in _SPREAD and found.median < 100 else _DECIMALS.get(metric, 0)
    median, least, most = (f"{value:,.{decimals}f}" for value in (found.median, found.least, found.most))
    return f"{median} ({least} to {most})" if metric in _SPREAD else median


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in reStructuredText."""
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    rule = ["=" * width for width in widths]
    lines = [
        "   " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (rule, header, rule, *rows, rule)
    ]
    return "\n".join([f".. table:: {title}", "   :widths: auto", "", *lines, ""])
