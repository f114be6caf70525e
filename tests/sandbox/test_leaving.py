"""When the client leaves or the sandbox stops, every fault under way ends at once, and nothing is printed."""

from __future__ import annotations

import gc
import socket
import struct
import threading

import pytest

from django_migma.sandbox.faults import KINDS
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import PATIENCE, eventually, is_idle, received, send, sent, single
from tests.sandbox.conftest import HoldingClock

EXAMPLES = [word.replace("-N", "-1") for kind in KINDS for word in kind.words]
WAITING = ["slow", "silent", "busy", "endless", "drip"]


def leave_at_once(connection):
    """Leave by a reset, as a killed client does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize("leave", [socket.socket.close, leave_at_once])
@pytest.mark.parametrize("word", ["slow", "silent", "endless", "drip"])
def test_a_fault_ends_when_its_client_leaves(sandbox, capfd, word, leave):
    sandbox.faults.script(word)
    with sent(sandbox, single()) as connection:
        assert eventually(lambda: sandbox.store.stats()["faults"] == {word: 1})
        leave(connection)
    assert eventually(lambda: is_idle(sandbox))
    assert capfd.readouterr() == ("", "")


def test_a_busy_request_is_accepted_even_if_its_client_has_left(start, capfd):
    clock = HoldingClock()
    sandbox = start(clock=clock)
    clock.is_due = lambda: sandbox.store.stats()["faults"]
    sandbox.faults.script("busy-0.2")
    with sent(sandbox, single(), idempotency_key="order-1") as connection:
        assert clock.is_holding.wait(PATIENCE)
        leave_at_once(connection)
    clock.go_on.set()
    assert eventually(lambda: is_idle(sandbox))
    assert sandbox.store.stats()["accepted"] == 1
    assert send(sandbox, single(), idempotency_key="order-1").headers["Idempotent-Replayed"] == "true"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", WAITING)
def test_stop_ends_every_fault_under_way(word, capfd):
    before = set(threading.enumerate())
    sandbox = Sandbox()
    sandbox.start()
    sandbox.faults.script(word, word)
    with sent(sandbox, single()) as one, sent(sandbox, single()) as other:
        assert eventually(lambda: sandbox.store.stats()["faults"] == {word: 2})
        stopping = threading.Thread(target=sandbox.stop)
        stopping.start()
        stopping.join(PATIENCE)
        assert not stopping.is_alive()
        assert set(threading.enumerate()) <= before
        for connection in (one, other):
            received(connection)  # comes to an end, whole or not
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", EXAMPLES)
def test_clients_that_leave_at_once_print_nothing(start, capfd, word):
    """Whatever the fault, and while several of them are under way."""
    sandbox = start()
    sandbox.faults.script(*[word] * 4)
    for leave in (socket.socket.close, leave_at_once) * 2:
        with sent(sandbox, single()) as connection:
            leave(connection)
    assert eventually(lambda: sandbox.store.stats()["connections"] == 4)
    sandbox.stop()
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("leave", [socket.socket.close, leave_at_once])
def test_clients_that_leave_in_the_middle_of_a_long_answer_print_nothing(start, capfd, leave):
    sandbox = start()
    for _ in range(4):
        send(sandbox, single(variables={"first_name": "x" * 2_000_000}))
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /_sandbox/messages HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received(connection, until=b"\r\n")
        leave(connection)
    assert eventually(lambda: is_idle(sandbox))
    gc.collect()
    assert capfd.readouterr() == ("", "")
