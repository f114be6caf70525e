"""Targets and tables of the queue's benchmark, and what one run of it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report import NOT_MEASURED, Target, described, table
from benchmarks.results import Figure, figure

from .scenarios import Scenario


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contender in one round of one scenario, and the values that were measured, by the names of `COLUMNS`.

    ``revision`` is that of this package: not all scenarios need be measured on one day. ``load``: how many processes
    wanted one of the machine's cores in the minute before the end, None if nobody has looked.
    """

    scenario: str
    entry: str
    round: int
    values: Mapping[str, float]
    revision: str
    load: float | None = None

    def value(self, metric: str) -> float:
        """The value of a metric."""
        return self.values[metric]


COLUMNS = {
    "messages": ("Mails", 0),
    "rate": ("Per second", 0),
    "share_of_ideal": ("Of ideal", 2),
    "cpu": ("CPU, µs each", 0),
    "requests_each": ("Requests each", 2),
    "errors": ("Errors", 0),
    "first_wait": ("First request after, s", 2),
    "median_wait": ("Median, s", 3),
    "worst_wait": ("Worst, s", 3),
    "seconds": ("Seconds", 2),
    "exit_code": ("Exit code", 0),
    "left_sending": ("Rows left being sent", 0),
    "memory": ("Memory, MiB", 1),
    "idle_cpu": ("CPU when idle, %", 2),
    "median_ms": ("Median, ms", 1),
    "p99_ms": ("99 of 100 within, ms", 1),
    "requests": ("Requests", 0),
    "in_doubt": ("In doubt", 0),
    "attempted": ("Attempts counted", 0),
}
"""Titles and decimals."""
_SPREAD = {"rate", "cpu", "median_wait", "seconds", "p99_ms"}


def _at_least(what: str, where: str, metric: str, limit: float, against: str = "") -> Target:
    """``where`` is scenario: entry."""
    return Target(what, *where.split(": "), metric, "at least", limit, " times" if against else "", against)


def _at_most(what: str, where: str, metric: str, limit: float, unit: str = "") -> Target:
    return Target(what, *where.split(": "), metric, "at most", limit, unit)


_LITE, _PG = "deliver-sqlite", "deliver-postgresql"
_PEERS = (
    ("post_office by SMTP, its defaults", "migma-16", "post-office", 3.6),
    ("post_office by SMTP, 64 threads", "migma-64", "post-office-64", 2.3),
    ("post_office by HTTP, its defaults", "migma-16", "post-office-http", 3.1),
    ("post_office by HTTP, 16 threads", "migma-16", "post-office-http-16", 0.98),
    ("post_office by HTTP, 64 threads", "migma-64", "post-office-http-64", 1.4),
    ("django-mailer", "migma-16", "django-mailer", 16),
    ("django-tasks-db, one task per mail", "migma-16", "tasks", 17),
    ("Celery's defaults, one task per mail", "migma-16", "celery", 8),
)
_SINGLE, _STORED, _TEXT = "migma-16 single", "migma-16 stored", "migma-16 text"
TARGETS = (
    *(
        _at_least(f"Deliver, {database}: {what}, share of ideal", f"{scenario}: {entry}", "share_of_ideal", limit)
        for database, scenario in (("SQLite", _LITE), ("PostgreSQL", _PG))
        for what, entry, limit in (
            ("16", "migma-16", 0.92),
            ("64", "migma-64", 0.85),
            ("2 workers at 16", "2xmigma-16", 0.9),
        )
    ),
    *(
        _at_least(f"Deliver, {database}: against {what}", f"{scenario}: {ours}", "rate", limit, theirs)
        for database, scenario in (("SQLite", _LITE), ("PostgreSQL", _PG))
        for what, ours, theirs, limit in _PEERS
        if scenario == _LITE or theirs not in {"celery", "post-office-http-16", "post-office-http-64"}
        if scenario == _LITE or theirs != "post-office-http"
    ),
    Target(
        *("CPU per mail at 64, of post_office's by SMTP", _LITE, "migma-64", "cpu", "at most"),
        *(1 / 2.2, " times", "post-office-64"),
    ),
    Target(
        *("CPU per mail at 64, of post_office's by HTTP", _LITE, "migma-64", "cpu", "at most"),
        *(1 / 1.6, " times", "post-office-http-64"),
    ),
    *(
        _at_least(
            f"Enqueue, {database}: {what}, against post_office", f"enqueue-{scenario}: {ours}", "rate", limit, theirs
        )
        for database, scenario in (("SQLite", "sqlite"), ("PostgreSQL", "postgresql"))
        for what, ours, theirs, limit in (
            ("single", _SINGLE, "post-office single", 0.8),
            ("many stored emails", _STORED, "post-office text", 1),
            ("many texts", _TEXT, "post-office text", 0.6),
        )
    ),
    _at_least("Woken by django-tasks-db, share of ideal", "engines: migma-tasks", "share_of_ideal", 0.9),
    _at_least("Woken by Celery, share of ideal", "engines: migma-celery", "share_of_ideal", 0.9),
    _at_most("Commit to request, idle: median", "idle: migma-16", "median_wait", 0.15, " s"),
    _at_most("Commit to request, idle: worst", "idle: migma-16", "worst_wait", 0.3, " s"),
    _at_most("Commit to request behind 6,000 bulk mails: worst", "behind: migma-16", "worst_wait", 0.3, " s"),
    _at_most("Limit of 20 per second: requests per mail", "limit-20: migma-16", "requests_each", 1.3),
    _at_most("Limit of 2 per second, Retry-After 5: urgent mail, worst", "limit-2: migma-16", "worst_wait", 6, " s"),
    _at_most("A minute of 503: requests", "outage: refuse", "requests", 30),
    _at_most("A minute of 503: mails in doubt", "outage: refuse", "in_doubt", 0),
    _at_most("A minute of timeouts: mails in doubt", "outage: ignore", "in_doubt", 17),
    _at_most("Ten minutes of 503: requests", "outage-long: refuse", "requests", 30),
    _at_most("Ten minutes of 503: mails in doubt", "outage-long: refuse", "in_doubt", 0),
    _at_most("Ten minutes of timeouts: mails in doubt", "outage-long: ignore", "in_doubt", 17),
    _at_most("SIGTERM at 16: seconds to the end", "stop: migma-16", "seconds", 13, " s"),
    _at_most("SIGTERM at 16: exit code", "stop: migma-16", "exit_code", 0),
    _at_most("SIGTERM at 16: rows left being sent", "stop: migma-16", "left_sending", 0),
    _at_most("10,000 mails: memory growth", "memory: migma-64", "memory", 5, " MiB"),
    _at_most("Idle: CPU", "memory: migma-64", "idle_cpu", 0.5, " %"),
    _at_least("Prune, SQLite: rows per second", "prune-sqlite: migma-16", "rate", 50_000),
    _at_least("Prune, PostgreSQL: rows per second", "prune-postgresql: migma-16", "rate", 50_000),
    _at_most("Prune: memory", "prune-sqlite: migma-16", "memory", 16, " MiB"),
    _at_most("Web beside a worker at 16: errors", "web: beside it", "errors", 0),
    _at_most("Web beside a worker at 16: 99 of 100 within", "web: beside it", "p99_ms", 25, " ms"),
)


