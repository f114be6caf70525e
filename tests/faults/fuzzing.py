"""Answers by chance: built by a grammar, then broken, sent over a real socket and judged by the oracle.

Everything is drawn from one `random.Random`: a seed repeats a run, and hypothesis can hand in one that it shrinks.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from unittest import mock

from django_migma.api import MigmaError, SendResult, outcomes
from tests.api.servers import raw
from tests.faults import oracle
from tests.faults.answers import GOOD, GOOD_BODY, QUICK, Stub, chunks, is_certain, keeping, stub, zipped

LONGEST = 20.0
"""Seconds that one answer may take. The longest that is meant to take time stalls for `QUICK`."""
STATUSES = ("200 OK", "201 Created", "202 Accepted", "204 No Content", "206 Part", "299 x", "302 Found", "304 x")
REFUSALS = ("400 Bad", "401 No", "403 No", "404 No", "409 No", "422 No", "429 Slow", "500 Oops", "502 x", "503 Busy")
NONSENSE = ("103 x", "100 x", "999 x", "2_00 OK", "+200 OK", "20", "OK", "", "600 x", "99 x", "0200 x")
HEADERS = (
    b"Content-Type: application/json",
    b"Content-Type: text/html; charset",
    b"Content-Type: multipart/mixed; boundary*=idna''x",
    b"X-Request-Id: 1",
    b"Date: Thu, 01 Jan 2026 00:00:00 GMT",
    b"Retry-After: 1e999",
    b"Retry-After: Thu, 01 Jan 0000 00:00:00 GMT",
    b"Set-Cookie: a=b; Max-Age=99999999999999999999",
    b"Connection: close",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br, gzip",
    b"Content-Length: 5",
    b"Content-Length: 999999",
    b"Content-Length: -1",
    b"Idempotent-Replayed: true",
    b" folded",
    b"no colon",
    b": no name",
    b"\xff\0: \x85",
)
VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    "",
    "queued",
    "failed",
    "a@b",
    "\ud800",
    [],
    {},
    ["x"],
    {"success": True},
)
SNIPPETS = (
    b"\r\n", b"\n", b"\r\n\r\n", b"\0", b"\xff", b" ", b'"', b"{", b"}", b"[" * 50, b",", b":", b"\\", b"\\u0000",
    b'"success":true', b'"success":false', b'"data":1', b"true", b"false", b"NaN", b"1e999", b"9" * 5000, GOOD_BODY,
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"0\r\n\r\n", b"-1\r\n", b"\x1f\x8b", b"\xef\xbb\xbf",
)  # fmt: skip


def body(random: Random) -> bytes:
    """An envelope: good, odd in some fields, or doubled."""
    content = dict(GOOD) | {"data": dict(GOOD["data"])}
    for _ in range(random.choice((0, 0, 1, 1, 3))):
        field = random.choice(("success", "data", "error", "code", "message", "x"))
        content[field] = random.choice(VALUES)
        if isinstance(content["data"], dict):
            content["data"] = content["data"] | {
                random.choice(("id", "status", "sentCount", "y")): random.choice(VALUES)
            }
    written = json.dumps(content).encode()
    return written.replace(b"{", b'{"success": true, ', 1) if random.random() < 0.05 else written


def whole_answer(random: Random) -> bytes:
    """A status line, headers and a body; most of them fit each other."""
    kind = random.choices((("200 OK",), STATUSES, REFUSALS, NONSENSE), (70, 12, 12, 6))[0]
    lines = [b"HTTP/1.1 " + random.choice(kind).encode()]
    lines += random.sample(HEADERS, random.choice((0, 0, 1, 2, 4)))
    content = body(random)
    if random.random() < 0.1:
        content = zipped(content)
        lines.append(b"Content-Encoding: gzip")
    framing = random.random()
    if framing < 0.2:
        content = chunks(content) if framing < 0.15 else chunks(content[:9], content[9:], trailer=b"X: y\r\n")
        lines.append(b"Transfer-Encoding: chunked")
    elif framing < 0.95:
        lines.append(b"Content-Length: %d" % len(content))
    return b"\r\n".join([*lines, b"", content])


def flip(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def cut(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def leave_out(random: Random, data: bytes) -> bytes:
    start = random.randrange(len(data))
    return data[:start] + data[start + random.randint(1, 9) :]


def insert(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.choice(SNIPPETS) + data[at:]


def overwrite(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + random.randbytes(random.randint(1, 8)) + data[at + 4 :]


def shuffle_lines(random: Random, data: bytes) -> bytes:
    """Double a line, or swap two."""
    lines = data.splitlines(keepends=True)
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    if random.random() < 0.5:
        lines.insert(other, lines[one])
    else:
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def swap_parts(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data))
    return data[at:] + data[:at]


def append(random: Random, data: bytes) -> bytes:
    return data + random.choice((random.choice(SNIPPETS), whole_answer(random)))


MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip, flip, cut, leave_out, insert, insert, overwrite, shuffle_lines, swap_parts, append,
)  # fmt: skip


def mutated(random: Random, data: bytes) -> bytes:
    """The same, broken in up to three ways; often in none."""
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        data = random.choice(MUTATIONS)(random, data or b"?")
    return data


@contextlib.contextmanager
def _reproducible(data: bytes, *, kept: bool = False) -> Iterator[None]:
    """Whatever breaks a promise, or is no conclusion at all, is told with the bytes that led to it."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{error!r} after {'a kept' if kept else 'an ended'} answer: {data!r}") from error


