"""The benchmark with a handful of messages: everything is sent, counted and written down. No time is judged."""

import json
import subprocess
import sys

import pytest

from benchmarks.__main__ import PUBLISHED, _options, main
from benchmarks.contenders import CONTENDERS
from benchmarks.processes import ROOT
from benchmarks.results import Run, figure
from tests.guards import test_architecture as guard

LOSING = """
from django.core.mail.backends.base import BaseEmailBackend

class EmailBackend(BaseEmailBackend):
    def send_messages(self, messages):
        return len(messages)
"""
RUN = {"scenario": "list-0", "messages": 10, "accepted": 10}


def benchmark(folder, *arguments):
    """Run a small benchmark: its exit status, its runs by entry, and its tables."""
    status = main([*arguments, "--scale", "0.004", "--rounds", "1", "--output", str(folder / "out")])
    runs = json.loads((folder / "out" / "results.json").read_text())["runs"]
    return status, {run["entry"]: run for run in runs}, (folder / "out" / "tables.rst").read_text()


def test_a_scenario_runs_end_to_end(tmp_path, monkeypatch):
    """Every contender sends every message once and is counted, and the tables are in order."""
    monkeypatch.setattr("benchmarks.__main__.STARTS_PER_ROUND", 1)
    status, runs, tables = benchmark(tmp_path, "--scenario", "list-0", "--scenario", "start")
    assert status == 0
    assert runs.keys() == CONTENDERS.keys()
    sent = [run for run in runs.values() if run["requests"]]
    assert [run["requests"] for run in sent] == [run["messages"] + run["warm_up"] for run in sent]
    assert [run["accepted"] for run in sent] == [4] * 7
    assert (runs["migma-1"]["connections"], runs["requests"]["connections"]) == (1, 2)
    assert all(run["seconds"] > 0 for run in runs.values())
    assert [contender.title for contender in CONTENDERS.values() if contender.title not in tables] == []
    command = [sys.executable, "-m", "docutils", "--strict", tmp_path / "out" / "tables.rst"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_lost_message_is_noticed(tmp_path):
    """Also where a package claims to have sent it: here that of another checkout, which is compared with ours."""
    package = tmp_path / "checkout" / "django_migma"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "backends.py").write_text(LOSING)
    arguments = ("--scenario", "send-mail-tls", "--ours", "--against", str(package.parent))
    status, runs, tables = benchmark(tmp_path, *arguments)
    assert status == 1
    assert (runs["migma"]["requests"], runs["migma"]["connections"]) == (4 + 5, 1)
    assert (runs["migma-other"]["requests"], runs["migma-other"]["accepted"]) == (0, 4)
    assert "This checkout against revision" in tables


def test_ratios_are_taken_within_a_round():
    """The machine may be slower in one round than in another: 2, 2 and 8 here, though the medians' ratio is 4."""
    seconds = {"migma": (1, 10, 2), "anymail": (2, 20, 16)}
    runs = [
        Run(**RUN, entry=e, round=n, seconds=s) for e, all_of_it in seconds.items() for n, s in enumerate(all_of_it)
    ]
    assert figure(runs, "list-0", "migma", "rate", against="anymail") == (2, 2, 8)
    assert figure(runs, "list-0", "migma", "milliseconds") == (200, 100, 1000)
    assert figure(runs, "list-0", "smtp", "rate") is None


@pytest.mark.parametrize("part", [["--quick"], ["--scenario", "list-0"], ["--against", "elsewhere"], ["--ours"]])
def test_what_is_measured_in_part_does_not_replace_what_is_published(part):
    assert _options(part).output != PUBLISHED
    assert _options(["--rounds", "9"]).output == PUBLISHED


def test_the_published_tables_are_those_of_the_published_results():
    """One full run has written both."""
    results = json.loads((PUBLISHED / "results.json").read_text())
    assert results["scale"] == 1
    assert f"Revision {results['machine']['revision']}, " in (PUBLISHED / "tables.rst").read_text()


@pytest.mark.parametrize("rule", [guard.cycles, guard.unexplained_imports, guard.long_files, guard.long_functions])
def test_the_benchmarks_keep_the_rules_of_the_package(rule):
    assert rule(ROOT / "benchmarks") == []
