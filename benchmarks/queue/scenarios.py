"""What is measured of the queue, as data: which contenders, how much, on which database."""

from dataclasses import dataclass, replace
from typing import Any

from .contenders import CONTENDERS

DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "remote": "PostgreSQL 5 ms away"}

_WORDS = {"single": "one call each", "text": "many texts", "stored": "many stored emails", "html": "text and HTML"}
_WORDS |= {"refuse": "503 each time", "ignore": "timeouts"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contender in a scenario. ``messages`` is scaled, ``more`` are further arguments of the measurement."""

    contender: str
    messages: int
    workers: int = 1
    name: str = ""
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """Its name in results."""
        return self.name or (f"{self.workers}x{self.contender}" if self.workers > 1 else self.contender)

    @property
    def title(self) -> str:
        """Its name in tables, with what sets entries of one contender apart."""
        workers = f"{self.workers} workers" if self.workers > 1 else ""
        apart = next((_WORDS[value] for _, value in self.more if value in _WORDS), self.name)
        return ", ".join(filter(None, (CONTENDERS[self.contender].title, workers, apart)))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``measurement`` is a function of `benchmarks.queue.measurements`, ``columns`` what tables show of its values.

    ``smallest`` is what ``messages`` are at least at any scale, ``max_rounds`` how often a long one is measured.
    """

    name: str
    title: str
    measurement: str
    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    database: str = "sqlite"
    smallest: int = 20
    max_rounds: int = 100

    def scaled(self, scale: float, *, only_ours: bool) -> "Scenario":
        """The same with fewer messages, or with our contenders alone."""
        entries = [
            replace(entry, messages=min(entry.messages, max(self.smallest, round(entry.messages * scale))))
            for entry in self.entries
            if "migma" in entry.contender or not only_ours
        ]
        return replace(self, entries=tuple(entries))


def _entry(contender: str, messages: int, name: str = "", workers: int = 1, **more: Any) -> Entry:
    return Entry(contender=contender, messages=messages, name=name, workers=workers, more=tuple(more.items()))


_DELIVERY = ("messages", "rate", "share_of_ideal", "cpu", "requests_each", "errors")


def _delivery(database: str, *peers: str, slow: tuple[str, ...] = ()) -> Scenario:
    """Those with few requests in flight get less: their rate is the same after 200 as after 2,000."""
    ours = [_entry("migma-16", 2000), _entry("migma-64", 2000), _entry("migma-16", 2000, workers=2)]
    sizes = {peer: 2000 if CONTENDERS[peer].in_flight > 5 else 1000 for peer in peers} | dict.fromkeys(slow, 200)
    return Scenario(
        name=f"deliver-{database}",
        title=f"Deliver what is waiting, server time 50 ms, {DATABASES[database]}",
        measurement="deliver",
        database=database,
        entries=(*ours, *(_entry(peer, messages) for peer, messages in sizes.items())),
        columns=_DELIVERY,
    )


_POST_OFFICE = ("post-office", "post-office-16", "post-office-64")
_POST_OFFICE_HTTP = ("post-office-http", "post-office-http-16", "post-office-http-64")
_MANY = {"migma-16": ("text", "stored"), "post-office": ("text",), "django-mailer": ("text",)}


def _enqueue(database: str, *contenders: str) -> Scenario:
    shapes = [(contender, shape) for contender in contenders for shape in ("single", *_MANY.get(contender, ()))]
    entries = [
        _entry(contender, 500 if shape == "single" else 2000, f"{contender} {shape}", shape=shape)
        for contender, shape in shapes
    ]
    return Scenario(
        name=f"enqueue-{database}",
        title=f"Enqueue, {DATABASES[database]}",
        measurement="enqueue",
        database=database,
        entries=tuple(entries),
        columns=("messages", "rate", "cpu"),
    )


def _outage(name: str, title: str, seconds: int) -> Scenario:
    return Scenario(
        name=name,
        title=f"{title} without a working API, 1,000 mails waiting",
        measurement="outage",
        columns=("requests", "in_doubt", "attempted"),
        entries=tuple(_entry("migma-16", 1000, rule, rule=rule, seconds=seconds) for rule in ("refuse", "ignore")),
        smallest=1000,
        max_rounds=1,
    )


_WAITS = ("messages", "median_wait", "worst_wait")
_ALL = (
    _delivery("sqlite", *_POST_OFFICE, *_POST_OFFICE_HTTP, slow=("django-mailer", "tasks", "celery")),
    _delivery("postgresql", *_POST_OFFICE, slow=("django-mailer", "tasks")),
    _delivery("remote", "post-office-64"),
    Scenario(
        name="deliver-html",
        title="The same for mail in text and HTML, SQLite",
        measurement="deliver",
        columns=_DELIVERY,
        entries=tuple(_entry(name, 2000, f"{name} html", shape="html") for name in ("migma-64", "post-office-64")),
    ),
    _enqueue("sqlite", "migma-16", "post-office", "django-mailer", "tasks", "celery"),
    _enqueue("postgresql", "migma-16", "post-office", "django-mailer", "tasks"),
    Scenario(
        name="engines",
        title="Deliver what one wake-up has announced, server time 50 ms, SQLite",
        measurement="wake_up",
        columns=(*_DELIVERY, "first_wait"),
        entries=(_entry("migma-tasks", 1000), _entry("migma-celery", 1000)),
    ),
    Scenario(
        name="idle",
        title="From the commit of one mail to its request, idle worker, SQLite",
        measurement="wait_idle",
        columns=_WAITS,
        entries=(_entry("migma-16", 40),),
        smallest=4,
    ),
    Scenario(
        name="behind",
        title="The same while 6,000 bulk mails wait",
        measurement="wait_behind",
        columns=_WAITS,
        entries=(_entry("migma-16", 6000),),
    ),
    Scenario(
        name="limit-20",
        title="240 mails, API limit of 20 per second, Retry-After 1",
        measurement="limited",
        columns=("rate", "requests_each", "errors"),
        entries=(_entry("migma-16", 240, per_second=20, retry_after=1),),
        smallest=30,
    ),
    Scenario(
        name="limit-2",
        title="Urgent mail while bulk mail waits, API limit of 2 per second, Retry-After 5",
        measurement="wait_limited",
        columns=(*_WAITS, "requests_each"),
        entries=(_entry("migma-16", 200, per_second=2, retry_after=5),),
        smallest=200,
        max_rounds=2,
    ),
    Scenario(
        name="stop",
        title="SIGTERM while 2,000 mails are being sent",
        measurement="stop",
        columns=("seconds", "exit_code", "left_sending", "errors"),
        entries=(_entry("migma-16", 2000), _entry("migma-64", 2000)),
        smallest=200,
    ),
    Scenario(
        name="memory",
        title="10,000 mails, then nothing to do for 20 seconds",
        measurement="memory",
        columns=("messages", "rate", "memory", "idle_cpu"),
        entries=(_entry("migma-64", 10_000),),
        smallest=400,
    ),
    *(
        Scenario(
            name=f"prune-{database}",
            title=f"Remove finished rows, {DATABASES[database]}",
            measurement="prune",
            columns=("messages", "rate", "memory"),
            entries=(_entry("migma-16", 100_000),),
            database=database,
            smallest=100,
        )
        for database in ("sqlite", "postgresql")
    ),
    Scenario(
        name="web",
        title="A visit that reads and then enqueues one mail, 100 a second from four threads, SQLite",
        measurement="web",
        columns=("messages", "median_ms", "p99_ms", "errors"),
        entries=(
            _entry("migma-16", 1000, "no worker", workers=0),
            _entry("migma-16", 1000, "beside it"),
            _entry("migma-64", 1000, "beside it at 64"),
        ),
    ),
    _outage("outage", "One minute", 60),
    _outage("outage-long", "Ten minutes", 600),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
LONG = {"outage-long"}
"""Left out unless asked for."""
