"""The example project runs as users run it: in processes of its own, against a sandbox on a free port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from django_migma.sandbox.server import Sandbox

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "example_project"
PYTHON = (sys.executable, "-W", "error::DeprecationWarning")
DOCUMENTED = re.findall(r"^(\w+)=", (EXAMPLE / ".env.example").read_text(), re.MULTILINE)


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with only ``variables`` set for the example; a ``.env`` file is ignored.

    Coverage is not measured there: it takes half of the time of such a process, and finds nothing new.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    empty = dict.fromkeys(DOCUMENTED, "")
    own = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "config.settings"}
    return kept | empty | own | variables


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the example's folder."""
    return subprocess.run(
        [*PYTHON, *arguments],
        cwd=EXAMPLE,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def submit(session: requests.Session, url: str, **fields: str) -> requests.Response:
    """Fill in a form and send it, as a browser does."""
    session.get(url, timeout=60).raise_for_status()
    answer = session.post(url, data=fields | {"csrfmiddlewaretoken": session.cookies["csrftoken"]}, timeout=60)
    answer.raise_for_status()
    return answer


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def variables(running_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of the site: the address of the sandbox, a database with its stored emails, a folder for mail."""
    found = {
        "MIGMA_API_URL": running_sandbox.api_url,
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('example')}/db.sqlite3",
        "MAIL_FOLDER": str(tmp_path_factory.mktemp("mail")),
    }
    for command in (("migrate", "-v0"), ("migma_sync",), ("name_stored_emails",)):
        done = run("manage.py", *command, **found)
        assert done.returncode == 0, done.stderr
    return found


@pytest.fixture(scope="session")
def site(variables: dict[str, str]) -> Iterator[str]:
    """The address of the site, served by Django's own server."""
    command = [*PYTHON, "manage.py", "runserver", "--noreload", "127.0.0.1:0"]
    with subprocess.Popen(
        command,
        cwd=EXAMPLE,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
        yield next(match[0] for match in found if match)
        process.terminate()  # not Ctrl-C: an interrupt that falls into a finalizer is dropped, and nothing would end


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The sandbox for the site's mail, empty."""
    running_sandbox.store.reset()
    return running_sandbox


@pytest.fixture
def mail_folder(variables: dict[str, str]) -> Path:
    """The folder that gets what Migma cannot carry, empty."""
    folder = Path(variables["MAIL_FOLDER"])
    for path in folder.iterdir():
        path.unlink()
    return folder


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    """A session of its own."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
