"""What is measured, as data. Contenders that send one after another get fewer messages where the server is slow:
their rate is the same after thirty as after a thousand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .contenders import CONTENDERS

_SERIAL_MESSAGES = {0: 1000, 10: 300, 50: 100, 200: 30}
_SMALLEST = 4


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender in a scenario, and how much it sends: ``messages`` in each of so many ``calls``.

    ``name`` sets entries of one contender apart. ``warm_up`` messages go before, in the same process.
    """

    contender: str
    messages: int
    calls: int = 1
    warm_up: int = 20
    name: str = ""

    @property
    def key(self) -> str:
        """Its name in results."""
        return self.name or self.contender

    @property
    def title(self) -> str:
        """Its name in tables, with its sizes where a scenario has several of one contender."""
        sizes = f", {self.messages:,}" if self.name else ""
        repeated = f" in each of {self.calls} calls" if self.calls > 1 else ""
        return CONTENDERS[self.contender].title + sizes + repeated


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``bundle`` names the CA bundle of a TLS scenario. ``has_server`` is False where nothing goes out."""

    name: str
    title: str
    shape: str
    entries: tuple[Entry, ...]
    delay_ms: int = 0
    bundle: str = ""
    has_server: bool = True

    def scaled(self, factor: float) -> Scenario:
        """The same with fewer messages."""
        entries = (
            replace(entry, messages=min(entry.messages, max(_SMALLEST, round(entry.messages * factor))))
            for entry in self.entries
        )
        return replace(self, entries=tuple(entries))


def _entry(contender: str, delay_ms: int) -> Entry:
    in_flight = CONTENDERS[contender].in_flight
    messages = 1000 if in_flight > 1 else _SERIAL_MESSAGES[delay_ms]
    return Entry(contender=contender, messages=messages, warm_up=max(2 * in_flight, 2 if delay_ms else 20))


def _list(delay_ms: int, *more: str) -> Scenario:
    return Scenario(
        name=f"list-{delay_ms}",
        title=f"A list of messages, server time {delay_ms} ms",
        shape="list",
        delay_ms=delay_ms,
        entries=tuple(_entry(name, delay_ms) for name in ("migma", "migma-64", "migma-1", "anymail", "smtp", *more)),
    )


def _send_mail(name: str, title: str, bundle: str = "") -> Scenario:
    entries = tuple(Entry(contender=name, messages=200, warm_up=5) for name in ("migma", "anymail", "smtp"))
    return Scenario(name=name, title=title, shape="send_mail", bundle=bundle, entries=entries)


_GENERATOR = Scenario(
    name="generator",
    title="From a generator that makes each message when it is asked for, server time 0 ms",
    shape="generator",
    entries=(
        Entry(contender="migma", name="migma-1k", messages=1000, calls=10, warm_up=200),
        Entry(contender="migma", name="migma-100k", messages=100_000, warm_up=200),
        Entry(contender="anymail", name="anymail-10k", messages=10_000, warm_up=200),
    ),
)
_BUILDING = Scenario(
    name="building",
    title="Building alone: from a message to what would be sent, and its status; no network",
    shape="list",
    has_server=False,
    entries=tuple(
        Entry(contender=name, messages=1000) for name in ("migma-building", "anymail-building", "mime-building")
    ),
)
DELAYS_MS = (0, 10, 50, 200)
SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        _list(0, "requests", "http.client"),
        *(_list(delay_ms) for delay_ms in DELAYS_MS[1:]),
        _send_mail("send-mail", "send_mail, one after another, as a web site does, server time 0 ms"),
        _send_mail("send-mail-tls", "send_mail over TLS, CA bundle of one certificate", "single"),
        _send_mail("send-mail-tls-system", "send_mail over TLS, CA bundle of the system", "system"),
        _GENERATOR,
        _BUILDING,
    )
}
