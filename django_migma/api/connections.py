"""Connections that keep to a time and to their own answers, below requests and urllib3 and by their public hooks."""

from __future__ import annotations

import io
import math
import time
from http.client import HTTPException, HTTPResponse
from ssl import SSLEOFError, SSLZeroReturnError
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

_ONE_RECORD = 16 * 1024
"""Bytes: what is longer is more than one packet and one TLS record anyway."""


class _Clocked(io.RawIOBase):
    """A socket's stream that ends with an error when the socket's timeout is over.

    The timeout alone bounds each read, and whatever drips in steadily defeats it: a header, a trailer, one interim
    answer after the other. True time, as the socket's own.
    """

    def __init__(self, stream: io.RawIOBase, sock: Any) -> None:
        self._stream = stream
        self._socket = sock
        self._end = time.monotonic() + (sock.gettimeout() or math.inf)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("The answer was not whole in time")
        self._socket.settimeout(left if left < math.inf else None)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that has to be whole within the socket's read timeout."""

    fp: Any

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Clocked(self.fp.detach(), sock))

    def begin(self) -> None:
        """Read the head, and leave out what nobody here uses but every layer would parse, with faults of its own.

        The standard library stumbles over some headers that only malice writes (``boundary*=idna''x``), its cookies
        over a year of 5,000 digits, requests before 2.34 over a ``charset`` without a value. And urllib3 logs what it
        cannot read, which may be an echo of our key.
        """
        try:
            super().begin()
        except (ValueError, LookupError) as error:
            problem = type(error).__name__
        else:
            kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
            for name in ("Set-Cookie", "Set-Cookie2", "Content-Type"):
                del self.headers[name]
            self.headers["Content-Type"] = kind
            self.headers.defects.clear()
            self.headers.set_payload("")
            return
        raise HTTPException(f"Headers that cannot be read ({problem})")


class _BehindProxy:
    """Knows that it has reached its proxy also after the answer was lost.

    `http.client` closes the connection then, and urllib3 forgets; it would say that the proxy could not be reached,
    and we that no connection was made, although Migma may have the mail.
    """

    _asked = False

    def connect(self) -> None:
        self._asked = False
        super().connect()  # type: ignore[misc]

    def getresponse(self) -> Any:
        self._asked = True
        return super().getresponse()  # type: ignore[misc]

    @property
    def has_connected_to_proxy(self) -> bool:
        return self._asked or super().has_connected_to_proxy  # type: ignore[misc]


class Shaken:
    """Keeps the handshake and the answers of TLS apart from what is around them."""

    sock: Any

    def connect(self) -> None:
        """Where the handshake fails, nothing was sent: urllib3 makes of it what it makes of a lost answer."""
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError:
            problem: type[HTTPError] = ConnectTimeoutError
        except (ConnectionError, SSLEOFError, SSLZeroReturnError):
            problem = NewConnectionError
        else:
            return
        raise problem(self, "The TLS handshake failed")

    @property
    def is_connected(self) -> bool:
        """Also without surplus of the last answer, which may lie decrypted where looking at the socket shows nothing.

        The next request would read it as its own answer.
        """
        pending = getattr(self.sock, "pending", None)
        return super().is_connected and not (pending and pending())  # type: ignore[misc]


class InOnePiece:
    """Sends a small request's head and body together: two writes are two packets and wake the server twice."""

    response_class: Any = _Answer
    _held: list[bytes] | None = None

    def request(self, *args: Any, **options: Any) -> None:
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **options)  # type: ignore[misc]
        finally:
            self._held = None
            options.clear()  # the headers hold the key, which must not stay in a variable here while the body leaves
        if sum(map(len, held)) <= _ONE_RECORD:
            held[:] = [b"".join(held)]
        while held:
            self.send(held.pop(0))

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class Plain(InOnePiece, _BehindProxy, HTTPConnection):
    """Without TLS."""


class Encrypted(InOnePiece, Shaken, _BehindProxy, HTTPSConnection):
    """With TLS."""
