"""Rate limits, Migma's and our own: what a call with many messages gets through, and what a single one waits for."""

from __future__ import annotations

from collections import Counter

import pytest

from django_migma.api.clock import Clock
from django_migma.exceptions import RateLimited
from tests.api.clocks import FakeClock, FastClock
from tests.faults.sending import accepted, mail, misbehaving, recipients, send, untruths, words


def mails(count):
    return [mail(f"r{number}@example.org") for number in range(count)]


def minutes(sandbox, clock, began):
    """How many mails were accepted in which minute."""
    moments = [message.received_at.timestamp() - began for message in sandbox.store.messages()]
    return Counter(int(moment // 60) for moment in moments)


def test_ten_a_minute_as_migma_asks_minute_by_minute():
    """Ten at once, then one every six seconds, each after one 429."""
    clock = FakeClock()
    began = clock.time()
    with misbehaving(rate="10/m", clock=clock) as sandbox:
        messages = mails(35)
        send(messages, clock=clock, max_concurrency=1)
        assert words(messages) == {"queued"}
        assert minutes(sandbox, clock, began) == {0: 19, 1: 10, 2: 6}
        assert sandbox.store.stats()["sending_posts"] == 35 + 25
        assert untruths(messages, sandbox) == []


def test_ten_a_minute_by_our_own_pace_minute_by_minute():
    """No 429 is seen. A window is a little longer than its minute, since requests overtake each other."""
    clock = FakeClock()
    began = clock.time()
    with misbehaving(rate="10/m", clock=clock) as sandbox:
        messages = mails(35)
        send(messages, clock=clock, max_concurrency=1, rate_limit="10/m")
        assert words(messages) == {"queued"}
        assert minutes(sandbox, clock, began) == {0: 10, 1: 10, 2: 10, 3: 5}
        assert sandbox.store.stats()["sending_posts"] == 35


@pytest.mark.parametrize("rate_limit", [None, "100/m"])
def test_a_call_with_two_hundred_messages_finishes_under_a_hundred_a_minute(rate_limit):
    """Sixteen requests in flight; both clocks at sixty times the speed."""
    clock = FastClock(60)
    with misbehaving(rate="100/m", clock=clock) as sandbox:
        messages = mails(200)
        send(messages, clock=clock, rate_limit=rate_limit, retry_deadline=20)
        assert words(messages) == {"queued"}
        assert accepted(sandbox).total() == 200
        assert untruths(messages, sandbox) == []


def test_a_single_message_is_not_kept_waiting():
    """Beyond its deadline, and neither are several calls with one message each."""
    clock = FakeClock()
    with misbehaving(rate="1/m", clock=clock) as sandbox:
        first, second, third = messages = mails(3)
        for message in messages:
            send([message], clock=clock)
        assert words([first]) == {"queued"}
        assert (words([second]), words([third])) == ({"failed"}, {"not_attempted"})
        assert [type(status.error) for status in recipients(messages)] == [type(None), RateLimited, RateLimited]
        assert clock.slept == []
        assert sandbox.store.stats()["sending_posts"] == 2
        clock.now += 60
        send([third], clock=clock)
        assert words([third]) == {"queued"}
        assert untruths(messages, sandbox) == []


def test_when_the_time_for_waiting_is_used_up_the_rest_fails_at_once():
    clock = FakeClock()
    with misbehaving(rate="1/m", clock=clock) as sandbox:
        messages = mails(6)
        send(messages, clock=clock, max_concurrency=1, rate_limit_wait=150)
        assert [status.status for status in recipients(messages)] == [
            *["queued"] * 3,
            "failed",
            *["not_attempted"] * 2,
        ]
        assert sum(clock.slept) == 120
        assert untruths(messages, sandbox) == []


def test_sixteen_threads_do_not_each_learn_a_limit_by_a_429_of_their_own():
    """What one learns holds for all, and what is in flight is halved. In true time, which is what this is about."""
    with misbehaving(rate="50/s") as sandbox:
        messages = mails(150)
        send(messages, threads=4, max_concurrency=4, clock=Clock())
        assert words(messages) == {"queued"}
        assert sandbox.store.stats()["sending_posts"] <= 1.2 * len(messages)
        assert untruths(messages, sandbox) == []
