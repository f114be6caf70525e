"""What is not a row's fault pauses its account: rows wait, and nothing fails or comes into doubt."""

import itertools
import json
import logging

import django
import pytest
import requests
from django.test import override_settings
from urllib3.exceptions import ConnectTimeoutError

from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from tests.api.clocks import until
from tests.conftest import BACKEND, SENDING
from tests.delivery.rows import YES, waiting

pytestmark = pytest.mark.django_db
NO_KEY = (401, {"success": False, "error": "Bad key", "code": "UNAUTHORIZED"})
NOT_ALLOWED = (403, {"success": False, "error": "Not your domain", "code": "FORBIDDEN"})
BUSY = (503, {"success": False, "error": "Busy"})
BROKEN = (500, {"success": False, "error": "Oops"})
LIMITED = (429, {"success": False, "error": "Slow down"}, {"Retry-After": "30"})


def rows(**fields):
    return Delivery.objects.filter(**fields).count()


def answer(wire, choose):
    """Answer each request by its number, from 1, and its recipient."""
    numbers = itertools.count(1)

    def respond(request):
        status, body, *headers = choose(next(numbers), json.loads(request.body)["recipientEmail"])
        return status, headers[0] if headers else {}, json.dumps(body)

    wire.mock.add_callback("POST", SENDING, respond)


@pytest.mark.parametrize(
    ("no", "level", "text"),
    [
        (BUSY, logging.WARNING, "Migma answered 503"),
        (NO_KEY, logging.ERROR, "Check the API key"),
        (NOT_ALLOWED, logging.ERROR, "Give the API key the permission"),
        ((402, {"success": False, "error": "No credit"}), logging.ERROR, "No credit"),
        ((404, {}), logging.ERROR, "Migma answered 404"),
        (LIMITED, logging.WARNING, "Slow down"),
        (requests.ConnectTimeout(ConnectTimeoutError()), logging.WARNING, "did not answer in time"),
    ],
    ids=["503", "401", "403", "402", "a proxy's 404", "429", "no connection"],
)
def test_the_first_request_of_a_worker_goes_alone(wire, deliverer, caplog, no, level, text):
    """What any row would meet costs one request, and leaves every row as it was, but for a note in one."""
    waiting(20)
    wire.answers(no)
    result = deliverer.run(idle=0)
    assert (result.counts, result.has_due, result.is_paused) == ({"given_back": 1}, False, True)
    assert len(wire.bodies) == 1
    assert set(Delivery.objects.values_list("status", "attempts", "first_attempt_at", "in_doubt")) == {
        ("waiting", 0, None, False)
    }
    assert rows(errors=[]) == 19
    [record] = caplog.records
    assert record.levelno == level
    assert text in record.getMessage()
    assert "@" not in record.getMessage()


def test_a_pause_says_when_it_is_over(wire, deliverer, now):
    """So that an engine can come back then."""
    waiting()
    wire.answers(LIMITED)
    due = now(30)
    assert deliverer.run(idle=0).next_due == due == Delivery.objects.get().due_at


def test_after_a_pause_one_row_asks_and_then_all_go(wire, deliverer, clock):
    """Another row each time; the others wait until Migma answers again."""
    waiting(20)
    wire.answers(BUSY, BUSY, YES)
    began = clock.monotonic()
    result = deliverer.run(idle=60)
    assert result.counts == {"accepted": 20, "given_back": 2}
    assert len(set(wire.keys[:3])) == 3
    assert 15 <= clock.monotonic() - began < 16 + 60


def test_ten_minutes_of_503_cost_a_handful_of_requests(wire, deliverer, clock):
    """Pauses double up to five minutes, and nobody's 23 hours begin."""
    waiting(1000)
    wire.answers(YES, *[BUSY] * 100)
    deliverer.run(seconds=600)
    assert len(wire.bodies) <= 30
    assert rows(status="waiting", attempts=0, first_attempt_at=None, in_doubt=False) == 999


@pytest.mark.parametrize("no", [BROKEN, requests.ReadTimeout()], ids=["500", "timeouts"])
def test_ten_minutes_without_a_clear_answer_put_few_rows_in_doubt(wire, deliverer, caplog, no):
    """After sixteen unclear answers in a row, those rows ask again, and no further one. The log names no key."""
    waiting(1000)
    wire.answers(YES, *[no] * 200)
    deliverer.run(seconds=600)
    assert rows(in_doubt=True) <= 17
    assert rows(attempts=0, first_attempt_at=None) == 1000 - 1 - rows(in_doubt=True)
    assert " pauses for " in caplog.text
    assert "dempotency key" not in caplog.text
    assert not [key for key in wire.keys if key in caplog.text]


def test_a_single_broken_row_holds_up_nobody(wire, deliverer, now):
    """Its own attempts become rarer; no pause."""
    [poison] = waiting()
    waiting(40)
    answer(wire, lambda _, recipient: BROKEN if recipient == poison.recipient else YES)
    earliest, latest = now(12), now(20)
    result = deliverer.run(idle=0)
    assert result.counts == {"accepted": 40, "put_off": 1}
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.in_doubt) == ("waiting", 1, True)
    assert earliest <= poison.due_at <= latest
    assert result.next_due == poison.due_at


