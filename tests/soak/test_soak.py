"""Some seconds of ``make soak``, and what its report says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.soak.__main__ import Report, verdict
from tests.soak.workers import WORKERS

GOOD = {"mails": 3, "kills": 1, "doubled": [], "lost": [], "ghosts": [], "rows": {"accepted": 3}}


def soak(*arguments):
    """About ten seconds of it, with as many kills as that allows."""
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.1", "--kill-after", "2", "4", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)


@pytest.mark.parametrize(
    ("engine", "database"), [*((engine, "sqlite") for engine in WORKERS), ("migma_deliver", "postgresql")]
)
def test_a_busy_site_whose_workers_are_killed_loses_and_doubles_nothing(engine, database, request):
    """With the worker of each engine."""
    for server in {"celery": ["redis"]}.get(engine, []) + [database] * (database == "postgresql"):
        request.getfixturevalue(server)
    faults = [] if engine == "migma_deliver" else ["--without-faults"]  # which the engines would wait for
    done = soak("--engine", engine, "--database", database, *faults)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nkept  " in done.stdout
    assert " kills: 0 doubled, 0 lost, 0 of rolled-back transactions" in done.stdout


def test_without_keys_the_same_shows_duplicates():
    """Otherwise the rest would prove nothing. By this seed, the answer to the first of 30 mails is lost."""
    done = soak("--without-keys", "--workers", "2", "--seed", "543")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("A control without keys: duplicates appear, as they must.\n")


@pytest.mark.parametrize("broken", ["doubled", "lost", "ghosts"])
def test_a_broken_promise_is_named(broken):
    """With the recipients, as far as twenty go."""
    report = Report(**GOOD | {broken: [f"r{number}@example.org" for number in range(30)]}, requests=5, faults=1)
    assert not report.kept
    kept, text = verdict(report, is_control=False, log="the last words of a worker")
    first, *named, last = text.splitlines()
    assert (kept, first.partition(" ")[0], last) == (False, "BROKEN", "the last words of a worker")
    assert (len(named), named[0]) == (20, f"{broken}: r0@example.org")


def test_a_control_without_duplicates_has_failed():
    """It says so, and no more."""
    kept, text = verdict(Report(**GOOD, requests=5, faults=1), is_control=True, log="the last words of a worker")
    assert (kept, text.splitlines()[1:]) == (False, ["A control without keys: duplicates must appear."])


def test_rows_that_do_not_say_what_happened_break_a_promise_as_well():
    """Also where each mail was accepted once."""
    assert Report(**GOOD, requests=5, faults=1).kept
    assert not Report(**GOOD | {"rows": {"accepted": 2, "unknown": 1}}, requests=5, faults=1).kept


def test_the_report_has_figures():
    """Those that the manual shows."""
    assert str(Report(**GOOD, requests=5, faults=1, recovery=[1.0, 2.0, 6.0])) == (
        "3 mails, 1 kills: 0 doubled, 0 lost, 0 of rolled-back transactions, rows {'accepted': 3}; 5 requests, "
        "1 faults; 3 interrupted rows, accepted 2.0 s after the kill (median), 6.0 s (longest)"
    )
