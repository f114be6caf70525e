"""The sandbox as an object: bind, serve, stop.

with Sandbox() as sandbox:
    sandbox.faults.script("lost")  # the reply to the first send does not arrive
    ...  # speak HTTP to sandbox.api_url with sandbox.keys.full
    assert sandbox.store.messages()[-1].subject == "Welcome"
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import routes
from django_migma.sandbox.calls import Site
from django_migma.sandbox.handler import Handler
from django_migma.sandbox.hosts import base_url
from django_migma.sandbox.keys import KEYS
from django_migma.sandbox.plan import Plan
from django_migma.sandbox.store import Store
from django_migma.sandbox.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_POLL = 0.05  # seconds until a stop is noticed
_JOIN = 5.0  # seconds for a request in progress to end


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _plan(switches: Switches) -> Plan:
    return Plan(rate=switches.fault_rate, seed=switches.fault_seed, kinds=switches.fault_kinds)


class Sandbox:
    """A local Migma. Listens from its construction on, answers once started; a stopped one stays stopped."""

    keys = KEYS

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        switches: Switches | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Port 0 takes any free one; ``clock`` gives aware times.

        OSError when the address cannot be bound, ValueError when a switch's rate or fault is not understood.
        """
        self.switches = switches or Switches()
        self.store = Store(max_messages=self.switches.max_messages, clock=clock, rate=self.switches.rate)
        self.faults = _plan(self.switches)
        self._stopping = threading.Event()
        self._server = _Server(host, port, self.store)
        self.host = host
        self.port = self._server.server_port
        self.url = base_url(host, self.port)
        self.api_url = f"{self.url}/v1"
        site = Site(
            store=self.store,
            switches=self.switches,
            faults=self.faults,
            stopping=self._stopping,
            host=host,
            url=self.url,
        )
        self._server.RequestHandlerClass = partial(Handler, partial(routes.answer, site), self._stopping)
        self._thread: threading.Thread | None = None
        self._serving = False

    def serve_forever(self) -> None:
        """In the caller's thread, until ``stop`` is called elsewhere or an exception such as Ctrl-C comes."""
        self._serving = True
        try:
            self._server.serve_forever(poll_interval=_POLL)
        finally:
            self._serving = False

    def start(self) -> None:
        """In a daemon thread."""
        self._serving = True  # at once: stop() may come before the thread has begun
        self._thread = threading.Thread(target=self.serve_forever, name="migma-sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends serving, every fault under way too, and closes every socket; calling it twice does no harm."""
        self._stopping.set()
        if self._serving:
            self._server.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    # Newer Pythons may set this, and a second sandbox would then share the port instead of failing.
    allow_reuse_port = False

    def __init__(self, host: str, port: int, store: Store) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._store = store
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks the host's full name up, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        self._store.count_connection()
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._lock:
            self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that leaves early is no news.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        with self._lock:
            still_open = dict(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):  # its thread was faster
                connection.shutdown(socket.SHUT_RDWR)
        for thread in still_open.values():
            thread.join(_JOIN)
