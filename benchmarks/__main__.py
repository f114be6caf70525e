"""``make bench``, or ``python -m benchmarks``: measure, print the tables, write them with all figures and a chart."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import startup
from .capacity import capacity
from .certificates import certificates
from .machine import this_machine
from .measuring import measure, measure_starts
from .processes import ROOT
from .report import Report
from .runs import SendRun
from .scenarios import SCENARIOS, Scenario
from .tables import document

PUBLISHED = ROOT / "docs" / "performance"
ROUNDS, STARTS = 5, 21
QUICK_ROUNDS, QUICK_STARTS, QUICK_SCALE = 2, 5, 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a message was not accepted, else 0: a missed target is a figure like any other."""
    chosen = _options(arguments)
    report = _measured(chosen)
    _write(report, chosen.output or _default_folder(chosen))
    print(document(report))
    return int(any(run.errors for run in report.send_runs))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS, startup.SCENARIO], help="only this one; may be repeated"
    )
    parser.add_argument("--rounds", type=int, help=f"of all contenders (default: {ROUNDS})")
    parser.add_argument("--starts", type=int, help=f"fresh processes for each start-up time (default: {STARTS})")
    parser.add_argument("--scale", type=float, help="share of the messages to send (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, fewer rounds: a rough idea")
    parser.add_argument(
        "--output", type=Path, help="folder to write to (default: docs/performance; build/benchmarks for parts)"
    )
    chosen = parser.parse_args(arguments)
    chosen.partial = chosen.quick or chosen.scenario or chosen.scale
    chosen.rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    chosen.starts = chosen.starts or (QUICK_STARTS if chosen.quick else STARTS)
    chosen.scale = chosen.scale or (QUICK_SCALE if chosen.quick else 1)
    chosen.scenario = chosen.scenario or [*SCENARIOS, startup.SCENARIO]
    return chosen


def _default_folder(chosen: argparse.Namespace) -> Path:
    """What was measured in part must not replace what is published."""
    return ROOT / "build" / "benchmarks" if chosen.partial else PUBLISHED


def _measured(chosen: argparse.Namespace) -> Report:
    scenarios = tuple(SCENARIOS[name].scaled(chosen.scale) for name in SCENARIOS if name in chosen.scenario)
    return Report(
        machine=this_machine(),
        rounds=chosen.rounds,
        scale=chosen.scale,
        capacity=capacity(seconds=max(0.1, 3 * chosen.scale)),
        scenarios=scenarios,
        send_runs=list(_send_runs(scenarios, chosen.rounds)),
        start_runs=list(measure_starts(chosen.starts)) if startup.SCENARIO in chosen.scenario else [],
    )


def _send_runs(scenarios: Sequence[Scenario], rounds: int) -> Iterator[SendRun]:
    with certificates() as known:
        for scenario in scenarios:
            for run in measure(scenario, rounds, known):
                told = f"{run.scenario}, round {run.round} of {rounds}: {run.entry} {run.rate:,.1f}/s"
                print(told, file=sys.stderr, flush=True)
                yield run


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(report.to_json())
    (folder / "tables.rst").write_text(document(report))
    if importlib.util.find_spec("matplotlib"):
        from .chart import draw  # noqa: PLC0415 - the test suite does without matplotlib

        draw(report, folder / "throughput.svg")
    else:
        print("No chart: matplotlib is not installed.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
