"""The chart: throughput against server time. The only module that needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, NullFormatter

from . import figures
from .report import Report
from .runs import SendRun
from .scenarios import DELAYS_MS, SCENARIOS

_COLOURS = {"migma-64": "#0b4f6c", "migma": "#0077b6", "migma-1": "#56b4e9", "anymail": "#d55e00", "smtp": "#7f7f7f"}
"""Apart in brightness too, for those who see few colours."""
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "django-migma", "font.family": "sans-serif", "font.size": 10}


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line of the chart: server times by position in `DELAYS_MS`, and the figures there."""

    entry: str
    title: str
    positions: Sequence[int]
    rates: Sequence[figures.Figure]


def draw(report: Report, path: Path) -> None:
    """Write an SVG whose bytes depend on the figures alone."""
    lines = series(report.send_runs)
    with mpl.rc_context(_STYLE):
        canvas = Canvas(figsize=(8.8, 4.6), layout="constrained")
        canvas.get_layout_engine().set(rect=(0, 0, 0.96, 1))  # browsers set the names a little wider
        axes = canvas.add_subplot()
        for line in lines:
            _plot(axes, line)
        _label_ends(axes, lines)
        _dress(axes)
        axes.annotate(_caption(report), (0, -0.2), xycoords="axes fraction", fontsize=8, color="#555")
        canvas.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def series(runs: Sequence[SendRun]) -> list[Series]:
    """Contenders that were measured at any of the server times."""
    titles = {entry.contender: entry.title for entry in SCENARIOS["list-0"].entries}
    found = []
    for entry in _COLOURS:
        rates = [figures.of(runs, f"list-{delay}", entry, "rate") for delay in DELAYS_MS]
        known = {position: rate for position, rate in enumerate(rates) if rate}
        if known:
            found.append(Series(entry=entry, title=titles[entry], positions=list(known), rates=list(known.values())))
    return found


def _plot(axes: Any, line: Series) -> None:
    medians = [rate.median for rate in line.rates]
    spread = [
        [rate.median - rate.least for rate in line.rates],
        [rate.most - rate.median for rate in line.rates],
    ]
    axes.errorbar(
        line.positions, medians, yerr=spread, color=_COLOURS[line.entry], marker="o", markersize=4, capsize=3, lw=1.8
    )


def _label_ends(axes: Any, lines: Sequence[Series]) -> None:
    """Name each line at its right end, far enough from the name below it."""
    lowest = 0.0
    for line in sorted(lines, key=lambda each: each.rates[-1].median):
        place = max(line.rates[-1].median, lowest)
        lowest = place * 1.45
        axes.annotate(
            f"{line.title}  {line.rates[-1].median:,.3g}/s",
            (line.positions[-1], place),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=_COLOURS[line.entry],
            annotation_clip=False,
        )


def _dress(axes: Any) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(DELAYS_MS)), [f"{delay} ms" for delay in DELAYS_MS])
    axes.set_xlabel("Time that the server takes for each request")
    axes.set_ylabel("Messages per second (log scale)")
    axes.set_title("Throughput of a list of messages", loc="left", fontsize=12)
    axes.grid(axis="y", color="#ddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _caption(report: Report) -> str:
    versions = report.machine.versions
    named = ", ".join(f"{name} {versions[name]}" for name in ("Python", "django", "django-anymail"))
    return (
        f"{report.machine.cores} cores, loopback. {named}. Medians of {report.rounds} rounds. {report.machine.date}"
    )
