"""What one request learns about the pace holds for all of the same key and host."""

from __future__ import annotations

import threading

import pytest

from django_migma.api import InvalidRequest, RateLimited, Timeout
from django_migma.api.pace import LONGEST_PAUSE
from tests.api.clocks import FakeClock, until
from tests.api.examples import ACCEPTED, SENDING, client, refusal, send_request
from tests.api.servers import whole


def limited(wire, seconds, *, times=1):
    for _ in range(times):
        wire.post(SENDING, status=429, json=refusal("slow down"), headers={"Retry-After": str(seconds)})


def accepted(wire, times=1):
    for _ in range(times):
        wire.post(SENDING, json=ACCEPTED)


def test_another_client_waits_out_the_pause(wire, clock):
    """Two clients of one key, which know nothing of each other."""
    limited(wire, 5)
    accepted(wire)
    with pytest.raises(RateLimited, match="slow down"):
        client(clock=clock, max_retries=0).send(send_request())
    clock.now += 2
    assert client(clock=clock).send(send_request()).attempts == 1
    assert clock.slept == [3.0]


def test_another_thread_waits_out_the_pause(wire, clock):
    limited(wire, 5)
    accepted(wire)
    sender = client(clock=clock, max_retries=0)
    with pytest.raises(RateLimited, match="slow down"):
        sender.send(send_request())
    thread = threading.Thread(target=sender.send, args=(send_request(),))
    thread.start()
    thread.join()
    assert clock.slept == [5.0]
    assert len(wire.calls) == 2


@pytest.mark.parametrize("other", [{"key": "sk_other"}, {"url": "https://other.migma.test/v1"}])
def test_another_key_or_host_does_not_wait(wire, clock, other):
    limited(wire, 5)
    wire.post(f"{other.get('url', SENDING.removesuffix('/sending'))}/sending", json=ACCEPTED)
    with pytest.raises(RateLimited, match="slow down"):
        client(clock=clock, max_retries=0).send(send_request())
    client(clock=clock, **other).send(send_request())
    assert clock.slept == []


def test_a_pause_beyond_the_deadline_is_told_without_asking(wire, clock):
    """Nothing is sent, nothing is waited for, and the error tells how long it will take."""
    limited(wire, 60)
    with pytest.raises(RateLimited, match="slow down"):
        client(clock=clock).send(send_request())
    clock.now += 10
    with pytest.raises(RateLimited) as caught:
        client(clock=clock).send(send_request())
    assert str(caught.value) == (
        "Migma asked this API key to wait 50 s more: beyond RETRY_DEADLINE and, in a call with several messages, "
        "RATE_LIMIT_WAIT. "
        "Wait, then send again: nothing was sent by the refused requests."
    )
    assert (caught.value.retry_after, caught.value.status_code, caught.value.attempts) == (50.0, 429, 0)
    assert caught.value.may_have_been_accepted is False
    assert (clock.slept, len(wire.calls)) == ([], 1)


def test_a_pause_that_ends_with_the_deadline_leaves_no_time_to_ask(wire, clock):
    limited(wire, 20)
    sender = client(clock=clock)
    with pytest.raises(RateLimited, match="slow down"):
        sender.send(send_request())
    with pytest.raises(RateLimited, match="to wait 20 s more: beyond RETRY_DEADLINE") as caught:
        sender.send(send_request())
    assert (caught.value.attempts, caught.value.may_have_been_accepted) == (0, False)
    assert (clock.slept, len(wire.calls)) == ([], 1)


class Overslept(FakeClock):
    """A clock on a busy machine: each sleep takes longer than asked for."""

    def sleep(self, seconds):
        super().sleep(seconds + 30)


