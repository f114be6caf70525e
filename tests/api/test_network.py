"""Against servers that misbehave, over real sockets."""

from __future__ import annotations

import socket
import time

import pytest
import requests
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError

from django_migma.api import (
    AuthenticationError,
    InvalidRequest,
    InvalidResponse,
    NoResponse,
    RateLimited,
    ServerError,
    TestSendRequest,
    Timeout,
)
from tests.api import servers
from tests.api.clocks import until
from tests.api.examples import ACCEPTED, EMAIL_ID, KEY, SENDING, as_json, client, refusal, send_request
from tests.api.servers import head, raw, whole

ANSWER = as_json(ACCEPTED)
MIB = 1024 * 1024
FIN_WAIT2 = b"\x05"  # of a connection that we have ended: the other side has got the end, and still has the socket


def test_a_refused_connection(closed_port, clock):
    """Nothing was accepted; the text says so, and what to look at."""
    with pytest.raises(NoResponse) as caught:
        client(f"http://127.0.0.1:{closed_port}/v1", clock=clock).send(send_request())
    assert type(caught.value) is NoResponse
    assert str(caught.value) == (
        "The connection to Migma failed (no connection was made, NewConnectionError) (after 5 attempts). "
        f"{NoResponse.hint}"
    )
    assert (caught.value.may_have_been_accepted, caught.value.attempts) == (False, 5)
    assert len(clock.slept) == 4


