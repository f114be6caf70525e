"""Random faults, random lists, sent once or again: the promises hold."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_migma.api.connections import close_pools
from tests.api.clocks import FakeClock
from tests.faults.sending import PATIENCE, mail, misbehaving, recipients, send, untruths

WORDS = (
    *("429", "429-after-2", "429-after-90", "429-date-2", "503", "503-after-3", "500", "502", "504", "html"),
    *("reset", "hangup", "silent-0.3", "lost", "half", "empty", "slow-0.3", "busy-0.3", "redirect", "close", "ok"),
)
TIMEOUT = (PATIENCE, 0.1)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A list, the settings it is sent with, and the faults that its POSTs meet."""

    sizes: list[int]
    script: list[str]
    options: dict[str, float]
    sends: int

    def messages(self):
        """One for each size, which is the number of its recipients."""
        return [
            mail(*(f"r{place}@m{index}.example" for place in range(size))) for index, size in enumerate(self.sizes)
        ]


def stories(**choices):
    fields = {
        "sizes": st.lists(st.integers(1, 3), min_size=1, max_size=6),
        "script": st.lists(st.sampled_from(WORDS), max_size=25),
        "sends": st.integers(1, 2),
        "options": OPTIONS,
    }
    return st.builds(Story, **(fields | choices))


OPTIONS = st.fixed_dictionaries({
    "max_retries": st.integers(0, 4),
    "retry_deadline": st.integers(1, 40),
    "rate_limit_wait": st.sampled_from([0, 5, 300]),
    "max_concurrency": st.integers(1, 5),
})  # fmt: skip


@pytest.fixture(scope="module")
def sandbox():
    with misbehaving() as running:
        yield running


quickly = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def prepare(sandbox, story):
    """Reset the sandbox and its faults, and forget the pauses and connections of earlier examples."""
    close_pools()
    sandbox.store.reset()
    sandbox.faults.clear()
    sandbox.faults.script(*story.script)


def _is_complete(message):
    known = message.migma_status.recipients
    return bool(known) and all(status.accepted for status in known.values())


@given(story=stories())
@quickly
def test_statuses_are_true_and_nothing_is_accepted_twice(sandbox, story):
    """Also when a list that failed in part is sent again."""
    prepare(sandbox, story)
    messages = story.messages()
    for _ in range(story.sends):
        again = [message for message in messages if not _is_complete(message)]
        send(again, clock=FakeClock(), timeout=TIMEOUT, **story.options)
    assert untruths(messages, sandbox) == []
    assert {status.status for status in recipients(messages)} <= {"queued", "failed", "unknown", "not_attempted"}
    assert len(recipients(messages)) == sum(story.sizes)


@given(story=stories(sizes=st.just([1])))
@quickly
def test_attempts_and_time_of_each_send_stay_within_their_limits(sandbox, story):
    """The clock moves by what was waited for."""
    prepare(sandbox, story)
    clock, [message], attempts = FakeClock(), story.messages(), 0
    for _ in range(story.sends):
        began = clock.now
        send([message], clock=clock, timeout=TIMEOUT, **story.options)
        [status] = recipients([message])
        attempts += status.attempts
        assert status.attempts <= 1 + story.options["max_retries"]
        # Not all that the sandbox counts: it may read a request of an earlier example late.
        mine = [one for one in sandbox.store.inbox.mails() if one.main.idempotency_key == status.idempotency_key]
        assert sum(one.attempts for one in mine) <= attempts
        assert clock.now - began <= story.options["retry_deadline"]
        if status.accepted:
            break
    assert untruths([message], sandbox) == []


@given(story=stories(sizes=st.just([1, 1])), wait=st.sampled_from([5, 300]))
@quickly
def test_the_time_of_a_list_stays_within_its_limits(sandbox, story, wait):
    """Two messages, one after the other: two deadlines, and once what the list may wait for rate limits."""
    prepare(sandbox, story)
    clock, messages = FakeClock(), story.messages()
    options = story.options | {"rate_limit_wait": wait, "max_concurrency": 1}
    send(messages, clock=clock, timeout=TIMEOUT, **options)
    assert clock.now - 1000 <= 2 * options["retry_deadline"] + wait
    assert untruths(messages, sandbox) == []
