"""How many requests a second the stub can take: from several processes of raw sockets that do nothing but send.

As a module of its own process: ``python -m benchmarks.capacity``, JSON in, JSON out.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from .processes import ask, server


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """``server_share`` is what the stub used of one core meanwhile; below 1, the senders were the limit."""

    requests_per_second: float
    server_share: float
    senders: int
    connections: int


def capacity(seconds: float, *, senders: int = 2, connections: int = 16) -> Capacity:
    """Measure a stub without delay, from so many processes with so many connections together."""
    with server("http") as stub:
        before = stub.totals()
        question = {"port": stub.port, "connections": connections // senders, "seconds": seconds}
        with ThreadPoolExecutor(senders) as threads:
            answers = list(threads.map(lambda _: ask("capacity", question), range(senders)))
        totals = stub.totals()
    rate = sum(answer["requests"] / answer["seconds"] for answer in answers)
    return Capacity(
        requests_per_second=rate,
        server_share=(totals.cpu_seconds - before.cpu_seconds) / totals.requests * rate,
        senders=senders,
        connections=connections,
    )


def main() -> None:
    """Send the same request on every socket, read all the answers, and so on."""
    question = json.load(sys.stdin)
    request = _request()
    with ExitStack() as stack:
        address = ("127.0.0.1", question["port"])
        sockets = [
            stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(question["connections"])
        ]
        began = time.perf_counter()
        sent = 0
        while (seconds := time.perf_counter() - began) < question["seconds"]:
            for each in sockets:
                each.sendall(request)
            for each in sockets:
                each.recv(65536)  # an answer leaves in one piece, and is far smaller
            sent += len(sockets)
    json.dump({"requests": sent, "seconds": seconds}, sys.stdout)


def _request() -> bytes:
    """About as large as one of ours."""
    body = b'{"template": "' + b"x" * 1800 + b'"}'
    head = f"POST /v1/sending HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    main()
