"""Random responses break no promise. `fuzzing.fuzz` is the same for longer, with another seed."""

from __future__ import annotations

from random import Random

import pytest

from django_migma.api import SendResult
from tests.faults import fuzzing, oracle
from tests.faults.stub_server import (
    ACCEPTED,
    DOUBT,
    GOOD_BODY,
    REFUSAL,
    REFUSED,
    chunked,
    chunks,
    message,
    zipped,
)


def test_a_random_response_is_never_taken_for_more_than_it_says():
    outcomes = fuzzing.fuzz(seed=1, count=300)
    assert sum(outcomes.values()) == 300
    assert {"SendResult", "InvalidResponse", "NoResponse", "ServerError", "InvalidRequest"} <= outcomes.keys()


class YesSayer:
    """Concludes that everything was accepted."""

    def send(self, answer, **options):
        return SendResult(status="queued")

    def check_next(self):
        """Nothing was left behind."""


def test_a_wrong_conclusion_is_found_and_shown_with_its_bytes():
    with pytest.raises(AssertionError, match=r"SendResult.* after an? (kept|ended) response: b'HTTP"):
        fuzzing.check_response(YesSayer(), Random(2))


def test_a_seed_repeats_its_responses():
    runs = [
        [fuzzing.mutate(random, fuzzing.random_response(random)) for _ in range(50)]
        for random in (Random(7), Random(7))
    ]
    assert runs[0] == runs[1]


CLEAR = {
    "good": (message(), ACCEPTED),
    "chunked": (chunked(chunks(GOOD_BODY)), ACCEPTED),
    "no": (message(REFUSAL), REFUSED),
    "another status": (message(b'{"success": true, "data": {"status": "failed"}}'), DOUBT),
    "data of a wrong type": (message(b'{"success": true, "data": []}'), DOUBT),
    "400": (message(status=b"HTTP/1.1 400 No"), REFUSED),
    "500": (message(status=b"HTTP/1.1 500 No"), DOUBT),
    "302": (message(status=b"HTTP/1.1 302 No"), DOUBT),
}


@pytest.mark.parametrize(("data", "said"), CLEAR.values(), ids=CLEAR)
def test_the_oracle_knows_what_is_clear(data, said):
    assert oracle.strictly(data) == said
    assert said in oracle.possibly(data)


@pytest.mark.parametrize(
    "data",
    [message() + b"x", message()[:-1], message().replace(b"OK\r", b"OK"), b"", chunked(chunks(GOOD_BODY)[:-1])],
)
def test_the_oracle_is_silent_about_what_is_not_well_formed(data):
    assert oracle.strictly(data) == ""


def test_the_oracle_finds_no_yes_where_there_is_none():
    for data in (message(b"<html>"), message(status=b"HTTP/1.1 302 Found"), GOOD_BODY, message(GOOD_BODY * 2)):
        assert ACCEPTED not in oracle.possibly(data)
    assert REFUSED not in oracle.possibly(message())
    assert ACCEPTED in oracle.possibly(message(zipped(GOOD_BODY), b"Content-Encoding: gzip"))
