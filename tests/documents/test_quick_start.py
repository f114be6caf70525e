"""The README's quick start, followed to the letter in a new project: a mail accepted without a failed try."""

import os
import re
import signal
import subprocess
import sys
import sysconfig
import venv
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import django
import pytest
import requests

from .reading import ROOT, blocks, section

QUICK_START = section("README", "Quick start")
BLOCKS = blocks(QUICK_START)
COMMANDS = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines()]
SETTINGS = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture
def environment(tmp_path):
    """The variables of a shell with a new virtual environment, which has our dependencies but not our package."""
    installed = tmp_path / "installed"
    installed.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "django_migma" not in path.name:
            (installed / path.name).symlink_to(path)
    venv.create(tmp_path / "venv", with_pip=True)
    [packages] = (tmp_path / "venv" / "lib").glob("*/site-packages")
    (packages / "installed.pth").write_text(str(installed))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "DJANGO"))}
    return kept | {
        "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }


@pytest.fixture
def wheel(tmp_path):
    """The package, as it is built from this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = tmp_path.glob("*.whl")
    return path


@pytest.fixture
def shell(environment, tmp_path):
    """Run a command in the project, with the new environment; return what it prints."""

    def run(command, *, cwd=tmp_path / "mysite"):
        result = subprocess.run(
            command, shell=True, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout

    run("python -m django startproject mysite", cwd=tmp_path)
    return run


@pytest.fixture
def start(environment, tmp_path):
    """Start a command that runs until Ctrl-C; return its output up to the end of the settings that it prints."""
    processes = []

    def run(command):
        process = subprocess.Popen(
            command.split(), cwd=tmp_path / "mysite", env=environment, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return "".join([*takewhile(lambda line: line != "}\n", process.stdout), "}\n"])

    yield run
    for process in processes:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.send_signal(signal.SIGINT)  # again, as a person would: the first may fall into a finalizer
        assert process.wait(60) == 0
        process.stdout.close()


def test_the_quick_start_ends_with_a_mail_in_the_sandbox(shell, start, wheel, tmp_path):
    """Each command and each block of settings, in order; only the port is another, since 8026 may be taken."""
    settings = tmp_path / "mysite" / "mysite" / "settings.py"
    install, sandbox, *commands = COMMANDS
    app, mailer, older_mailer = SETTINGS

    shell(install.replace("django-migma", str(wheel)))
    assert str(tmp_path) in shell("python -c 'import django_migma; print(django_migma.__file__)'")
    settings.write_text(settings.read_text() + app)

    printed = start(f"{sandbox} --port 0")
    [port] = re.findall(r"^Migma sandbox on http://127\.0\.0\.1:(\d+)$", printed, re.MULTILINE)
    if django.VERSION < (6, 1):
        mailer = re.sub(r"^MAILERS = .+\n", older_mailer, mailer, flags=re.MULTILINE)
    pasted = mailer.replace("8026", port)
    assert printed.endswith(pasted.split("\n", 1)[1])
    settings.write_text(settings.read_text() + pasted)

    outputs = [shell(command) for command in commands]
    assert outputs[-1].splitlines()[-1] == "11 ok."

    [address] = re.findall(r"Open (http://127\.0\.0\.1:8026/)", QUICK_START)
    inbox = address.replace("8026", port)
    page = requests.get(f"{inbox}?q=to:you@example.com", timeout=60).text
    [mail] = re.findall(r'href="/(mail/\d+)\?', page)
    assert "it was successful" in requests.get(f"{inbox}{mail}/html", timeout=60).text
