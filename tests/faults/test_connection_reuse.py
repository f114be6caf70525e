"""A connection whose response was not read to its end is not used again: no request gets another one's response."""

from __future__ import annotations

import json
import socket

import pytest

from tests.api.clocks import until
from tests.api.servers import AUTHORITY, Exchange, raw, whole
from tests.faults.stub_server import (
    GOOD,
    GOOD_BODY,
    REFUSAL,
    YES,
    YES_OR_UNCLEAR,
    chunked,
    chunks,
    keeping,
    message,
    stub_server,
)

POISON = message(json.dumps({"success": True, "data": {"id": "poison", "status": "sent"}}).encode())
BUFFER = 8192
"""Bytes that Python reads ahead of a socket. What lies beyond stays in the kernel, or within TLS."""


def beyond(start: bytes) -> bytes:
    """A response, what is read together with it, and another response behind that."""
    return start + b"x" * (BUFFER - len(start)) + POISON


SURPLUS = {
    "a byte": message() + b"x",
    "another response": message() + POISON,
    "a thousand responses": message() + POISON * 1_000,
    "after a response": beyond(message()),
    "after no content": beyond(message(b"", status=b"HTTP/1.1 204 No Content", length=False)),
    "after an empty body": beyond(message(b"")),
    "after the last chunk": beyond(chunked(chunks(GOOD_BODY))),
    "after an interim response": beyond(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "after a redirect": beyond(message(b"", status=b"HTTP/1.1 302 Found")),
    "after not modified": beyond(message(b"", status=b"HTTP/1.1 304 Not Modified")),
    "after a refusal": beyond(message(REFUSAL, status=b"HTTP/1.1 400 No")),
    "after what is no JSON": beyond(message(b"<html>")),
    "after an unknown encoding": beyond(message(b"x", b"Content-Encoding: br")),
    "after a body that is too large": message(b" " * (10 * 1024 * 1024 + 1)) + POISON,
}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "TLS"])
def stub(request, tmp_path_factory):
    """Within TLS, what is left behind does not show at the socket."""
    bundle = tmp_path_factory.mktemp("tls") / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with stub_server(tls=request.param) as running:
            yield running


@pytest.mark.parametrize("data", SURPLUS.values(), ids=SURPLUS)
def test_a_surplus_is_not_the_next_response(stub, data):
    for _ in range(3):
        outcome = stub.send(keeping(data))
        assert getattr(outcome, "id", "") != "poison"
        stub.check_next()


def test_a_surplus_that_comes_late_is_not_the_next_response(stub):
    """It arrives while the connection is idle."""
    idle: list[Exchange] = []

    def answer(exchange: Exchange) -> None:
        exchange.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keeping(message())(exchange)
        idle.append(exchange)

    stub.check(answer, YES)
    stub.send(answer)
    until(lambda: len(idle) == 2)  # the client may be here before the server's thread goes on
    idle[-1].write(POISON)
    stub.check_next()


def test_a_connection_is_kept_after_a_response_that_was_read_to_its_end(stub):
    """Otherwise these tests would prove nothing."""
    stub.check_next()
    before = stub.server.connections
    for answer in (
        whole(GOOD),
        whole(REFUSAL, "400 No"),
        whole(b"<html>"),
        keeping(chunked(chunks(GOOD_BODY))),
    ):
        stub.send(answer)
        stub.check_next()
    assert stub.server.connections == before


def test_a_connection_that_the_server_closes_is_not_used_again(stub):
    stub.check(keeping(message(GOOD_BODY, b"Connection: close")), YES)
    stub.check(keeping(message(GOOD_BODY, status=b"HTTP/1.0 200 OK")), YES)
    stub.check(raw(message(GOOD_BODY, b"Connection: keep-alive")), YES_OR_UNCLEAR)
