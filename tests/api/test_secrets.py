"""The API key shows up nowhere but on the wire."""

from __future__ import annotations

import copy
import pickle
import signal
import socket
import threading
import traceback
from contextlib import suppress

import pytest

from django_migma.api import MigmaClient, MigmaError
from tests.api import servers
from tests.api.examples import ACCEPTED, EMAIL_ID, KEY, client, refusal, send_request
from tests.api.servers import head, raw, whole

FAILURES = {
    "lost": servers.nothing,
    "reset": servers.reset,
    "cut short": raw(head(length=500)),
    "400": whole(refusal(f"Bad key {KEY}", data={"key": KEY}), "400 Bad"),
    "401": whole(refusal(f"Bad key {KEY}"), "401 Unauthorized"),
    "500": whole(refusal(), "500 Oops"),
    "bad JSON": whole(b"{"),
    "html": whole(f"<html>{KEY}</html>".encode()),
    "redirect": whole(b"", "302 Found", f"Location: https://evil.example/{KEY}"),
}


def failure(url, **options):
    with pytest.raises(MigmaError) as caught:
        client(url, max_retries=1, **options).send(send_request())
    return caught.value


def chain(error):
    """An error and everything that hangs on it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(error):
    """All that a debug page, a log or an error tracker could show of an error."""
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(trace.format()) + repr(error) + repr(vars(error)) + repr(error.args)


@pytest.fixture(params=["refused", "certificate", *FAILURES])
def failed(request, serve):
    """An error raised by MigmaClient.send, for each way to fail."""
    if request.param in FAILURES:
        return failure(serve(FAILURES[request.param]).url)
    if request.param == "refused":
        return failure(f"http://127.0.0.1:{request.getfixturevalue('closed_port')}/v1")
    return failure(serve(servers.nothing, tls=True).url)


def test_no_traceback_shows_the_key(failed):
    """Not even with the variables of every frame."""
    text = shown(failed)
    assert "in send" in text
    assert "_transport" in text
    assert KEY not in text


def test_an_interrupted_write_shows_no_key():
    """A worker is stopped while a large body is on its way, and an error tracker records every variable."""
    interrupted, writer, request = threading.Event(), threading.get_ident(), large_request()

    errors = [SystemExit]

    def stop(*_):
        with suppress(IndexError):  # once is enough
            raise errors.pop()

    def interrupt():
        """Once the body has begun to arrive: the rest of it is more than the sockets hold, and nobody reads it."""
        with listener.accept()[0] as connection, connection.makefile("rb") as stream:
            list(iter(stream.readline, b"\r\n"))
            stream.read(1)
            while not interrupted.wait(0.05):  # a signal may come between two system calls, and end neither
                signal.pthread_kill(writer, signal.SIGALRM)

    earlier = signal.signal(signal.SIGALRM, stop)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(SystemExit) as caught:
            client(f"http://127.0.0.1:{listener.getsockname()[1]}").send(request)
        interrupted.set()
        thread.join()
    signal.signal(signal.SIGALRM, earlier)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert any("sendall" in frame.line for frame in trace.stack)
    assert KEY not in repr([frame.locals for frame in trace.stack])


def large_request():
    return send_request(email_id=None, project_id=EMAIL_ID, template="x" * 8_000_000)


def test_no_other_error_hangs_on_ours(failed):
    """Those of requests and urllib3 hold the request, and that holds the key."""
    assert list(chain(failed)) == [failed]


def test_nothing_of_the_request_stays_on_an_error(failed):
    """What a task queue stores of it is free of the key."""
    assert KEY.encode() not in pickle.dumps(failed)
    assert {type(value) for value in vars(failed).values()} <= {bool, str, int, float, dict, type(None)}


def test_an_error_raised_while_handling_another_keeps_only_that(serve):
    """The caller's own error stays visible as context."""
    server = serve(servers.nothing)
    mine = KeyError("mine")
    try:
        raise mine
    except KeyError:
        error = failure(server.url)
    assert list(chain(error)) == [error, mine]


def test_what_json_cannot_express_shows_no_key_either():
    with pytest.raises(MigmaError, match="cannot be written as JSON") as caught:
        client().send(send_request(variables={"a": object()}))
    assert KEY not in shown(caught.value)
    assert list(chain(caught.value)) == [caught.value]


@pytest.mark.parametrize("options", [{"api_key": f"{KEY}\n"}, {"api_key": KEY, "api_url": "nonsense"}])
def test_a_client_that_cannot_be_made_shows_no_key(options):
    """The frames of the caller are the caller's; ours hold a mask."""
    with pytest.raises(ValueError, match=r"^The API (key|address) ") as caught:
        MigmaClient(**options)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in trace.stack if frame.name == "__init__"]
    assert ours
    assert KEY not in repr([frame.locals for frame in ours])


def test_a_client_does_not_show_its_key():
    sender = client()
    shown = [repr(sender), str(sender), repr(vars(sender)), repr(vars(sender._transport))]
    assert not any(KEY in text for text in shown)
    assert KEY.encode() not in pickle.dumps(copy.deepcopy(sender._transport._api_key))


def test_an_answer_does_not_hold_the_key(serve):
    server = serve(whole(ACCEPTED))
    result = client(server.url).send(send_request())
    assert server.received[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(result) + repr(vars(result))


def test_an_interrupt_while_connecting_shows_no_key(monkeypatch):
    """Over plain http, too: the connection is made before the head is written."""

    def stop(connection, *_):
        connection.close()
        raise SystemExit

    monkeypatch.setattr(socket.socket, "connect", stop)
    with pytest.raises(SystemExit) as caught:
        client("http://127.0.0.1:9/v1").send(send_request())
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in repr([frame.locals for frame in trace.stack])
