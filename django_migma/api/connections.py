"""Connections: one pool per process and API host, shared by all clients and threads, dropped after a fork."""

from __future__ import annotations

import os
import ssl
import threading
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import exceptions as urllib3_errors
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from .errors import NoResponse, Timeout
from .rate_limits import RateLimiter
from .responses import Failure

NETWORK_ERRORS = (
    requests.RequestException,
    urllib3_errors.HTTPError,  # while the body is read
    HTTPException,
    OSError,
    ValueError,  # the standard library stumbles over some headers with these three
    LookupError,
    TypeError,
)
"""What sending a request and reading a response may raise."""
_POOL_SIZE = 128  # idle connections kept; more may be open, and urllib3 closes the surplus when it comes back
_BEFORE_SENDING = (
    urllib3_errors.NewConnectionError,
    urllib3_errors.ConnectTimeoutError,
    urllib3_errors.LocationParseError,
)
_WRAPPERS = (requests.RequestException, urllib3_errors.HTTPError)
_PROXY_ERRORS = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidProxyURL,
    urllib3_errors.ProxySchemeUnknown,
)
_TLS_PROBLEMS = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "TLS CA certificate bundle")


class _TLSConnection(HTTPSConnection):
    """Is not reused while a surplus of the last response is in it: the next request would read that as its own."""

    @property
    def is_connected(self) -> bool:
        pending = getattr(self.sock, "pending", None)  # what is decrypted: the socket itself does not show it
        return super().is_connected and not (pending and pending())


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _PlainConnection(HTTPConnection):
    """Connects before the head is written, which holds the key in variables of the standard library."""

    def request(self, *args: Any, **options: Any) -> None:
        if self.is_closed:
            self.connect()
        super().request(*args, **options)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


_POOL_CLASSES = {"http": _PlainPool, "https": _TLSPool}


class RawResponse:
    """What is read of a `requests.Response`, which takes longer to make than to read: no cookies, no history."""

    def __init__(self, request: Any, raw: Any) -> None:
        self.request = request  # for the responses library, which reads its method
        self.raw = raw
        self.status_code: int = raw.status
        self.headers = raw.headers

    def close(self) -> None:
        """Return the connection to the pool if the response was read to its end, else close it."""
        self.raw.close()  # a response that was read to its end has given up its connection
        self.raw.release_conn()


class _Adapter(HTTPAdapter):
    """requests' adapter for one host, directly or through a proxy.

    What requests works out for each request is worked out once: which pool, and an SSL context with the certificates
    in it. To load the system's takes ten times as long as the request that a new connection is for.
    """

    def __init__(self, *, verify: bool | str, **options: Any) -> None:
        super().__init__(**options)
        self._verify = verify
        self._connections: Any = None

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOL_CLASSES

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        if self._connections is None:
            connections: Any = super().get_connection_with_tls_context(*args, **options)
            if connections.scheme == "https":
                connections.conn_kw["ssl_context"] = _ssl_context(self._verify)
            self._connections = connections
        return self._connections

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Does nothing: the context verifies."""

    def build_response(self, req: Any, resp: Any) -> RawResponse:  # type: ignore[override]
        return RawResponse(req, resp)


def _ssl_context(verify: bool | str) -> ssl.SSLContext:
    """A context that requires a certificate of these authorities: a bundle, a folder, or (True) those of requests."""
    path = Path(DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify))
    if not path.exists():
        raise OSError(f"There is no TLS CA certificate bundle at {path}")
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(cafile=None if path.is_dir() else path, capath=path if path.is_dir() else None)
    except ssl.SSLError:
        raise OSError(f"There is no TLS CA certificate bundle at {path}, but another file") from None
    return context


class Pool:
    """Kept-alive connections to one host, with what the environment said when the pool was made.

    The adapter is used below the level of `requests.Session`: a session follows redirects, keeps cookies, lets
    ``.netrc`` override the key and looks all that up for each request.
    """

    def __init__(self, origin: str) -> None:
        with requests.Session() as session:
            found = session.merge_environment_settings(origin, {}, True, None, None)
        self._proxies = found["proxies"]
        # pool_block=True would ignore our timeouts while waiting for a connection.
        self._adapter = _Adapter(verify=found["verify"] or True, pool_maxsize=_POOL_SIZE, pool_block=False)
        self._limiters: dict[str, RateLimiter] = {}

    def send(self, request: requests.PreparedRequest, timeout: tuple[float, float]) -> RawResponse:
        """Send one request and return as soon as the headers are here; the body is not read."""
        response: Any = self._adapter.send(request, stream=True, timeout=timeout, proxies=self._proxies)
        return response  # type: ignore[no-any-return]  # from _Adapter.build_response

    def limiter(self, api_key: str) -> RateLimiter:
        """The limits of one API key on this host."""
        return self._limiters.get(api_key) or self._limiters.setdefault(api_key, RateLimiter())

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()


_pools: dict[str, Pool] = {}
_lock = threading.Lock()


def pool_for(url: str) -> Pool:
    """The pool of the host in this URL, made at first use."""
    origin = _origin(url)
    if found := _pools.get(origin):  # without the lock, which every thread would take for each request
        return found
    with _lock:
        return _pools.get(origin) or _pools.setdefault(origin, Pool(origin))


@lru_cache(maxsize=64)
def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def close_pools() -> None:
    """Close and forget every pool. The next request opens a new one."""
    with _lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


def _forget_pools() -> None:
    """In a forked child: a socket shared with the parent would mix up responses, a held lock would never open."""
    global _lock  # noqa: PLW0603 - the lock must be new as well
    _lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_forget_pools)


def network_error(error: Exception) -> Failure:
    """The failure that an error of the network means. Only its kind is kept: the error holds the request."""
    cause = _cause(error)
    problem = _setup_problem(cause)
    is_sent = not problem and not _is_before_sending(cause)
    is_late = isinstance(error, requests.Timeout | urllib3_errors.TimeoutError)
    what = "Migma did not answer in time" if is_late else "The connection to Migma failed"
    why = f"{'' if is_sent else 'no connection was made, '}{problem or type(cause).__name__}"
    error_class = Timeout if is_late else NoResponse
    failure = error_class(f"{what} ({why})")
    failure.was_sent = is_sent
    return Failure(failure, may_be_accepted=True if is_sent else None, is_retried=not problem)


def _cause(error: BaseException) -> BaseException:
    """The network's own error inside the wrappers of requests and urllib3."""
    inner = getattr(error, "reason", None) or next(reversed(error.args), None)
    is_wrapper = isinstance(error, _WRAPPERS) and not isinstance(error, (*_BEFORE_SENDING, urllib3_errors.ProxyError))
    return _cause(inner) if is_wrapper and isinstance(inner, BaseException) else error


def _is_before_sending(cause: BaseException) -> bool:
    """Whether there was no connection yet. urllib3 also blames the proxy for a reply that was lost behind it."""
    if not isinstance(cause, urllib3_errors.ProxyError):
        return isinstance(cause, _BEFORE_SENDING)
    original = cause.original_error
    return isinstance(original, _BEFORE_SENDING) or "Tunnel connection failed" in str(original)


def _setup_problem(cause: BaseException) -> str:
    """The text of a fault in set-up, before any byte is sent, that needs another configuration; empty if none."""
    if isinstance(cause, _PROXY_ERRORS):
        return f"{type(cause).__name__}: see the proxies of the environment"
    if not isinstance(cause, ssl.SSLError) and type(cause) is not OSError:
        return ""  # what a server wrote can stand in the text of other errors
    text = str(cause)
    return text if any(problem in text for problem in _TLS_PROBLEMS) else ""