def test_a_host_that_does_not_exist():
    """Names under .invalid never resolve."""
    with pytest.raises(NoResponse, match="no connection was made, NameResolutionError") as caught:
        client("https://api.invalid/v1", max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is False


def test_a_connection_that_takes_too_long(wire):
    """Too slow to connect: late, but nothing was accepted."""
    pool = HTTPConnectionPool("api.migma.test")
    wire.post(SENDING, body=requests.ConnectTimeout(MaxRetryError(pool, "/v1", ConnectTimeoutError(None, "late"))))
    with pytest.raises(Timeout) as caught:
        client(max_retries=0).send(send_request())
    assert str(caught.value) == (
        f"Migma did not answer in time (no connection was made, ConnectTimeoutError). {Timeout.hint}"
    )
    assert caught.value.may_have_been_accepted is False


UNANSWERED = {
    "closed before the headers": (servers.nothing, "RemoteDisconnected"),
    "reset": (servers.reset, "ConnectionResetError"),
}
BROKEN = {
    "half a status line": (raw(b"HTT"), "BadStatusLine"),
    "no HTTP": (raw(b"220 smtp.example.com ESMTP\r\n"), "BadStatusLine"),
    "body shorter than its length": (raw(head(length=500) + ANSWER), "IncompleteRead"),
    "half a body": (raw(head(length=len(ANSWER)) + ANSWER[:20]), "IncompleteRead"),
    "a chunk cut short": (
        raw(head("200 OK", "Transfer-Encoding: chunked") + b"40\r\n" + ANSWER[:20]),
        "IncompleteRead",
    ),
}
LOSSES = UNANSWERED | BROKEN


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_reply_leaves_doubt(serve, loss):
    """Migma has read the request: it may have been accepted."""
    answer, kind = LOSSES[loss]
    server = serve(answer)
    with pytest.raises(
        NoResponse, match=rf"^The connection to Migma failed \({kind}\)\. .* Idempotency key: a$"
    ) as caught:
        client(server.url, max_retries=0).send(send_request(), idempotency_key="a")
    assert type(caught.value) is NoResponse
    assert (caught.value.may_have_been_accepted, caught.value.attempts) == (True, 1)
    assert len(server.received) == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_reply_is_asked_for_again_with_the_same_key(serve, clock, loss):
    answer, _ = LOSSES[loss]
    server = serve(answer, answer, whole(ACCEPTED, "200 OK", "Idempotent-Replayed: true"))
    result = client(server.url, clock=clock).send(send_request())
    assert (result.id, result.attempts, result.replayed) == ("m1", 3, True)
    assert len(clock.slept) == 2
    assert {request.headers["Idempotency-Key"] for request in server.received} == {result.idempotency_key}
    assert len({request.body for request in server.received}) == 1
    assert len(server.received) == 3


@pytest.mark.parametrize(
    "line", [b"WRONG_VERSION_NUMBER %b ada@example.org\r\n", b"HTTP/1.1 CERTIFICATE_VERIFY_FAILED %b\r\n\r\n"]
)
def test_what_a_server_writes_is_not_taken_for_a_fault_of_ours(serve, line):
    """Nor shown: it may be an echo of the key."""
    server = serve(raw(line % KEY.encode()))
    with pytest.raises(NoResponse, match=r"^The connection to Migma failed \(BadStatusLine\)\.") as caught:
        client(server.url, max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is True
    assert KEY not in str(caught.value)
    assert "ada@" not in str(caught.value)


@pytest.mark.parametrize("loss", UNANSWERED)
def test_a_request_without_a_key_is_not_made_again(serve, loss):
    server = serve(UNANSWERED[loss][0])
    with pytest.raises(NoResponse) as caught:
        client(server.url).send_test(TestSendRequest(to="ada@example.org", email_id=EMAIL_ID))
    assert (caught.value.may_have_been_accepted, caught.value.attempts) == (True, 1)
    assert len(server.received) == 1


def test_a_server_that_never_answers(serve):
    """The read timeout ends the wait, and the mail may have been accepted."""
    server = serve(servers.silence)
    with pytest.raises(Timeout) as caught:
        client(server.url, timeout=(20, 0.05), max_retries=0).send(send_request(), idempotency_key="a")
    assert str(caught.value) == (
        f"Migma did not answer in time (ReadTimeoutError). {Timeout.hint} Idempotency key: a"
    )
    assert caught.value.may_have_been_accepted is True


def stalled(start):
    def answer(exchange):
        exchange.write(start)
        exchange.wait_for_end()

    return answer


def test_a_server_that_stops_in_the_middle(serve):
    server = serve(stalled(head(length=500) + ANSWER))
    with pytest.raises(Timeout, match=r"^Migma did not answer in time \(ReadTimeoutError\)") as caught:
        client(server.url, timeout=(20, 0.05), max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is True


@pytest.mark.parametrize("limits", [{"timeout": (20, 0.1)}, {"timeout": 20, "retry_deadline": 0.1}])
def test_a_body_that_drips_ends_with_the_timeout_or_the_deadline(serve, limits):
    """Each byte comes in time; all of them would not."""
    server = serve(servers.drip)
    with pytest.raises(Timeout) as caught:
        client(server.url, max_retries=0, **limits).send(send_request(), idempotency_key="a")
    assert str(caught.value) == (
        f"Migma did not answer in time (ReadTimeoutError). {Timeout.hint} Idempotency key: a"
    )
    assert (caught.value.attempts, caught.value.may_have_been_accepted) == (1, True)
    until(lambda: server.connections)  # the server may be slow to see its client
    assert server.connections == 1


def test_a_body_that_dripped_is_asked_for_again(serve):
    """Until there is a whole one: on a busy machine, even that may come too late at first."""
    server = serve(servers.drip, whole(ACCEPTED, "200 OK", "Idempotent-Replayed: true"))
    result = client(server.url, timeout=(20, 1), max_retries=50).send(send_request())
    assert (result.id, result.replayed) == ("m1", True)
    assert result.attempts >= 2
    assert {request.headers["Idempotency-Key"] for request in server.received} == {result.idempotency_key}


def test_an_answer_without_end_is_refused(serve):
    """Some 10 MiB are read, whatever its length says; what lies in the sockets' buffers comes on top."""
    server = serve(servers.flood(head("200 OK", length=200 * MIB), 200 * MIB))
    with pytest.raises(InvalidResponse) as caught:
        client(server.url, max_retries=0).send(send_request(), idempotency_key="a")
    assert str(caught.value) == (
        f"The response with status 200 is not Migma's: more than 10 MiB. {InvalidResponse.hint} Idempotency key: a"
    )
    assert caught.value.may_have_been_accepted is True
    server.stop()
    assert 10 * MIB < server.exchanges[0].written < 100 * MIB


@pytest.mark.parametrize(("status", "error"), [("400 Bad Request", InvalidRequest), ("401 No", AuthenticationError)])
def test_a_refusal_without_end_is_a_clear_answer_all_the_same(serve, status, error):
    """Its status says no; how the text would end does not matter."""
    server = serve(servers.flood(head(status, length=60 * MIB), 60 * MIB))
    with pytest.raises(error, match="no reason given") as caught:
        client(server.url).send(send_request())
    assert (caught.value.attempts, caught.value.may_have_been_accepted) == (1, False)


def test_ten_mib_are_not_too_many(serve):
    body = as_json({"success": True, "data": {"message": "x"}})
    server = serve(whole(body + b" " * (10 * MIB - len(body))))
    assert client(server.url).send(send_request()).message == "x"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed_and_its_body_not_read(serve, status):
    """It would send the key to another host; it is final."""
    target = serve(whole(ACCEPTED))
    location = f"Location: {target.url}/sending"
    server = serve(servers.flood(head(status, location, length=60 * MIB), 60 * MIB))
    with pytest.raises(InvalidResponse) as caught:
        client(server.url).send(send_request(), idempotency_key="a")
    assert str(caught.value) == (
        f"The response with status {status[:3]} is not Migma's: a redirect or an interim response, and neither is "
        f"followed. {InvalidResponse.hint} Idempotency key: a"
    )
    assert (caught.value.status_code, caught.value.attempts) == (int(status[:3]), 1)
    server.stop()
    assert target.connections == 0
    assert server.exchanges[0].written < 30 * MIB


def test_an_interim_answer_does_not_shift_the_answers(serve):
    """After a 103, the connection would give this answer to the next request; so the next one has a new one."""

    def early_hints(exchange):
        exchange.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        whole({"success": True, "data": {"id": "of the first"}})(exchange)

    server = serve(early_hints, whole({"success": True, "data": {"id": "of the second"}}))
    result = client(server.url).send(send_request())
    assert (result.id, result.attempts) == ("of the second", 2)
    assert [request.connection for request in server.received] == [1, 2]


@pytest.mark.parametrize(
    ("status", "kind"), [("400 Bad", InvalidRequest), ("429 Slow", RateLimited), ("500 Oops", ServerError)]
)
def test_a_refusal_whose_body_is_cut_short_is_that_refusal(serve, status, kind):
    """The status alone is a clear answer."""
    server = serve(raw(head(status, length=500) + b'{"success"'))
    with pytest.raises(kind, match=f"^Migma answered {status[:3]}: no reason given\\. "):
        client(server.url, max_retries=0).send(send_request())
    assert len(server.received) == 1


def test_a_connection_is_kept_after_errors_that_were_read(serve):
    """A refusal costs no connection."""
    server = serve(whole(refusal(), "400 Bad"), whole(refusal(), "500 Oops"), whole(b"<html>"), whole(ACCEPTED))
    sender = client(server.url)
    with pytest.raises(InvalidRequest, match="Migma answered 400"):
        sender.send(send_request())
    assert sender.send(send_request()).attempts == 3
    assert server.connections == 1


def test_a_connection_that_ended_idle_is_replaced(serve):
    """Without an error and without a second attempt."""
    server = serve(closing(whole(ACCEPTED)), whole(ACCEPTED))
    sender = client(server.url)
    sender.send(send_request())
    until(lambda: server.exchanges[0].gone)
    assert sender.send(send_request()).attempts == 1
    assert server.connections == 2


def closing(answer):
    def then_close(exchange):
        answer(exchange)
        exchange.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: exchange.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == FIN_WAIT2)
        exchange.kept, exchange.gone = False, True

    return then_close


def test_a_large_request_arrives_whole(serve):
    server = serve(whole(ACCEPTED))
    request = send_request(email_id=None, project_id=EMAIL_ID, template="x" * MIB)
    client(server.url).send(request)
    assert server.received[0].body == request.body


def test_compressed_answers_are_not_asked_for(serve):
    server = serve(whole(ACCEPTED))
    client(server.url).send(send_request())
    assert server.received[0].headers["Accept-Encoding"] == "identity"


def test_the_key_reaches_the_server(serve):
    """The mask is for people only."""
    server = serve(whole(ACCEPTED))
    client(server.url, "sk_\u00e9_1").send(send_request())
    assert server.received[0].headers["Authorization"] == "Bearer sk_\u00e9_1"


def test_cookies_are_not_sent_back(serve):
    server = serve(whole(ACCEPTED, "200 OK", "Set-Cookie: session=1; Path=/"))
    for _ in range(2):
        client(server.url).send(send_request())
    assert len(server.received) == 2
    assert not any("Cookie" in request.headers for request in server.received)


def test_the_machines_own_clock_is_used_unless_another_is_given(serve):
    server = serve(whole(refusal(), "503 Busy", "Retry-After: 0.01"), whole(ACCEPTED))
    assert client(server.url, clock=None, retry_deadline=60).send(send_request()).attempts == 2


def test_a_head_that_the_standard_library_stumbles_over_leaves_doubt(serve):
    """It raises TypeError, which must not pass a quiet mode."""
    odd = "Content-Type: multipart/mixed; boundary*;*=a; boundary*2*=b"
    server = serve(raw(f"HTTP/1.1 200 OK\r\n{odd}\r\nContent-Length: {len(ANSWER)}\r\n\r\n".encode() + ANSWER))
    with pytest.raises(NoResponse, match=r"The connection to Migma failed \(TypeError\)") as caught:
        client(server.url, max_retries=0).send(send_request())
    assert caught.value.may_have_been_accepted is True


def test_a_late_body_that_drips_gets_no_time_beyond_the_timeout(serve, monkeypatch):
    """The time for the head counts too. A minute passes in a jump, so that a busy machine may take its own time."""
    passed, true_time = [], time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: true_time() + sum(passed))

    def late(exchange):
        passed.append(60)
        exchange.write(head(length=10**6))
        until(lambda: exchange.write(b" ") or exchange.gone)

    began = true_time()
    with pytest.raises(Timeout):
        client(serve(late).url, timeout=59, retry_deadline=60, max_retries=0).send(send_request())
    assert true_time() - began < 50
