"""What never ends, or grows without bound, costs neither more time nor more memory than was promised."""

from __future__ import annotations

import time
import tracemalloc
import zlib

import pytest

from django_migma.api import APIError, InvalidResponse, MigmaError
from django_migma.api.clock import Clock
from tests.api.servers import Answer, Exchange, head, raw, whole
from tests.faults.answers import DOUBT, GOOD_BODY, OK, YES_OR_DOUBT, Verdict, doubtful, message, refused, stub

MIB = 1024 * 1024
SIZE = len(GOOD_BODY)
CHUNKED = OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
TOO_LARGE = doubtful(InvalidResponse)
DEADLINE, READ_TIMEOUT = 0.4, 0.2
PATIENCE = 30
"""Seconds after which the server gives up, so that a client that would wait for ever fails its test soon."""
ENOUGH = 15
"""Seconds: no measure of speed, but far from what a client would wait for the server."""


@pytest.fixture(scope="module")
def hostile():
    with stub() as running:
        yield running


def repeating(start: bytes, piece: bytes, *, pause: float = 0) -> Answer:
    """``start``, then ``piece`` again and again."""

    def answer(exchange: Exchange) -> None:
        exchange.write(start)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not exchange.gone:
            exchange.write(piece)
            time.sleep(pause)

    return answer


ENDLESS = {
    "interim answers": (repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99), DOUBT),
    "interim answers, slowly": (repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.05), DOUBT),
    "a status line, slowly": (repeating(b"HTTP/1.1 200 ", b"x", pause=0.05), DOUBT),
    "a header, slowly": (repeating(OK + b"\r\nX: ", b"x", pause=0.05), DOUBT),
    "headers, slowly": (repeating(OK + b"\r\n", b"X: y\r\n", pause=0.05), DOUBT),
    "a body without end": (repeating(OK + b"\r\n\r\n", b" " * 65_536), DOUBT),
    "a body, slowly": (repeating(head(length=10**9), b" ", pause=0.05), DOUBT),
    "chunks, slowly": (repeating(CHUNKED, b"1\r\n \r\n", pause=0.05), DOUBT),
    "a chunk's size line, slowly": (repeating(CHUNKED + b"1;", b"x", pause=0.05), DOUBT),
    "trailers": (repeating(CHUNKED + b"%x\r\n%b\r\n0\r\n" % (SIZE, GOOD_BODY), b"X: y\r\n" * 99), YES_OR_DOUBT),
    "trailers, slowly": (
        repeating(CHUNKED + b"%x\r\n%b\r\n0\r\n" % (SIZE, GOOD_BODY), b"X: y\r\n", pause=0.05),
        YES_OR_DOUBT,
    ),
    "gzip of nothing, slowly": (
        repeating(
            OK + b"\r\nContent-Encoding: gzip\r\n\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0" + b"\0" * 8, pause=0.05
        ),
        DOUBT,
    ),
}


@pytest.mark.parametrize(("answer", "verdict"), ENDLESS.values(), ids=ENDLESS)
def test_what_does_not_end_is_left_at_the_deadline(hostile, answer, verdict):
    """Whatever part of an answer it is, and however steadily it comes."""
    began = time.monotonic()
    outcome = hostile.outcome(answer, timeout=(5, READ_TIMEOUT), retry_deadline=DEADLINE, clock=Clock())
    elapsed = time.monotonic() - began
    assert elapsed < ENOUGH, f"{elapsed:.1f} s, and then {outcome!r}"
    assert verdict.fits(outcome)
    hostile.probe()


