"""Connections: one pool per process and API host, shared by all clients and threads, dropped after a fork."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Session

from .adapter import Adapter, Received
from .pace import Pace

POOL_SIZE = 128
"""Idle connections kept. More may be open at a time; urllib3 then closes the surplus when it comes back."""


class Pool:
    """Kept-alive connections to one host, with what the environment said when the pool was made.

    The adapter is used below the level of `requests.Session`: a session follows redirects, keeps cookies, lets
    ``.netrc`` override the key and looks all that up anew for each request.
    """

    def __init__(self, origin: str) -> None:
        with Session() as session:
            found = session.merge_environment_settings(origin, {}, True, None, None)
        self._proxies = found["proxies"]
        # pool_block=True would ignore our timeouts while waiting for a connection.
        self._adapter = Adapter(verify=found["verify"] or True, pool_maxsize=POOL_SIZE, pool_block=False)
        self._paces: dict[str, Pace] = {}

    def send(self, request: PreparedRequest, timeout: tuple[float, float]) -> Received:
        """Send one request and return as soon as the headers are here; the body is not read."""
        answer: Any = self._adapter.send(request, stream=True, timeout=timeout, proxies=self._proxies)
        received: Received = answer
        return received

    def pace(self, api_key: str) -> Pace:
        """The pace of one API key on this host."""
        return self._paces.get(api_key) or self._paces.setdefault(api_key, Pace())

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()


_pools: dict[str, Pool] = {}
_lock = threading.Lock()


def pool_for(url: str) -> Pool:
    """The pool of the host in this URL, made at first use."""
    origin = _origin(url)
    if found := _pools.get(origin):  # without the lock, which every thread would take several times per request
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


def _start_anew() -> None:
    """In a forked child: a socket shared with the parent would mix up answers, a held lock would never open."""
    global _lock  # noqa: PLW0603 - the lock must be new as well
    _lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=_start_anew)
