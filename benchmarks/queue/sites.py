"""Sites in processes of their own: their database, their workers, and the servers that get their mail."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import Laboratory, Server

from . import databases
from .contenders import CONTENDERS, Site

_TICKS = os.sysconf("SC_CLK_TCK")


URGENT = 1_000_000
"""Numbers of the recipients of urgent mail begin here."""


class Mail(NamedTuple):
    """One mail in the ledger: when its request came, its recipient's number, and whether it was accepted."""

    arrived: float
    number: int
    is_accepted: bool

    @property
    def is_urgent(self) -> bool:
        """Whether it is one of those whose way is timed."""
        return self.number >= URGENT


class Ledger:
    """The server that gets the mail, see `benchmarks.queue.ledger`."""

    def __init__(self, server: Server) -> None:
        self._server, self.port = server, server.port

    def begin(self, rule: str = "accept", **parameters: Any) -> None:
        """Begin an empty ledger, and answer by this rule from now on."""
        self._ask({"rule": rule} | parameters)

    def mails(self) -> list[Mail]:
        """All requests, in order of arrival."""
        return [Mail(*entry) for entry in self._ask({"ask": "entries"})["entries"]]

    def accepted(self) -> int:
        """How many requests were accepted since the beginning."""
        return self._ask({"ask": "count"})["accepted"]

    def wait_for(self, count: int, seconds: float) -> None:
        """Return once so many requests were accepted, or after some seconds."""
        deadline = time.monotonic() + seconds
        while self.accepted() < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        return self._server.ask(json.dumps(question))


class Worker:
    """A worker of a site."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.usage: resource.struct_rusage | None = None
        """What it used with all its children, once it has ended."""

    def wait(self, seconds: float) -> None:
        """Wait for its end. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.usage is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode, self.usage = os.waitstatus_to_exitcode(status), usage
            elif time.monotonic() > deadline:
                raise TimeoutError(f"A worker has not ended within {seconds} seconds.")
            else:
                time.sleep(0.005)

    def stop(self, seconds: float = 60) -> float:
        """Ask it to end, as a service manager would. Returns the seconds that this took."""
        began = time.monotonic()
        if self.usage is None:
            self._process.send_signal(signal.SIGTERM)
            self.wait(seconds)
        return time.monotonic() - began

    @property
    def exit_code(self) -> int:
        """Its exit code, once it has ended; the negative number of the signal that has ended it."""
        return self._process.returncode

    @property
    def cpu_seconds(self) -> float:
        """User and system time with that of its children, once it has ended."""
        return self.usage.ru_utime + self.usage.ru_stime if self.usage else 0.0

    def cpu_so_far(self) -> float:
        """User and system time of a running worker, in seconds, to a hundredth."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Resident memory of a running worker, in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self.usage is None:
            self._process.kill()
            self.wait(10)


@dataclass
class RunningSite:
    """A site with an empty database."""

    site: Site
    environment: Mapping[str, str]
    ledger: Ledger
    workers: list[Worker] = field(default_factory=list)

    def ask(self, measure: str, **question: Any) -> dict[str, Any]:
        """Answer of a fresh client process, see `benchmarks.queue.client`. Raises RuntimeError if it fails."""
        command = [sys.executable, "-P", "-W", "ignore", "-m", "benchmarks.queue.client"]
        asked = json.dumps({"measure": measure} | question)
        done = subprocess.run(command, input=asked, capture_output=True, text=True, env=self.environment, check=False)
        if done.returncode:
            raise RuntimeError(f"The site of {self.site['contender']} failed at {asked}:\n{done.stderr}")
        return json.loads(done.stdout)

    def start_worker(self, command: str = "") -> Worker:
        """Start a worker: the contender's own, or another one."""
        worker = (command or CONTENDERS[self.site["contender"]].worker).format(**self.site)
        log = Path(self.site["folder"]) / f"worker-{len(self.workers)}.log"
        with log.open("w") as output:
            started = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-m", *worker.split()],
                stdout=output,
                stderr=output,
                env=self.environment,
                cwd=self.site["folder"],
            )
        self.workers.append(Worker(started))
        return self.workers[-1]


class Town:
    """All services, and a database for each kind of site to copy from."""

    def __init__(self, laboratory: Laboratory, folder: Path, stack: ExitStack) -> None:
        self._laboratory, self._folder, self._stack = laboratory, folder, stack
        self._services: dict[str, Any] = {}
        self._templates: set[str] = set()

    @contextmanager
    def site(self, contender: str, database: str, **migma: Any) -> Iterator[RunningSite]:
        """A site with an empty database, and empty ledgers. ``migma`` are settings of ours."""
        place = self._database(database)
        name = f"{contender}-{'postgresql' if database == 'remote' else database}"
        if name not in self._templates:
            if database != "sqlite":
                place.create(name)
            self._running(contender, self._database("postgresql") if database == "remote" else place, name).ask(
                "migrate"
            )
            self._templates.add(name)
        place.copy(name, "site")
        running = self._running(contender, place, "site", migma)
        for kind in ("http", "smtp"):
            self._ledger(kind).begin()
        try:
            yield running
        finally:
            for worker in running.workers:
                worker.kill()

    def _running(self, contender: str, place: Any, name: str, migma: dict[str, Any] | None = None) -> RunningSite:
        folder = self._folder / "site"
        folder.mkdir(exist_ok=True)
        site = {"contender": contender, "database": place.settings(name), "folder": str(folder), "migma": migma or {}}
        site |= {kind: self._ledger(kind).port for kind in ("http", "smtp")}
        site["redis"] = self._redis() if CONTENDERS[contender].needs_redis else 0
        environment = self._laboratory.environment() | {
            "BENCHMARK_SITE": json.dumps(site),
            "DJANGO_SETTINGS_MODULE": "benchmarks.queue.settings",
        }
        return RunningSite(site, environment, self._ledger(CONTENDERS[contender].server))

    def _database(self, name: str) -> Any:
        if name not in self._services:
            if name == "sqlite":
                self._services[name] = databases.Sqlite(self._folder)
            elif name == "postgresql":
                self._services[name] = self._stack.enter_context(databases.postgresql(self._folder))
            else:
                own = self._database("postgresql").port
                proxy = self._start("benchmarks.queue.proxy", str(own), "0.005")
                self._services[name] = databases.Postgresql(own, proxy=proxy.port)
        return self._services[name]

    def _redis(self) -> int:
        if "redis" not in self._services:
            self._services["redis"] = self._stack.enter_context(databases.redis(self._folder))
        return self._services["redis"]

    def _ledger(self, kind: str) -> Ledger:
        if kind not in self._services:
            self._services[kind] = Ledger(self._start("benchmarks.queue.ledger", kind, "0.05"))
        return self._services[kind]

    def _start(self, module: str, *arguments: str) -> Server:
        return self._stack.enter_context(self._laboratory.started(module, *arguments))
