"""HTTP/1.1 on one connection: requests are read whole, responses go out in the way of a fault."""

from __future__ import annotations

import io
import re
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.events import EventStream
from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    import threading

    from django.http import HttpResponse

MAX_BODY = 10 * 1024 * 1024  # bytes
_CHUNK = 64 * 1024
_POLL = 0.05  # seconds until a stop, or a client that left, is noticed
_LEAST = 0.001  # seconds of a timeout: 0 would be another mode, and the answer has to be written yet
_TOO_LATE = "The rest of the request did not come in time"
_LINGER_ZERO = struct.pack("ii", 1, 0)


class _Reader(io.RawIOBase):
    """The bytes of a connection, which must come before a deadline, once there is one."""

    deadline: float | None = None  # of the monotonic clock

    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        self._connection = connection
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        # Not a timeout for each read: a client that sends a byte now and then would never reach it. And no last read
        # once the time is over: a client that sends without a pause would get one after the other.
        left = None if self.deadline is None else self.deadline - time.monotonic()
        self._connection.settimeout(None if left is None else max(left, _LEAST))
        if left is not None and left <= 0:
            raise ApiError(408, _TOO_LATE)
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            raise ApiError(408, _TOO_LATE) from None

    def close(self) -> None:
        self._raw.close()
        super().close()


class Connection(BaseHTTPRequestHandler):
    """The `faults.Connection` of its responses. What answers requests, ``do_GET`` and so on, is added on top."""

    protocol_version = "HTTP/1.1"
    # The library's default, HTTP/0.9, would answer a malformed request line without status or headers.
    default_request_version = "HTTP/1.1"
    # Without these two, Nagle's algorithm and delayed acknowledgements stall every response by 40 ms.
    disable_nagle_algorithm = True
    wbufsize = _CHUNK
    rfile: io.BufferedReader

    def __init__(self, *args: Any, stopping: threading.Event, client_timeout: float) -> None:
        """``client_timeout`` is what a client has for a request that has begun, and for taking a response."""
        self._stopping = stopping
        self._client_timeout = client_timeout
        super().__init__(*args)

    def setup(self) -> None:
        super().setup()
        self._reader = _Reader(self.connection, self.rfile.detach())
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        self._reader.deadline = None
        self.rfile.peek(1)  # a connection may be idle, but what has begun must go on
        self._reader.deadline = time.monotonic() + self._client_timeout
        self.requestline = self.request_version = self.command = ""  # of an earlier request, or not there yet
        try:
            super().handle_one_request()
        except ApiError as error:  # half a head
            self.send_error(error.status, str(error))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Also called by the library, for malformed requests and unknown methods."""
        self.close_connection = True  # where the next request would start is not known
        self.write(ApiError(code, message or explain or "Malformed request").response())

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()  # the client waits for it before it sends the body
        return going_on

    def log_message(self, *_: object) -> None:
        """Silent: the inbox and the terminal tell of requests to send, /_sandbox/stats of all others."""

    def version_string(self) -> str:
        return "django-migma-sandbox"

    def read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise ApiError(411, "Chunked bodies are not read: send Content-Length")
        length_text = self.headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,18}", length_text):
            raise ApiError(400, "Content-Length must be one whole number")
        length = int(length_text)
        if length > MAX_BODY:
            # Read on, or the client meets a reset connection instead of the response.
            while length > 0 and (chunk := self.rfile.read(min(length, _CHUNK))):
                length -= len(chunk)
            raise ApiError(413, f"The request body is larger than {MAX_BODY} bytes")
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError  # the client left: nothing is processed, and nothing answered
        self.connection.settimeout(self._client_timeout)  # of each write
        return body

    def write(self, response: HttpResponse) -> None:
        if isinstance(response, EventStream):
            response.deliver(self)
            return
        self._write_head(response, len(response.content))
        if self.command != "HEAD":
            self.wfile.write(response.content)

    def _write_head(self, response: HttpResponse, length: int | None) -> None:
        self.send_response(response.status_code)
        for name, value in response.items():
            self.send_header(name, value)
        self.send_header(*("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def start(self, response: HttpResponse, length: int | None) -> None:
        self._write_head(response, length)
        self.wfile.flush()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._stopping.wait(min(left, _POLL)) or self._client_left():
                return False
        return True

    def close(self) -> None:
        self.close_connection = True

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        # Closed already here (in truth, when the library lets go of its files), because the server's own way of
        # closing sends an end of stream first, and a client that has read that sees no reset.
        self.connection.close()
        self.close_connection = True

    def _client_left(self) -> bool:
        """True after an end of stream or an error, unless a further request lies before it."""
        self.connection.settimeout(0)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(self._client_timeout)
