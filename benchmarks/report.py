"""All that a benchmark has found, and the JSON that keeps it: one run to a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .capacity import Capacity
from .machine import Machine
from .runs import SendRun, StartRun
from .scenarios import Scenario
from .targets import judged


@dataclass(frozen=True, kw_only=True)
class Report:
    """``scenarios`` are those that were run, with the sizes that they were run with; ``scale`` of the full ones."""

    machine: Machine
    rounds: int
    scale: float
    capacity: Capacity
    scenarios: tuple[Scenario, ...]
    send_runs: Sequence[SendRun]
    start_runs: Sequence[StartRun]

    @property
    def runs(self) -> list[SendRun | StartRun]:
        """Of both kinds."""
        return [*self.send_runs, *self.start_runs]

    def to_json(self) -> str:
        """Everything, in an order that stays."""
        parts: dict[str, Any] = {
            "machine": asdict(self.machine),
            "rounds": self.rounds,
            "scale": self.scale,
            "stub_capacity": asdict(self.capacity),
            "targets": [asdict(verdict) | {"met": verdict.met} for verdict in judged(self.runs)],
            "scenarios": [asdict(scenario) for scenario in self.scenarios],
            "send_runs": [asdict(run) for run in self.send_runs],
            "start_runs": [asdict(run) for run in self.start_runs],
        }
        return "{\n" + ",\n".join(f'"{name}": {_written(part)}' for name, part in parts.items()) + "\n}\n"


def _written(part: Any) -> str:
    if not isinstance(part, list):
        return json.dumps(part)
    return "[\n" + ",\n".join(json.dumps(item) for item in part) + "\n]"
