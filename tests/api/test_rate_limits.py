"""Migma's limit and our own: one request of a key waits for both, and so do all others of that key and host."""

from __future__ import annotations

import threading

import pytest

from django_migma.api import InvalidRequest, RateLimited, ServerError, Timeout
from django_migma.api.rate_limits import MAX_PAUSE, Rate, RateLimiter, parse_rate
from tests.api.clocks import FakeClock
from tests.api.examples import ACCEPTED, SENDING, client, refusal, send_request


def limited(wire, seconds):
    wire.post(SENDING, status=429, json=refusal("slow down"), headers={"Retry-After": str(seconds)})


class Overslept(FakeClock):
    """Every sleep takes half a minute too long."""

    def sleep(self, seconds):
        super().sleep(seconds + 30)


def accepting(wire, times=1):
    for _ in range(times):
        wire.post(SENDING, json=ACCEPTED)


class TestMigmasLimit:
    def test_another_client_waits_out_the_pause(self, wire, clock):
        """Two clients of one key, which know nothing of each other."""
        limited(wire, 5)
        accepting(wire)
        with pytest.raises(RateLimited, match="slow down"):
            client(clock=clock, max_retries=0).send(send_request())
        clock.now += 2
        assert client(clock=clock).send(send_request()).attempts == 1
        assert clock.slept == [3.0]

    def test_another_thread_waits_out_the_pause(self, wire, clock):
        limited(wire, 5)
        accepting(wire)
        sender = client(clock=clock, max_retries=0)
        with pytest.raises(RateLimited, match="slow down"):
            sender.send(send_request())
        thread = threading.Thread(target=sender.send, args=(send_request(),))
        thread.start()
        thread.join()
        assert clock.slept == [5.0]
        assert len(wire.calls) == 2

    @pytest.mark.parametrize("other", [{"key": "sk_other"}, {"url": "https://other.migma.test/v1"}])
    def test_another_key_or_host_does_not_wait(self, wire, clock, other):
        limited(wire, 5)
        wire.post(f"{other.get('url', SENDING.removesuffix('/sending'))}/sending", json=ACCEPTED)
        with pytest.raises(RateLimited, match="slow down"):
            client(clock=clock, max_retries=0).send(send_request())
        client(clock=clock, **other).send(send_request())
        assert clock.slept == []

    def test_a_pause_beyond_the_deadline_raises_without_a_request(self, wire, clock):
        """Nothing is sent, nothing is waited for, and the error says how long the pause will take."""
        limited(wire, 60)
        with pytest.raises(RateLimited, match="slow down"):
            client(clock=clock).send(send_request())
        clock.now += 10
        with pytest.raises(RateLimited) as caught:
            client(clock=clock).send(send_request())
        assert str(caught.value) == (
            "Migma asked this API key to wait 50 s more: beyond RETRY_DEADLINE and, in a call with several messages, "
            "RATE_LIMIT_WAIT. "
            "Wait, then send again: the limited requests have sent nothing."
        )
        assert (caught.value.retry_after, caught.value.status_code, caught.value.attempts) == (50.0, 429, 0)
        assert caught.value.may_have_been_accepted is False
        assert (clock.slept, len(wire.calls)) == ([], 1)

    def test_a_pause_that_ends_with_the_deadline_leaves_no_time_for_a_request(self, wire, clock):
        limited(wire, 20)
        sender = client(clock=clock)
        with pytest.raises(RateLimited, match="slow down"):
            sender.send(send_request())
        with pytest.raises(RateLimited, match="to wait 20 s more: beyond RETRY_DEADLINE") as caught:
            sender.send(send_request())
        assert (caught.value.attempts, caught.value.may_have_been_accepted) == (0, False)
        assert (clock.slept, len(wire.calls)) == ([], 1)

    def test_a_pause_that_oversleeps_the_deadline_is_a_timeout(self, wire):
        """A busy machine: nothing was asked, so nothing is said of the connection."""
        clock = Overslept()
        limited(wire, 5)
        sender = client(clock=clock, retry_deadline=10)
        with pytest.raises(RateLimited, match="slow down") as first:
            sender.send(send_request())
        assert first.value.attempts == 1, "Migma's own answer says more than the clock"
        clock.now -= 32
        with pytest.raises(Timeout, match="RETRY_DEADLINE ran out before the request was made") as second:
            sender.send(send_request())
        assert (second.value.attempts, second.value.may_have_been_accepted) == (0, False)

    def test_an_absurd_pause_does_not_stop_the_process_for_good(self, wire, clock):
        limited(wire, 10**9)
        accepting(wire)
        sender = client(clock=clock)
        with pytest.raises(RateLimited, match="slow down") as caught:
            sender.send(send_request())
        assert caught.value.retry_after == 10**9
        clock.now += MAX_PAUSE
        assert sender.send(send_request()).id == "m1"

    @pytest.mark.parametrize("status", [400, 503])
    def test_only_a_429_pauses_the_key(self, wire, clock, status):
        """A 503's ``Retry-After`` is for its own request."""
        wire.post(SENDING, status=status, json=refusal("no"), headers={"Retry-After": "60"})
        accepting(wire)
        with pytest.raises((InvalidRequest, Exception), match="no"):
            client(clock=clock).send(send_request())
        assert client(clock=clock).send(send_request()).attempts == 1
        assert clock.slept == []


