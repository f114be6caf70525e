"""A body that does not end, or is too large, costs neither more time nor more memory than was promised."""

from __future__ import annotations

import time
import tracemalloc
import zlib

import pytest

from django_migma.api import InvalidResponse, MigmaError, Timeout
from tests.api.servers import Answer, Exchange, head, raw, whole
from tests.faults.stub_server import GOOD_BODY, NO, OK, PATIENCE, UNCLEAR, YES_OR_UNCLEAR, conclusion, message

MIB = 1024 * 1024
CHUNKED = OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
SERVER_GIVES_UP = 120
"""Seconds: a client that would wait forever fails its test."""
SLOW = 60
"""Seconds: no measure of speed, but far below `SERVER_GIVES_UP`."""
MUCH_WORK = 10
"""Seconds of the processor, which a busy machine does not use up: far more than a megabyte takes."""


def repeating(start: bytes, piece: bytes, *, pause: float = 0) -> Answer:
    """``start``, then ``piece`` again and again."""

    def answer(exchange: Exchange) -> None:
        exchange.write(start)
        end = time.monotonic() + SERVER_GIVES_UP
        while time.monotonic() < end and not exchange.gone:
            exchange.write(piece)
            time.sleep(pause)

    return answer


ENDLESS = {
    "a body": repeating(OK + b"\r\n\r\n", b" " * 65_536),
    "a body, slowly": repeating(head(length=10**9), b" ", pause=0.02),
    "chunks": repeating(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"),
    "chunks, slowly": repeating(CHUNKED, b"1\r\n \r\n", pause=0.02),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_a_body_that_does_not_end_is_left_at_the_read_timeout(stub, answer):
    """However steadily it comes."""
    began = time.monotonic()
    stub.check(answer, UNCLEAR, timeout=(PATIENCE, 0.2))
    assert time.monotonic() - began < SLOW


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 503])
def test_a_refusal_that_does_not_end_is_that_refusal(stub, status):
    answer, began = repeating(head(f"{status} No", length=10**9), b" ", pause=0.02), time.monotonic()
    # On a busy machine, the first of these timeouts may be too short for the head.
    outcomes = (stub.send(answer, timeout=(PATIENCE, seconds)) for seconds in (0.1, 3, 20))
    said = next((conclusion(outcome) for outcome in outcomes if not isinstance(outcome, Timeout)), "")
    assert said in NO
    stub.check_next()
    assert time.monotonic() - began < SLOW


def bomb(mebibytes: int) -> bytes:
    """Zeros in gzip, a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"\0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"\0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (mebibytes - 1)


SPACES = b" " * (20 * MIB)
GZIP = b"Content-Encoding: gzip"
LARGE = {
    "with a length": raw(message(SPACES)),
    "without a length": raw(message(SPACES, length=False)),
    "in chunks": raw(CHUNKED + (b"10000\r\n" + SPACES[:65_536] + b"\r\n") * 200),
    "one byte more than 10 MiB": whole(GOOD_BODY + SPACES[: 10 * MIB + 1 - len(GOOD_BODY)]),
    "behind a redirect": raw(message(SPACES, status=b"HTTP/1.1 302 x")),
    "10 GiB in 10 MiB of gzip": raw(message(bomb(10_000), GZIP)),
}


@pytest.mark.parametrize("answer", LARGE.values(), ids=LARGE)
def test_a_body_over_10_mib_is_not_kept_in_memory(stub, answer):
    """The largest of these is the gzip one: older urllib3 unpacks whatever was read at once, 64 KiB into 64 MiB."""
    tracemalloc.start()
    try:
        outcome = stub.check(answer, UNCLEAR)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(outcome) is InvalidResponse
    assert peak < (256 if answer is LARGE["10 GiB in 10 MiB of gzip"] else 64) * MIB, f"{peak / MIB:.0f} MiB"


HEAVY = {
    "a word": b'{"success": false, "error": "%b"}' % (b"a" * MIB),
    "white space": b'{"success": false, "error": "%b"}' % (b" " * MIB),
    "quotes": b'{"success": false, "error": "%b"}' % (b'\\"a ' * 100_000),
    "percent signs": b'{"success": false, "error": "%b"}' % (b"%4" * 100_000),
    "at signs": b'{"success": false, "error": "%b"}' % (b"@" * MIB),
    "addresses": b'{"success": false, "error": "%b"}' % (b"a@b " * 100_000),
    "a code": b'{"success": false, "code": "%b"}' % (b"a" * MIB),
    "digits": b'{"success": true, "data": {"x": 0.%b}}' % (b"1" * MIB),
    "whole numbers": b'{"success": true, "data": {"x": [%b1]}}' % ((b"9" * 4_300 + b",") * 240),
    "empty lists": b'{"success": true, "data": {"x": ["\\u0000",%b1]}}' % (b"[]," * (MIB // 3)),
    "escapes": b'{"success": true, "data": {"x": "%b"}}' % (b"\\ud800" * (MIB // 6)),
    "brackets": b"[" * MIB,
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY)
def test_a_megabyte_of_anything_is_read_in_linear_time(stub, body):
    began = time.thread_time()
    outcome = stub.send(whole(body))
    assert time.thread_time() - began < MUCH_WORK
    allowed = NO if b"false" in body else YES_OR_UNCLEAR
    assert conclusion(outcome) in allowed
    assert not isinstance(outcome, MigmaError) or len(str(outcome)) < 1_000
