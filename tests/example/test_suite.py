"""The example's own tests, run as its README says."""

from __future__ import annotations

import re

from .conftest import run


def test_they_pass_under_pytest() -> None:
    done = run("-m", "pytest", "-p", "no:cacheprovider", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^=+ 10 passed in", done.stdout, re.MULTILINE), done.stdout


def test_the_test_cases_pass_under_djangos_runner() -> None:
    done = run("manage.py", "test")
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
