"""``make bench-queue``, or ``python -m benchmarks.queue``: measure, print the tables, write them with all figures."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.__main__ import PUBLISHED
from benchmarks.processes import ROOT, Laboratory
from benchmarks.results import this_machine

from . import measurements
from .report import Run, document
from .scenarios import LONG, SCENARIOS, Scenario
from .sites import Town

PACKAGES = ("django-migma", "django", "requests", "django-post-office", "django-mailer", "django-tasks-db", "celery")


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where one of our mails was lost or sent twice, else 0: a missed target is a figure like any other."""
    chosen = _options(arguments)
    measured = [SCENARIOS[name].scaled(chosen.scale, only_ours=chosen.ours) for name in chosen.scenario]
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        town = Town(Laboratory(folder, {"": ROOT}), folder, stack)
        machine = this_machine(ROOT, PACKAGES)
        runs = [run for scenario in measured for run in _measure(scenario, chosen.rounds, town, machine["revision"])]
    failed = any(run.values.get("errors") for run in runs if "migma" in run.entry)
    if chosen.update:
        runs += [run for run in _published() if run.scenario not in chosen.scenario]
        order = [name for name in SCENARIOS if any(run.scenario == name for run in runs)]
        runs.sort(key=lambda run: order.index(run.scenario))
        measured = [SCENARIOS[name] for name in order]
    tables = document(machine, chosen.scale, measured, runs)
    print(tables)
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "queue.rst").write_text(tables)
    lines = ",\n".join(json.dumps(asdict(run)) for run in runs)
    head = json.dumps({"machine": machine, "scale": chosen.scale})[1:-1]
    (chosen.output / "queue.json").write_text(f'{{{head}, "runs": [\n{lines}\n]}}\n')
    return int(failed)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, help="of all contenders (default: 3)")
    parser.add_argument("--scale", type=float, help="share of the messages (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, one round: a rough idea")
    parser.add_argument("--ours", action="store_true", help="leave out the other contenders")
    parser.add_argument("--update", action="store_true", help="publish this, and keep the other scenarios published")
    parser.add_argument("--output", type=Path, help="folder (default: docs/performance; build/benchmarks for parts)")
    chosen = parser.parse_args(arguments)
    # What is measured in part must not replace what is published.
    is_part = chosen.quick or (chosen.scenario and not chosen.update) or chosen.scale or chosen.ours
    chosen.output = chosen.output or (ROOT / "build" / "benchmarks" if is_part else PUBLISHED)
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    chosen.scale = chosen.scale or (0.1 if chosen.quick else 1)
    chosen.scenario = chosen.scenario or [name for name in SCENARIOS if name not in LONG]
    return chosen


def _published() -> list[Run]:
    path = PUBLISHED / "queue.json"
    return [Run(**run) for run in json.loads(path.read_text())["runs"]] if path.exists() else []


def _measure(scenario: Scenario, rounds: int, town: Town, revision: str) -> Iterator[Run]:
    """Yield the runs as they end: all entries of the first round, all of the second in reverse, and so on."""
    measure = getattr(measurements, scenario.measurement)
    for number in range(1, 1 + min(rounds, scenario.max_rounds)):
        for entry in scenario.entries[:: 1 if number % 2 else -1]:
            values = measure(town, scenario.database, entry, **dict(entry.more))
            run = Run(
                scenario=scenario.name,
                entry=entry.key,
                round=number,
                values=values,
                revision=revision,
                load=round(os.getloadavg()[0], 1),
            )
            print(f"{run.scenario}, round {number}: {run.entry}, {_brief(values)}", file=sys.stderr, flush=True)
            yield run


def _brief(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


if __name__ == "__main__":
    sys.exit(main())
