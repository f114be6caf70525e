"""What an answer says, read by hand and without the client's code: the judge in the fuzzing tests.

Two readings. The strict one knows what a well-formed answer means and is silent about all others. The lenient one
gathers everything that a tolerant reader might take for the status or the body: the client may only conclude what
one of these says.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

ACCEPTED, REFUSED, UNREADABLE = "accepted", "refused", "unreadable"
_WELL_FORMED = re.compile(
    rb"HTTP/1\.1 (?P<status>[2-5][0-9][0-9]) [A-Za-z ]*\r\n(?P<head>(?:[A-Za-z-]+: [!-~][ -~]{0,200}\r\n)*)\r\n",
)
_SIMPLE_HEADERS = {"Content-Length", "Content-Encoding", "Transfer-Encoding", "Content-Type", "X-Request-Id", "Date"}
_WORDS = {None, "", "queued", "sent", "processing"}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("twice the same name")
    return dict(pairs)


def _constant(name: str) -> None:
    raise ValueError(name)


def envelope(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object that can be read in one way only, or None."""
    try:
        written = body.decode("utf-8").removeprefix("\ufeff")
        value = json.loads(written, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def says(body: bytes) -> str:
    """What the body of a 2xx says."""
    read = envelope(body)
    if read is None or read.get("success") not in (True, False) or not isinstance(read["success"], bool):
        return UNREADABLE
    if not read["success"]:
        return REFUSED
    data = read.get("data")
    data = {} if data is None else data
    if not isinstance(data, dict) or not isinstance(data.get("status"), str | None):
        return UNREADABLE
    return ACCEPTED if data.get("status") in _WORDS else UNREADABLE


def strictly(answer: bytes) -> str:
    """What a well-formed answer means; empty where the answer is not that, and nothing is asked of the client."""
    head = _WELL_FORMED.match(answer)
    if head is None:
        return ""
    status, rest = int(head["status"]), answer[head.end() :]
    lines = head["head"].decode().splitlines()
    fields = dict(line.split(": ", 1) for line in lines)
    if len(fields) < len(lines) or not fields.keys() <= _SIMPLE_HEADERS or status in _SILENT:
        return ""
    body = _framed(fields, rest)
    if body is None or "multipart" in fields.get("Content-Type", "") or "message" in fields.get("Content-Type", ""):
        return ""
    if status >= 400:
        return REFUSED if status not in _DOUBTFUL else UNREADABLE
    return says(body) if status < 300 else UNREADABLE


_SILENT = {204, 205, 304, 409}
"""Statuses without a body; and 409, which says no or that another request with the key is still running."""
_DOUBTFUL = set(range(500, 600)) - {503}


def _framed(fields: dict[str, str], rest: bytes) -> bytes | None:
    """The body that the head announces, if it came whole and nothing came after it."""
    if fields.get("Content-Encoding", "identity") != "identity":
        return None
    if "Transfer-Encoding" in fields:
        whole = re.fullmatch(rb"([1-9a-f][0-9a-f]{0,4})\r\n(.*)\r\n0\r\n\r\n", rest, re.DOTALL)
        sole = fields["Transfer-Encoding"] == "chunked" and "Content-Length" not in fields
        return whole[2] if whole and sole and int(whole[1], 16) == len(whole[2]) else None
    return rest if fields.get("Content-Length") == str(len(rest)) else None


def possibly(answer: bytes) -> set[str]:
    """Everything that some reader might take the answer to say."""
    statuses = {
        int(found.replace(b"_", b""))
        for found in re.findall(rb"HTTP/1\S*?[\s\x1c-\x1f\x85\xa0]+\+?([0-9_]{0,9}[0-9])(?![0-9_])", answer)
    }
    found = {UNREADABLE}
    if any(status >= 400 and status not in _DOUBTFUL for status in statuses):
        found.add(REFUSED)
    if any(200 <= status < 300 for status in statuses):
        found |= {says(body) for body in _bodies(answer)}
    return found


def _bodies(answer: bytes) -> Iterator[bytes]:
    numbers = {int(number) for number in re.findall(rb"[0-9]{1,6}", answer)}
    for blank in re.finditer(rb"\n(?=\r?\n)", answer):
        rest = answer[blank.end() :].lstrip(b"\r")[1:]
        for raw in (rest, _dechunked(rest)):
            yield from (raw, _inflated(raw))
            for number in numbers:
                yield from (raw[:number], _inflated(raw[:number]))


def _dechunked(rest: bytes) -> bytes:
    """The chunks as far as they can be read, up to the empty one."""
    body, size = b"", 1
    while size and (line := re.match(rb"[ \t]*[+]?(?:0[xX])?([0-9a-fA-F_]{1,8})[^\n]*\n", rest)):
        size = int(line[1].replace(b"_", b"") or b"0", 16)
        body += rest[line.end() : line.end() + size]
        rest = rest[line.end() + size + 2 :]
    return body


def _inflated(raw: bytes) -> bytes:
    """All gzip members as far as they can be read. Some readers pass over flags that are reserved, zlib does not."""
    body = b""
    while raw:
        raw = raw[:3] + bytes(flags & 0x1F for flags in raw[3:4]) + raw[4:]
        member = zlib.decompressobj(31)
        try:
            body += member.decompress(raw, 1_000_000)
        except zlib.error:
            return body
        raw = member.unused_data
    return body
