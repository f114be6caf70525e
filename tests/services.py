"""PostgreSQL and Redis servers of the tests' own, from the programs of this machine: nothing of a site is touched.

Each lives in a new folder, listens on a socket in it and on no port, and ends with its ``with`` block.

``python -m tests.services COMMAND ...`` runs a command, such as pytest, with PostgreSQL as the project's database.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

PATIENCE = 180.0  # seconds for a server to start or to stop
UNPRIVILEGED = ("postgres", "nobody")
"""Who runs a server where the tests run as root, whom PostgreSQL refuses: the first that this machine has."""
_INSTALLED = Path("/usr/lib/postgresql")  # where Debian puts its programs, in a folder for each version
_PROGRAMS = ("initdb", "postgres", "pg_isready")
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""For tests that kill programs and never the machine: the kernel keeps what a program has written."""
_STEADY = ("autovacuum=off",)
"""Each minute, it would give the planner other figures, by which the plan of a query changes."""


def postgresql_folder() -> Path | None:
    """The folder with the programs of PostgreSQL: all of one version, the first in ``PATH`` or else the newest."""
    debian = sorted(_INSTALLED.glob("*/bin"), key=lambda folder: -int(folder.parent.name))
    folders = [*map(Path, os.get_exec_path()), *debian]
    return next((folder for folder in folders if all((folder / name).is_file() for name in _PROGRAMS)), None)


def missing(name: str) -> NoReturn:
    """Skip a test for want of this server, or fail it where ``REQUIRE_SERVICES`` is set."""
    text = f"No {name} server was found, so its tests do NOT run. Install one (on Debian: postgresql, redis-server)."
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(f"REQUIRE_SERVICES is set. {text}", pytrace=False)
    pytest.skip(text)


class Server:
    """A server in a folder of its own, that can be stopped, killed and started again with its data."""

    def __init__(self, folder: Path, command: Sequence[str], probe: Sequence[str]) -> None:
        self.folder = folder
        self._command, self._probe = command, probe
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError, with what it wrote, if it does not."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder, **_identity()
            )
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(self._probe, capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._command[0]} does not answer:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self, signum: int = signal.SIGINT) -> None:
        """End it, and the sessions in it: SIGINT is PostgreSQL's "fast", SIGQUIT its "immediate"."""
        if self._process:
            self._process.send_signal(signum)
            self._process.wait(PATIENCE)
            self._process = None


def _identity() -> dict[str, Any]:
    """Keywords of Popen that make a program run as somebody other than root, if root it is."""
    if os.geteuid():
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in UNPRIVILEGED if name in known)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A new folder of the user that the servers run as. Not pytest's, whose parents only their owner may enter."""
    with tempfile.TemporaryDirectory(prefix="migma-", ignore_cleanup_errors=True) as name:
        identity = _identity()
        os.chown(name, identity.get("user", -1), identity.get("group", -1))  # -1 changes nothing
        yield Path(name)


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """A running PostgreSQL server with one user, ``tests``, who needs no password. Skips the test without one."""
    programs = postgresql_folder() or missing("PostgreSQL")
    initdb, postgres, is_ready = (str(programs / name) for name in _PROGRAMS)
    with _folder() as folder:
        data, where = folder / "data", str(folder)
        made = [initdb, "--pgdata", data, "--username=tests", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*made, "--no-sync"], check=True, capture_output=True, cwd=folder, **_identity())
        options = [
            f"--{option}" for option in (*_FAST, *_STEADY, "listen_addresses=", f"unix_socket_directories={where}")
        ]
        command = [postgres, "-D", str(data), *options]
        with _running(Server(folder, command, [is_ready, "--host", where, "--username=tests"])) as server:
            yield server


@contextlib.contextmanager
def redis() -> Iterator[Server]:
    """A running Redis server that keeps nothing on disk. Skips the test without one."""
    path = shutil.which("redis-server") or missing("Redis")
    with _folder() as folder:
        socket = str(folder / "redis.sock")
        command = [path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
        with _running(Server(folder, command, ["redis-cli", "-e", "-s", socket, "ping"])) as server:
            yield server


def redis_url(server: Server) -> str:
    """The address of a server for Celery."""
    return f"redis+socket://{server.folder / 'redis.sock'}"


def database(server: Server, name: str = "postgres") -> dict[str, Any]:
    """An entry of ``DATABASES`` for a server of `postgresql`. The one of this name is there from the start."""
    return {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "tests", "HOST": str(server.folder)}


def main(command: Sequence[str]) -> int:
    """Run a command with a PostgreSQL server for the test project to use. Returns its exit status."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgresql())
        except (pytest.skip.Exception, pytest.fail.Exception) as error:
            sys.stderr.write(f"{error}\n")
            return int(isinstance(error, pytest.fail.Exception))
        environment = {**os.environ, "TEST_DATABASE": json.dumps(database(server))}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
