"""A server in a process of its own: ``python -m benchmarks.servers http 0.05``, with the seconds of its delay.

It prints its port, then its counters for every line that it reads, and ends with its standard input, so that it does
not outlive its benchmark. Ready-made ones (http.server, aiosmtpd) take more CPU than the clients that are measured.
"""

import asyncio
import json
import os
import re
import selectors
import ssl
import sys
import time
from collections import Counter

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One connection. Each answer leaves ``delay`` seconds after its request, whatever else is under way."""

    GREETING = b""

    def __init__(self, counts, delay):
        self.counts = counts
        self.delay = delay
        self.received = b""

    def connection_made(self, transport):
        self.counts["connections"] += 1
        self.transport = transport
        transport.write(self.GREETING)

    def data_received(self, data):
        self.received += data
        while self.take_one():
            pass

    def accept(self, answer):
        """Count a request, or a mail, and answer it in time."""
        self.counts["requests"] += 1
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
        else:
            self.transport.write(answer)


def response(status, body, **headers):
    """An HTTP response in JSON."""
    content = json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": len(content)} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + content


_DATA = {"id": "665f1c2ab7d3e4f5a6b70001", "status": "queued", "provider": "migma"}
RESPONSES = {
    (b"POST", b"/v1/sending"): response("200 OK", {"success": True, "data": _DATA}),
    (b"POST", b"/emails"): response("200 OK", {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}),
}
REFUSED = response("404 Not Found", {"success": False, "error": "Not found", "code": "NOT_FOUND"})


class HttpStub(Connection):
    """The sending requests of Migma and Resend. Any other request is refused and counted."""

    def take_one(self):
        """Answer the first request, if all of it has arrived."""
        end = self.received.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self.received, 0, end)
        whole = end + (int(length[1]) if length else 0)
        if end < 4 or len(self.received) < whole:
            return False
        request, self.received = self.received[:whole], self.received[whole:]
        self.take(request)
        return True

    def take(self, request):
        """Answer one request."""
        method, path, _ = request.split(b" ", 2)
        answer = RESPONSES.get((method, path), REFUSED)
        self.counts["refused"] += answer is REFUSED
        self.accept(answer)


OK = b"250 OK\r\n"
REPLIES = dict.fromkeys((b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP"), OK) | {
    b"EHLO": b"250-sink\r\n250-8BITMIME\r\n250 SIZE 33554432\r\n",
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 Bye\r\n",
}


class SmtpSink(Connection):
    """Takes every mail and keeps none."""

    GREETING = b"220 sink\r\n"
    in_mail = False

    def take_one(self):
        """Answer the first line, or the mail that the line before has announced."""
        part, end, rest = self.received.partition(b"\r\n.\r\n" if self.in_mail else b"\r\n")
        if not end:
            return False
        self.received = rest
        if self.in_mail:
            self.take(part)
        else:
            self.counts["refused"] += part[:4].upper() not in REPLIES
            self.transport.write(REPLIES.get(part[:4].upper(), b"502 Not implemented\r\n"))
        self.in_mail = not self.in_mail and part.upper() == b"DATA"
        return True

    def take(self, mail):
        """Answer one mail."""
        self.accept(OK)


async def serve(protocol, answer, certificate=None):
    """Serve a protocol on a free loopback port until standard input ends; over TLS with a certificate.

    ``answer`` makes what is printed for what was read.
    """
    end, loop = asyncio.Event(), asyncio.get_running_loop()
    if context := ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None:
        context.load_cert_chain(certificate)
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context, backlog=1024)

    def read():
        if asked := os.read(sys.stdin.fileno(), 4096):
            print(json.dumps(answer(asked)), flush=True)
        else:
            end.set()

    loop.add_reader(sys.stdin.fileno(), read)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await end.wait()
    server.close()


def run(main, *, has_delays):
    """Run a server's coroutine."""
    # epoll rounds its timers up to whole milliseconds, which would make a 10 ms server one of 10.5 ms.
    selector = selectors.SelectSelector() if has_delays else selectors.DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(main)


if __name__ == "__main__":
    kind, delay, *certificate = sys.argv[1:]
    counts = Counter(connections=0, requests=0, refused=0)
    stub = {"http": HttpStub, "smtp": SmtpSink}[kind]
    run(
        serve(
            lambda: stub(counts, float(delay)),
            lambda _: {**counts, "server_cpu_seconds": time.process_time()},
            *certificate,
        ),
        has_delays=float(delay),
    )
