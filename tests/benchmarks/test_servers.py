"""The servers that the benchmark sends to: they must answer all alike, lose nothing and count right."""

import json
import smtplib
import socket
from contextlib import ExitStack

import pytest

from benchmarks.processes import server

BODY = b'{"recipientType": "email"}'


def request(path=b"/v1/sending", method=b"POST", body=BODY):
    return b"%b %b HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: %d\r\n\r\n%b" % (method, path, len(body), body)


def connect(stack, running):
    return stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=10))


def answers(connection, count=1):
    """So many answers from a connection: their status lines and bodies."""
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            status = stream.readline().decode().strip()
            head = dict(line.split(b": ") for line in iter(stream.readline, b"\r\n"))
            found.append((status, json.loads(stream.read(int(head[b"Content-Length"])))))
    return found


@pytest.fixture(scope="module")
def stub():
    """A stub that answers at once."""
    with server("http") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            b"/v1/sending",
            {"success": True, "data": {"id": "665f1c2ab7d3e4f5a6b70001", "status": "queued", "provider": "migma"}},
        ),
        (b"/emails", {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}),
    ],
)
def test_each_api_gets_the_answer_that_its_client_reads(stub, path, expected):
    with ExitStack() as stack:
        connection = connect(stack, stub)
        connection.sendall(request(path))
        assert answers(connection) == [("HTTP/1.1 200 OK", expected)]


@pytest.mark.parametrize(("path", "method"), [(b"/v1/emails", b"POST"), (b"/v1/sending", b"GET")])
def test_what_is_no_send_is_refused_and_counted(stub, path, method):
    """A contender that asks for something else would be measured at another work."""
    before = stub.totals()
    with ExitStack() as stack:
        connection = connect(stack, stub)
        connection.sendall(request(path, method))
        [(status, _)] = answers(connection)
    assert status == "HTTP/1.1 404 Not Found"
    assert stub.totals().refused - before.refused == 1


def test_a_connection_carries_many_requests_however_they_are_cut(stub):
    """Two requests in three pieces, on one connection."""
    before = stub.totals()
    both = request() + request(b"/emails")
    with ExitStack() as stack:
        connection = connect(stack, stub)
        for piece in (both[:30], both[30 : len(request()) + 10], both[len(request()) + 10 :]):
            connection.sendall(piece)
        found = answers(connection, 2)
    after = stub.totals()
    assert [sorted(body) for _, body in found] == [["data", "success"], ["id"]]
    assert (after.requests - before.requests, after.connections - before.connections) == (2, 1)


def test_the_delay_of_one_request_does_not_hold_up_another():
    """All are in flight at once."""
    with server("http", delay=0.2) as slow, ExitStack() as stack:
        connections = [connect(stack, slow) for _ in range(5)]
        for connection in connections:
            connection.sendall(request())
        assert [answers(connection)[0][0] for connection in connections] == ["HTTP/1.1 200 OK"] * 5
        assert slow.totals().most_in_flight == 5


@pytest.mark.parametrize("delay", [0, 0.01])
def test_the_sink_takes_mail_after_mail(delay):
    """A dot at the start of a line ends nothing, and what SMTP does not have is refused."""
    with server("smtp", delay=delay) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port, local_hostname="localhost", timeout=10) as client:
            for text in ("Subject: 1\r\n\r\nbody\r\n", "Subject: 2\r\n\r\n.\r\nafter a dot\r\n"):
                assert client.sendmail("a@example.com", ["b@example.org"], text) == {}
            assert client.docmd("VRFY", "b@example.org")[0] == 502
        totals = sink.totals()
    assert (totals.requests, totals.connections, totals.refused) == (2, 1, 1)


def test_a_server_ends_with_the_one_who_started_it():
    """Without being told, and without an error."""
    with server("http") as running:
        assert running.process.poll() is None
    assert running.process.returncode == 0


def test_a_server_that_cannot_start_is_noticed(tmp_path, capfd):
    """Instead of waiting for its port."""
    with pytest.raises(RuntimeError, match="ended early"), ExitStack() as stack:
        stack.enter_context(server("http", certificate=tmp_path / "none.pem"))
    assert "FileNotFoundError" in capfd.readouterr().err
