"""The whole benchmark with a handful of messages: everything is sent, counted and written down. No time is judged."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from benchmarks.__main__ import main
from benchmarks.contenders import Address
from benchmarks.processes import ask
from benchmarks.scenarios import SCENARIOS
from benchmarks.startup import TITLES
from benchmarks.targets import TARGETS

CHOSEN = ("list-0", "list-10", "send-mail-tls", "generator", "building")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a small benchmark has written."""
    path = tmp_path_factory.mktemp("benchmark") / "out"
    scenarios = [argument for name in (*CHOSEN, "startup") for argument in ("--scenario", name)]
    sizes = ["--scale", "0.004", "--rounds", "1", "--starts", "1"]
    assert main([*scenarios, *sizes, "--output", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def results(folder):
    """Its figures."""
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def sent(results):
    """Its runs by scenario and entry."""
    return {(run["scenario"], run["entry"]): run for run in results["send_runs"]}


def test_every_contender_of_every_scenario_ran(sent):
    assert set(sent) == {(name, entry.key) for name in CHOSEN for entry in SCENARIOS[name].entries}


def test_every_message_was_accepted(sent):
    assert {key: run["accepted"] for key, run in sent.items()} == {key: run["messages"] for key, run in sent.items()}


def test_the_server_saw_every_message_and_every_warm_up_once(sent):
    expected = {
        (name, entry.key): entry.messages * entry.calls + entry.warm_up
        for name in CHOSEN
        for entry in SCENARIOS[name].scaled(0.004).entries
        if SCENARIOS[name].has_server
    }
    assert {key: sent[key]["requests"] for key in expected} == expected


@pytest.mark.parametrize(("entry", "connections"), [("migma", 1), ("anymail", 4 + 5), ("smtp", 4 + 5)])
def test_connections_of_a_web_site_are_counted(sent, entry, connections):
    """Ours is kept between one send_mail and the next; four mails, and five to warm up."""
    assert sent["send-mail-tls", entry]["connections"] == connections


def test_connections_of_a_list_are_counted(sent):
    """The list to warm up and the list that counts: ours shares its connections, a loop opens one for each."""
    assert sent["list-0", "migma-1"]["connections"] == 1
    assert sent["list-0", "requests"]["connections"] == 2
    assert 1 < sent["list-10", "migma"]["connections"] <= 16


def test_building_reaches_no_server(sent):
    assert sent["building", "migma-building"]["requests"] is None


def test_figures_are_there(results, sent):
    assert all(run["seconds"] > 0 and run["cpu_seconds"] > 0 for run in sent.values())
    assert all(run["memory_growth"] >= 0 for run in sent.values())
    assert {run["entry"] for run in results["start_runs"]} == set(TITLES)
    assert results["stub_capacity"]["requests_per_second"] > 0
    assert results["machine"]["versions"]["django-anymail"]


def test_each_target_has_its_verdict(results):
    verdicts = {verdict["target"]["what"]: verdict["met"] for verdict in results["targets"]}
    assert list(verdicts) == [target.what for target in TARGETS]
    left_out = {target.what for target in TARGETS if target.scenario in {"list-50", "send-mail"}}
    assert {what for what, met in verdicts.items() if met is None} == left_out


def test_the_tables_have_a_row_for_each_contender_and_target(folder):
    text = (folder / "tables.rst").read_text()
    titles = [SCENARIOS[name].title for name in CHOSEN]
    rows = [entry.title for name in CHOSEN for entry in SCENARIOS[name].scaled(0.004).entries]
    targets = [target.what for target in TARGETS]
    assert [part for part in (*titles, *rows, *targets, *TITLES.values()) if part not in text] == []
    assert "NOT FOR PUBLICATION" in text


def test_the_tables_are_restructuredtext_without_a_fault(folder):
    command = [sys.executable, "-m", "docutils", "--strict", folder / "tables.rst"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_chart_is_drawn_where_matplotlib_is(folder):
    assert (folder / "throughput.svg").exists() is (find_spec("matplotlib") is not None)


def test_a_contender_that_fails_fails_the_benchmark():
    """With its traceback: figures of errors would be quick ones."""
    question = {"contender": "http.client", "shape": "list", "messages": 1, "calls": 1, "warm_up": 0}
    with pytest.raises(RuntimeError, match=r"(?s)benchmarks\.client failed.*ConnectionRefusedError"):
        ask("client", question | {"address": vars(Address(port=9))})
