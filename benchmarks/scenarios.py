"""What is measured, as data. Contenders that send one after another get fewer messages where the server is slow:
their rate is the same after thirty as after a thousand."""

from dataclasses import dataclass, replace

from .contenders import CONTENDERS

OTHER = "other"
_SERIAL_MESSAGES = {0: 1000, 10: 300, 50: 100, 200: 30}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender in a scenario, and how many messages it sends.

    ``name`` sets entries of one contender apart, ``checkout`` is `OTHER` for the package of another checkout.
    ``warm_up`` messages go before, in the same process.
    """

    contender: str
    messages: int = 1
    warm_up: int = 5
    name: str = ""
    checkout: str = ""

    @property
    def key(self) -> str:
        """Its name in results."""
        return "-".join(filter(None, (self.name or self.contender, self.checkout)))

    @property
    def title(self) -> str:
        """Its name in tables, with its size where a scenario has several of one contender."""
        sizes = f", {self.messages:,}" if self.name else ""
        return CONTENDERS[self.contender].title + sizes + (", other checkout" if self.checkout else "")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``bundle`` names the CA bundle of a TLS scenario. ``shape`` is that of `contenders.prepare`, or ``start``."""

    name: str
    title: str
    shape: str
    entries: tuple[Entry, ...]
    delay_ms: int = 0
    bundle: str = ""

    def chosen(self, *, scale: float, has_other: bool, only_ours: bool) -> "Scenario":
        """The same with fewer messages, with the package of another checkout beside ours, or with ours alone."""
        entries = []
        for entry in self.entries:
            scaled = replace(entry, messages=min(entry.messages, max(4, round(entry.messages * scale))))
            is_ours = "migma" in entry.contender
            entries += [scaled] if is_ours or not only_ours else []
            entries += [replace(scaled, checkout=OTHER)] if is_ours and has_other else []
        return replace(self, entries=tuple(entries))


def _list(delay_ms: int, *more: str) -> Scenario:
    entries = []
    for name in ("migma", "migma-64", "migma-1", "anymail", "smtp", *more):
        in_flight = CONTENDERS[name].in_flight
        messages = 1000 if in_flight > 1 else _SERIAL_MESSAGES[delay_ms]
        entries.append(Entry(contender=name, messages=messages, warm_up=max(2 * in_flight, 2 if delay_ms else 20)))
    title = f"A list of messages, server time {delay_ms} ms"
    return Scenario(name=f"list-{delay_ms}", title=title, shape="list", delay_ms=delay_ms, entries=tuple(entries))


def _send_mail(name: str, title: str, bundle: str = "") -> Scenario:
    entries = tuple(Entry(contender=contender, messages=200) for contender in ("migma", "anymail", "smtp"))
    return Scenario(name=name, title=title, shape="send_mail", bundle=bundle, entries=entries)


_GENERATOR = (
    Entry(contender="migma", name="migma-10k", messages=10_000, warm_up=200),
    Entry(contender="migma", name="migma-100k", messages=100_000, warm_up=200),
    Entry(contender="anymail", name="anymail-10k", messages=10_000, warm_up=200),
)
_GENERATOR_TITLE = "From a generator that makes each message when it is asked for, server time 0 ms"
_STARTS = tuple(Entry(contender=name) for name, contender in CONTENDERS.items() if contender.start)
_ALL = (
    _list(0, "requests", "http.client"),
    _list(10),
    _list(50),
    _list(200),
    _send_mail("send-mail", "send_mail, one after another, as a web site does, server time 0 ms"),
    _send_mail("send-mail-tls", "send_mail over TLS, CA bundle of one certificate", "own"),
    _send_mail("send-mail-tls-system", "send_mail over TLS, CA bundle of the system", "system"),
    Scenario(name="generator", title=_GENERATOR_TITLE, shape="generator", entries=_GENERATOR),
    Scenario(name="start", title="Start-up, after Django's own mail modules", shape="start", entries=_STARTS),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
