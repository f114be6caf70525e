"""HTTP/1.1 on one connection: reads requests whole, writes each answer in one piece, or in the way of a fault."""

from __future__ import annotations

import socket
import struct
import time
import traceback
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from django_migma.sandbox.wire import Refusal, Request

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from django_migma.sandbox.wire import Answer

MAX_BODY = 10 * 1024 * 1024  # bytes
_MAX_DISCARDED = 8 * MAX_BODY
_CHUNK = 64 * 1024
_POLL = 0.05  # seconds until a client that left is noticed
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Handler(BaseHTTPRequestHandler):
    """One per connection; ``app`` turns a request into an answer. Also the `wire.Line` of the faults."""

    protocol_version = "HTTP/1.1"
    # The library's default, HTTP/0.9, would answer a malformed request line without status or headers.
    default_request_version = "HTTP/1.1"
    # Without these two, Nagle's algorithm and delayed acknowledgements stall every answer by 40 ms.
    disable_nagle_algorithm = True
    wbufsize = _CHUNK

    def __init__(self, app: Callable[[Request], Answer], stopping: threading.Event, *args: Any) -> None:
        self._app = app
        self._stopping = stopping
        super().__init__(*args)

    def do_GET(self) -> None:
        try:
            body = self._read_body()
        except Refusal as refusal:
            self.close_connection = True  # where the next request would start is not known
            self._write(refusal.answer())
            return
        if body is None:
            self.close_connection = True
            return
        answer = self._answer(body)
        if answer.delivery is None:
            self._write(answer)
        else:
            answer.delivery(self, answer)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the library's

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library itself refuses (malformed requests, unknown methods), as an envelope."""
        self.close_connection = True
        self._write(Refusal(code, message or explain or "Malformed request").answer())

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()  # the client waits for it before it sends the body
        return going_on

    def log_message(self, *_: object) -> None:
        """Silent: what came is under /_sandbox/messages and /_sandbox/stats."""

    def version_string(self) -> str:
        return "django-migma-sandbox"

    def _answer(self, body: bytes) -> Answer:
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            return self._app(request)
        except Exception:  # noqa: BLE001 - a fault of the sandbox must not look like a lost connection
            traceback.print_exc()
            text = "The sandbox failed; its standard error has the traceback"
            return Refusal(500, text).answer()

    def _read_body(self) -> bytes | None:
        """None when the client left before the end."""
        if "Transfer-Encoding" in self.headers:
            raise Refusal(411, "Chunked bodies are not read: send Content-Length")
        given = set(self.headers.get_all("Content-Length", ["0"]))
        text = given.pop()
        if given or not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise Refusal(400, "Content-Length must be one whole number")
        length = int(text)
        if length > MAX_BODY:
            # Read on, or the client meets a reset connection instead of the answer.
            self._discard(min(length, _MAX_DISCARDED))
            raise Refusal(413, f"The request body is larger than {MAX_BODY} bytes")
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _discard(self, length: int) -> None:
        while length > 0 and (chunk := self.rfile.read(min(length, _CHUNK))):
            length -= len(chunk)

    def _write(self, answer: Answer) -> None:
        self._write_head(answer, None)
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _write_head(self, answer: Answer, framing: tuple[str, str] | None) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header(*framing or ("Content-Length", str(len(answer.body))))
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def start(self, answer: Answer, framing: tuple[str, str] | None = None) -> None:
        self._write_head(answer, framing)
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
        """By what the socket says: an end of stream or an error, unless a further request lies before it."""
        self.connection.settimeout(0)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(None)