class TestOurOwnLimit:
    @pytest.mark.parametrize(
        ("text", "count", "period"),
        [("50/s", 50, 1), ("100/m", 100, 60), ("1000/h", 1000, 3600), ("5/d", 5, 86400), ("999999/s", 999_999, 1)],
    )
    def test_a_rate_is_a_number_of_requests_in_a_time(self, text, count, period):
        assert parse_rate(text) == Rate(requests=count, period=period)

    @pytest.mark.parametrize(
        "text", ["", "100", "0/m", "-1/m", "1.5/s", "100/w", "100/min", " 100/m", "1000000/s", 100, None]
    )
    def test_anything_else_is_refused_with_an_example(self, text):
        with pytest.raises(ValueError, match=r'^must be requests per s, m, h or d, such as "100/m", not '):
            parse_rate(text)

    def test_a_client_refuses_a_wrong_rate(self):
        with pytest.raises(ValueError, match="such as"):
            client(rate_limit="fast")

    def test_no_window_of_a_period_holds_more_requests_than_the_rate(self):
        """Whatever the moments at which requests ask. A period is a little longer: requests overtake each other."""
        limiter, rate = RateLimiter(), Rate(requests=3, period=10)
        now, sent = 0.0, []
        for step in (0, 0, 4, 0, 0, 0, 25, 1, 0, 0, 0, 0):
            now += step
            while wait := limiter.acquire(now, rate):
                now += wait
            sent.append(now)
        assert all(later - earlier > 10.1 for earlier, later in zip(sent, sent[3:], strict=False))
        assert sent[:5] == [0.0, 0.0, 4.0, pytest.approx(10.15), pytest.approx(10.15)]

    def test_a_request_that_may_not_go_reserves_nothing(self):
        """A single mail goes as soon as there is a turn, however many have asked before."""
        limiter, rate = RateLimiter(), Rate(requests=1, period=10)
        assert limiter.acquire(0, rate) == 0
        assert limiter.acquire(5, rate) == pytest.approx(5.15)
        assert limiter.acquire(6, rate) == pytest.approx(4.15)
        assert limiter.acquire(10.2, rate) == 0

    def test_requests_go_at_the_rate_whatever_client_makes_them(self, wire, clock):
        accepting(wire, 6)
        for _ in range(5):
            client(clock=clock, rate_limit="2/s").send(send_request())
        assert clock.slept == [pytest.approx(1.06), pytest.approx(1.06)]
        client(clock=clock, rate_limit="9/s").send(send_request())
        assert len(clock.slept) == 2, "another rate has a count of its own"

    def test_a_request_that_would_wait_too_long_is_not_made(self, wire, clock):
        """A web worker is not kept for a minute."""
        accepting(wire, 2)
        sender = client(clock=clock, rate_limit="1/m")
        sender.send(send_request())
        with pytest.raises(RateLimited) as caught:
            sender.send(send_request())
        assert str(caught.value) == (
            "RATE_LIMIT leaves no request free for 61 s more: beyond RETRY_DEADLINE and, in a call with several "
            "messages, RATE_LIMIT_WAIT. Wait, then send again: the limited requests have sent nothing."
        )
        assert (caught.value.attempts, caught.value.may_have_been_accepted, clock.slept) == (0, False, [])
        assert caught.value.retry_after == pytest.approx(60.65)
        assert len(wire.calls) == 1
        clock.now += 50
        sender.send(send_request())
        assert clock.slept[-1] == pytest.approx(10.65), "the refused one has taken no turn"

    def test_a_further_attempt_is_a_further_request(self, wire, clock):
        wire.post(SENDING, status=500, json={})
        wire.post(SENDING, json=ACCEPTED)
        client(clock=clock, rate_limit="1/s").send(send_request())
        assert sum(clock.slept) == pytest.approx(1.06), "the back-off is a part of it"


