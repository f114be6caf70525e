"""What may be waited for: the deadline of one request, and the allowance of its call for rate limits."""

from __future__ import annotations

import threading

import pytest

from django_migma.api import RateLimited, ServerError
from django_migma.api.clock import Clock
from django_migma.api.patience import Allowance, Patience
from tests.api.clocks import FakeClock, until
from tests.api.examples import ACCEPTED, SENDING, client, refusal, send_request


def limited(wire, *pauses):
    """429s, with a Retry-After or (None) without."""
    for pause in pauses:
        headers = None if pause is None else {"Retry-After": str(pause)}
        wire.post(SENDING, status=429, json=refusal("slow down"), headers=headers)


def test_waits_at_the_same_time_count_once():
    """Sixteen threads that wait for the same minute spend one."""
    allowance = Allowance(100)
    assert allowance.grant(0, 60)
    assert allowance.grant(10, 50)
    assert allowance.left(10) == 90
    assert allowance.grant(30, 50)
    assert allowance.left(80) == 20
    assert not allowance.grant(80, 21)
    assert allowance.grant(200, 20)
    assert allowance.left(220) == 0


def test_the_deadline_moves_by_what_the_allowance_pays():
    clock = FakeClock()
    patience = Patience(clock, 20, Allowance(60))
    assert patience.wait_for_rate(60)
    assert patience.left() == 20
    assert patience.wait_for_rate(15), "then the deadline pays"
    assert patience.left() == 5
    assert not patience.wait_for_rate(5)
    assert not patience.wait(5)
    assert clock.slept == [60, 15]


def test_waits_leave_room_for_the_attempt_after_them():
    """An attempt without time for an answer would make doubt of a clear failure."""
    patience = Patience(FakeClock(), 20, Allowance(60), room=1)
    assert not patience.wait(19)
    assert patience.wait(18)
    assert not patience.wait_for_rate(61), "nor does the allowance pay for a part"
    assert patience.wait_for_rate(60)
    assert patience.left() == 2


def test_the_room_is_at_most_half_of_the_time():
    assert Patience(FakeClock(), 0.5, None, room=1).wait(0.2)


def test_an_attempt_that_is_excused_costs_the_allowance_and_not_the_deadline():
    """Its waits are paid for already."""
    clock = FakeClock()
    patience = Patience(clock, 20, Allowance(60))
    patience.begin_attempt()
    assert patience.wait_for_rate(10)
    clock.now += 5
    assert patience.excuse()
    assert patience.excuse(), "twice costs no more"
    assert patience.left() == 20
    patience.begin_attempt()
    clock.now += 46
    assert not patience.excuse()
    assert patience.left() == -26


def test_a_place_in_flight_is_waited_for_half_of_what_may_be_waited():
    clock = FakeClock()
    assert Patience(clock, 20, None, room=2).for_a_place() == 9
    assert Patience(clock, 20, Allowance(600), room=2).for_a_place() == 10
    late = Patience(clock, 20, None)
    clock.now += 30
    assert late.for_a_place() == 0


def test_without_an_allowance_the_deadline_pays():
    patience = Patience(FakeClock(), 20, None)
    assert not patience.wait_for_rate(20)
    assert patience.wait_for_rate(19)


def test_a_request_of_a_call_outlasts_its_deadline_and_its_retries(wire, clock):
    """Only where 429s are what it waits for."""
    limited(wire, 30, 30, 30)
    wire.post(SENDING, json=ACCEPTED)
    sender = client(clock=clock, max_retries=0)
    assert sender.send(send_request(), allowance=Allowance(600)).attempts == 4
    assert clock.slept == [30.0, 30.0, 30.0]


def test_a_429_without_a_time_is_waited_out_as_well(wire, clock):
    limited(wire, *[None] * 9)
    wire.post(SENDING, json=ACCEPTED)
    assert client(clock=clock).send(send_request(), allowance=Allowance(600)).attempts == 10
    assert len(clock.slept) == 9


@pytest.mark.parametrize("pause", [0, 0.001])
def test_a_pause_of_nothing_is_a_wait_of_our_own(wire, clock, pause):
    """Else a server that says so would be asked without end, or given up in a moment."""
    limited(wire, *[pause] * 9)
    wire.post(SENDING, json=ACCEPTED)
    assert client(clock=clock).send(send_request(), allowance=Allowance(600)).attempts == 10
    assert clock.now - 1000 > 1


def test_other_failures_count_all_the_same(wire, clock):
    limited(wire, 30)
    for _ in range(2):
        wire.post(SENDING, status=500, json=refusal("broken"))
    with pytest.raises(ServerError, match=r"\(after 3 attempts\)"):
        client(clock=clock, max_retries=1).send(send_request(), allowance=Allowance(600))


def test_an_allowance_that_is_used_up_ends_the_waits(wire, clock):
    """With the last answer."""
    limited(wire, 40, 40, 40)
    with pytest.raises(RateLimited, match="slow down") as caught:
        client(clock=clock).send(send_request(), allowance=Allowance(100))
    assert clock.slept == [40.0, 40.0]
    assert (caught.value.attempts, caught.value.retry_after) == (3, 40.0)


def test_who_waits_for_a_rate_limit_is_called_off_at_once(wire):
    """Nothing is sent any more, and the error says why."""
    limited(wire, 600)
    allowance, errors = Allowance(3600), []

    def send():
        with pytest.raises(RateLimited) as caught:
            client(clock=Clock()).send(send_request(), allowance=allowance)
        errors.append(caught.value)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: wire.calls)
    allowance.end()
    for thread in threads:
        thread.join(5)
    assert len(errors) == 3
    for error in errors:
        assert "slow down" in str(error) or "s more; the call was interrupted" in str(error)
        assert error.may_have_been_accepted is False
    assert any(error.attempts for error in errors)
