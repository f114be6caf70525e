"""The sandbox as an object: bind, serve, stop.

with Sandbox() as sandbox:
    sandbox.fail_next("lost")  # the reply to the first send does not arrive
    ...  # speak HTTP to sandbox.api_url with sandbox.keys.full
    assert sandbox.mails[0].subject == "Welcome"

The server is our own, since a fault acts on the socket; what it reads becomes one of Django's requests, ``urls`` says
which view answers it, and the view's response goes out in the way of a fault. There is no middleware and no signal,
and Django's settings are not read: the sandbox runs without any, and those of a site do not change it.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache, partial
from http.server import ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

from django.http import HttpRequest
from django.http.request import HttpHeaders
from django.urls import Resolver404, resolve
from django.utils.datastructures import MultiValueDict

from django_migma.sandbox.connections import Connection
from django_migma.sandbox.events import MAX_STREAMS
from django_migma.sandbox.exchanges import RECORDED_HEADERS, Exchange, Result, is_send
from django_migma.sandbox.faults import NO_FAULT, FaultPlan
from django_migma.sandbox.for_tests import ForTests
from django_migma.sandbox.host_and_origin import parse_allowed_host
from django_migma.sandbox.options import Switches
from django_migma.sandbox.protocol import KEYS, ApiError, path_template
from django_migma.sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from django.http import HttpResponse

    from django_migma.sandbox.exchanges import Message
    from django_migma.sandbox.protocol import View

_POLL = 0.05  # seconds until a stop is noticed
_JOIN = 5.0  # seconds for a request in progress to end
_resolve = lru_cache(maxsize=128)(resolve)  # a benchmark sends to one path a thousand times a second
_utc_now = partial(datetime.now, UTC)
_RECORDED_HEADERS = tuple((name, HttpHeaders.to_wsgi_name(name)) for name in RECORDED_HEADERS)
_RESULTS = {409: Result.CONFLICT, 429: Result.LIMITED}  # no view answers these: idempotency keys and rate limits do
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised, not bound


class Sandbox(ForTests):
    """A local Migma. Listens from its construction on, answers once started; a stopped one stays stopped."""

    keys = KEYS
    client_timeout = 10.0  # seconds for a request that has begun to arrive whole, and for a client to take a response

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allowed_hosts: Iterable[str] = (),
        switches: Switches | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Port 0 takes any free one; ``allowed_hosts`` are further names to answer to; ``clock`` returns aware times.

        Raises ValueError for an allowed host that is no name, and OSError if the address cannot be bound.
        """
        self.allowed_hosts = frozenset(map(parse_allowed_host, allowed_hosts))
        self.switches = switches or Switches()
        self.store = Store(self.switches, clock)
        self.faults = FaultPlan(
            rate=self.switches.fault_rate, seed=self.switches.fault_seed, kinds=self.switches.fault_kinds
        )
        self.stopping = threading.Event()  # ends every wait
        self.streams = threading.BoundedSemaphore(MAX_STREAMS)
        self.numbers = count(1)  # of requests to send; drawn by any thread
        self.on_send: Callable[[Exchange], None] | None = None  # told of each of them, before it is answered
        self._server = _Server(host, port, self)
        self.host = host
        self.port = self._server.server_port
        self.url = _base_url(host, self.port)
        self.api_url = f"{self.url}/v1"
        self._thread: threading.Thread | None = None
        self._serving = False

    def serve_forever(self) -> None:
        """Serve in the caller's thread, until ``stop`` is called elsewhere or an exception such as Ctrl-C comes."""
        self._serving = True
        try:
            self._server.serve_forever(poll_interval=_POLL)
        finally:
            self._serving = False

    def start(self) -> None:
        """Serve in a daemon thread."""
        self._serving = True  # at once: stop() may come before the thread has begun
        self._thread = threading.Thread(target=self.serve_forever, name="migma-sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End serving and every fault under way, and close every socket. Calling it twice does no harm."""
        self.stopping.set()
        self.store.inbox.close()
        if self._serving:
            self._server.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _base_url(host: str, port: int) -> str:
    """An address that works from this machine, also when ``host`` is a wildcard."""
    reachable = _WILDCARDS.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


class Request(HttpRequest):
    """Filled from the socket. ``HttpRequest.__init__`` is not called: it reads settings. So does ``WSGIRequest``."""

    urlconf = "django_migma.sandbox.urls"
    body = b""  # not Django's property: the upload limit of a site is not the sandbox's
    key_name = ""  # of the API key, once it is known
    is_struck = False  # by a fault that answers in place of the view
    message: Message | None = None  # that it became, or whose answer it gets again

    def __init__(self, sandbox: Sandbox, handler: _Handler) -> None:
        self.sandbox = sandbox
        self.method: str = handler.command
        path, _, query = handler.path.partition("?")
        self.path = self.path_info = unquote(path)
        # Not a QueryDict: that reads settings.
        self.GET = MultiValueDict(parse_qs(query, keep_blank_values=True))  # type: ignore[assignment]
        headers = handler.headers.items()
        # A name with "_" would be taken for one with "-". Of a repeated header the last value counts.
        self.META = {HttpHeaders.to_wsgi_name(name): value for name, value in headers if "_" not in name}
        self.content_type = self.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        self.fault = NO_FAULT
        self.endpoint = f"{self.method} {self.path}"  # method and path template, once the view is found
        self.is_api = self.path.startswith("/v1/")  # everything else is somebody looking at the sandbox
        self.number = next(sandbox.numbers) if is_send(self.endpoint) else 0
        self.idempotency_key = self.META.get("HTTP_IDEMPOTENCY_KEY") if sandbox.switches.idempotency else None
        self.at = sandbox.store.clock()
        self._started = time.perf_counter()

    def meet_fault(self) -> HttpResponse | None:
        """Use up the next fault; return its response if it answers in place of the view."""
        store = self.sandbox.store
        self.fault = self.sandbox.faults.next_fault(self.endpoint, self)
        if self.fault.strikes:
            store.count("faults", self.fault.word)
        if self.fault.kind.respond is None:
            return None
        self.is_struck = True
        return self.fault.kind.respond(self.fault, store.clock())

    def take_time(self) -> None:
        """Wait if a fault demands it, also when the client has left: a busy server does not notice."""
        if self.fault.kind.delays and self.sandbox.stopping.wait(self.fault.seconds):
            raise ApiError(503, "The sandbox is being stopped")

    def record(self, response: HttpResponse) -> None:
        """Put a request to send, with its answer, into the inbox."""
        if not self.number:
            return
        exchange = Exchange(
            number=self.number,
            at=self.at,
            took=time.perf_counter() - self._started,
            endpoint=self.endpoint,
            path=quote(self.path),
            key_name=self.key_name,
            idempotency_key=self.META.get("HTTP_IDEMPOTENCY_KEY"),
            head={name: self.META[wsgi] for name, wsgi in _RECORDED_HEADERS if wsgi in self.META},
            body=self.body,
            fault=self.fault,
            result=self._result(response),
            status=response.status_code,
            answer=response.content,
            message=self.message,
            switches=self.sandbox.switches,
        )
        self.sandbox.store.inbox.record(exchange)
        if self.sandbox.on_send is not None:
            self.sandbox.on_send(exchange)

    def _result(self, response: HttpResponse) -> Result:
        if self.is_struck:
            return Result.UNTOUCHED
        if "Idempotent-Replayed" in response:
            return Result.REPLAYED
        return Result.ACCEPTED if self.message else _RESULTS.get(response.status_code, Result.REFUSED)


def _respond(request: Request) -> HttpResponse:
    try:
        return _process(request)
    except ApiError as error:
        return error.response()
    except Exception:  # noqa: BLE001 - a failure of the sandbox must not look like a lost connection
        traceback.print_exc()
        request.fault = NO_FAULT
        return ApiError(500, "The sandbox failed; its standard error has the traceback").response()


def _process(request: Request) -> HttpResponse:
    """Find the view of a request, and let it answer."""
    try:
        match = _resolve(request.path_info, request.urlconf)
    except Resolver404:
        if request.is_api:
            request.sandbox.store.count("requests", f"{request.method} (unknown path)")
        raise ApiError(404, f"Not found: {request.method} {request.path}") from None
    request.endpoint = f"{request.method} {path_template(match.route)}"
    if request.is_api:
        request.sandbox.store.count("requests", request.endpoint)
    view: View = match.func
    return view(request, **match.kwargs)


class _Handler(Connection):
    """One connection: its requests are answered by the views, in the way of a fault, and recorded."""

    def __init__(self, sandbox: Sandbox, *args: Any) -> None:
        self._sandbox = sandbox
        self._is_counted = False
        super().__init__(*args, stopping=sandbox.stopping, client_timeout=sandbox.client_timeout)

    def do_GET(self) -> None:  # noqa: N802 - the library's
        request = Request(self._sandbox, self)
        if request.is_api and not self._is_counted:
            self._is_counted = True
            self._sandbox.store.count("connections")
        try:
            request.body = self.read_body()
        except ApiError as error:
            self.close_connection = True  # where the next request would start is not known
            response = error.response()
        else:
            response = _respond(request)
        request.record(response)  # first, so that whoever has the answer finds the mail
        request.fault.deliver(self, response)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - the library's


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    # Newer Pythons may set this, and a second sandbox would then share the port instead of failing.
    allow_reuse_port = False

    def __init__(self, host: str, port: int, sandbox: Sandbox) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._handlers: list[threading.Thread] = []  # one for each connection, and a few whose connection is closed
        super().__init__((host, port), partial(_Handler, sandbox))

    def server_bind(self) -> None:
        # HTTPServer's own looks the host's full name up, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._open.add(request)
            self._handlers = [*filter(threading.Thread.is_alive, self._handlers), thread]
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._lock:
            self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # clients may leave early
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        with self._lock:
            still_open, threads = set(self._open), self._handlers
        for connection in still_open:
            with contextlib.suppress(OSError):  # its thread was faster
                connection.shutdown(socket.SHUT_RDWR)
        for thread in filter(threading.Thread.is_alive, threads):
            thread.join(_JOIN)
