"""From requests to our connections: requests' adapter, which works out once what requests works out each time."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from ssl import CERT_REQUIRED, SSLContext
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager
from urllib3.util.ssl_ import create_urllib3_context

from .connections import Encrypted, InOnePiece, Plain, Shaken


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = Encrypted


_POOLS = {"http": _PlainPool, "https": _EncryptedPool}


class Received:
    """What is read of a `requests.Response`, which would take longer to make than to read."""

    def __init__(self, request: Any, raw: Any) -> None:
        self.request = request  # the library responses looks at its method
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

    def build_response(self, req: Any, resp: Any) -> Received:  # type: ignore[override]
        """No cookies, no encoding, no history."""
        return Received(req, resp)


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

    class PlainSocks(InOnePiece, socks.SOCKSConnection):
        pass

    class EncryptedSocks(InOnePiece, Shaken, socks.SOCKSHTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainSocks

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = EncryptedSocks

    return {"http": PlainPool, "https": EncryptedPool}
