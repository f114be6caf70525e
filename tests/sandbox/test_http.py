"""The wire: HTTP/1.1, kept connections, and no request that breaks the sandbox."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from datetime import UTC, datetime

import pytest

from django_migma.sandbox.connections import MAX_BODY
from tests.sandbox.asking import PATIENCE, ask, get, raw, send, single

CLOSE = b"Host: localhost\r\nConnection: close\r\n"


def test_a_connection_serves_many_requests(sandbox):
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    for _ in range(3):
        connection.request("GET", "/v1/domains")
        connection.getresponse().read()
    connection.close()
    stats = sandbox.store.stats()
    assert stats["connections"] == 1
    assert stats["requests"] == {"GET /v1/domains": 3}


def test_a_refused_request_leaves_its_connection_usable(sandbox):
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    statuses = []
    for _ in range(2):
        connection.request("POST", "/v1/sending", body=b"{}")
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [401, 401]
    assert sandbox.store.stats()["connections"] == 1


@pytest.mark.parametrize("path", ["/_sandbox/", "/v1/domains", "/nowhere"])
def test_every_answer_says_its_length_and_type(sandbox, path):
    reply = get(sandbox, path)
    assert int(reply.headers["Content-Length"]) == len(reply.content) > 0
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Server"] == "django-migma-sandbox"


def test_an_unknown_path_is_404(sandbox):
    reply = get(sandbox, "/v1/webhooks")
    assert reply.status == 404
    assert reply.json == {"success": False, "error": "Not found: GET /v1/webhooks"}


def test_an_unknown_path_needs_no_key(sandbox):
    assert get(sandbox, "/v1/webhooks", key=None).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_method_is_405_and_names_the_right_one(sandbox, method):
    reply = ask(sandbox, method, "/v1/sending")
    assert reply.status == 405
    assert reply.headers["Allow"] == "POST"
    assert reply.error == f"{method} is not allowed here (allowed: POST)"


def test_a_path_with_two_methods_allows_both(sandbox):
    assert ask(sandbox, "POST", "/_sandbox/messages").headers["Allow"] == "GET, DELETE"


def test_a_head_request_gets_no_body(sandbox):
    answer = raw(sandbox, b"HEAD /v1/domains HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


def test_an_unknown_method_gets_an_envelope_too(sandbox):
    reply = ask(sandbox, "BREW", "/v1/sending")
    assert reply.status == 501
    assert reply.error == "Unsupported method ('BREW')"
    assert reply.headers["Connection"] == "close"


@pytest.mark.parametrize("line", [b"nonsense", b"GET", b"GET /a b c HTTP/1.1", b"POST /v1/sending"])
def test_a_malformed_request_line_is_400(sandbox, line):
    answer = raw(sandbox, line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["success"] is False


def test_an_endless_request_line_is_414(sandbox):
    assert raw(sandbox, b"GET /" + b"a" * 65536).startswith(b"HTTP/1.1 414 ")


def test_a_chunked_body_is_411(sandbox):
    answer = raw(sandbox, b"POST /v1/sending HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"Chunked bodies are not read: send Content-Length" in answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize("length", [b"x", b"-1", b"+5", b"1_0", b"", b"9" * 19, b"\xd9\xa1"])
def test_a_bad_content_length_is_400(sandbox, length):
    answer = raw(sandbox, b"POST /v1/sending HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Length must be one whole number" in answer


def test_a_body_over_ten_mebibytes_is_413(sandbox):
    reply = send(sandbox, b" " * (MAX_BODY + 1))
    assert reply.status == 413
    assert reply.error == f"The request body is larger than {MAX_BODY} bytes"


def test_a_client_that_gives_up_a_huge_body_gets_its_413(sandbox):
    head = b"POST /v1/sending HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(head + b"some")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_body_cut_short_gets_no_answer_and_is_not_accepted(sandbox):
    head = b"POST /v1/sending HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(head + b"{")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert sandbox.store.stats()["sending_posts"] == 0


def test_expect_100_continue_is_answered_before_the_body_comes(sandbox):
    body = json.dumps(single()).encode()
    head = (
        b"POST /v1/sending HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(head % (sandbox.keys.full.encode(), len(body)))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "The request body is not valid JSON"),
        (b"{", "The request body is not valid JSON"),
        (b'{"a": NaN}', "The request body is not valid JSON"),
        (b'"\xff"', "The request body is not valid JSON"),
        (b"[" * 200_000, "The request body is not valid JSON"),
        (b"[]", "The request body must be a JSON object"),
        (b'"text"', "The request body must be a JSON object"),
        (b"null", "The request body must be a JSON object"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(sandbox, body, text):
    reply = send(sandbox, body)
    assert (reply.status, reply.error) == (400, text)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_another_content_type_is_400(sandbox, kind):
    reply = ask(sandbox, "POST", "/v1/sending", body=single(), headers={"Content-Type": kind})
    assert (reply.status, reply.error) == (400, "Content-Type must be application/json")


def test_a_content_type_may_name_a_charset(sandbox):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert ask(sandbox, "POST", "/v1/sending", body=single(), headers=headers).status == 200


def test_a_fault_of_the_sandbox_is_500_with_the_traceback_on_stderr_only(start, capsys):
    moments = [datetime(2026, 6, 1, tzinfo=UTC)]  # when the request came; none for what it becomes

    def broken_clock():
        return moments.pop()

    reply = send(start(clock=broken_clock), single())
    assert reply.status == 500
    assert reply.error == "The sandbox failed; its standard error has the traceback"
    assert b"IndexError" not in reply.content
    assert "IndexError: pop from empty list" in capsys.readouterr().err


def test_a_client_that_resets_its_connection_prints_nothing(start, capsys):
    sandbox = start()
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE)
    connection.sendall(b"GET / HT")
    linger_zero = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    connection.close()  # a reset, not an end of stream
    assert get(sandbox, "/_sandbox/stats").status == 200
    sandbox.stop()
    assert capsys.readouterr() == ("", "")


def test_requests_are_served_concurrently(sandbox):
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(send(sandbox, single()).status)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 16
    assert len(sandbox.store.messages()) == 16
