"""Many messages through mixed faults: nothing is lost and nothing is sent twice. Without idempotency keys, it is."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from django_migma.message import RecipientStatus
from tests.faults import soak
from tests.faults.mixed import KINDS, run
from tests.faults.sending import mail, misbehaving, untruths


def test_a_thousand_messages_survive_faults_of_every_kind():
    report = run(messages=1000, fault_rate=0.2, seed=1)
    assert report.struck.keys() == {*KINDS}
    assert (report.accepted, report.duplicates, report.untruths) == (1000, 0, [])
    assert report.words == {"queued"}


def test_without_keys_the_same_faults_mail_people_twice():
    """The control: what the test above asserts can fail."""
    report = run(messages=300, fault_rate=0.2, seed=1, idempotency=False)
    assert report.words == {"queued"}
    # By this seed, six of the first 300 are accepted and never answered as a whole, however quick the machine is.
    assert (report.accepted, report.duplicates >= 6) == (300, True)


def test_the_soak_keeps_its_promises_and_says_so(capsys):
    """A small run. The lines about rate limits depend on the speed of the machine, so they are not checked."""
    soak.main(["--seed", "5", "--rounds", "1", "--messages", "60", "--limited", "60", "--responses", "60"])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("Seed 5, Python 3.")
    promises = [line for line in lines if "Limit of" not in line]
    assert (len(lines), len(promises)) == (6, 4)
    assert all(line.startswith("kept  ") for line in promises), lines


def test_the_soak_draws_a_seed_and_fails_where_a_promise_is_broken():
    """Without mail, the control shows no duplicates and proves nothing."""
    sizes = ["--rounds", "0", "--messages", "0", "--limited", "51", "--responses", "1"]
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", *sizes], capture_output=True, text=True, check=False
    )
    first, *lines = result.stdout.splitlines()
    assert first.partition(",")[0].removeprefix("Seed ").isdigit()
    assert any(line.startswith("BROKEN  Control without keys") for line in lines), lines
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.parametrize(
    ("said", "taken", "untruth"),
    [
        ("queued", [], "said queued, but lost"),
        ("failed", ["k"], "said failed, but accepted"),
        ("not_attempted", ["k"], "said not_attempted, but accepted"),
        ("unknown", ["k", "k"], "2 times accepted: k"),
    ],
)
def test_an_untrue_status_is_found(said, taken, untruth):
    """What all these tests rest on."""
    message = mail("ada@example.org")
    message.migma_status.recipients["ada@example.org"] = RecipientStatus(status=said, idempotency_key="k")
    store = SimpleNamespace(messages=lambda: [SimpleNamespace(idempotency_key=key) for key in taken])
    [found] = untruths([message], SimpleNamespace(store=store))
    assert found.startswith(untruth)


def test_an_error_that_is_no_migma_error_is_found():
    message = mail("ada@example.org")
    status = RecipientStatus(status="unknown", idempotency_key="k", error=KeyError("ours"))
    message.migma_status.recipients["ada@example.org"] = status
    with misbehaving() as sandbox:
        assert untruths([message], sandbox) == ["not a MigmaError: KeyError('ours')"]
