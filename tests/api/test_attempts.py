"""How often a request is made, and how long it waits in between."""

from __future__ import annotations

from functools import partial

import pytest
import requests
import responses

from django_migma.api import (
    Conflict,
    InvalidRequest,
    MigmaClient,
    MigmaError,
    NoResponse,
    RateLimited,
    ServerError,
    TestSendRequest,
)
from tests.api.clocks import FakeClock
from tests.api.examples import ACCEPTED, EMAIL_ID, KEY, SENDING, URL, as_json, client, refusal, send_request

TEST = TestSendRequest(to="ada@example.org", email_id=EMAIL_ID)


def keys(wire):
    return [call.request.headers.get("Idempotency-Key") for call in wire.calls]


def answer(wire, *statuses, method=responses.POST, url=SENDING, headers=None):
    """Register these answers in order: a status, or an error of the network."""
    for status in statuses:
        if isinstance(status, Exception):
            wire.add(method, url, body=status)
        else:
            body = ACCEPTED if status == 200 else refusal(f"status {status}")
            wire.add(method, url, json=body, status=status, headers=headers)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_the_same_key(wire, clock, status):
    """The key is what makes the second attempt safe."""
    answer(wire, status, status, 200)
    result = client(clock=clock).send(send_request(), idempotency_key="order-1")
    assert (result.id, result.attempts) == ("m1", 3)
    assert keys(wire) == ["order-1"] * 3
    assert len({call.request.body for call in wire.calls}) == 1
    assert len(clock.slept) == 2
    assert clock.slept[0] <= 0.5
    assert clock.slept[1] <= 1.0


def test_a_key_that_we_made_is_kept_as_well(wire):
    answer(wire, 500, requests.ConnectionError("gone"), 200)
    result = client().send(send_request())
    assert keys(wire) == [result.idempotency_key] * 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 501])
def test_what_will_not_pass_is_final(wire, clock, status):
    answer(wire, status)
    with pytest.raises(MigmaError, match=f"^Migma answered {status}: status {status}\\. "):
        client(clock=clock).send(send_request())
    assert clock.slept == []


def test_a_conflict_at_the_first_attempt_is_final_and_names_the_key(wire):
    """The key was used for another body."""
    wire.post(SENDING, status=409, json=refusal("Key was used", code="IDEMPOTENCY_CONFLICT"))
    with pytest.raises(Conflict) as caught:
        client().send(send_request(), idempotency_key="order-1")
    assert str(caught.value) == (
        "Migma answered 409 IDEMPOTENCY_CONFLICT: Key was used. "
        "The first request with this idempotency key had another body: use a new key for a changed message, or send "
        "the message unchanged. An explicit Message-ID header is such a key. Idempotency key: order-1"
    )
    assert caught.value.may_have_been_accepted is False


def test_a_first_409_without_a_word_leaves_doubt(wire):
    """Another process may be sending with this key right now."""
    answer(wire, 409)
    with pytest.raises(Conflict) as caught:
        client().send(send_request(), idempotency_key="order-1")
    assert str(caught.value) == (
        "Migma answered 409: status 409. Another request with this key may still be running: send again later with "
        "the same key. Idempotency key: order-1"
    )
    assert (caught.value.may_have_been_accepted, caught.value.attempts) == (True, 1)


def test_a_conflict_at_a_later_attempt_may_be_our_own_request(wire):
    """The first one may still be running."""
    answer(wire, requests.ReadTimeout("late"), 409, 409, 200)
    result = client().send(send_request(), idempotency_key="order-1")
    assert (result.id, result.attempts) == ("m1", 4)
    assert keys(wire) == ["order-1"] * 4


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_test_send_is_never_repeated(wire, clock, status):
    """It carries no key."""
    answer(wire, status, url=f"{URL}/emails/test/send")
    with pytest.raises(MigmaError) as caught:
        client(clock=clock).send_test(TEST)
    assert str(caught.value).startswith(f"Migma answered {status}: status {status}. ")
    assert "Idempotency key" not in str(caught.value)
    assert (caught.value.attempts, caught.value.idempotency_key, clock.slept) == (1, "", [])


def test_a_lost_test_send_is_not_repeated_either(wire):
    answer(wire, requests.ConnectionError("gone"), url=f"{URL}/emails/test/send")
    with pytest.raises(NoResponse) as caught:
        client().send_test(TEST)
    assert str(caught.value) == f"The connection to Migma failed (ConnectionError). {NoResponse.hint}"
    assert caught.value.may_have_been_accepted is True


def test_a_look_up_is_repeated_without_a_key(wire):
    answer(wire, 503, requests.ConnectionError("gone"), 200, method=responses.GET, url=f"{URL}/emails/e1")
    assert client().get_email("e1").raw == ACCEPTED["data"]
    assert keys(wire) == [None] * 3


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_there_are_so_many_further_attempts_and_no_more(wire, retries):
    answer(wire, *[500] * (retries + 1))
    with pytest.raises(ServerError) as caught:
        client(max_retries=retries).send(send_request(), idempotency_key="order-1")
    tries = f" (after {retries + 1} attempts)" if retries else ""
    assert str(caught.value) == (
        f"Migma answered 500: status 500{tries}. {ServerError.hint} Idempotency key: order-1"
    )
    assert (caught.value.attempts, caught.value.status_code) == (retries + 1, 500)
    assert (caught.value.idempotency_key, caught.value.may_have_been_accepted) == ("order-1", True)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("seconds", [1, 3, 18])
