"""Random responses: built by a grammar, broken, sent over a real socket and judged by the oracle.

Everything is drawn from one `random.Random`, so a seed repeats a run.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from random import Random
from unittest import mock

from tests.api.servers import raw
from tests.faults import oracle
from tests.faults.stub_server import (
    DOUBT,
    GOOD,
    GOOD_BODY,
    PATIENCE,
    StubServer,
    chunks,
    conclusion,
    keeping,
    stub_server,
    zipped,
)

SLOW = 0.8 * PATIENCE
"""Seconds that one response may take. The longest wait that is meant is `STALL`."""
STALL = 0.1
"""Seconds of read timeout where the connection stays open behind a response that may not be whole."""
STATUSES = {
    70: ("200 OK",),
    12: ("201 Created", "202 Accepted", "204 No Content", "206 Part", "299 x", "302 Found", "304 x"),
    13: ("400 Bad", "401 No", "403 No", "404 No", "409 No", "422 No", "429 Slow", "500 Oops", "502 x", "503 Busy"),
    5: ("103 x", "100 x", "999 x", "20", "OK", ""),
}
HEADERS = (
    b"Content-Type: application/json",
    b"Content-Type: text/html; charset",
    b"Retry-After: 1e999",
    b"Connection: close",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Content-Length: 5",
    b"Content-Length: 999999",
    b"Content-Length: -1",
    b"Idempotent-Replayed: true",
    b"no colon",
)
VALUES = (None, True, False, 0, -1, 1.5, 10**30, "", "queued", "failed", "a@b", " " * 2_001, "\ud800", [], {}, ["x"])
SNIPPETS = (
    b"\r\n", b"\n", b"\r\n\r\n", b"\0", b"\xff", b" ", b'"', b"{", b"}", b"[" * 50, b",", b":", b"\\", b"\\u0000",
    b'"success":true', b'"success":false', b'"data":1', b"true", b"false", b"9" * 5000, GOOD_BODY,
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"0\r\n\r\n", b"-1\r\n", b"\x1f\x8b", b"\xef\xbb\xbf",
)  # fmt: skip


def random_body(random: Random) -> bytes:
    """An envelope, with odd values in some fields."""
    data, content = dict(GOOD["data"]), dict(GOOD)
    for _ in range(random.choice((0, 0, 1, 1, 3))):
        data[random.choice(("id", "status", "sentCount", "message"))] = random.choice(VALUES)
        content["data"] = data
        content[random.choice(("success", "data", "error", "code", "message"))] = random.choice(VALUES)
    return json.dumps(content).encode()


def random_response(random: Random) -> bytes:
    """A status line, headers and a body, most of which fit each other."""
    kind = random.choices([*STATUSES.values()], [*STATUSES])[0]
    lines = [b"HTTP/1.1 " + random.choice(kind).encode()]
    lines += random.sample(HEADERS, random.choice((0, 0, 1, 2)))
    body = random_body(random)
    if random.random() < 0.05:
        body = zipped(body)
        lines.append(b"Content-Encoding: gzip")
    framing = random.random()
    if framing < 0.2:
        body = chunks(body) if framing < 0.15 else chunks(body[:9], body[9:], trailer=b"X: y\r\n")
        lines.append(b"Transfer-Encoding: chunked")
    elif framing < 0.95:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


def mutate(random: Random, data: bytes) -> bytes:
    """Break the bytes in up to three places, often in none."""
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        at, size = random.randrange(len(data) + 1), random.choice((0, 1, 1, 9))
        new = random.choice((b"", random.choice(SNIPPETS), random.randbytes(size)))
        data = data[:at] + new + data[at + size :]
        if random.random() < 0.1:
            data = data[: random.randrange(len(data) + 1)]
    return data


def check_response(stub: StubServer, random: Random) -> str:
    """Send one random response, and the next request's own behind it. The class of the outcome."""
    data, is_kept = mutate(random, random_response(random)), random.random() < 0.15
    began = time.monotonic()
    try:
        outcome = stub.send((keeping if is_kept else raw)(data), timeout=(PATIENCE, STALL if is_kept else PATIENCE))
        elapsed = time.monotonic() - began
        assert elapsed < SLOW, f"it took {elapsed:.1f} s"
        said, strict, possible = conclusion(outcome), oracle.strictly(data), oracle.possibly(data)
        assert said in possible, f"{outcome!r}, but the response says {possible}"
        # Under a short timeout, a slow machine may lose what came in time.
        assert not strict or said == strict or (is_kept and said == DOUBT), f"{outcome!r}, not {strict}"
        stub.check_next()
    except Exception as error:
        raise AssertionError(f"{error!r} after {'a kept' if is_kept else 'an ended'} response: {data!r}") from error
    return type(outcome).__name__


def fuzz(seed: int, count: int) -> dict[str, int]:
    """Check random responses; returns how often each outcome came.

    AssertionError with the bytes that reproduce it, at the first response that breaks a promise.
    """
    random, outcomes = Random(seed), Counter[str]()
    logger = logging.getLogger("urllib3.connection")  # logs headers that it cannot parse
    with stub_server() as stub, mock.patch.object(logger, "disabled", new=True):
        for _ in range(count):
            outcomes[check_response(stub, random)] += 1
    return dict(outcomes)
