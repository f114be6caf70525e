"""What was measured, and on which machine: runs, and medians and ratios of their metrics."""

import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

PACKAGES = ("django-migma", "django", "requests", "urllib3", "django-anymail")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contender in one round of one scenario.

    ``memory_growth`` is that of the peak of resident memory, in bytes. ``connections``, ``requests`` and
    ``server_cpu_seconds`` are those of the server and include the warm-up; ``requests`` is None without a server.
    """

    scenario: str
    entry: str
    round: int
    seconds: float
    messages: int = 1
    accepted: int = 1
    warm_up: int = 0
    in_flight: int = 1
    delay_ms: int = 0
    cpu_seconds: float = 0
    memory_growth: int = 0
    connections: int = 0
    requests: int | None = None
    server_cpu_seconds: float = 0

    @property
    def lost(self) -> int:
        """Messages that were not accepted, or that never reached the server."""
        arrived = self.accepted if self.requests is None else self.requests - self.warm_up
        return self.messages - min(self.accepted, arrived)

    def value(self, metric: str) -> float:
        """One of `METRICS`."""
        return METRICS[metric](self)


METRICS: dict[str, Callable[[Run], float]] = {
    "messages": lambda run: run.messages,
    "rate": lambda run: run.messages / run.seconds,
    # Of the rate that a server with this delay allows to so many requests in flight.
    "share_of_ideal": lambda run: run.messages / run.seconds * run.delay_ms / 1000 / run.in_flight,
    "milliseconds": lambda run: run.seconds / run.messages * 1e3,
    # Microseconds per message of the client's process with all its threads, user and system.
    "cpu": lambda run: run.cpu_seconds / run.messages * 1e6,
    "connections": lambda run: run.connections,
    "memory": lambda run: run.memory_growth / 2**20,
    # Of one core, what the server needed to keep up. Near 1 it would be the server that was measured.
    "server_share": lambda run: run.server_cpu_seconds / (run.requests or 1) * run.messages / run.seconds,
    "errors": lambda run: run.lost,
}


class Measured(Protocol):
    """A run of any benchmark, see `Run`."""

    @property
    def scenario(self) -> str: ...

    @property
    def entry(self) -> str: ...

    @property
    def round(self) -> int: ...

    def value(self, metric: str) -> float:
        """The value of a metric."""


class Figure(NamedTuple):
    """A median, and the smallest and largest value."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.least:.4g} to {self.most:.4g})"


def figure(
    runs: Sequence[Measured], scenario: str, entry: str, metric: str, *, against: str = "", how: str = "ratio"
) -> Figure | None:
    """A metric of one entry, or its ``ratio`` or ``difference`` to another's within each round.

    None where nothing was measured.
    """
    ours, theirs = _by_round(runs, scenario, entry, metric), _by_round(runs, scenario, against, metric)
    if against:
        both = [(value, theirs[number]) for number, value in ours.items() if number in theirs]
        ordered = sorted(a / b if how == "ratio" else a - b for a, b in both)
    else:
        ordered = sorted(ours.values())
    return Figure(statistics.median(ordered), ordered[0], ordered[-1]) if ordered else None


def _by_round(runs: Sequence[Measured], scenario: str, entry: str, metric: str) -> dict[int, float]:
    return {run.round: run.value(metric) for run in runs if (run.scenario, run.entry) == (scenario, entry)}


def this_machine(root: Path, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """The processor, the versions in use, and the revision of a checkout."""
    information = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    named = re.search(r"^model name\s*: (.+)$", information, re.MULTILINE)
    return {
        "processor": named[1] if named else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": {"Python": platform.python_version()} | dict(_installed(packages)),
        "revision": revision(root),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _installed(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Versions by name. A benchmark without other contenders needs none of their packages."""
    for name in packages:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def revision(root: Path) -> str:
    """The commit of a checkout; with a plus where something was changed since, empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout.strip()
