"""A stub of two APIs, for speed: one regular expression for the head, answers built beforehand, nothing is read."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial

from .counting import Counter

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


def _answer(status: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


_ID = "665f1c2ab7d3e4f5a6b70001"
_MIGMA = _answer("200 OK", {"success": True, "data": {"id": _ID, "status": "queued", "provider": "migma"}})
_RESEND = _answer("200 OK", {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"})
ANSWERS = {b"/v1/sending": _MIGMA, b"/emails": _RESEND}
REFUSED = _answer("404 Not Found", {"success": False, "error": "Not found", "code": "NOT_FOUND"})


class HttpStub(asyncio.Protocol):
    """One connection, kept alive. Each answer leaves ``delay`` seconds after its request has arrived, whatever else
    is under way; asyncio sets TCP_NODELAY."""

    transport: asyncio.Transport

    def __init__(self, counter: Counter, delay: float) -> None:
        self._counter = counter
        self._delay = delay
        self._received = b""
        self._later = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._counter.connections += 1
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(_END_OF_HEAD)) >= 0:
            length = _LENGTH.search(self._received, 0, end)
            whole = end + len(_END_OF_HEAD) + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            method, path, _ = self._received.split(b" ", 2)
            self._received = self._received[whole:]
            self._take(ANSWERS.get(path, REFUSED) if method == b"POST" else REFUSED)

    def _take(self, answer: bytes) -> None:
        self._counter.begin()
        self._counter.refused += answer is REFUSED
        if self._delay:
            self._later(self._delay, partial(self._write, answer))
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        self._counter.in_flight -= 1
        self.transport.write(answer)
