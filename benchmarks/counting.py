"""What a server counts from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counter:
    """Written by the protocols of one server, in its own thread."""

    connections: int = 0
    requests: int = 0
    refused: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def begin(self) -> None:
        """A request, or a mail, has arrived."""
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The same at one moment, with the seconds of CPU that the server's process has used."""

    connections: int
    requests: int
    refused: int
    most_in_flight: int
    cpu_seconds: float
