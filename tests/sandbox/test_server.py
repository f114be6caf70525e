"""The sandbox as an object: it closes everything that it opens."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import pytest

from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import PATIENCE, eventually, get, send, single


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_freed(port):
    """Sooner or later: a sandbox of another worker of the suite may just have taken it."""
    return eventually(lambda: not listening(port))


def test_it_listens_on_loopback_and_any_free_port():
    with Sandbox() as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{sandbox.port}"
        assert sandbox.api_url == f"{sandbox.url}/v1"
        assert sandbox.switches == Switches()
        assert get(sandbox, "/v1/domains").status == 200


def test_a_taken_port_is_an_os_error():
    with Sandbox() as first, pytest.raises(OSError, match="in use"):
        Sandbox(port=first.port)


def test_leaving_the_context_frees_the_port():
    with Sandbox() as sandbox:
        assert listening(sandbox.port)
    assert is_freed(sandbox.port)


def test_stop_closes_connections_that_are_kept_alive():
    sandbox = Sandbox()
    sandbox.start()
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    connection.request("GET", "/_sandbox/stats")
    connection.getresponse().read()
    sandbox.stop()
    assert connection.sock.recv(1) == b""
    connection.close()


def test_stop_leaves_no_threads_behind():
    before = set(threading.enumerate())
    with Sandbox() as sandbox:
        idle = [socket.create_connection(("127.0.0.1", sandbox.port)) for _ in range(3)]
        assert get(sandbox, "/_sandbox/stats").status == 200
    assert set(threading.enumerate()) <= before
    for connection in idle:
        connection.close()


def test_stop_waits_for_threads_whose_connection_is_closed_already():
    """Each takes its time here, as on a busy machine."""
    is_closed = threading.Event()

    def dawdle(frame, event, _argument):  # pragma: no cover - what a profiler calls is not traced
        if event == "return" and frame.f_code.co_name == "process_request_thread":
            is_closed.set()
            time.sleep(0.3)

    before = set(threading.enumerate())
    threading.setprofile(dawdle)
    try:
        with Sandbox() as sandbox:
            assert get(sandbox, "/_sandbox/stats").status == 200
            assert is_closed.wait(PATIENCE)
        assert set(threading.enumerate()) <= before
    finally:
        threading.setprofile(None)


def test_a_sandbox_that_never_started_can_be_stopped_twice():
    sandbox = Sandbox()
    sandbox.stop()
    sandbox.stop()
    assert is_freed(sandbox.port)


def test_it_can_serve_in_the_callers_thread_until_stopped_from_another():
    sandbox = Sandbox()
    statuses = []

    def ask_and_stop():
        statuses.append(get(sandbox, "/v1/domains").status)
        sandbox.stop()

    other = threading.Thread(target=ask_and_stop)
    other.start()
    sandbox.serve_forever()
    other.join()
    assert statuses == [200]


def test_a_failure_while_a_response_goes_out_is_printed(start, capsys):
    sandbox = start()
    stopping, sandbox.stopping = sandbox.stopping, None
    sandbox.faults.script("slow")
    with pytest.raises(http.client.IncompleteRead):
        send(sandbox, single())
    sandbox.stopping = stopping
    sandbox.stop()
    assert "AttributeError" in capsys.readouterr().err


def test_two_sandboxes_share_nothing():
    with Sandbox() as one, Sandbox() as other:
        send(one, single(), idempotency_key="order-1")
        assert other.store.messages() == []
        assert send(other, single(subject="Other"), idempotency_key="order-1").status == 200


def test_it_can_listen_on_ipv6():
    with Sandbox(host="::1") as sandbox:
        assert sandbox.url == f"http://[::1]:{sandbox.port}"
        connection = http.client.HTTPConnection("::1", sandbox.port, timeout=PATIENCE)
        connection.request("GET", "/_sandbox/stats")
        assert connection.getresponse().status == 200
        connection.close()


def test_the_control_endpoints_also_answer_to_the_host_that_is_bound():
    with Sandbox(host="0.0.0.0") as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{sandbox.port}"
        assert get(sandbox, "/_sandbox/stats", headers={"Host": "0.0.0.0:1"}).status == 200
        assert get(sandbox, "/_sandbox/stats", headers={"Host": "sandbox:1"}).status == 403


@pytest.mark.parametrize(("host", "reachable"), [("localhost", "localhost"), ("", "127.0.0.1"), ("::", "[::1]")])
def test_its_url_works_from_this_machine(host, reachable):
    sandbox = Sandbox(host=host)
    sandbox.stop()
    assert sandbox.url == f"http://{reachable}:{sandbox.port}"
