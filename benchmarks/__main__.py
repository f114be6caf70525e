"""``make bench``, or ``python -m benchmarks``: measure, print the tables, and write them with all figures."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from .contenders import CONTENDERS
from .processes import ROOT, Laboratory, Server
from .report import COMPARED, document
from .results import Run, revision, this_machine
from .scenarios import OTHER, SCENARIOS, Entry, Scenario

PUBLISHED = ROOT / "docs" / "performance"
STARTS_PER_ROUND = 4
"""Start-up times are short and vary much."""


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where a message was lost, else 0: a missed target is a figure like any other."""
    chosen = _options(arguments)
    scenarios = [
        SCENARIOS[name].chosen(scale=chosen.scale, has_other=bool(chosen.against), only_ours=chosen.ours)
        for name in chosen.scenario
    ]
    other = {OTHER: chosen.against} if chosen.against else {}
    with TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder), {"": ROOT} | other)
        machine = this_machine(ROOT) | {"stub_capacity": _stub_capacity(laboratory, max(0.1, 3 * chosen.scale))}
        machine |= {"other_revision": revision(chosen.against)} if chosen.against else {}
        runs = [run for scenario in scenarios for run in _measure(scenario, chosen.rounds, laboratory)]
    tables = document(machine, chosen.scale, scenarios, runs)
    print(tables)
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "tables.rst").write_text(tables)
    lines = ",\n".join(json.dumps(asdict(run)) for run in runs)
    head = json.dumps({"machine": machine, "scale": chosen.scale})[1:-1]
    (chosen.output / "results.json").write_text(f'{{{head}, "runs": [\n{lines}\n]}}\n')
    return int(any(run.lost for run in runs))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, help="of all contenders (default: 5)")
    parser.add_argument("--scale", type=float, help="share of the messages to send (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, two rounds: a rough idea")
    parser.add_argument("--against", type=Path, help="another checkout, whose package becomes one more contender")
    parser.add_argument("--ours", action="store_true", help="leave out the other contenders")
    parser.add_argument("--output", type=Path, help="folder (default: docs/performance; build/benchmarks for parts)")
    chosen = parser.parse_args(arguments)
    # What is measured in part must not replace what is published.
    is_part = chosen.quick or chosen.scenario or chosen.scale or chosen.against or chosen.ours
    chosen.output = chosen.output or (ROOT / "build" / "benchmarks" if is_part else PUBLISHED)
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 5)
    chosen.scale = chosen.scale or (0.1 if chosen.quick else 1)
    compared = {scenario for scenario, _, _ in COMPARED.values()}
    chosen.scenario = chosen.scenario or [name for name in SCENARIOS if not chosen.against or name in compared]
    return chosen


def _stub_capacity(laboratory: Laboratory, seconds: float) -> float:
    """Requests per second that the stub answers to two processes that do nothing but send."""
    with laboratory.server("http") as stub, ThreadPoolExecutor(2) as threads:
        loads = [threads.submit(laboratory.run, "load", port=stub.port, connections=8, seconds=seconds) for _ in "12"]
        return sum(load.result()["rate"] for load in loads)


def _measure(scenario: Scenario, rounds: int, laboratory: Laboratory) -> Iterator[Run]:
    """Yield the runs as they end: all entries of the first round, all of the second in reverse, and so on."""
    delay, tls = scenario.delay_ms / 1000, bool(scenario.bundle)
    is_start = scenario.shape == "start"
    kinds = set() if is_start else {CONTENDERS[entry.contender].server for entry in scenario.entries}
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(laboratory.server(kind, delay=delay, tls=tls)) for kind in kinds}
        for number in range(1, 1 + rounds * (STARTS_PER_ROUND if is_start else 1)):
            for entry in scenario.entries[:: 1 if number % 2 else -1]:
                contender = CONTENDERS[entry.contender]
                if is_start:
                    found = laboratory.run("start", checkout=entry.checkout, what=contender.start)
                else:
                    found = _send(scenario, entry, servers[contender.server], laboratory)
                run = Run(scenario=scenario.name, entry=entry.key, round=number, **found)
                print(f"{run.scenario}, round {number}: {run.entry}, {run.seconds:.3f} s", file=sys.stderr)
                yield run


def _send(scenario: Scenario, entry: Entry, server: Server, laboratory: Laboratory) -> dict[str, object]:
    before = server.counts()
    sizes = {"messages": entry.messages, "warm_up": entry.warm_up}
    origin = f"{'https' if scenario.bundle else 'http'}://127.0.0.1:{server.port}"
    question = {"contender": entry.contender, "shape": scenario.shape, "origin": origin, "port": server.port} | sizes
    found = laboratory.run("send", checkout=entry.checkout, bundle=scenario.bundle, **question)
    counted = {name: value - before[name] for name, value in server.counts().items()}
    if refused := counted.pop("refused"):
        raise RuntimeError(f"The server has refused {refused} requests of {entry.key}.")
    in_flight = CONTENDERS[entry.contender].in_flight
    return found | counted | sizes | {"in_flight": in_flight, "delay_ms": scenario.delay_ms}


if __name__ == "__main__":
    sys.exit(main())
