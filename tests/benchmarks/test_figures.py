"""From runs to what is published: medians, comparisons, verdicts, tables."""

import json
from dataclasses import fields, replace
from inspect import getmembers
from pathlib import Path

import pytest

from benchmarks import figures, startup, targets
from benchmarks.__main__ import PUBLISHED, _default_folder, _options
from benchmarks.figures import Figure
from benchmarks.runs import SendRun, StartRun
from benchmarks.scenarios import SCENARIOS
from benchmarks.tables import COLUMNS, shown
from benchmarks.targets import TARGETS, Verdict, judged
from tests.guards import test_architecture as guard

BENCHMARKS = Path(figures.__file__).parent
RUN = SendRun(
    scenario="list-50",
    entry="migma",
    round=1,
    messages=100,
    in_flight=16,
    delay_ms=50,
    seconds=0.5,
    cpu_seconds=0.04,
    memory_growth=2**21,
    accepted=99,
    connections=16,
    requests=120,
    server_cpu_seconds=0.012,
)


def runs(entry, *seconds, **about):
    """A run in each round, of 100 messages in so many seconds."""
    return [replace(RUN, entry=entry, round=n, seconds=value, **about) for n, value in enumerate(seconds, 1)]


def test_a_run_says_what_tables_and_targets_ask():
    assert RUN.rate == pytest.approx(200)
    assert RUN.seconds_per_message == pytest.approx(0.005)
    assert RUN.share_of_ideal == pytest.approx(200 / 320)
    assert RUN.cpu_per_message == pytest.approx(400)
    assert RUN.memory_mib == pytest.approx(2)
    assert RUN.errors == 1
    assert RUN.server_share == pytest.approx(0.0001 * 200)


def test_what_means_nothing_is_none():
    """A server without delay has no ideal, and without a server nothing is busy."""
    assert replace(RUN, delay_ms=0).share_of_ideal is None
    assert replace(RUN, requests=None, server_cpu_seconds=None).server_share is None


def test_a_figure_is_the_median_with_its_spread():
    found = figures.of(runs("migma", 1, 4, 2), "list-50", "migma", "seconds")
    assert found == Figure(median=2, least=1, most=4)


def test_nothing_measured_is_no_figure():
    assert figures.of([RUN], "list-50", "smtp", "rate") is None
    assert figures.of([replace(RUN, delay_ms=0)], "list-50", "migma", "share_of_ideal") is None
    assert figures.compared([RUN], "list-50", "migma", "anymail", "rate") is None


def test_ratios_are_taken_within_a_round():
    """The machine may be slower in one round than in another: 2, 2 and 8 here, though the medians' ratio is 4."""
    found = runs("migma", 1, 10, 2) + runs("anymail", 2, 20, 16)
    assert figures.compared(found, "list-50", "migma", "anymail", "rate") == Figure(median=2, least=2, most=8)


def test_differences_are_taken_within_a_round_that_both_have():
    found = runs("migma", 3, 5) + runs("anymail", 1)
    difference = figures.compared(found, "list-50", "migma", "anymail", "seconds", how="difference")
    assert difference == Figure(median=2, least=2, most=2)


@pytest.mark.parametrize(
    ("bound", "median", "met"),
    [
        ({"at_least": 14}, 14, True),
        ({"at_least": 14}, 13.9, False),
        ({"at_most": 0.6}, 0.6, True),
        ({"at_most": 0.6}, 0.61, False),
    ],
)
def test_a_verdict_goes_by_the_median(bound, median, met):
    target = targets.Target(what="", scenario="", entry="", metric="", **bound)
    assert Verdict(target=target, figure=Figure(median=median, least=0, most=99)).met is met


def test_there_is_no_verdict_on_what_was_not_measured():
    assert {verdict.met for verdict in judged([])} == {None}


def test_ratios_and_plain_figures_are_judged():
    """200/s against 10/s, of 320/s that are possible."""
    found = runs("migma", 0.5) + runs("anymail", 10)
    verdicts = {verdict.target.what: verdict for verdict in judged(found) if verdict.figure}
    assert [(verdict.figure.median, verdict.met) for verdict in verdicts.values()] == [(20, True), (0.625, False)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.what)
def test_a_target_speaks_of_what_is_measured(target):
    """A misspelt name would be a target that nobody can miss."""
    kind = StartRun if target.scenario == startup.SCENARIO else SendRun
    known = startup.ENTRIES if kind is StartRun else {entry.key for entry in SCENARIOS[target.scenario].entries}
    assert {target.entry, target.against or target.entry} <= set(known)
    assert target.metric in {name for name, _ in getmembers(kind)} | {field.name for field in fields(kind)}
    assert (target.at_least is None) != (target.at_most is None)


@pytest.mark.parametrize("title", ["Messages/s", "Memory, MiB"])
def test_a_cell_shows_the_spread_where_it_matters(title):
    [column] = [column for column in COLUMNS if column.title == title]
    expected = {"Messages/s": "20.0 (18.0 to 22.5)", "Memory, MiB": "20.0"}
    assert shown(Figure(median=20, least=18, most=22.5), column) == expected[title]


@pytest.mark.parametrize(
    ("arguments", "published"),
    [([], True), (["--rounds", "9"], True), (["--quick"], False), (["--scenario", "list-0"], False)],
)
def test_what_is_measured_in_part_does_not_replace_what_is_published(arguments, published):
    assert (_default_folder(_options(arguments)) == PUBLISHED) is published


def test_fewer_messages_are_never_more_than_before():
    for scenario in SCENARIOS.values():
        sizes = [entry.messages for entry in scenario.entries]
        assert all(0 < new.messages <= old for new, old in zip(scenario.scaled(0.001).entries, sizes, strict=True))


@pytest.mark.parametrize(
    "rule",
    [guard.cycles, guard.unexplained_imports, guard.long_files, guard.long_functions, guard.empty_names],
    ids=lambda rule: rule.__name__,
)
def test_the_benchmarks_keep_the_rules_of_the_package(rule):
    assert rule(BENCHMARKS) == []


def test_published_results_and_tables_are_of_one_full_run():
    """What stands in docs/performance, if anything does, was neither cut short nor lost a message."""
    published = [json.loads(path.read_text()) for path in PUBLISHED.glob("*.json")]
    assert [found["rounds"] for found in published if found["scale"] != 1 or found["rounds"] < 5] == []
    runs_of_all = [run for found in published for run in found["send_runs"]]
    assert [run for run in runs_of_all if run["accepted"] != run["messages"]] == []
