"""A pace of our own: how it is written, and what it lets through."""

from __future__ import annotations

import pytest

from django_migma.api import RateLimited
from django_migma.api.patience import Allowance
from django_migma.api.rates import Rate, Window, parse_rate
from tests.api.examples import ACCEPTED, SENDING, client, send_request


def accepting(wire, times):
    for _ in range(times):
        wire.post(SENDING, json=ACCEPTED)


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [("50/s", 50, 1), ("100/m", 100, 60), ("1000/h", 1000, 3600), ("5/d", 5, 86400), ("999999/s", 999_999, 1)],
)
def test_a_rate_is_a_number_of_requests_in_a_time(text, count, period):
    assert parse_rate(text) == Rate(requests=count, period=period)


@pytest.mark.parametrize(
    "text", ["", "100", "0/m", "-1/m", "1.5/s", "100/w", "100/min", " 100/m", "1000000/s", 100, None]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r'^must be requests per s, m, h or d, such as "100/m", not '):
        parse_rate(text)


def test_a_client_refuses_a_wrong_rate():
    with pytest.raises(ValueError, match="such as"):
        client(rate_limit="fast")


def test_no_window_of_a_period_holds_more_than_the_rate():
    """Whatever the moments at which requests ask. A period is a little longer: requests overtake each other."""
    window = Window(Rate(requests=3, period=10))
    now, sent = 0.0, []
    for step in (0, 0, 4, 0, 0, 0, 25, 1, 0, 0, 0, 0):
        now += step
        now += window.wait(now)
        assert window.take(now)
        sent.append(now)
    assert all(later - earlier > 10.1 for earlier, later in zip(sent, sent[3:], strict=False))
    assert sent[:5] == [0.0, 0.0, 4.0, pytest.approx(10.15), pytest.approx(10.15)]


def test_who_may_not_go_has_taken_nothing():
    """Nobody reserves a moment: a single mail goes as soon as one is free."""
    window = Window(Rate(requests=1, period=10))
    assert window.take(0)
    assert not window.take(5)
    assert window.wait(6) == pytest.approx(4.15)
    assert window.take(10.2)


def test_requests_go_at_the_rate_whatever_client_makes_them(wire, clock):
    accepting(wire, 6)
    for _ in range(5):
        client(clock=clock, rate_limit="2/s").send(send_request())
    assert clock.slept == [pytest.approx(1.06), pytest.approx(1.06)]
    client(clock=clock, rate_limit="9/s").send(send_request())
    assert len(clock.slept) == 2, "another rate has a count of its own"


def test_a_request_that_would_wait_too_long_is_not_made(wire, clock):
    """A web worker is not kept for a minute."""
    accepting(wire, 2)
    sender = client(clock=clock, rate_limit="1/m")
    sender.send(send_request())
    with pytest.raises(RateLimited) as caught:
        sender.send(send_request())
    assert str(caught.value) == (
        "RATE_LIMIT leaves no request free for 61 s more: beyond RETRY_DEADLINE and, in a call with several "
        "messages, RATE_LIMIT_WAIT. Wait, then send again: nothing was sent by the refused requests."
    )
    assert (caught.value.attempts, caught.value.may_have_been_accepted, clock.slept) == (0, False, [])
    assert caught.value.retry_after == pytest.approx(60.65)
    assert len(wire.calls) == 1
    clock.now += 50
    sender.send(send_request())
    assert clock.slept[-1] == pytest.approx(10.65), "the refused one has taken no moment"


def test_the_allowance_of_a_call_pays_for_the_wait(wire, clock):
    accepting(wire, 3)
    sender, allowance = client(clock=clock, rate_limit="1/m"), Allowance(130)
    for _ in range(3):
        assert sender.send(send_request(), allowance=allowance).attempts == 1
    with pytest.raises(RateLimited, match="for 61 s more"):
        sender.send(send_request(), allowance=allowance)
    assert clock.slept == [pytest.approx(60.68), pytest.approx(60.68)], "a little behind those without an allowance"


def test_an_attempt_more_is_a_request_more(wire, clock):
    wire.post(SENDING, status=500, json={})
    wire.post(SENDING, json=ACCEPTED)
    client(clock=clock, rate_limit="1/s").send(send_request())
    assert sum(clock.slept) == pytest.approx(1.06), "the wait of our own choosing is a part of it"
