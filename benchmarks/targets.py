"""The promises about speed, as data, and what became of them. Those that are missed are published as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import figures, startup
from .figures import Figure
from .runs import Run


@dataclass(frozen=True, kw_only=True)
class Target:
    """A bound for the median of a metric of ``entry``, or of its ``how`` to another contender.

    One of ``at_least`` and ``at_most`` is given.
    """

    what: str
    scenario: str
    entry: str
    metric: str
    against: str = ""
    how: str = "ratio"
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def bound(self) -> str:
        """In words."""
        value = self.at_most if self.at_least is None else self.at_least
        return f"at {'most' if self.at_least is None else 'least'} {value:g}{self.unit}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target and what was measured; ``figure`` is None where its scenario was left out."""

    target: Target
    figure: Figure | None

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the bound."""
        if self.figure is None:
            return None
        if self.target.at_least is not None:
            return self.figure.median >= self.target.at_least
        return self.target.at_most is not None and self.figure.median <= self.target.at_most


TARGETS = (
    Target(
        what="List at 50 ms, default settings: throughput against Anymail",
        scenario="list-50",
        entry="migma",
        metric="rate",
        against="anymail",
        at_least=14,
        unit=" times",
    ),
    Target(
        what="List at 50 ms, default settings: share of the ideal, 16 / 50 ms",
        scenario="list-50",
        entry="migma",
        metric="share_of_ideal",
        at_least=0.92,
    ),
    Target(
        what="List at 50 ms, MAX_CONCURRENCY 64: throughput against Anymail",
        scenario="list-50",
        entry="migma-64",
        metric="rate",
        against="anymail",
        at_least=40,
        unit=" times",
    ),
    Target(
        what="List at 50 ms, MAX_CONCURRENCY 64: share of the ideal, 64 / 50 ms",
        scenario="list-50",
        entry="migma-64",
        metric="share_of_ideal",
        at_least=0.8,
    ),
    Target(
        what="List at 0 ms, MAX_CONCURRENCY 1: CPU per message against Anymail",
        scenario="list-0",
        entry="migma-1",
        metric="cpu_per_message",
        against="anymail",
        at_most=0.6,
        unit=" times",
    ),
    Target(
        what="List at 0 ms, MAX_CONCURRENCY 1: CPU per message against a bare requests loop",
        scenario="list-0",
        entry="migma-1",
        metric="cpu_per_message",
        against="requests",
        at_most=1,
        unit=" times",
    ),
    Target(
        what="200 times send_mail: connections",
        scenario="send-mail",
        entry="migma",
        metric="connections",
        at_most=1,
    ),
    Target(
        what="200 times send_mail over TLS, bundle of one certificate: rate against Anymail",
        scenario="send-mail-tls",
        entry="migma",
        metric="rate",
        against="anymail",
        at_least=5,
        unit=" times",
    ),
    Target(
        what="100,000 from a generator: growth of peak memory",
        scenario="generator",
        entry="migma-100k",
        metric="memory_mib",
        at_most=20,
        unit=" MiB",
    ),
    Target(
        what="100,000 from a generator: time per message against that for 1,000",
        scenario="generator",
        entry="migma-100k",
        metric="seconds_per_message",
        against="migma-1k",
        at_most=1.1,
        unit=" times",
    ),
    Target(
        what="Start-up: import django_migma.backends",
        scenario=startup.SCENARIO,
        entry="import-migma",
        metric="milliseconds",
        at_most=15,
        unit=" ms",
    ),
    Target(
        what="Start-up: django.setup() with the app, beyond that without",
        scenario=startup.SCENARIO,
        entry="setup-migma",
        metric="milliseconds",
        against="setup",
        how="difference",
        at_most=25,
        unit=" ms",
    ),
)


def judged(runs: Sequence[Run]) -> list[Verdict]:
    """What became of each target."""
    return [Verdict(target=target, figure=_measured(target, runs)) for target in TARGETS]


def _measured(target: Target, runs: Sequence[Run]) -> Figure | None:
    if target.against:
        return figures.compared(runs, target.scenario, target.entry, target.against, target.metric, how=target.how)
    return figures.of(runs, target.scenario, target.entry, target.metric)