def test_the_wait_is_what_migma_asks_for(wire, clock, status, seconds):
    answer(wire, status, headers={"Retry-After": str(seconds)})
    answer(wire, 200)
    assert client(clock=clock).send(send_request()).attempts == 2
    assert clock.slept == [seconds]


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("header", ["0", "0.001", "0.9", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_too_short_to_rely_on_is_at_least_one_of_our_own(wire, clock, status, header):
    """Servers round down, and clocks differ: else four attempts were gone in a moment."""
    answer(wire, *[status] * 4, headers={"Retry-After": header})
    answer(wire, 200)
    assert client(clock=clock).send(send_request()).attempts == 5
    waits = [seconds for seconds in clock.slept if seconds]
    assert len(waits) == 4
    if header == "0.9":
        assert min(waits) >= 0.9


def test_retry_after_may_be_a_date(wire, clock):
    """Counted from this machine's wall clock."""
    now = clock.time()
    assert now == 1_790_001_000  # Mon, 21 Sep 2026 14:30:00 GMT
    answer(wire, 429, headers={"Retry-After": "Mon, 21 Sep 2026 14:30:05 GMT"})
    answer(wire, 200)
    client(clock=clock).send(send_request())
    assert clock.slept == [5.0]


@pytest.mark.parametrize("header", ["soon", "", "nan"])
def test_an_unreadable_retry_after_counts_as_absent(wire, clock, header):
    answer(wire, 429, headers={"Retry-After": header})
    answer(wire, 200)
    assert client(clock=clock).send(send_request()).attempts == 2
    assert clock.slept[0] <= 0.5


@pytest.mark.parametrize("seconds", [20, 21, 86_400])
def test_a_wait_that_the_deadline_does_not_allow_is_not_begun(wire, clock, seconds):
    """The caller hears at once, and how long Migma asked for."""
    answer(wire, 429, headers={"Retry-After": str(seconds)})
    with pytest.raises(RateLimited) as caught:
        client(clock=clock).send(send_request())
    assert str(caught.value) == f"Migma answered 429: status 429. {RateLimited.hint}"
    assert (caught.value.retry_after, caught.value.attempts) == (float(seconds), 1)
    assert clock.slept == []


@pytest.mark.parametrize("status", [429, 503])
def test_an_error_says_how_long_migma_asks_to_wait(status, wire):
    """For a caller who does the waiting, such as a worker of the queue."""
    answer(wire, status, headers={"Retry-After": "7"})
    with pytest.raises((RateLimited, ServerError)) as caught:
        client(max_retries=0).send(send_request())
    assert caught.value.retry_after == 7.0


def test_a_429_without_a_header_has_no_retry_after(wire):
    answer(wire, 429)
    with pytest.raises(RateLimited) as caught:
        client(max_retries=0).send(send_request())
    assert caught.value.retry_after is None
    assert str(caught.value) == f"Migma answered 429: status 429. {RateLimited.hint}"


class Slow(FakeClock):
    """Requests take a while: an answer comes so many seconds after it was asked for."""

    def __init__(self):
        super().__init__()
        self.timeouts = []

    def answers(self, wire, *answers):
        for seconds, status in answers:
            wire.add_callback(responses.POST, SENDING, partial(self._late, seconds, status))

    def _late(self, seconds, status, request):
        self.timeouts.append(request.req_kwargs["timeout"])
        self.now += seconds
        return status, {"Retry-After": "1"}, as_json(ACCEPTED if status == 200 else refusal("busy"))


def test_an_attempt_gets_the_configured_timeout(wire):
    clock = Slow()
    clock.answers(wire, (1, 200))
    client(clock=clock, timeout=(2.5, 7)).send(send_request())
    assert clock.timeouts == [(2.5, 7)]


def test_an_attempt_gets_at_most_the_time_that_is_left(wire):
    """To connect as well as to read."""
    clock = Slow()
    clock.answers(wire, (9, 503), (3, 200))
    client(clock=clock, timeout=(12, 30), retry_deadline=17).send(send_request())
    assert clock.timeouts == [(12, 17), (7, 7)]


def test_the_deadline_holds_for_attempts_and_waits_together(wire):
    """However many attempts are allowed, none begins after it."""
    clock = Slow()
    clock.answers(wire, (6, 503), (6, 503), (6, 503))
    with pytest.raises(ServerError) as caught:
        client(clock=clock, max_retries=100, retry_deadline=20).send(send_request())
    assert str(caught.value).startswith("Migma answered 503: busy (after 3 attempts). ")
    assert (caught.value.attempts, clock.slept) == (3, [1.0, 1.0])


def test_an_answer_that_is_whole_counts_however_late_it_is(wire):
    """The deadline stops bodies that drip; to throw away a clear yes would leave its mail in doubt for nothing."""
    clock = Slow()
    clock.answers(wire, (20.5, 200))
    assert client(clock=clock, retry_deadline=20).send(send_request()).id == "m1"


def test_every_send_has_a_deadline_of_its_own(wire):
    clock = Slow()
    clock.answers(wire, (15, 400), (15, 400))
    sender = MigmaClient(KEY, api_url=URL, clock=clock)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="busy"):
            sender.send(send_request())
    assert clock.timeouts == [(3.05, 10)] * 2
