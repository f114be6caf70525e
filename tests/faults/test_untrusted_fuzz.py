"""Answers by chance: no promise breaks. `fuzzing.fuzz` is the same for longer, with a seed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_migma.api import SendResult
from tests.faults import fuzzing, oracle
from tests.faults.answers import GOOD_BODY, OK, chunks, message, stub, zipped

BRIEFLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
CHANCE = st.randoms(use_true_random=False)


@pytest.fixture(scope="module")
def hostile():
    with stub() as running:
        yield running


@settings(BRIEFLY, max_examples=300)
@given(random=CHANCE)
def test_an_answer_by_chance_is_concluded_rightly(hostile, random):
    """Over a socket, with the next request behind it."""
    fuzzing.check_answer(hostile, random)


@settings(BRIEFLY, max_examples=300)
@given(random=CHANCE)
def test_a_body_by_chance_is_read_rightly(random):
    fuzzing.check_body(random)


def test_a_seeded_run_meets_every_kind_of_outcome():
    """Else it would prove little."""
    came_to = fuzzing.fuzz(seed=1, count=600)
    assert sum(came_to.values()) == 600
    assert {"SendResult", "Reply", "InvalidResponse", "NoResponse", "APIError", "InvalidRequest"} <= came_to.keys()


class Liar:
    """Says yes to everything."""

    def outcome(self, answer, **options):
        return SendResult(status="queued")

    def probe(self):
        """All is well."""


def test_a_wrong_yes_is_found_and_told_with_its_bytes():
    """The run can fail."""
    with pytest.raises(AssertionError, match=r"SendResult.* after an? (kept|ended) answer: b'HTTP"):
        fuzzing.check_answer(Liar(), Random(2))


def test_a_seed_repeats_its_answers():
    runs = [
        [fuzzing.mutated(random, fuzzing.whole_answer(random)) for _ in range(50)]
        for random in (Random(7), Random(7))
    ]
    assert runs[0] == runs[1]


ORACLE = {
    "good": (message(), oracle.ACCEPTED),
    "chunked": (OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(GOOD_BODY), oracle.ACCEPTED),
    "no": (message(b'{"success": false}'), oracle.REFUSED),
    "doubled": (message(b'{"success": false, "success": true}'), oracle.UNREADABLE),
    "a wrong status": (message(b'{"success": true, "data": {"status": "failed"}}'), oracle.UNREADABLE),
    "400": (message(status=b"HTTP/1.1 400 No"), oracle.REFUSED),
    "500": (message(status=b"HTTP/1.1 500 No"), oracle.UNREADABLE),
    "302": (message(status=b"HTTP/1.1 302 No"), oracle.UNREADABLE),
}


@pytest.mark.parametrize(("data", "word"), ORACLE.values(), ids=ORACLE)
def test_the_oracle_knows_what_is_clear(data, word):
    assert oracle.strictly(data) == word
    assert word in oracle.possibly(data)


@pytest.mark.parametrize(
    "data",
    [
        message() + b"x",
        message()[:-1],
        message().replace(b"OK\r", b"OK"),
        b"",
        message(zipped(GOOD_BODY), b"Content-Encoding: gzip"),
    ],
)
def test_the_oracle_is_silent_about_what_is_not(data):
    assert oracle.strictly(data) == ""


def test_the_oracle_finds_no_yes_where_there_is_none():
    for data in (message(b"<html>"), message(status=b"HTTP/1.1 302 Found"), GOOD_BODY, message(GOOD_BODY * 2)):
        assert oracle.ACCEPTED not in oracle.possibly(data)
    assert oracle.REFUSED not in oracle.possibly(message())
