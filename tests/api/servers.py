"""A loopback server that misbehaves as told: each request gets the next of its answers, the last one for ever."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trustme

from tests.api.clocks import until

AUTHORITY = trustme.CA()
"""Signs the certificate for 127.0.0.1. Made anew in each run, so that no private key lies in the repository."""
_TURN_OFF = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request as it came; ``connection`` counts from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Exchange:
    """What an answer has to work with. It says ``kept`` where the connection may serve another request."""

    socket: socket.socket
    request: Received
    written: int = 0
    kept: bool = False
    gone: bool = False

    def write(self, data: bytes) -> None:
        """Write until the client has left, and count what it took."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)
            self.written += len(data)
            return
        self.gone = True

    def wait_for_end(self) -> None:
        """Say nothing until the client goes away."""
        with contextlib.suppress(OSError):
            self.socket.recv(1)


Answer = Callable[[Exchange], None]


def raw(data: bytes) -> Answer:
    """These bytes, then the end of the connection."""
    return lambda exchange: exchange.write(data)


def head(status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """Status line and headers."""
    about = [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *about, *headers, "", ""]).encode()


def whole(content: object, status: str = "200 OK", *headers: str) -> Answer:
    """A good answer; bytes as they are, anything else as JSON. The connection stays open."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()

    def answer(exchange: Exchange) -> None:
        exchange.write(head(status, *headers, length=len(body)) + body)
        exchange.kept = True

    return answer


def nothing(exchange: Exchange) -> None:
    """Close before the first byte of an answer."""


def reset(exchange: Exchange) -> None:
    """Tear the connection down."""
    exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _TURN_OFF)


def silence(exchange: Exchange) -> None:
    """Take the request and never answer."""
    exchange.wait_for_end()


def flood(start: bytes, size: int) -> Answer:
    """``start``, then a body of so many bytes for as long as the client takes them."""

    def answer(exchange: Exchange) -> None:
        exchange.write(start)
        while exchange.written < size and not exchange.gone:
            exchange.write(b" " * 65536)

    return answer


def drip(exchange: Exchange) -> None:
    """A body that comes byte by byte and does not end while the client has patience: a minute of it is enough."""
    exchange.write(head("200 OK", length=10**9))
    until(lambda: exchange.write(b" ") or exchange.gone)


class Server:
    """Answers as told on a free port of this machine until it is stopped."""

    def __init__(self, *answers: Answer, tls: bool = False) -> None:
        self.received: list[Received] = []
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self._answers = answers
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            AUTHORITY.issue_cert("127.0.0.1").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/v1"
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._start(self._accept)

    def stop(self) -> None:
        """Close every socket and wait for every thread."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()  # the one that starts the others
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.add(connection)
                self._start(self._serve, connection, self.connections)

    def _serve(self, plain: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), plain:  # a client that leaves is no news, nor is one that trusts us not
            if self._context is None:
                self._answer_all(plain, number)
            else:
                with self._context.wrap_socket(plain, server_side=True) as wrapped:
                    self._open.add(wrapped)
                    self._answer_all(wrapped, number)

    def _answer_all(self, connection: socket.socket, number: int) -> None:
        for request in _requests(connection, number):
            exchange = Exchange(connection, request)
            with self._lock:  # or of two requests at once, both might get the second one's answer
                self.received.append(request)
                self.exchanges.append(exchange)
                place = min(len(self.received), len(self._answers)) - 1
            self._answers[place](exchange)
            if not exchange.kept:
                break


def _requests(connection: socket.socket, number: int) -> Iterator[Received]:
    """The requests of one connection, whole, one after the other."""
    with connection.makefile("rb") as stream:
        while True:
            first = stream.readline().split()
            if not first:
                return
            lines = iter(stream.readline, b"\r\n")
            pairs = (line.decode("latin-1").strip().split(": ", 1) for line in lines)
            headers = {name.title(): value for name, value in pairs}
            yield Received(
                method=first[0].decode(),
                target=first[1].decode(),
                headers=headers,
                body=stream.read(int(headers.get("Content-Length", 0))),
                connection=number,
            )
