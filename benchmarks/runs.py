"""What a measurement has found. The properties are the figures that tables and targets speak of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SendRun:
    """One contender in one round of one scenario.

    ``memory_growth`` is in bytes. ``connections``, ``requests`` and ``server_cpu_seconds`` are those of the server
    and include the warm-up; None where there is none.
    """

    scenario: str
    entry: str
    round: int
    messages: int
    in_flight: int
    delay_ms: int
    seconds: float
    cpu_seconds: float
    memory_growth: int
    accepted: int
    connections: int | None = None
    requests: int | None = None
    server_cpu_seconds: float | None = None

    @property
    def rate(self) -> float:
        """Messages per second of wall time."""
        return self.messages / self.seconds

    @property
    def seconds_per_message(self) -> float:
        """Wall time per message."""
        return self.seconds / self.messages

    @property
    def share_of_ideal(self) -> float | None:
        """Of the rate that a server with this delay allows to so many requests in flight."""
        return self.rate * self.delay_ms / 1000 / self.in_flight if self.delay_ms else None

    @property
    def cpu_per_message(self) -> float:
        """Microseconds of the client's CPU, user and system, all threads."""
        return self.cpu_seconds / self.messages * 1e6

    @property
    def memory_mib(self) -> float:
        """Growth of the peak of resident memory."""
        return self.memory_growth / 2**20

    @property
    def errors(self) -> int:
        """Messages that were not accepted."""
        return self.messages - self.accepted

    @property
    def server_share(self) -> float | None:
        """Of one core, what the server needed to keep up. Near 1 it would be the server that was measured."""
        if not self.requests or self.server_cpu_seconds is None:
            return None
        return self.server_cpu_seconds / self.requests * self.rate


@dataclass(frozen=True, kw_only=True)
class StartRun:
    """One import or set-up in a fresh Python."""

    scenario: str
    entry: str
    round: int
    seconds: float

    @property
    def milliseconds(self) -> float:
        """Wall time."""
        return self.seconds * 1000


Run = SendRun | StartRun
