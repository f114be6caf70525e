"""An SMTP server that takes every mail and keeps none, for Django's SMTP backend.

Not aiosmtpd: it parses addresses and builds envelopes, which costs more than the client under test spends.
"""

from __future__ import annotations

import asyncio

from .counting import Counter

_GREETING = b"220 sink\r\n"
_HELLO = b"250-sink\r\n250-8BITMIME\r\n250 SIZE 33554432\r\n"
_OK = b"250 OK\r\n"
_ANSWERS = {
    b"EHLO": _HELLO,
    b"HELO": _OK,
    b"MAIL": _OK,
    b"RCPT": _OK,
    b"RSET": _OK,
    b"NOOP": _OK,
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 Bye\r\n",
}
_UNKNOWN = b"502 Not implemented\r\n"
_END_OF_MAIL = b"\r\n.\r\n"


class SmtpSink(asyncio.Protocol):
    """One connection. The answer to each mail leaves ``delay`` seconds after its last line has arrived."""

    transport: asyncio.Transport

    def __init__(self, counter: Counter, delay: float) -> None:
        self._counter = counter
        self._delay = delay
        self._received = b""
        self._in_mail = False
        self._later = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._counter.connections += 1
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._mail() if self._in_mail else self._line():
            pass

    def _line(self) -> bool:
        line, end, rest = self._received.partition(b"\r\n")
        if not end:
            return False
        self._received = rest
        verb = line[:4].upper()
        self._counter.refused += verb not in _ANSWERS
        self.transport.write(_ANSWERS.get(verb, _UNKNOWN))
        self._in_mail = verb == b"DATA"
        if verb == b"QUIT":
            self.transport.close()
        return verb != b"QUIT"

    def _mail(self) -> bool:
        _, end, rest = self._received.partition(_END_OF_MAIL)
        if not end:
            return False
        self._received = rest
        self._in_mail = False
        self._counter.begin()
        if self._delay:
            self._later(self._delay, self._accept)
        else:
            self._accept()
        return True

    def _accept(self) -> None:
        self._counter.in_flight -= 1
        self.transport.write(_OK)
