"""Many messages, faults of every kind mixed: nothing lost, nothing twice; and the control without keys."""

from __future__ import annotations

from tests.faults.mixed import KINDS, run


def test_a_thousand_messages_survive_faults_of_every_kind():
    report = run(messages=1000, fault_rate=0.2, seed=1)
    assert report.struck.keys() == {*KINDS}
    assert (report.accepted, report.duplicates, report.untruths) == (1000, 0, [])
    assert report.words == {"queued"}


def test_without_keys_the_same_faults_mail_people_twice():
    """The control: what the test above asserts can fail."""
    report = run(messages=300, fault_rate=0.2, seed=1, idempotency=False)
    assert report.words == {"queued"}
    assert (report.accepted, report.duplicates > 10) == (300, True)
