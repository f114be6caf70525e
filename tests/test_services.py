"""The servers that tests start: they answer, they end, and a missing one is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from tests import services


@pytest.fixture
def without(monkeypatch, tmp_path):
    """Nothing is installed, and nothing is required."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)
    monkeypatch.setattr(services, "_INSTALLED", tmp_path)


def ask(server):
    """One question to a PostgreSQL server, over a connection of its own."""
    with psycopg.connect(host=str(server.folder), user="tests", dbname="postgres") as connection:
        return connection.execute("SHOW listen_addresses").fetchone()


def fail_after_using_it(seen):
    """A test that kills the server and starts it again, and then fails."""
    with services.postgresql() as server:
        seen.append(server)
        assert ask(server) == ("",)
        server.stop(signal.SIGQUIT)
        with pytest.raises(psycopg.OperationalError):
            ask(server)
        server.start()
        assert ask(server) == ("",)
        seen.append(int((server.folder / "data" / "postmaster.pid").read_text().split()[0]))
        raise AssertionError("a failing test")


def test_postgresql_answers_and_ends_with_its_block_also_after_a_failing_test():
    """It listens on no port, comes back with its data after being killed, and leaves no folder and no process."""
    seen = []
    with pytest.raises(AssertionError, match="a failing test"):
        fail_after_using_it(seen)
    [server, pid] = seen
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    server.stop()


def test_redis_answers_and_ends_with_its_block():
    """Also on a socket in its own folder."""
    with services.redis() as server:
        assert services.redis_url(server) == f"redis+socket://{server.folder}/redis.sock"
        with Redis(unix_socket_path=f"{server.folder}/redis.sock") as client:
            assert client.ping()
    assert not server.folder.exists()


@pytest.mark.parametrize(("start", "name"), [(services.postgresql, "PostgreSQL"), (services.redis, "Redis")])
def test_a_missing_server_skips_its_tests_or_fails_them_where_it_is_required(start, name, without, monkeypatch):
    """Both say which one is missing and how to get it."""
    text = rf"No {name} server was found, so its tests do NOT run\. Install one \(on Debian: postgresql, redis"
    with pytest.raises(pytest.skip.Exception, match=f"^{text}"):
        start().__enter__()
    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match=rf"^REQUIRE_SERVICES is set\. {text}"):
        start().__enter__()


def test_the_newest_of_several_versions_is_taken(without, tmp_path):
    """Debian keeps each in a folder, and most of its programs out of PATH. An incomplete one does not count."""
    for version, names in {"9": services._PROGRAMS, "15": services._PROGRAMS, "16": ["pg_isready"]}.items():
        (tmp_path / version / "bin").mkdir(parents=True)
        for name in names:
            (tmp_path / version / "bin" / name).touch(mode=0o755)
    assert services.postgresql_folder() == tmp_path / "15" / "bin"


def test_a_server_that_does_not_start_shows_what_it_wrote(tmp_path):
    """Its last words name the reason."""
    tmp_path.chmod(0o755)
    server = services.Server(Path("/tmp"), ["sh", "-c", "echo no room; exit 1"], ["false"])
    server.folder = tmp_path
    with pytest.raises(RuntimeError, match=r"(?s)^sh does not answer:.*no room"):
        server.start()


@pytest.mark.parametrize("is_root", [True, False])
def test_only_root_runs_servers_as_somebody_else(is_root, monkeypatch):
    """PostgreSQL refuses to run as root; nobody else may become another user."""
    monkeypatch.setattr(os, "geteuid", lambda: 0 if is_root else 1000)
    assert bool(services._identity()) == is_root


def test_a_command_is_run_with_postgresql_as_the_database():
    """The test project's settings take it from the environment; the command's exit status is passed on."""
    asked = "import sys; from tests.settings import DATABASES as found; sys.exit(40 + len(found['default']['USER']))"
    assert services.main([sys.executable, "-c", asked]) == 45
    program = [sys.executable, "-m", "tests.services", "sh", "-c", "exit 7"]
    assert subprocess.run(program, check=False).returncode == 7


def test_without_postgresql_the_command_is_left_out(without, monkeypatch, capsys):
    """That is no failure, except where it is required."""
    assert services.main(["false"]) == 0
    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    assert services.main(["false"]) == 1
    assert capsys.readouterr().err.count("No PostgreSQL server was found") == 2
