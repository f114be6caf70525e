"""Services of a site, each started for the benchmark and ended with it: SQLite, PostgreSQL, Redis."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PATIENCE = 30
"""Seconds that a service has to start."""
_UNPRIVILEGED = "postgres"
"""Who runs PostgreSQL where root runs the benchmark, since PostgreSQL refuses root. Made by Debian's package."""
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


class Sqlite:
    """A file for each database, in WAL mode."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def settings(self, name: str) -> dict[str, Any]:
        """Django's settings of a database."""
        path = str(self.folder / f"{name}.sqlite3")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": SQLITE_OPTIONS}

    def copy(self, template: str, name: str) -> None:
        """Make a database like another, which nobody uses at the moment."""
        self.drop(name)
        shutil.copy(self.folder / f"{template}.sqlite3", self.folder / f"{name}.sqlite3")

    def drop(self, name: str) -> None:
        """Remove a database, if there is one."""
        for path in self.folder.glob(f"{name}.sqlite3*"):
            path.unlink()


class Postgresql:
    """A server of its own on loopback, with its usual settings: what is committed is on the disk."""

    name = "PostgreSQL"

    def __init__(self, port: int, *, proxy: int = 0) -> None:
        self.port, self._proxy = port, proxy

    def settings(self, name: str) -> dict[str, Any]:
        """Django's settings of a database."""
        host = {"HOST": "127.0.0.1", "PORT": self._proxy or self.port, "USER": "benchmark"}
        return {"ENGINE": "django.db.backends.postgresql", "NAME": name, **host}

    def create(self, name: str) -> None:
        """Make an empty database."""
        self._execute(f'CREATE DATABASE "{name}"')

    def copy(self, template: str, name: str) -> None:
        """Make a database like another, which nobody uses at the moment."""
        self.drop(name)
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop(self, name: str) -> None:
        """Remove a database, if there is one."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        import psycopg  # noqa: PLC0415 - only where PostgreSQL is measured

        target = {"host": "127.0.0.1", "port": self.port, "user": "benchmark", "dbname": "postgres"}
        with psycopg.connect(**target, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def postgresql(folder: Path) -> Iterator[Postgresql]:
    """Run PostgreSQL from the installed binaries, with its files in a folder."""
    data, port = folder / "postgresql", free_port()
    data.mkdir(mode=0o700)
    as_whom: dict[str, Any] = {}
    if getpass.getuser() == "root":
        shutil.chown(data, _UNPRIVILEGED, _UNPRIVILEGED)
        folder.chmod(0o711)
        as_whom = {"user": _UNPRIVILEGED, "group": _UNPRIVILEGED, "extra_groups": [], "cwd": data}
    initdb = [_postgresql_program("initdb"), "-D", str(data), "-U", "benchmark", "--auth=trust", "--encoding=UTF8"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **as_whom)
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 200}
    command = [_postgresql_program("postgres"), "-D", str(data)]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with _service(command, folder / "postgresql.log", stop=signal.SIGINT, **as_whom):
        database = Postgresql(port)
        _wait_for(lambda: database.drop("nothing"))
        yield database


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Run Redis, which keeps nothing, and yield its port."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _service(command, folder / "redis.log"):
        _wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        yield port


@contextmanager
def _service(command: list[str], log: Path, stop: int = signal.SIGTERM, **as_whom: Any) -> Iterator[None]:
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, **as_whom) as process:
        try:
            yield
        finally:
            process.send_signal(stop)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_for(attempt: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            attempt()
        except Exception:  # of whatever kind a driver raises
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _postgresql_program(name: str) -> str:
    """Debian keeps them apart by version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = str(found[-1]) if found else shutil.which(name)
    if not program:
        raise FileNotFoundError(f"The benchmark needs PostgreSQL's program {name}, and it is not installed.")
    return os.fspath(program)