def test_time_that_runs_out_in_a_pause_is_told_as_such(wire):
    """Nothing was asked, so nothing is said of the connection."""
    clock = Overslept()
    limited(wire, 5)
    with pytest.raises(RateLimited, match="slow down") as first:
        client(clock=clock, retry_deadline=10).send(send_request())
    assert first.value.attempts == 1, "the last answer is what there is to tell"
    client(clock=clock)._transport.pace.resume_at(clock.now + 5, clock.now)
    with pytest.raises(Timeout, match="RETRY_DEADLINE ran out before Migma could be asked") as second:
        client(clock=clock, retry_deadline=10).send(send_request())
    assert (second.value.attempts, second.value.may_have_been_accepted) == (0, False)


def test_an_absurd_pause_does_not_stop_the_process_for_good(wire, clock):
    limited(wire, 10**9)
    accepted(wire)
    sender = client(clock=clock)
    with pytest.raises(RateLimited, match="slow down") as caught:
        sender.send(send_request())
    assert caught.value.retry_after == 10**9
    clock.now += LONGEST_PAUSE
    assert sender.send(send_request()).id == "m1"


def test_a_final_refusal_pauses_nobody(wire, clock):
    """Only what is tried again is worth waiting for."""
    wire.post(SENDING, status=400, json=refusal("no"), headers={"Retry-After": "60"})
    accepted(wire)
    with pytest.raises(InvalidRequest, match="no"):
        client(clock=clock).send(send_request())
    assert client(clock=clock).send(send_request()).attempts == 1
    assert clock.slept == []


def test_a_429_halves_what_is_in_flight(serve):
    """Of two requests at the server, the one that is turned away waits until the other has its answer."""
    first_is_there, second_was_refused = threading.Event(), threading.Event()
    order = []

    def slow(exchange):
        first_is_there.set()
        second_was_refused.wait(10)
        until(lambda: sender._transport.pace._changed._waiters)
        order.append("first answered")
        whole(ACCEPTED)(exchange)

    def refused(exchange):
        whole(refusal("slow down"), "429 Slow", "Retry-After: 0")(exchange)
        second_was_refused.set()

    def asked_again(exchange):
        order.append("second asked again")
        whole(ACCEPTED)(exchange)

    server = serve(slow, refused, asked_again)
    sender = client(server.url)
    thread = threading.Thread(target=sender.send, args=(send_request(),))
    thread.start()
    first_is_there.wait(10)
    assert sender.send(send_request()).attempts == 2
    thread.join()
    assert order == ["first answered", "second asked again"]


def test_a_success_opens_the_way_again(serve):
    """After a 429 and a success, two requests are at the server at the same time."""
    both = threading.Barrier(2)

    def together(exchange):
        both.wait(10)
        whole(ACCEPTED)(exchange)

    server = serve(whole(refusal("slow down"), "429 Slow"), whole(ACCEPTED), together)
    sender = client(server.url)
    assert sender.send(send_request()).attempts == 2
    threads = [threading.Thread(target=sender.send, args=(send_request(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken
    assert len(server.received) == 4


def test_a_pause_reaches_those_who_wait_for_a_place(wire, clock):
    """Migma asked for it while they stood in the queue: they sit it out before they send."""
    accepted(wire)
    sender = client(clock=clock)
    pace = sender._transport.pace
    with pace.place(0) as begun:
        pace.slow_down(begun)
        thread = threading.Thread(target=sender.send, args=(send_request(),), daemon=True)
        thread.start()
        until(lambda: pace._changed._waiters)
        pace.resume_at(clock.now + 3, clock.now)
    thread.join(10)
    assert (clock.slept, len(wire.calls)) == ([3], 1)


def test_waiting_for_a_place_ends_in_time_to_send(wire):
    """A late mail beats a lost one: at half of the deadline the request goes out beside the others."""
    accepted(wire)
    sender = client(retry_deadline=0.5)
    pace = sender._transport.pace
    with pace.place(0) as begun:
        pace.slow_down(begun)
        thread = threading.Thread(target=sender.send, args=(send_request(),), daemon=True)
        thread.start()
        thread.join(10)
        assert len(wire.calls) == 1
