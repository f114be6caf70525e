"""Rate limits, Migma's and our own: what a list gets through, and what a single mail waits for."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter

import pytest

from django_migma.api.retries import Clock
from django_migma.backends import EmailBackend
from django_migma.exceptions import MigmaError, RateLimited
from tests.api.clocks import FakeClock, until
from tests.faults import limited
from tests.faults.sending import PATIENCE, accepted, mail, mails, misbehaving, recipients, send, untruths, words


def minutes(sandbox, clock, began):
    """How many mails were accepted in which minute."""
    moments = [message.received_at.timestamp() - began for message in sandbox.store.messages()]
    return Counter(int(moment // 60) for moment in moments)


def test_a_list_waits_as_long_as_migma_asks():
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


def test_a_list_keeps_a_rate_of_our_own():
    """There is no 429. A window is a little longer than its minute, since requests overtake each other."""
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
    """Sixteen requests in flight. The list needs more than a minute, and no request's deadline is over by that."""
    clock = FakeClock()
    with misbehaving(rate="100/m", clock=clock) as sandbox:
        messages = mails(200)
        send(messages, clock=clock, rate_limit=rate_limit)
        assert 60 <= clock.now - 1000 <= 130
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


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_list_that_needs_longer_than_rate_limit_wait_ends_with_true_statuses(concurrency):
    """What is left fails at once, since no single mail may wait for a minute either."""
    clock = FakeClock()
    with misbehaving(rate="1/m", clock=clock) as sandbox:
        messages = mails(12)
        send(messages, clock=clock, max_concurrency=concurrency, rate_limit_wait=150)
        found = recipients(messages)
        assert len(found) == 12
        assert [status.accepted for status in found].count(True) == accepted(sandbox).total() == 3
        failed = [status for status in found if not status.accepted]
        assert {status.status for status in failed} <= {"failed", "not_attempted"}
        assert all(bool(status.attempts) is (status.status == "failed") for status in failed)
        assert {type(status.error) for status in failed} == {RateLimited}
        assert sum(clock.slept) <= 150
        assert untruths(messages, sandbox) == []


@pytest.mark.parametrize("milliseconds", [0, 30])
def test_a_list_wastes_few_requests_on_a_limit(milliseconds):
    """In true time: 300 mails at 50 a second from 16 threads, with and without latency."""
    report = limited.run(rate=50, messages=300, milliseconds=milliseconds)
    assert report.accepted == 300
    assert report.posts <= 400


def test_lists_in_several_threads_share_a_pause():
    """What one learns holds for all. In true time."""
    with misbehaving(rate="50/s") as sandbox:
        messages = mails(120)
        send(messages, threads=4, max_concurrency=4, clock=Clock())
        assert words(messages) == {"queued"}
        assert sandbox.store.stats()["sending_posts"] <= 1.3 * len(messages)
        assert untruths(messages, sandbox) == []


class TestRateOfOurOwn:
    def test_holds_in_any_window_and_loses_nothing(self):
        """With several requests in flight; ``received_at`` is when the sandbox accepted."""
        clock = FakeClock()
        with misbehaving(clock=clock) as sandbox:
            messages = mails(60)
            send(messages, clock=clock, rate_limit="10/m", max_concurrency=8)
            assert words(messages) == {"queued"}
            assert sandbox.store.stats()["sending_posts"] == 60
            assert untruths(messages, sandbox) == []
            moments = sorted(message.received_at.timestamp() for message in sandbox.store.messages())
            assert all(later - earlier > 60 for earlier, later in zip(moments, moments[10:], strict=False))

    def test_gives_a_single_mail_its_turn_beside_a_list(self):
        """In true time. The list does not end before the mail has been sent."""
        is_over, messages, single = threading.Event(), [], mail("ada@example.org")

        def generate():
            while not is_over.is_set():
                messages.append(mail(f"r{len(messages)}@example.org"))
                yield messages[-1]

        def send_list():
            with contextlib.suppress(MigmaError):
                EmailBackend(rate_limit="20/s", max_concurrency=8, timeout=PATIENCE).send_messages(generate())

        with misbehaving() as sandbox:
            sender = threading.Thread(target=send_list)
            sender.start()
            until(lambda: len(sandbox.store.messages()) > 25)
            send([single], clock=Clock(), rate_limit="20/s", retry_deadline=PATIENCE)
            is_over.set()
            sender.join()
            assert words([single]) == words(messages) == {"queued"}
            assert untruths([*messages, single], sandbox) == []
