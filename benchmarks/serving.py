"""A server in a process of its own: ``python -m benchmarks.serving http --delay 0.05``.

It prints its port, then its totals for every line that it reads, and ends with its standard input, so that no server
outlives its benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import selectors
import ssl
import sys
import time
from dataclasses import asdict

from .counting import Counter, Totals
from .http_stub import HttpStub
from .smtp_sink import SmtpSink

KINDS = {"http": HttpStub, "smtp": SmtpSink}


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--delay", type=float, default=0, help="seconds between a request and its answer")
    parser.add_argument("--certificate", help="PEM file with a key and its certificate: serve over TLS")
    chosen = parser.parse_args()
    # epoll rounds its timers up to whole milliseconds, which would make a 10 ms server one of 10.5 ms.
    selector = selectors.SelectSelector() if chosen.delay else selectors.DefaultSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(_serve(chosen.kind, chosen.delay, chosen.certificate))


async def _serve(kind: str, delay: float, certificate: str | None) -> None:
    loop, counter, end = asyncio.get_running_loop(), Counter(), asyncio.Event()
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await loop.create_server(lambda: KINDS[kind](counter, delay), "127.0.0.1", 0, ssl=context, backlog=1024)
    standard_input = sys.stdin.fileno()
    loop.add_reader(standard_input, lambda: _report(counter) if os.read(standard_input, 4096) else end.set())
    _tell({"port": server.sockets[0].getsockname()[1]})
    await end.wait()
    loop.remove_reader(standard_input)
    server.close()


def _report(counter: Counter) -> None:
    totals = Totals(
        connections=counter.connections,
        requests=counter.requests,
        refused=counter.refused,
        most_in_flight=counter.most_in_flight,
        cpu_seconds=time.process_time(),
    )
    _tell(asdict(totals))


def _tell(fact: dict[str, object]) -> None:
    print(json.dumps(fact), flush=True)


if __name__ == "__main__":
    main()
