"""Connections that keep to a time and to their own answers, below requests and urllib3 and by their public hooks."""

from __future__ import annotations

import io
import math
import time
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import CERT_REQUIRED, SSLContext, SSLEOFError, SSLZeroReturnError
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.poolmanager import ProxyManager
from urllib3.util.ssl_ import create_urllib3_context


class _Clocked(io.RawIOBase):
    """A socket's stream that ends with an error when the socket's timeout is over.

    The timeout alone bounds each read, and whatever drips in steadily defeats it: a header, a trailer, one interim
    answer after the other. True time, as the socket's own.
    """

    def __init__(self, stream: io.RawIOBase, sock: Any) -> None:
        self._stream = stream
        self._socket = sock
        self._end = time.monotonic() + (sock.gettimeout() or math.inf)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("The answer was not whole in time")
        self._socket.settimeout(left if left < math.inf else None)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that has to be whole within the socket's read timeout."""

    fp: Any

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Clocked(self.fp.detach(), sock))

    def begin(self) -> None:
        """Read the head, and leave out what nobody here uses but every layer would parse, with faults of its own.

        The standard library stumbles over some headers that only malice writes (``boundary*=idna''x``), its cookies
        over a year of 5,000 digits, requests before 2.34 over a ``charset`` without a value. And urllib3 logs what it
        cannot read, which may be an echo of our key.
        """
        try:
            super().begin()
        except (ValueError, LookupError) as error:
            problem = type(error).__name__
        else:
            kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
            for name in ("Set-Cookie", "Set-Cookie2", "Content-Type"):
                del self.headers[name]
            self.headers["Content-Type"] = kind
            self.headers.defects.clear()
            self.headers.set_payload("")
            return
        raise HTTPException(f"Headers that cannot be read ({problem})")


class _BehindProxy:
    """Knows that it has reached its proxy also after the answer was lost.

    `http.client` closes the connection then, and urllib3 forgets; it would say that the proxy could not be reached,
    and we that no connection was made, although Migma may have the mail.
    """

    _asked = False

    def connect(self) -> None:
        self._asked = False
        super().connect()  # type: ignore[misc]

    def getresponse(self) -> Any:
        self._asked = True
        return super().getresponse()  # type: ignore[misc]

    @property
    def has_connected_to_proxy(self) -> bool:
        return self._asked or super().has_connected_to_proxy  # type: ignore[misc]


class _Shaken:
    """Keeps the handshake and the answers of TLS apart from what is around them."""

    sock: Any

    def connect(self) -> None:
        """Where the handshake fails, nothing was sent: urllib3 makes of it what it makes of a lost answer."""
        try:
            super().connect()  # type: ignore[misc]
        except TimeoutError:
            problem: type[HTTPError] = ConnectTimeoutError
        except (ConnectionError, SSLEOFError, SSLZeroReturnError):
            problem = NewConnectionError
        else:
            return
        raise problem(self, "The TLS handshake failed")

    @property
    def is_connected(self) -> bool:
        """Also without surplus of the last answer, which may lie decrypted where looking at the socket shows nothing.

        The next request would read it as its own answer.
        """
        pending = getattr(self.sock, "pending", None)
        return super().is_connected and not (pending and pending())  # type: ignore[misc]


class _InOnePiece:
    """Sends head and body together: two writes are two packets, two TLS records, and wake the server twice."""

    response_class: Any = _Answer
    _held: list[bytes] | None = None

    def request(self, *args: Any, **options: Any) -> None:
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **options)  # type: ignore[misc]
        finally:
            self._held = None
        self.send(b"".join(held))

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class _Plain(_InOnePiece, _BehindProxy, HTTPConnection):
    pass


class _Encrypted(_InOnePiece, _Shaken, _BehindProxy, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


_POOLS = {"http": _PlainPool, "https": _EncryptedPool}


class _Received:
    """What is read of a `requests.Response`, which would take longer to make than to read."""

    def __init__(self, request: Any, raw: Any) -> None:
        self.request = request  # for tools that watch or fake requests
        self.raw = raw
        self.status_code: int = raw.status
        self.headers = raw.headers

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, close it otherwise."""
        self.raw.close()
        self.raw.release_conn()


class Adapter(HTTPAdapter):
    """requests' adapter for one host, over these connections, directly or through a proxy.

    What requests works out anew for each request is worked out once: which pool, and an SSL context with the
    certificates in it. To load the system's takes ten times as long as the request that a new connection is for.
    """

    def __init__(self, *, verify: bool | str, **options: Any) -> None:
        super().__init__(**options)
        self._verify = verify
        self._connections: Any = None

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS if isinstance(manager, ProxyManager) else _socks_pools()
        return manager

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        if self._connections is None:
            connections: Any = super().get_connection_with_tls_context(*args, **options)
            if connections.scheme == "https":
                connections.conn_kw["ssl_context"] = _ssl_context(self._verify)
            self._connections = connections
        return self._connections

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to do: the context verifies."""

    def build_response(self, req: Any, resp: Any) -> Any:
        """No cookies, no encoding, no history."""
        return _Received(req, resp)


def _ssl_context(verify: bool | str) -> SSLContext:
    """One that asks for a certificate of these authorities: a bundle, a folder, or (True) those that requests has."""
    path = Path(DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify))
    if not path.exists():
        raise OSError(f"There is no TLS CA certificate bundle at {path}")
    context = create_urllib3_context(cert_reqs=CERT_REQUIRED)
    context.load_verify_locations(cafile=None if path.is_dir() else path, capath=path if path.is_dir() else None)
    return context


@lru_cache(maxsize=1)
def _socks_pools() -> dict[str, type[HTTPConnectionPool]]:
    from urllib3.contrib import socks  # noqa: PLC0415 - optional: it needs PySocks

    class Plain(_InOnePiece, socks.SOCKSConnection):
        pass

    class Encrypted(_InOnePiece, _Shaken, socks.SOCKSHTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
