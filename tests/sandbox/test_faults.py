"""Each fault, on the wire: what the client meets, and whether the mail was accepted."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading

import pytest
from django.http import HttpResponse

from django_migma.sandbox.faults import parse_fault
from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import ask, eventually, received, send, sent, single


def accepted(sandbox):
    return sandbox.store.stats()["accepted"]


def struck(sandbox, word, body=None, **options):
    """The whole answer to one request, which the fault strikes."""
    sandbox.faults.script(word)
    with sent(sandbox, body or single(), **options) as connection:
        return received(connection)


def test_a_reset_is_a_reset_and_not_an_end_of_stream(sandbox):
    with pytest.raises(ConnectionResetError):
        struck(sandbox, "reset", idempotency_key="order-1")
    assert accepted(sandbox) == 0
    assert send(sandbox, single(), idempotency_key="order-1").headers["Idempotent-Replayed"] is None


def test_a_lost_reply_belongs_to_a_mail_that_was_accepted(sandbox):
    with pytest.raises(ConnectionResetError):
        struck(sandbox, "lost", idempotency_key="order-1")
    assert accepted(sandbox) == 1
    again = send(sandbox, single(), idempotency_key="order-1")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert accepted(sandbox) == 1


def test_a_hangup_is_an_end_of_stream_without_a_byte(sandbox):
    assert struck(sandbox, "hangup") == b""
    assert accepted(sandbox) == 0


def test_half_an_answer_promises_the_whole(sandbox):
    head, _, body = struck(sandbox, "half", idempotency_key="order-1").partition(b"\r\n\r\n")
    whole = send(sandbox, single(), idempotency_key="order-1").content
    assert f"\r\nContent-Length: {len(whole)}".encode() in head
    assert body == whole[: len(whole) // 2]
    assert accepted(sandbox) == 1


def test_an_empty_answer_is_a_success_without_a_body(sandbox):
    sandbox.faults.script("empty")
    reply = send(sandbox, single())
    assert (reply.status, reply.headers["Content-Length"], reply.content) == (200, "0", b"")
    assert accepted(sandbox) == 1


def test_a_slow_answer_sends_its_headers_at_once(sandbox):
    sandbox.faults.script("slow")
    with sent(sandbox, single()) as connection:
        assert received(connection, until=b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert accepted(sandbox) == 1


def test_a_slow_answer_comes_whole_in_the_end(sandbox):
    sandbox.faults.script("slow-0.1")
    assert send(sandbox, single()).data["status"] == "queued"


def test_silence_ends_without_an_answer(sandbox):
    assert struck(sandbox, "silent-0.05") == b""
    assert accepted(sandbox) == 0


def test_a_pipelined_request_is_not_taken_for_a_client_that_left(sandbox):
    sandbox.faults.script("slow-0.2")
    with sent(sandbox, single()) as connection:
        connection.sendall(b"GET /_sandbox/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert received(connection).count(b"HTTP/1.1 200 OK") == 2


def test_a_repetition_meets_409_while_the_first_request_is_busy(start):
    sandbox = start()
    sandbox.faults.script("busy")
    with sent(sandbox, single(), idempotency_key="order-1"):
        assert eventually(lambda: sandbox.store.idempotency.forgotten_at("full", "order-1"))
        again = send(sandbox, single(), idempotency_key="order-1")
        assert again.status == 409
        text = "A request with this Idempotency-Key is still being processed"
        assert again.json == {"success": False, "error": text}
        assert accepted(sandbox) == 0
        sandbox.stop()
    assert accepted(sandbox) == 0


@pytest.mark.parametrize("key", ["", "order-1"])
def test_a_busy_request_is_accepted_in_the_end(sandbox, key):
    sandbox.faults.script("busy-0.05")
    assert send(sandbox, single(), idempotency_key=key or None).status == 200
    assert accepted(sandbox) == 1


def test_a_test_send_can_be_busy_too(sandbox):
    sandbox.faults.script("busy-0.05")
    body = {"to": "tester@example.com", "emailId": single()["emailId"]}
    assert ask(sandbox, "POST", "/v1/emails/test/send", body=body).status == 200
    assert sandbox.store.stats()["faults"] == {"busy-0.05": 1}


def test_an_endless_body_begins_like_the_answer_and_goes_on(sandbox):
    sandbox.faults.script("endless")
    with sent(sandbox, single()) as connection:
        assert b"\r\nTransfer-Encoding: chunked\r\n" in received(connection, until=b"\r\n\r\n")
        with connection.makefile("rb") as stream:
            assert int(stream.readline(), 16) > 100
            assert json.loads(stream.readline())["success"] is True
            for _ in range(20):
                assert stream.readline() == b"10000\r\n"
                assert stream.read(65538) == b" " * 65536 + b"\r\n"
    assert accepted(sandbox) == 1


def test_an_endless_body_never_contradicts_its_length(sandbox):
    sandbox.faults.script("endless")
    with sent(sandbox, single()) as connection:
        assert b"Content-Length" not in received(connection, until=b"\r\n\r\n")


def test_a_drip_comes_byte_by_byte(sandbox):
    sandbox.faults.script("drip")
    with sent(sandbox, single()) as connection:
        assert b"\r\nContent-Length: 100000\r\n" in received(connection, until=b"\r\n\r\n")
        assert received(connection, until=b'{"success"') == b'{"success"'
    assert accepted(sandbox) == 1


class Patient:
    """A connection for which no time passes."""

    def __init__(self):
        self.length, self.body, self.closed = None, b"", False

    def start(self, response, length):
        self.length = length

    def send(self, data):
        self.body += data

    def wait(self, seconds):
        return True

    def close(self):
        self.closed = True


def test_a_drip_is_whole_in_the_end():
    """It takes eight minutes on a real connection."""
    connection = Patient()
    parse_fault("drip").deliver(connection, HttpResponse(b'{"success": true}'))
    assert len(connection.body) == connection.length
    assert json.loads(connection.body) == {"success": True}
    assert connection.closed


def test_a_close_is_a_whole_answer_and_an_end_that_was_not_announced(sandbox):
    head, _, body = struck(sandbox, "close").partition(b"\r\n\r\n")
    assert b"Connection:" not in head
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    assert json.loads(body)["success"] is True
    assert accepted(sandbox) == 1


def test_a_fault_that_does_not_accept_looks_at_no_body(sandbox):
    sandbox.faults.script("500", "hangup")
    assert send(sandbox, b"{").status == 500
    with sent(sandbox, {}) as connection:
        assert received(connection) == b""


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("nobody", 401), (KEYS.revoked, 401), (KEYS.no_send, 403)])
def test_a_key_that_may_not_send_uses_up_no_fault(sandbox, key, status):
    sandbox.faults.script("500", "lost")
    for _ in range(3):
        assert send(sandbox, single(), key=key).status == status
    assert sandbox.faults.state()["script"] == ["500", "lost"]
    assert sandbox.store.stats()["faults"] == {}
    assert send(sandbox, single()).status == 500


def test_a_fault_that_accepts_carries_the_refusal_instead(sandbox):
    sandbox.faults.script("close", "slow-0.01", "busy-0.01")
    assert send(sandbox, b"{").status == 400
    assert send(sandbox, {}).status == 400
    assert send(sandbox, single(emailId="f" * 24)).status == 404
    assert accepted(sandbox) == 0


def test_half_a_refusal_is_half_of_its_envelope(sandbox):
    answer = struck(sandbox, "half", single(subject=None))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'\r\n\r\n{"success": false, "error": "subject is required')
    assert accepted(sandbox) == 0


def test_concurrent_sends_share_a_script(sandbox):
    sandbox.faults.script(*["lost", "hangup", "ok", "500"] * 8)
    threads = [threading.Thread(target=_send_whatever_comes, args=(sandbox,)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.store.stats()["faults"] == {"lost": 8, "hangup": 8, "500": 8}
    assert accepted(sandbox) == 16
    assert sandbox.faults.state()["script"] == []


def _send_whatever_comes(sandbox):
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        send(sandbox, single())
