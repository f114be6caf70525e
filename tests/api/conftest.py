from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses

from django_migma.api.connections import close_pools
from tests.api.clocks import FakeClock
from tests.api.servers import Answer, Server


@pytest.fixture(autouse=True)
def _no_environment_and_no_connections_of_others(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither this machine's proxies and CA bundles nor an earlier test's pauses and sockets."""
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "requests_ca_bundle",
        "curl_ca_bundle",
        "netrc",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    close_pools()
    yield
    close_pools()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """The network replaced below requests; every registered answer has to be asked for."""
    with responses.RequestsMock(registry=responses.registries.OrderedRegistry) as mock:
        yield mock


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: taken, so that no other test gets it, and nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers with the answers given, and stops them after the test."""
    started: list[Server] = []

    def start(*answers: Answer, **options: Any) -> Server:
        started.append(Server(*answers, **options))
        return started[-1]

    yield start
    close_pools()
    for server in started:
        server.stop()
