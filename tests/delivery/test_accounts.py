"""An account's pauses, with answers that come in any order."""

import pytest

from django_migma.delivery.outcomes import Answer
from django_migma.delivery.pauses import Account


@pytest.fixture
def account(clock):
    """An account that has just answered its first request."""
    account = Account("digest", clock)
    settle(account, account.begin(), Answer.ACCEPTED)
    return account


def settle(account, period, answer, retry_after=None, pk=1):
    return account.settle(period, answer, pk, retry_after)


def test_the_first_request_goes_alone(clock):
    """Others follow once it is answered, whatever the answer is about."""
    account = Account("digest", clock)
    first = account.begin()
    assert account.begin() is None
    settle(account, first, Answer.UNCLEAR)
    assert account.begin() is not None
    assert account.begin() is not None


@pytest.mark.parametrize("late", [Answer.BLOCKED, Answer.ACCEPTED, Answer.UNCLEAR])
def test_answers_from_before_a_pause_neither_lengthen_nor_end_it(account, clock, late):
    """Sixteen that were in flight together are one failure, not sixteen."""
    periods = [account.begin() for _ in range(16)]
    assert settle(account, periods[0], Answer.BLOCKED).pause == 5
    for period in periods[1:15]:
        assert settle(account, period, late).pause == 0
    assert account.wait() == 5
    clock.now += 5
    assert account.room() == 1
    probe = account.begin()
    assert settle(account, periods[15], late).is_over is False
    assert account.begin() is None
    assert settle(account, probe, Answer.BLOCKED).pause == 10


def test_a_longer_wait_that_a_late_answer_names_is_kept(account):
    """Migma's word counts, whenever it comes."""
    first, second, third = (account.begin() for _ in range(3))
    settle(account, first, Answer.BLOCKED, retry_after=2)
    settle(account, second, Answer.BLOCKED, retry_after=30)
    settle(account, third, Answer.BLOCKED, retry_after=3)
    assert account.wait() == 30


def test_pauses_double_up_to_five_minutes_and_start_again_after_a_success(account, clock):
    """A long outage costs a request in five minutes."""
    pauses = []
    for _ in range(8):
        pauses.append(settle(account, account.begin(), Answer.BLOCKED).pause)
        clock.now += account.wait()
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
    assert settle(account, account.begin(), Answer.ACCEPTED).is_over is True
    assert settle(account, account.begin(), Answer.BLOCKED).pause == 5


def test_unclear_answers_leave_room_for_as_many_as_may_come_into_doubt(account):
    """With those in flight sixteen at most, until one answer is clear."""
    periods = [account.begin() for _ in range(10)]
    settle(account, periods[0], Answer.UNCLEAR)
    assert account.room() == 16 - 1 - 9
    settle(account, periods[1], Answer.REFUSED)
    assert account.room() > 16
