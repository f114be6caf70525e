"""The rate limit: a bucket of tokens for each API key, over all of /v1."""

from __future__ import annotations

import threading

import pytest

from django_migma.sandbox.options import Switches
from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import get, send, single


def statuses(sandbox, count, path="/v1/projects"):
    return [get(sandbox, path).status for _ in range(count)]


def test_without_a_rate_there_is_no_limit(sandbox):
    assert statuses(sandbox, 30) == [200] * 30


def test_a_bucket_starts_full_and_holds_no_more_than_its_rate(start, clock):
    sandbox = start(clock=clock, rate="3/s")
    assert statuses(sandbox, 4) == [200, 200, 200, 429]
    clock.forward(hours=1)
    assert statuses(sandbox, 4) == [200, 200, 200, 429]


def test_a_bucket_is_refilled_all_the_time(start, clock):
    sandbox = start(clock=clock, rate="2/s")
    assert statuses(sandbox, 3) == [200, 200, 429]
    clock.forward(seconds=0.25)
    assert statuses(sandbox, 1) == [429]
    clock.forward(seconds=0.25)
    assert statuses(sandbox, 2) == [200, 429]


@pytest.mark.parametrize(
    ("rate", "count", "seconds"), [("10/s", 10, "1"), ("100/m", 100, "1"), ("7/m", 7, "9"), ("1/h", 1, "3600")]
)
def test_retry_after_is_the_time_until_the_next_token_rounded_up(start, clock, rate, count, seconds):
    sandbox = start(clock=clock, rate=rate)
    statuses(sandbox, count)
    reply = get(sandbox, "/v1/projects")
    assert (reply.status, reply.headers["Retry-After"]) == (429, seconds)
    assert reply.error == f"Rate limit exceeded: {rate} for each API key"
    clock.forward(seconds=int(seconds))
    assert get(sandbox, "/v1/projects").status == 200


def test_retry_after_shrinks_while_time_passes(start, clock):
    sandbox = start(clock=clock, rate="1/m")
    statuses(sandbox, 1)
    clock.forward(seconds=58.5)
    assert get(sandbox, "/v1/projects").headers["Retry-After"] == "2"
    clock.forward(seconds=1.4999)
    assert get(sandbox, "/v1/projects").headers["Retry-After"] == "1"
    clock.forward(seconds=0.0001)
    assert statuses(sandbox, 1) == [200]


def test_each_key_has_a_bucket_of_its_own(start, clock):
    sandbox = start(clock=clock, rate="1/s")
    assert statuses(sandbox, 2) == [200, 429]
    assert get(sandbox, "/v1/domains", key=KEYS.no_send).status == 200


def test_all_endpoints_share_the_bucket_and_refusals_cost_too(start, clock):
    sandbox = start(clock=clock, rate="3/s")
    assert send(sandbox, single()).status == 200
    assert send(sandbox, {}).status == 400
    assert get(sandbox, "/v1/emails/unknown").status == 404
    assert send(sandbox, single()).status == 429


def test_a_request_without_a_valid_key_costs_no_token(start, clock):
    sandbox = start(clock=clock, rate="1/s")
    assert [get(sandbox, "/v1/projects", key=key).status for key in (None, "nobody", KEYS.revoked)] == [401] * 3
    assert statuses(sandbox, 1, "/nowhere") == [404]
    assert statuses(sandbox, 3, "/_sandbox/stats") == [200] * 3
    assert statuses(sandbox, 1) == [200]


def test_a_request_over_the_limit_is_not_remembered_under_its_key(start, clock):
    sandbox = start(clock=clock, rate="1/s")
    statuses(sandbox, 1)
    assert send(sandbox, single(), idempotency_key="order-1").status == 429
    clock.forward(seconds=1)
    reply = send(sandbox, single(), idempotency_key="order-1")
    assert (reply.status, reply.headers["Idempotent-Replayed"]) == (200, None)


def test_only_faults_that_accept_cost_a_token(start, clock):
    sandbox = start(clock=clock, rate="1/s")
    sandbox.faults.script("500", "html", "empty", "empty")
    assert [send(sandbox, single()).status for _ in range(4)] == [500, 200, 200, 429]
    assert sandbox.store.stats()["accepted"] == 1


def test_a_reset_of_the_store_fills_the_buckets(start, clock):
    sandbox = start(clock=clock, rate="1/s")
    assert statuses(sandbox, 2) == [200, 429]
    sandbox.store.reset()
    assert statuses(sandbox, 2) == [200, 429]


def test_threads_do_not_get_more_than_the_bucket_holds(start, clock):
    sandbox = start(clock=clock, rate="10/s")
    answers = []
    threads = [threading.Thread(target=lambda: answers.extend(statuses(sandbox, 2))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 10 + [429] * 22


def test_the_limit_can_be_changed_while_the_sandbox_runs(start, clock):
    sandbox = start(clock=clock)
    sandbox.rate_limit("2/s")
    assert statuses(sandbox, 3) == [200, 200, 429]
    sandbox.rate_limit("1/s")
    assert statuses(sandbox, 2) == [200, 429]
    sandbox.rate_limit(None)
    assert statuses(sandbox, 9) == [200] * 9


def test_a_reset_of_the_store_goes_back_to_the_limit_of_the_switches(start, clock):
    sandbox = start(clock=clock, rate="1/s")
    sandbox.rate_limit("3/s")
    sandbox.store.reset()
    assert statuses(sandbox, 2) == [200, 429]


@pytest.mark.parametrize("rate", ["5", 5, "5/d"])
def test_a_limit_that_is_not_understood_changes_nothing(start, clock, rate):
    sandbox = start(clock=clock, rate="1/s")
    with pytest.raises(ValueError, match=f"^rate must be such as 10/s, 100/m or 1000/h, not {rate!r}$"):
        sandbox.rate_limit(rate)
    assert statuses(sandbox, 2) == [200, 429]


@pytest.mark.parametrize("rate", ["10", "10/d", "0/s", "-1/s", "1.5/s", "/s", "10 / s", "ten/s", "1234567/s", " "])
def test_a_rate_that_is_not_understood_is_a_value_error(rate):
    text = f"rate must be such as 10/s, 100/m or 1000/h, not {rate!r}"
    with pytest.raises(ValueError, match=f"^{text}$"):
        Switches(rate=rate)
