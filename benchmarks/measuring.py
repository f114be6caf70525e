"""Runs a scenario: its servers, its rounds, and within each round every contender once, each in a fresh process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from . import startup
from .certificates import Certificates
from .contenders import CONTENDERS, Address
from .counting import Totals
from .processes import Server, ask, server
from .runs import SendRun, StartRun
from .scenarios import Entry, Scenario

_NOWHERE = 9
"""The discard port, for what sends nothing."""


def measure(scenario: Scenario, rounds: int, certificates: Certificates) -> Iterator[SendRun]:
    """Yield the runs as they end: all contenders of the first round, all of the second, and so on."""
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(_server(kind, scenario, certificates))
            for kind in sorted({CONTENDERS[entry.contender].server for entry in scenario.entries})
            if scenario.has_server
        }
        for number in range(1, rounds + 1):
            for entry in scenario.entries:
                yield _run(scenario, entry, number, servers.get(CONTENDERS[entry.contender].server), certificates)


def measure_starts(rounds: int) -> Iterator[StartRun]:
    """The same for start-up times. A round before the first writes the bytecode and is not counted."""
    for number in range(rounds + 1):
        for entry, question in startup.ENTRIES.items():
            found = ask("startup", question)
            if number:
                yield StartRun(scenario=startup.SCENARIO, entry=entry, round=number, **found)


def _server(kind: str, scenario: Scenario, certificates: Certificates) -> Any:
    certificate = certificates.server if scenario.bundle else None
    return server(kind, delay=scenario.delay_ms / 1000, certificate=certificate)


def _run(
    scenario: Scenario, entry: Entry, number: int, reached: Server | None, certificates: Certificates
) -> SendRun:
    before = reached.totals() if reached else None
    address = Address(port=reached.port if reached else _NOWHERE, tls=bool(scenario.bundle))
    question = asdict(entry) | {"shape": scenario.shape, "address": asdict(address)}
    found = ask("client", question, certificates.bundles.get(scenario.bundle))
    seen = _between(before, reached.totals()) if reached and before else {}
    return SendRun(
        scenario=scenario.name,
        entry=entry.key,
        round=number,
        messages=entry.messages * entry.calls,
        in_flight=CONTENDERS[entry.contender].in_flight,
        delay_ms=scenario.delay_ms,
        **found,
        **seen,
    )


def _between(before: Totals, after: Totals) -> Mapping[str, Any]:
    """What one client has made of the server. Raises RuntimeError where the server has refused any of it."""
    if after.refused > before.refused:
        raise RuntimeError(f"The server has refused {after.refused - before.refused} requests of this contender.")
    return {
        "connections": after.connections - before.connections,
        "requests": after.requests - before.requests,
        "server_cpu_seconds": after.cpu_seconds - before.cpu_seconds,
    }