def test_a_refusal_of_one_row_while_others_succeed_is_its_own_fault(wire, deliverer, caplog):
    """Such as a sender that the account may not use; it costs one pause."""
    waiting(5)
    [refused] = waiting()
    others = {row.recipient for row in waiting(5)}

    def choose(_, recipient):
        if recipient in others:  # succeed after the refusal, which only that can explain
            until(lambda: "pauses for" in caplog.text)
        return NOT_ALLOWED if recipient == refused.recipient else YES

    answer(wire, choose)
    result = deliverer.run(idle=10)
    assert result.counts == {"accepted": 10, "given_back": result.counts["given_back"], "failed": 1}
    refused.refresh_from_db()
    assert (refused.status, refused.attempts, len(refused.errors)) == ("failed", 1, 2)
    assert f"Delivery {refused.pk} has the status failed now: Migma answered 403 FORBIDDEN" in caplog.text
    assert "goes on" not in caplog.text  # INFO


def test_many_suspects_are_forgotten_in_time(wire, deliverer, monkeypatch):
    """A memory that grows with each refusal would not end."""
    monkeypatch.setattr("django_migma.delivery.pauses._MAX_SUSPECTS", 2)
    waiting(5)
    wire.answers(*[NOT_ALLOWED] * 4, YES)
    assert deliverer.run(idle=45).counts == {"accepted": 5, "given_back": 4}


def test_a_row_in_the_hand_goes_back_at_a_pause(wire, deliverer):
    """So that more urgent mail goes first afterwards."""
    waiting(30, priority=1)
    answer(wire, lambda number, _: LIMITED if number == 2 else YES)
    deliverer.run(idle=0)
    assert rows(status="sending") == 0
    [urgent] = waiting(priority=0)
    deliverer.clock.now += 31
    before = len(wire.keys)
    assert deliverer.run(idle=0).counts["accepted"] > 1
    assert wire.keys[before] == urgent.idempotency_key


def test_an_absurd_wait_is_cut(wire, deliverer, now):
    """One answer cannot stop a site for a year."""
    waiting()
    wire.answers((429, {"success": False}, {"Retry-After": "99999999"}))
    due = now(3600)
    assert deliverer.run(idle=0).next_due == due


def test_our_own_rate_limit_is_kept_without_a_pause(accepting, deliverer, migma, clock):
    """Short waits are sat out with the rows in hand; no request is made in vain."""
    migma(RATE_LIMIT="20/s")
    waiting(70)
    began = clock.monotonic()
    result = deliverer.run(idle=0)
    assert result.counts["accepted"] == 70
    assert len(accepting.bodies) == 70
    assert 3 <= clock.monotonic() - began < 8


def test_a_long_wait_for_our_own_rate_limit_gives_the_rows_back(accepting, deliverer, migma, clock):
    """It is no pause: the run waits, and goes on by itself."""
    migma(RATE_LIMIT="10/m")
    waiting(25)
    result = deliverer.run(idle=0)
    assert result.counts["accepted"] == 25
    assert result.counts["given_back"] > 0
    assert rows(attempts=1) == 25


@pytest.mark.parametrize(
    "keys", [{"API_KEY": None}, {"API_KEY": lambda: 1 / 0}, {"TIMEOUT": "soon"}, {"QUEUE": {"LEASE": 5}}]
)
def test_unusable_settings_pause_and_nothing_fails(wire, deliverer, migma, caplog, keys):
    """The log names the setting; the worker goes on when it is right again."""
    migma(**keys)
    waiting(2)
    result = deliverer.run(idle=0)
    assert (result.counts, result.is_paused) == ({}, True)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert next(iter(keys)) in record.getMessage()
    migma(API_KEY="sk_test_of_the_suite", TIMEOUT=5, QUEUE=None)
    wire.answers(YES)
    assert deliverer.run(idle=6).counts == {"accepted": 2}


def test_a_rotated_key_is_taken_up(wire, migma, clock):
    """A callable API_KEY is asked again after a pause, and each minute."""
    keys = ["sk_test_old_one", "sk_test_new_one"]
    migma(API_KEY=lambda: keys[0])
    waiting(3)
    answer(wire, lambda number, _: NO_KEY if number == 1 else YES)

    def rotate(progress):
        keys[:] = keys[-1:]

    assert Deliverer(clock=clock, report=rotate).run(idle=6).counts == {"accepted": 3, "given_back": 1}
    sent_with = [call.request.headers["Authorization"][-7:] for call in wire.mock.calls]
    assert sent_with == ["old_one", *["new_one"] * 3]


@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
@pytest.mark.parametrize(("key", "requests_made"), [("sk_test_of_the_suite", 1), ("sk_test_other", 2)])
def test_mailers_with_one_key_share_its_pauses(wire, deliverer, key, requests_made):
    """An account that asks to wait means all of its mail; another account is not concerned."""
    mailers = {"default": {"BACKEND": BACKEND}, "news": {"BACKEND": BACKEND, "OPTIONS": {"api_key": key}}}
    with override_settings(MAILERS=mailers):
        waiting(5)
        waiting(5, alias="news")
        wire.answers(NO_KEY)
        assert deliverer.run(idle=0).is_paused
    assert len(wire.bodies) == requests_made


def test_a_lane_that_recovers_says_so(wire, deliverer, caplog):
    """For whoever was alarmed by the pause."""
    caplog.set_level(logging.INFO, "django_migma")
    waiting()
    wire.answers(BUSY, YES)
    deliverer.run(idle=10)
    assert [record.getMessage().partition(" pauses")[0] for record in caplog.records][1].endswith("goes on.")


def test_sixteen_errors_that_are_not_ours_pause_the_mailer_and_only_their_type_is_logged(wire, deliverer, caplog):
    """Their text may hold anything."""
    waiting(20)
    wire.answers(RuntimeError("ada@example.org"))
    assert deliverer.run(idle=0).is_paused
    [record] = caplog.records
    assert record.getMessage().endswith(" pauses for 5 s: RuntimeError")
    assert rows(in_doubt=True) == len(wire.bodies) == 16