def bomb(mebibytes: int) -> bytes:
    """So many MiB of zeros in a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(b"\0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"\0" * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * (mebibytes - 1)


SPACES = b" " * (60 * MIB)
GZIP = b"Content-Encoding: gzip"
LARGE = {
    "with a length": (raw(message(SPACES)), TOO_LARGE),
    "without a length": (raw(message(SPACES, length=False)), TOO_LARGE),
    "in one chunk": (raw(CHUNKED + b"%x\r\n" % len(SPACES) + SPACES), TOO_LARGE),
    "in many chunks": (raw(CHUNKED + (b"10000\r\n" + SPACES[:65_536] + b"\r\n") * 500), TOO_LARGE),
    "one byte more than 10 MiB": (whole(GOOD_BODY + SPACES[: 10 * MIB + 1 - SIZE]), TOO_LARGE),
    "10 MiB of gzip, 10 GiB unpacked": (raw(message(bomb(10_000), GZIP)), TOO_LARGE),
    "a gzip bomb in chunks": (
        raw(CHUNKED.replace(OK, OK + b"\r\n" + GZIP) + b"%x\r\n" % (9 * MIB) + bomb(9_000)),
        DOUBT,
    ),
    "a gzip bomb packed twice": (raw(message(bomb(10_000), b"Content-Encoding: gzip, gzip")), DOUBT),
    "a bomb of deflate": (raw(message(zlib.compress(SPACES, 9), b"Content-Encoding: deflate")), DOUBT),
    "a bomb behind a redirect": (raw(message(bomb(10_000), GZIP, status=b"HTTP/1.1 302 x")), TOO_LARGE),
    "a header without end": (raw(OK + b"\r\nX: " + SPACES), DOUBT),
    "a status line without end": (raw(b"HTTP/1.1 200 " + SPACES), DOUBT),
    "a chunk's size line without end": (raw(CHUNKED + b"1;" + SPACES), DOUBT),
}


@pytest.mark.parametrize(("answer", "verdict"), LARGE.values(), ids=LARGE)
def test_what_is_too_large_is_not_kept_in_memory(hostile, answer, verdict: Verdict):
    """10 MiB of body at most, and what it takes to handle them."""
    tracemalloc.start()
    try:
        outcome = hostile.outcome(answer)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verdict.fits(outcome), outcome
    assert peak < 64 * MIB, f"{peak / MIB:.0f} MiB"
    hostile.probe()


HEAVY = {
    "a word": (b'{"success": false, "error": "%b"}' % (b"a" * 20_000), refused(APIError)),
    "a dotted word": (b'{"success": false, "error": "%b"}' % (b"a." * 10_000), refused(APIError)),
    "words": (b'{"success": false, "error": "%b"}' % (b"a " * 10_000), refused(APIError)),
    "quotes": (b'{"success": false, "error": "%b"}' % (b'\\"' * 10_000), refused(APIError)),
    "quoted words": (b'{"success": false, "error": "%b"}' % (b'\\"a ' * 10_000), refused(APIError)),
    "percent signs": (b'{"success": false, "error": "%b"}' % (b"%4" * 10_000), refused(APIError)),
    "at signs": (b'{"success": false, "error": "%b"}' % (b"@" * 20_000), refused(APIError)),
    "addresses": (b'{"success": false, "error": "%b"}' % (b"a@b " * 5_000), refused(APIError)),
    "a code": (b'{"success": false, "code": "%b"}' % (b"a" * MIB), refused(APIError)),
    "digits": (b'{"success": true, "data": {"x": 0.%b}}' % (b"1" * MIB), YES_OR_DOUBT),
    "an exponent": (b'{"success": true, "data": {"x": 1e-%b}}' % (b"9" * MIB), YES_OR_DOUBT),
    "whole numbers": (b'{"success": true, "data": {"x": [%b1]}}' % ((b"9" * 4_300 + b",") * 240), YES_OR_DOUBT),
    "empty lists": (b'{"success": true, "data": {"x": ["\\u0000",%b1]}}' % (b"[]," * (MIB // 3)), YES_OR_DOUBT),
    "escapes": (b'{"success": true, "data": {"x": "%b"}}' % (b"\\ud800" * (MIB // 6)), YES_OR_DOUBT),
    "brackets": (b"[" * MIB, TOO_LARGE),
}


@pytest.mark.parametrize(("body", "verdict"), HEAVY.values(), ids=HEAVY)
def test_heavy_bodies_are_read_in_bearable_time(hostile, body, verdict):
    """No part of reading takes more than in proportion to the size."""
    began = time.monotonic()
    outcome = hostile.outcome(whole(body))
    elapsed = time.monotonic() - began
    assert elapsed < ENOUGH, f"{elapsed:.1f} s"
    assert verdict.fits(outcome)
    hostile.probe()


@pytest.mark.parametrize(
    "value", [b'multipart/x; a="' + b";" * 30_000, b"a;" * 30_000, b"a/b; boundary=" + b'"' * 60_000]
)
def test_a_header_is_read_in_bearable_time(hostile, value):
    """`http.client` reads types as mail does, in time that grows with the square of their length."""
    began = time.monotonic()
    outcome = hostile.outcome(raw(message(b"<html>", b"Content-Type: " + value)))
    assert isinstance(outcome, MigmaError)
    assert time.monotonic() - began < PATIENCE
    hostile.probe()
