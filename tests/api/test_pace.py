"""How fast one key may go."""

from __future__ import annotations

import contextlib
import threading

import pytest

from django_migma.api.pace import LONGEST_PAUSE, Pace
from tests.api.clocks import until


@pytest.fixture
def pace():
    return Pace()


def test_nothing_waits_before_anybody_asked_for_it(pace):
    assert pace.pause(0.0) == 0.0
    assert pace.proven is False


def test_a_pause_ends_at_its_moment(pace):
    pace.resume_at(130.0, now=100.0)
    assert pace.pause(100.0) == 30.0
    assert pace.pause(129.0) == 1.0
    assert pace.pause(130.0) == 0.0
    assert pace.pause(200.0) == 0.0


def test_a_shorter_pause_does_not_cut_a_longer_one(pace):
    pace.resume_at(130.0, now=100.0)
    pace.resume_at(110.0, now=105.0)
    assert pace.pause(105.0) == 25.0


def test_an_absurd_pause_is_cut(pace):
    """One answer cannot stop the process for good."""
    pace.resume_at(1e12, now=100.0)
    assert pace.pause(100.0) == LONGEST_PAUSE


def enter(pace, patience, log, word):
    with pace.place(patience):
        log.append(word)


def enter_at_once(pace, log, word):
    """In a thread, lest a place that never comes stop the tests for long."""
    thread = threading.Thread(target=enter, args=(pace, 60, log, word), daemon=True)
    thread.start()
    thread.join(10)


def waiting_thread(pace, log, word):
    """A thread that stands in the queue for a place when this returns."""
    thread = threading.Thread(target=enter, args=(pace, 60, log, word), daemon=True)
    thread.start()
    until(lambda: pace._changed._waiters)
    return thread


def test_after_a_429_half_as_many_are_in_flight(pace):
    """Of two in flight, one may stay: the next waits until both have left."""
    log = []
    with pace.place(0):
        with pace.place(0) as begun:
            pace.slow_down(begun)
            thread = waiting_thread(pace, log, "third enters")
            log.append("second leaves")
        log.append("first leaves")
    thread.join(10)
    assert log == ["second leaves", "first leaves", "third enters"]


def test_a_volley_of_429s_halves_once(pace):
    """Four requests of one round are refused and leave, one after the other: two may go next, and not one."""
    log = []
    places = [contextlib.ExitStack() for _ in range(4)]
    begun = [place.enter_context(pace.place(0)) for place in places]
    for place, round_ in zip(places, begun, strict=True):
        pace.slow_down(round_)
        place.close()
    with pace.place(0):
        enter_at_once(pace, log, "beside")
        assert log == ["beside"]


def test_the_bound_never_falls_below_one(pace):
    """Even after many 429s somebody may go."""
    log = []
    for _ in range(5):
        with pace.place(0) as begun:
            pace.slow_down(begun)
    enter_at_once(pace, log, "in")
    assert log == ["in"]


def test_whose_patience_ends_goes_ahead(pace):
    """A late mail beats a lost one: the bound is soft."""
    log = []
    with pace.place(0) as begun:
        pace.slow_down(begun)
        enter(pace, 0.01, log, "late")
        enter(pace, -1, log, "later")
    assert log == ["late", "later"]


def test_a_success_opens_another_place(pace):
    """With a bound of one, one success makes it two."""
    log = []
    with pace.place(0) as begun:
        pace.slow_down(begun)
        pace.speed_up()
        enter_at_once(pace, log, "beside")
        assert log == ["beside"]


def test_a_success_without_a_bound_changes_nothing(pace):
    log = []
    pace.speed_up()
    with pace.place(0):
        enter_at_once(pace, log, "beside")
        assert log == ["beside"]


def test_a_place_is_given_back_after_an_error(pace):
    log = []
    pace.slow_down(0)
    with pytest.raises(RuntimeError, match="inside"), pace.place(0):
        raise RuntimeError("inside")
    enter_at_once(pace, log, "in")
    assert log == ["in"]
