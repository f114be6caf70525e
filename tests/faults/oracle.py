"""What a response may be taken to say, read without the client's code: the judge of the random responses.

Two readings. The strict one knows what a well-formed response means and is silent about all others. The lenient
one collects everything that a tolerant reader might take for the status or the body: the client may conclude
nothing else.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

from tests.faults.stub_server import ACCEPTED, DOUBT, REFUSED

_WELL_FORMED = re.compile(
    rb"HTTP/1\.1 (?P<status>[2-5][0-9][0-9]) [A-Za-z ]*\r\n(?P<head>(?:[A-Za-z-]+: [!-~][ -~]{0,200}\r\n)*)\r\n",
)
_KNOWN_HEADERS = {"Content-Length", "Content-Encoding", "Transfer-Encoding", "Content-Type", "Retry-After"}
_WORDS = {None, "", "queued", "sent", "processing"}
_OPEN = {204, 205, 304, 409}
"""Statuses without a body; and 409, which says no or that another request with the key is still running."""
_DOUBTFUL = set(range(500, 600)) - {503}


def _envelope(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object, or None."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def body_says(body: bytes) -> str:
    """What the body of a success says."""
    envelope = _envelope(body)
    if envelope is None or not isinstance(envelope.get("success"), bool):
        return DOUBT
    if not envelope["success"]:
        return REFUSED
    data = {} if envelope.get("data") is None else envelope["data"]
    if not isinstance(data, dict) or not isinstance(data.get("status"), str | None):
        return DOUBT
    return ACCEPTED if data.get("status") in _WORDS else DOUBT


def strictly(response: bytes) -> str:
    """What a well-formed response means; empty where it is not well-formed."""
    head = _WELL_FORMED.match(response)
    if head is None:
        return ""
    status, rest = int(head["status"]), response[head.end() :]
    lines = head["head"].decode().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    body = _framed(headers, rest)
    if len(headers) < len(lines) or not headers.keys() <= _KNOWN_HEADERS or status in _OPEN or body is None:
        return ""
    if status >= 400:
        return REFUSED if status not in _DOUBTFUL else DOUBT
    return body_says(body) if status < 300 else DOUBT


def _framed(headers: dict[str, str], rest: bytes) -> bytes | None:
    """The body that the headers announce, if it came whole and nothing came after it."""
    if "Content-Encoding" in headers:
        return None
    if "Transfer-Encoding" in headers:
        whole = re.fullmatch(rb"([1-9a-f][0-9a-f]{0,4})\r\n(.*)\r\n0\r\n\r\n", rest, re.DOTALL)
        is_chunked = headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in headers
        return whole[2] if whole and is_chunked and int(whole[1], 16) == len(whole[2]) else None
    return rest if headers.get("Content-Length") == str(len(rest)) else None


def possibly(response: bytes) -> set[str]:
    """Everything that some reader might take the response to say."""
    statuses = {
        int(found.replace(b"_", b""))
        for found in re.findall(rb"HTTP/1\S*?[\s\x1c-\x1f\x85\xa0]+\+?([0-9_]{0,9}[0-9])(?![0-9_])", response)
    }
    found = {DOUBT}
    if any(status >= 400 and status not in _DOUBTFUL for status in statuses):
        found.add(REFUSED)
    if any(200 <= status < 300 for status in statuses):
        found |= {body_says(body) for body in _bodies(response)}
    return found


def _bodies(response: bytes) -> Iterator[bytes]:
    lengths = {int(number) for number in re.findall(rb"[0-9]{1,6}", response)}
    for blank in re.finditer(rb"\n(?=\r?\n)", response):
        rest = response[blank.end() :].lstrip(b"\r")[1:]
        for raw in (rest, _dechunked(rest)):
            yield from (raw, _inflated(raw))
            for length in lengths:
                yield from (raw[:length], _inflated(raw[:length]))


def _dechunked(rest: bytes) -> bytes:
    """The chunks as far as they can be read, up to the empty one."""
    body, size = b"", 1
    while size and (line := re.match(rb"[ \t]*[+]?(?:0[xX])?([0-9a-fA-F_]{1,8})[^\n]*\n", rest)):
        size = int(line[1].replace(b"_", b"") or b"0", 16)
        body += rest[line.end() : line.end() + size]
        rest = rest[line.end() + size + 2 :]
    return body


def _inflated(raw: bytes) -> bytes:
    """All gzip members as far as they can be read. Some readers ignore reserved flags, zlib does not."""
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
