"""The stream that tells pages of a change: a number, as long as somebody listens."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import ExitStack, contextmanager
from threading import Semaphore

import pytest

from django_migma.sandbox import events
from django_migma.sandbox.events import EventStream
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import PATIENCE, ask, eventually, get, is_idle, received, send, single
from tests.sandbox.test_leaving import leave_at_once


@contextmanager
def listening(sandbox, *headers):
    """A connection over which events are asked for."""
    head = "\r\n".join(["GET /_sandbox/events HTTP/1.1", "Host: localhost", *headers])
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}\r\n\r\n".encode())
        yield connection


def event(connection):
    """The number of the next event."""
    before = received(connection, until=b"\ndata: ")
    number = int(received(connection, until=b"\n"))
    assert before.endswith(b"id: %d\ndata: " % number)
    return number


def test_the_number_comes_at_once_and_again_with_each_mail(sandbox):
    with listening(sandbox) as connection:
        assert received(connection, until=b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        first = event(connection)
        assert first == sandbox.store.inbox.version
        send(sandbox, single())
        assert event(connection) == sandbox.store.inbox.version > first


def test_a_flood_of_mail_is_told_to_its_end(sandbox):
    with listening(sandbox) as connection:
        told = [event(connection)]
        last = told[0] + 60
        for _ in range(60):
            send(sandbox, single())
        while told[-1] != last:
            told.append(event(connection))
    assert sandbox.store.inbox.version == last
    assert told == sorted(set(told))


class Flooded:
    """A connection whose time passes only while it waits: 40 mails come in each second of it, and 200 in all."""

    def __init__(self, sandbox):
        self.sandbox, self.told, self.now, self.mails = sandbox, [], 0.0, 0

    def start(self, response, length):
        pass

    def send(self, data):
        self.told += re.findall(rb"data: (\d+)", data)

    def wait(self, seconds):
        self.now += seconds
        while self.mails < min(200, 40 * self.now):
            send(self.sandbox, single())
            self.mails += 1
        return self.told[-1:] != [b"%d" % self.sandbox.store.inbox.version] or self.mails < 200

    def close(self):
        pass


def test_a_flood_of_mail_is_told_in_a_few_events(sandbox):
    """Of five seconds here. Four events a second would be 20."""
    connection = Flooded(sandbox)
    EventStream(sandbox.store.inbox, known=-1, streams=Semaphore()).deliver(connection)
    assert int(connection.told[-1]) == sandbox.store.inbox.version
    assert len(sandbox.mails) == 200
    assert 1 < len(connection.told) < 10


def test_it_is_a_stream_of_events_that_nobody_stores(sandbox):
    with listening(sandbox) as connection:
        head = received(connection, until=b"\r\n\r\n")
    assert b"Content-Type: text/event-stream\r\n" in head
    assert b"Cache-Control: no-store\r\n" in head


def test_it_says_nothing_but_numbers(sandbox):
    """A page of another site that gets hold of the stream after all learns how much happens, and no more."""
    send(sandbox, single(subject="Secret", recipientEmail="kim@example.com"))
    with listening(sandbox) as connection:
        received(connection, until=b"\r\n\r\n")
        told = received(connection, until=b"data: %d\n\n\r\n" % sandbox.store.inbox.version)
    lines = [line for chunk in told.decode().split("\r\n")[1::2] for line in chunk.split("\n") if line]
    assert [line.partition(":")[0] for line in lines] == ["retry", "id", "data"]


def test_a_client_that_comes_back_hears_only_of_what_it_has_missed(sandbox):
    send(sandbox, single())
    known = sandbox.store.inbox.version
    with listening(sandbox, f"Last-Event-ID: {known}") as connection:
        received(connection, until=b"retry: 1000\n\n\r\n")
        send(sandbox, single())
        assert event(connection) > known
    with listening(sandbox, f"Last-Event-ID: {known}") as connection:
        assert event(connection) == sandbox.store.inbox.version


@pytest.mark.parametrize("last", ["", "-1", "one", "1" * 5000])
def test_a_number_that_is_none_counts_as_unknown(sandbox, last):
    with listening(sandbox, f"Last-Event-ID: {last}") as connection:
        assert event(connection) == sandbox.store.inbox.version


def test_silence_is_broken_by_comments(sandbox, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT", 0)
    with listening(sandbox) as connection:
        event(connection)
        received(connection, until=b"\n\r\n")
        assert received(connection, until=b"\n\n").endswith(b":\n\n")


@pytest.mark.parametrize("leave", [socket.socket.close, leave_at_once])
def test_a_stream_ends_when_its_client_leaves(sandbox, capfd, leave):
    with listening(sandbox) as connection:
        event(connection)
        leave(connection)
    assert eventually(lambda: is_idle(sandbox))
    assert capfd.readouterr() == ("", "")


def test_stop_ends_every_stream(capfd):
    before = set(threading.enumerate())
    sandbox = Sandbox()
    sandbox.start()
    with listening(sandbox) as one, listening(sandbox) as other:
        event(one), event(other)
        sandbox.stop()
        assert set(threading.enumerate()) <= before
        for connection in (one, other):
            received(connection)  # comes to an end
    assert capfd.readouterr() == ("", "")


def test_a_stream_too_many_is_refused_until_another_ends(sandbox):
    with ExitStack() as stack:
        streams = [stack.enter_context(listening(sandbox)) for _ in range(events.MAX_STREAMS)]
        for stream in streams:
            event(stream)
        reply = get(sandbox, "/_sandbox/events")
        assert (reply.status, reply.error) == (503, "32 streams are open, which is the limit: close some pages")
        streams[0].close()
        assert eventually(lambda: len(sandbox._server._open) < events.MAX_STREAMS)
        with listening(sandbox) as another:
            assert event(another) == sandbox.store.inbox.version


@pytest.mark.parametrize("headers", [{"Host": "mail.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_hear_nothing(sandbox, headers):
    assert get(sandbox, "/_sandbox/events", headers=headers).status == 403


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_it_is_only_to_be_read(sandbox, method):
    assert ask(sandbox, method, "/_sandbox/events").status == 405