def document(machine: dict[str, Any], scale: float, scenarios: Sequence[Scenario], runs: Sequence[Run]) -> str:
    """Everything, the targets last."""
    revisions = ", ".join(sorted({run.revision for run in runs}))
    text = (
        f"{described(machine | {'revision': revisions})}\n\n"
        "Medians of interleaved rounds, smallest and largest value in brackets. *Of ideal* is the share of what a "
        "server of 50 ms allows to so many requests in flight. *CPU* is that of all workers with their start. "
        "*Errors* are mails that never arrived, or arrived twice.\n"
    )
    if loads := [run.load for run in runs if run.load is not None]:
        text += (
            f"\nThe load average of the machine was {min(loads):.1f} to {max(loads):.1f}. Where it is above the "
            "number of cores, rates are too low, and ratios within a round say more.\n"
        )
    if scale != 1:
        text += f"\nNOT FOR PUBLICATION: sizes are {scale:g} of those that titles and targets speak of.\n"
    parts = [text, *(_scenario(scenario, runs) for scenario in scenarios)]
    rows = [target.row(runs) for target in TARGETS]
    title = "Targets of the queue: ratios within one round, medians of all rounds"
    parts.append(table(title, ["What", "Target", "Measured", "Met"], [row for row in rows if row[2] != NOT_MEASURED]))
    return "\n".join(parts)


def _scenario(scenario: Scenario, runs: Sequence[Run]) -> str:
    rounds = max(run.round for run in runs if run.scenario == scenario.name)
    rows = [
        [entry.title, *(_cell(figure(runs, scenario.name, entry.key, name), name) for name in scenario.columns)]
        for entry in scenario.entries
    ]
    title = f"{scenario.title}, {rounds} {'round' if rounds == 1 else 'rounds'}"
    return table(title, ["Contender", *(COLUMNS[name][0] for name in scenario.columns)], rows)


def _cell(found: Figure | None, metric: str) -> str:
    if not found:
        return NOT_MEASURED
    decimals = COLUMNS[metric][1]
    median, least, most = (f"{value:,.{decimals}f}" for value in found)
    return f"{median} ({least} to {most})" if metric in _SPREAD else median