class TestWithoutWaiting:
    """``wait_for_rate=False``: for a caller who waits for many requests together."""

    def test_a_429_is_raised_at_once(self, wire, clock):
        limited(wire, 5)
        with pytest.raises(RateLimited, match="slow down") as caught:
            client(clock=clock).send(send_request(), wait_for_rate=False)
        assert (caught.value.attempts, caught.value.retry_after, clock.slept) == (1, 5.0, [])

    def test_a_pause_is_raised_without_a_request(self, wire, clock):
        limited(wire, 5)
        with pytest.raises(RateLimited, match="slow down"):
            client(clock=clock, max_retries=0).send(send_request())
        with pytest.raises(RateLimited, match="to wait 5 s more") as caught:
            client(clock=clock).send(send_request(), wait_for_rate=False)
        assert (caught.value.attempts, caught.value.retry_after, clock.slept) == (0, 5.0, [])

    def test_our_own_rate_is_raised_without_a_request(self, wire, clock):
        accepting(wire)
        sender = client(clock=clock, rate_limit="1/s")
        sender.send(send_request())
        with pytest.raises(RateLimited, match="RATE_LIMIT leaves no request free for 2 s more") as caught:
            sender.send(send_request(), wait_for_rate=False)
        assert (caught.value.status_code, clock.slept) == (0, [])

    def test_other_failures_are_retried_as_ever(self, wire, clock):
        wire.post(SENDING, status=503, json=refusal("busy"))
        accepting(wire)
        assert client(clock=clock).send(send_request(), wait_for_rate=False).attempts == 2
        assert len(clock.slept) == 1

    @pytest.mark.parametrize("wait_for_rate", [True, False])
    def test_an_error_before_the_deadline_ran_out_is_the_last_word(self, wire, wait_for_rate):
        wire.post(SENDING, status=503, json=refusal("busy"))
        with pytest.raises(ServerError, match="busy") as caught:
            client(clock=Overslept()).send(send_request(), wait_for_rate=wait_for_rate)
        assert (caught.value.attempts, caught.value.may_have_been_accepted) == (1, False)

    def test_a_lost_reply_before_the_429_stays_in_doubt(self, wire, clock):
        """Whoever sends it again has to say so."""
        wire.post(SENDING, status=500, json=refusal("oops"))
        limited(wire, 5)
        with pytest.raises(RateLimited) as caught:
            client(clock=clock).send(send_request(), wait_for_rate=False)
        assert (caught.value.attempts, caught.value.may_have_been_accepted) == (2, True)

    def test_a_pause_that_begins_between_two_attempts_is_raised(self, wire, clock):
        """The first attempt would have been retried: its error is not the last word."""

        def answer(request):
            """Meanwhile another request of this key meets the limit."""
            with pytest.raises(RateLimited, match="slow down"):
                client(clock=clock).send(send_request(), wait_for_rate=False)
            return 500, {}, "{}"

        wire.add_callback("POST", SENDING, answer)
        limited(wire, 60)
        with pytest.raises(RateLimited, match="to wait") as caught:
            client(clock=clock).send(send_request(), wait_for_rate=False)
        assert (caught.value.attempts, caught.value.may_have_been_accepted) == (1, True)
