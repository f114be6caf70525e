"""Processes of a site die, and accidents happen to it: each mail is accepted once, and its row says so.

``make soak`` runs each point of a crash with 50 seeds.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.crashes.__main__ import Aftermath
from tests.crashes.accidents import ACCIDENTS
from tests.crashes.points import POINTS

SEEDS = {"sqlite": "2", "postgresql": "1"}


def run(program, *arguments):
    """Run one of the programs beside this file, which starts what it needs."""
    command = [sys.executable, "-W", "error", "-m", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)


@pytest.mark.parametrize("database", SEEDS)
@pytest.mark.parametrize("point", POINTS)
def test_a_process_may_die_at_any_point(point, database, request):
    """Queueing or delivering: a new worker finishes what it finds."""
    if database == "postgresql":
        request.getfixturevalue("postgresql")
    done = run("tests.crashes", point, "--database", database, "--seeds", SEEDS[database])
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.endswith(f"{SEEDS[database]} seeds, 0 problems\n")


@pytest.mark.parametrize(
    ("database", "accident"), [(name, one.__name__) for name, known in ACCIDENTS.items() for one in known]
)
def test_an_accident_loses_nothing(database, accident, request):
    """Its docstring has the promise."""
    if database == "postgresql":
        request.getfixturevalue("postgresql")
    done = run("tests.crashes.accidents", accident, "--database", database)
    assert done.returncode == 0, done.stdout + done.stderr


GOOD = {
    "point": "before_mark",
    "expected": 2,
    "exit_status": 41,
    "words": "",
    "left": Counter(sending=1, accepted=1),
    "rows": Counter(accepted=2),
    "recipients": {"a", "b"},
    "taken": Counter(a=1, b=1),
}


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({}, None),
        ({"exit_status": 1, "words": "Oops"}, "it did not die at its point, but ended with 1: Oops"),
        ({"left": Counter(sending=1)}, "it died elsewhere: it left {'sending': 1} of 2"),
        ({"left": Counter(waiting=2)}, "it died elsewhere: it left {'waiting': 2} of 2"),
        ({"left": Counter(waiting=2), "point": "before_wake_up"}, None),
        ({"rows": Counter(accepted=1, unknown=1)}, "the rows say {'accepted': 1, 'unknown': 1} of 2"),
        ({"taken": Counter(a=1, b=2)}, "3 mails to 2 recipients were accepted, not 2"),
        ({"taken": Counter(a=1)}, "1 mails to 1 recipients were accepted, not 2"),
        ({"taken": Counter(a=1), "recipients": {"a"}}, "1 mails to 1 recipients were accepted, not 2"),
    ],
)
def test_what_is_wrong_after_a_crash_is_named(about, problem):
    """The judge can find each fault, and finds none where there is none."""
    assert list(Aftermath(**GOOD | about).problems()) == ([problem] if problem else [])
