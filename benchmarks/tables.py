"""The report as reStructuredText that reads well in a terminal too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import figures, startup
from .figures import Figure
from .report import Report
from .scenarios import Entry, Scenario
from .targets import Verdict, judged

NOT_MEASURED = "n/a"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric of the tables. ``spread``: show the smallest and largest value too."""

    title: str
    metric: str
    decimals: int = 0
    spread: bool = False


COLUMNS = (
    Column(title="Messages", metric="messages"),
    Column(title="Messages/s", metric="rate", spread=True),
    Column(title="CPU, µs each", metric="cpu_per_message", spread=True),
    Column(title="Connections", metric="connections"),
    Column(title="Memory, MiB", metric="memory_mib", decimals=1),
    Column(title="Server busy", metric="server_share", decimals=2),
    Column(title="Errors", metric="errors"),
)
_START = Column(title="ms", metric="milliseconds", decimals=1, spread=True)


def document(report: Report) -> str:
    """Everything, the targets last."""
    return "\n".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    yield f"{report.machine}\n"
    yield (
        f"Medians of {report.rounds} interleaved rounds, smallest and largest value in brackets, each run in a fresh "
        "process. Connections include those of a short warm-up. *Memory* is the growth of the peak of resident "
        "memory. *Server busy* is what the server used of one core.\n"
    )
    if report.scale != 1:
        yield f"NOT FOR PUBLICATION: sizes are {report.scale:g} of those that titles and targets speak of.\n"
    stub = report.capacity
    yield (
        f"The stub server by itself took {stub.requests_per_second:,.0f} requests a second from {stub.connections} "
        f"connections of {stub.senders} processes that do nothing but send, {stub.server_share:.2f} of a core busy.\n"
    )
    for scenario in report.scenarios:
        yield _scenario(scenario, report)
    if report.start_runs:
        yield _starts(report)
    yield _targets(judged(report.runs))


def _scenario(scenario: Scenario, report: Report) -> str:
    title = scenario.title
    if scenario.bundle == "system":
        title += f" ({report.machine.certificates_in_system_bundle} certificates)"
    header = ["Contender", *(column.title for column in COLUMNS)]
    return table(title, header, [_row(scenario, entry, report) for entry in scenario.entries])


def _row(scenario: Scenario, entry: Entry, report: Report) -> list[str]:
    found = [figures.of(report.send_runs, scenario.name, entry.key, column.metric) for column in COLUMNS]
    return [entry.title, *(shown(figure, column) for figure, column in zip(found, COLUMNS, strict=True))]


def _starts(report: Report) -> str:
    rows = [
        [title, shown(figures.of(report.start_runs, startup.SCENARIO, entry, "milliseconds"), _START)]
        for entry, title in startup.TITLES.items()
    ]
    count = len(figures.by_round(report.start_runs, startup.SCENARIO, "setup", "milliseconds"))
    return table(
        f"Start-up, after Django's own mail modules, in {count} fresh processes each", ["What", _START.title], rows
    )


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = [
        [verdict.target.what, verdict.target.bound, _measured(verdict), _met(verdict.met)] for verdict in verdicts
    ]
    return table(
        "Targets: ratios within one round, medians of all rounds", ["What", "Target", "Measured", "Met"], rows
    )


def _measured(verdict: Verdict) -> str:
    found = verdict.figure
    return NOT_MEASURED if found is None else f"{found.median:.4g} ({found.least:.4g} to {found.most:.4g})"


def _met(met: bool | None) -> str:
    return {None: NOT_MEASURED, True: "yes", False: "NO"}[met]


def shown(figure: Figure | None, column: Column) -> str:
    """A figure in a cell."""
    if figure is None:
        return NOT_MEASURED
    decimals = 1 if column.spread and figure.median < 100 else column.decimals
    median, least, most = (f"{value:,.{decimals}f}" for value in (figure.median, figure.least, figure.most))
    return f"{median} ({least} to {most})" if column.spread else median


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A simple table with a title."""
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [rule, _line(header, widths), rule, *(_line(row, widths) for row in rows), rule]
    return "\n".join([f".. table:: {title}", "   :widths: auto", "", *(f"   {line}" for line in lines), ""])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
