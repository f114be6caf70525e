"""Medians, spreads, and comparisons within each round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .runs import Run


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A median, and the smallest and largest value."""

    median: float
    least: float
    most: float


def figure(values: Iterable[float]) -> Figure:
    """Of at least one value."""
    known = sorted(values)
    return Figure(median=statistics.median(known), least=known[0], most=known[-1])


def by_round(runs: Iterable[Run], scenario: str, entry: str, metric: str) -> dict[int, float]:
    """A metric of one contender in each round; left out where it means nothing there."""
    found = {run.round: getattr(run, metric) for run in runs if (run.scenario, run.entry) == (scenario, entry)}
    return {number: value for number, value in found.items() if value is not None}


def of(runs: Sequence[Run], scenario: str, entry: str, metric: str) -> Figure | None:
    """A metric of one contender; None where it was not measured."""
    values = by_round(runs, scenario, entry, metric).values()
    return figure(values) if values else None


def compared(
    runs: Sequence[Run], scenario: str, entry: str, against: str, metric: str, *, how: str = "ratio"
) -> Figure | None:
    """The ``ratio`` or ``difference`` of two contenders, taken within each round, where both have run."""
    ours, theirs = (by_round(runs, scenario, name, metric) for name in (entry, against))
    both = [(ours[number], theirs[number]) for number in ours if number in theirs]
    return figure(a / b if how == "ratio" else a - b for a, b in both) if both else None