def check_answer(running: Stub, random: Random) -> str:
    """One answer over the socket and the next request's after it. What it came to, in a word."""
    data, kept = mutated(random, whole_answer(random)), random.random() < 0.15
    began = time.monotonic()
    with _reproducible(data, kept=kept):
        outcome = running.outcome((keeping if kept else raw)(data), timeout=(5, QUICK if kept else 5))
        elapsed = time.monotonic() - began
        assert elapsed < LONGEST, f"it took {elapsed:.1f} s"
        _check_truth(data, outcome, kept=kept)
        running.probe()
    return type(outcome).__name__


def _check_truth(data: bytes, outcome: SendResult | MigmaError, *, kept: bool) -> None:
    """No conclusion that no reader of the answer would draw, and the one that every reader would."""
    strict, possible = oracle.strictly(data), oracle.possibly(data)
    if isinstance(outcome, SendResult):
        concluded = oracle.ACCEPTED if is_certain(outcome) else oracle.UNREADABLE
    else:
        concluded = oracle.UNREADABLE if outcome.may_have_been_accepted else oracle.REFUSED
    assert concluded in possible, f"{outcome!r}, but it says {possible}"
    # Under a short timeout, a slow machine may lose what came in time.
    assert not strict or concluded == strict or (kept and concluded == oracle.UNREADABLE), (
        f"{outcome!r}, not {strict}"
    )


def check_body(random: Random) -> str:
    """One body without a socket. What it came to, in a word."""
    data, status = mutated(random, body(random)), random.choice((200, 200, 201, 299, 400, 409, 429, 500, 503))
    with _reproducible(data):
        outcome = outcomes.read(status, {}, data, secret="sk_of_nobody", first=random.random() < 0.5, now=1e9)
        said = oracle.says(data) if status < 300 else ""
        accepted = isinstance(outcome, outcomes.Reply)
        assert accepted or not said or said != oracle.ACCEPTED, f"{outcome!r}"
        envelope = oracle.envelope(data) or {}
        assert not accepted or (status < 300 and envelope.get("success") is True), f"{outcome!r}"
    return "Reply" if accepted else outcome.error.__name__


def fuzz(seed: int, count: int) -> dict[str, int]:
    """So many answers by chance, two in three over a socket; how often each outcome came.

    AssertionError with the bytes that reproduce it, at the first answer that breaks a promise.
    """
    random, came_to = Random(seed), Counter[str]()
    told = logging.getLogger("urllib3.connection")  # of every head that it cannot read whole
    with stub() as running, mock.patch.object(told, "disabled", new=True):
        for number in range(count):
            word = check_body(random) if number % 3 == 0 else check_answer(running, random)
            came_to[word] += 1
    return dict(came_to)
