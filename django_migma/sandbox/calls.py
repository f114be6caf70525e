"""What an endpoint is called with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django_migma.sandbox.wire import Refusal

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from django_migma.sandbox.plan import Plan
    from django_migma.sandbox.store import Store
    from django_migma.sandbox.switches import Switches
    from django_migma.sandbox.wire import Request


@dataclass(frozen=True, kw_only=True)
class Site:
    """The running sandbox, as its endpoints see it."""

    store: Store
    switches: Switches
    faults: Plan
    stopping: threading.Event  # ends every wait
    host: str  # as bound
    url: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to one endpoint, its key already checked."""

    site: Site
    request: Request
    endpoint: str  # method and path template
    ids: Mapping[str, str]  # from the path, by the names in the template
    key_name: str  # empty for the sandbox's own endpoints
    delay: float = 0.0  # seconds that a fault makes it take

    def take_time(self) -> None:
        """Whether the client still waits does not matter: a server at work does not notice."""
        if self.delay and self.site.stopping.wait(self.delay):
            raise Refusal(503, "The sandbox is being stopped")


def number(call: Call, name: str, *, default: int, low: int, high: int | None = None) -> int:
    """A whole number of the query, within its limits."""
    given = call.request.query.get(name)
    if given is None:
        return default
    value = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else -1
    if value < low or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise Refusal(400, f"{name} must be a whole number {limits}")
    return value


def word(call: Call, name: str, words: Sequence[str]) -> str | None:
    """One of ``words`` from the query; None when it is not there."""
    given = call.request.query.get(name)
    if given is not None and given not in words:
        raise Refusal(400, f"{name} must be one of {', '.join(words)}")
    return given


def required(call: Call, name: str) -> str:
    """A text of the query that may not be missing or empty."""
    given = call.request.query.get(name)
    if not given:
        raise Refusal(400, f"{name} is required")
    return given
