"""The queue's benchmark with a handful of mails: all arrive once and are written down. No time is judged."""

import json
import subprocess
import sys

import pytest

from benchmarks.__main__ import PUBLISHED
from benchmarks.queue.__main__ import _options, main
from benchmarks.queue.contenders import CONTENDERS
from benchmarks.queue.measurements import _counted
from benchmarks.queue.report import COLUMNS, TARGETS
from benchmarks.queue.scenarios import LONG, SCENARIOS
from benchmarks.queue.sites import Mail


def benchmark(folder, *arguments):
    """Run a small benchmark of ours: its exit status, the values by entry, and its tables."""
    small = ["--ours", "--scale", "0.001", "--rounds", "1", "--output", str(folder)]
    status = main([*arguments, *small])
    runs = json.loads((folder / "queue.json").read_text())["runs"]
    return status, {run["entry"]: run["values"] for run in runs}, (folder / "queue.rst").read_text()


def test_a_scenario_runs_end_to_end(tmp_path):
    """Each worker delivers every mail once, the rate is that of the server, and the tables are in order."""
    status, values, tables = benchmark(tmp_path, "--scenario", "deliver-html", "--scenario", "enqueue-sqlite")
    assert status == 0
    delivered = values["migma-64 html"]
    assert (delivered["messages"], delivered["requests_each"], delivered["errors"]) == (20, 1, 0)
    assert all(found["rate"] > 0 and found["cpu"] > 0 for found in values.values())
    assert "NOT FOR PUBLICATION" in tables
    command = [sys.executable, "-m", "docutils", "--strict", tmp_path / "queue.rst"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_lost_and_doubled_mails_are_errors():
    """Of four mails, one arrives twice, one is refused and one never comes."""
    mails = [Mail(0.1, 1, True), Mail(0.2, 1, True), Mail(0.3, 2, True), Mail(0.4, 3, False)]
    assert _counted(mails, 4) == {"requests_each": 1, "errors": 3}


def test_every_name_of_the_scenarios_is_known():
    """A target or a column with a misspelt name would never be measured."""
    entries = {(scenario.name, entry.key) for scenario in SCENARIOS.values() for entry in scenario.entries}
    aimed = {
        (target.scenario, entry) for target in TARGETS for entry in (target.entry, target.against or target.entry)
    }
    assert aimed - entries == set()
    assert {entry.contender for scenario in SCENARIOS.values() for entry in scenario.entries} == CONTENDERS.keys()
    assert {column for scenario in SCENARIOS.values() for column in scenario.columns} == COLUMNS.keys()
    known = {(scenario.name, column) for scenario in SCENARIOS.values() for column in scenario.columns}
    assert {(target.scenario, target.metric) for target in TARGETS} - known == set()


@pytest.mark.parametrize("part", [["--quick"], ["--scenario", "idle"], ["--ours"], ["--scale", "0.5"]])
def test_what_is_measured_in_part_does_not_replace_what_is_published(part):
    assert _options(part).output != PUBLISHED
    assert _options([]).output == PUBLISHED
    assert LONG.isdisjoint(_options([]).scenario)


def test_the_published_tables_are_those_of_the_published_results():
    """One run has written both, with what it kept of those before it."""
    results = json.loads((PUBLISHED / "queue.json").read_text())
    assert results["scale"] == 1
    revisions = ", ".join(sorted({run["revision"] for run in results["runs"]}))
    assert f"Revision {revisions}, " in (PUBLISHED / "queue.rst").read_text()
