"""A missing browser is reported. These tests need none."""

import subprocess
import sys
from pathlib import Path

import pytest

from . import chromium

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def without(monkeypatch, tmp_path):
    """No browser is installed, and none is required."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.delenv("REQUIRE_BROWSER", raising=False)


def executable(path):
    """Make an executable file."""
    path.touch(mode=0o755)
    return str(path)


@pytest.mark.parametrize("name", chromium.NAMES)
def test_each_usual_name_is_found(name, tmp_path):
    """Debian, Ubuntu and Google call it differently."""
    assert chromium.path() is None
    assert executable(tmp_path / name) == chromium.path()


def test_the_environment_names_another(monkeypatch, tmp_path):
    """CHROMIUM takes precedence, also if it is wrong: no other browser replaces it."""
    executable(tmp_path / "chromium")
    monkeypatch.setenv("CHROMIUM", executable(tmp_path / "mine"))
    assert chromium.path_or_skip() == str(tmp_path / "mine")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "gone"))
    assert chromium.path() is None


def test_without_one_tests_are_skipped_and_say_how_to_get_it():
    """Work on the backend needs no browser."""
    with pytest.raises(pytest.skip.Exception, match=r"do NOT run\. Install one \(on Debian: apt-get "):
        chromium.path_or_skip()


def test_where_it_is_required_its_absence_is_a_failure(monkeypatch):
    """A build that promises the browser tests cannot pass without them."""
    monkeypatch.setenv("REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match=r"^REQUIRE_BROWSER is set\. No chromium was found"):
        chromium.path_or_skip()


def test_the_command_prints_the_path(tmp_path):
    """The Makefile and the matrix use it; a missing browser is reported on stderr and by the exit status."""
    asked = [sys.executable, "-m", "tests.browser.chromium"]
    missed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (missed.returncode, missed.stdout, missed.stderr) == (1, "", f"{chromium.MISSING}\n")
    path = executable(tmp_path / "chromium")
    found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{path}\n", "")
