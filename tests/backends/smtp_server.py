"""A mail server on loopback that keeps what it gets, refuses what a test wants refused, and counts connections."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Received(NamedTuple):
    """A mail with its envelope."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


class Handler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        self.server.connections += 1
        self.answer("220 ready")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if not self.run(verb.upper(), rest):
                return

    def run(self, verb: str, rest: str) -> bool:
        """Answer one command; False ends the connection."""
        if verb in self.server.refusals:
            self.answer(self.server.refusals[verb])
        elif verb == "MAIL":
            self.sender, self.recipients = rest, []
            self.answer("250 ok")
        elif verb == "RCPT":
            self.recipients.append(rest.partition(":")[2].strip("<>"))
            self.answer("250 ok")
        elif verb == "DATA":
            self.answer("354 go on")
            content = b"".join(iter(self.rfile.readline, b".\r\n"))
            self.server.received.append(Received(self.sender, tuple(self.recipients), content))
            if self.server.hang_up:
                return False
            self.answer("250 taken")
        else:
            self.answer("250 ok")
        return verb != "QUIT"

    def answer(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class SMTPServer(socketserver.ThreadingTCPServer):
    """``refusals``: answers by verb. ``hang_up``: it ends the connection instead of the answer to a mail."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[Received] = []
        self.refusals: dict[str, str] = {}
        self.hang_up = False
        self.connections = 0

    @property
    def port(self) -> int:
        return self.server_address[1]


@contextmanager
def smtp_server() -> Iterator[SMTPServer]:
    """Serve in a thread."""
    with SMTPServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
