"""Connections that keep to a time and to their own answers, below requests and urllib3 and by their public hooks."""

from __future__ import annotations

import io
import math
import time
from http.client import HTTPException, HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _Clocked(io.RawIOBase):
    """A socket's stream that ends with an error at a moment, in monotonic seconds.

    A socket's timeout bounds each read, and whatever drips in steadily defeats it: a header, a trailer, one interim
    answer after the other. True time, as the socket's own.
    """

    def __init__(self, stream: io.RawIOBase, end: float) -> None:
        self._stream = stream
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._end:
            raise TimeoutError("The answer was not whole in time")
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer that has to be whole within the socket's read timeout."""

    fp: Any

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        end = time.monotonic() + (sock.gettimeout() or math.inf)
        self.fp = io.BufferedReader(_Clocked(self.fp.detach(), end))

    def begin(self) -> None:
        """Read the head, and leave out what nobody here uses but every layer would parse, with faults of its own.

        The standard library stumbles over some headers that only malice writes (``boundary*=idna''x``), its cookies
        over a year of 5,000 digits, requests before 2.34 over a ``charset`` without a value.
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
            return
        raise HTTPException(f"Headers that cannot be read ({problem})")


class _Plain(HTTPConnection):
    response_class = _Answer


class _Encrypted(HTTPSConnection):
    response_class = _Answer

    @property
    def is_connected(self) -> bool:
        """Also without surplus of the last answer, which may lie decrypted where looking at the socket shows nothing.

        The next request would read it as its own answer.
        """
        pending = getattr(self.sock, "pending", None)
        return super().is_connected and not (pending and pending())


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _Encrypted


_POOLS = {"http": _PlainPool, "https": _EncryptedPool}


class Adapter(HTTPAdapter):
    """requests' adapter over these connections, directly and through proxies."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
