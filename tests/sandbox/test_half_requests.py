"""A client that does not finish its request is let go, and keeps nobody else waiting."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from tests.sandbox.asking import PATIENCE, eventually, get, received, request_bytes, send, sent, single

HALF_A_HEAD = b"POST /v1/sending HTTP/1.1\r\nHost: localhost\r\n"
HALVES = [b"P", b"POST /v1/sen", HALF_A_HEAD, HALF_A_HEAD + b"Content-Length: 9\r\n\r\n{"]
TOO_LATE = b"The rest of the request did not come in time"


@pytest.fixture
def hasty(start):
    """A sandbox whose clients get a moment only."""
    sandbox = start()
    sandbox.client_timeout = 0.05
    return sandbox


def connected(sandbox):
    return socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE)


@pytest.mark.parametrize("half", HALVES)
def test_half_a_request_is_answered_with_408_and_let_go(hasty, half):
    with connected(hasty) as connection:
        connection.sendall(half)
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer
    assert TOO_LATE in answer
    assert hasty.store.stats()["accepted"] == 0


@pytest.mark.parametrize("half", HALVES)
def test_so_is_the_second_half_request_of_a_connection(hasty, half):
    """Its beginning may have come with the first one."""
    first = b"HEAD /_sandbox/stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(hasty) as connection:
        connection.sendall(first + half)
        assert TOO_LATE in received(connection)


def test_drops_do_not_keep_a_request_alive(hasty):
    """The time is that of the whole request, not that of a byte."""
    with connected(hasty) as connection:
        connection.sendall(HALF_A_HEAD + b"X-Long: ")
        with pytest.raises(ConnectionError):
            eventually(lambda: connection.sendall(b"x"))


def test_a_stream_without_a_pause_does_not_either(hasty):
    """Its next bytes are always there, so that no wait for them ends it."""
    hasty.client_timeout = 0
    with connected(hasty) as connection:
        connection.sendall(b"POST /v1/sending HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(bytes(100_000_000))


def test_a_huge_body_is_read_no_longer_than_that(hasty):
    with connected(hasty) as connection:
        connection.sendall(b"POST /v1/sending HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nsome")
        assert connection.recv(12) == b"HTTP/1.1 408"


def test_a_client_that_takes_no_answer_is_let_go(start):
    """The mail is larger than what the system buffers for it."""
    sandbox = start()
    send(sandbox, single(variables={"first_name": "x" * 9_000_000, "shop_url": ""}))
    [message] = sandbox.store.messages()
    sandbox.client_timeout = 0.05
    with connected(sandbox) as connection:
        connection.sendall(f"GET /_sandbox/messages/{message.id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert eventually(lambda: b"Content-Length: " in connection.recv(1000, socket.MSG_PEEK))
        assert eventually(lambda: not serving(sandbox))


def serving(sandbox):
    return sandbox._server._open


def test_idle_connections_may_stay(hasty):
    """Pools of clients keep them for minutes."""
    with sent(hasty, single()) as connection:
        assert b"200 OK" in received(connection, until=b"}}")
        with connected(hasty) as other:
            other.sendall(b"P")
            received(other)  # the time of a half request has passed
        connection.sendall(request_bytes(single()))
        assert b"200 OK" in received(connection, until=b"}}")


def test_200_half_requests_keep_nobody_waiting(start):
    sandbox = start()
    sandbox.client_timeout = PATIENCE  # none of them is let go while the others come
    with ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(connected(sandbox))
            connection.sendall(HALVES[number % len(HALVES)])
        assert eventually(lambda: len(serving(sandbox)) == 200)
        assert send(sandbox, single()).status == 200
        assert get(sandbox, "/_sandbox/messages").json["total"] == 1
