"""No request is answered by what an earlier answer left behind, and what we are told is what the backend says."""

from __future__ import annotations

import json
import socket

import pytest
from django.core.mail import EmailMessage

from django_migma.api import MigmaError, SendResult
from tests.api.servers import AUTHORITY, Exchange, Server, head, raw, whole
from tests.conftest import our_mailer
from tests.faults.answers import DOUBT, GOOD, GOOD_BODY, OK, YES, YES_OR_DOUBT, chunks, keeping, message, stub

REFUSAL = b'{"success": false, "error": "no"}'
POISON = message(json.dumps({"success": True, "data": {"id": "poison", "status": "sent"}}).encode())
NOTHING = message(b"", status=b"HTTP/1.1 204 No Content", length=False)
BUFFER = 8192
"""Bytes that Python reads ahead of a socket: what lies beyond them stays in the kernel, or within TLS."""


def filled(start: bytes) -> bytes:
    """An answer and as much as is read together with it."""
    return start + b"x" * (BUFFER - len(start))


SURPLUS = {
    "a byte": message() + b"x",
    "a line break": message() + b"\r\n",
    "another answer": message() + POISON,
    "a hundred answers": message() + POISON * 100,
    "another answer beyond what is read ahead": filled(message()) + POISON,
    "a thousand answers": filled(message()) + POISON * 1_000,
    "a body of the length given and more": OK
    + b"\r\nContent-Length: %d\r\n\r\n" % len(GOOD_BODY)
    + GOOD_BODY
    + POISON,
    "a body where there is none": filled(NOTHING) + POISON,
    "a body of length zero": filled(message(b"")) + POISON,
    "after the last chunk": filled(OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(GOOD_BODY)) + POISON,
    "after an interim answer": filled(b"HTTP/1.1 103 Early Hints\r\n\r\n") + POISON,
    "after a redirect": filled(message(b"", status=b"HTTP/1.1 302 Found")) + POISON,
    "after not modified": filled(message(b"", status=b"HTTP/1.1 304 Not Modified")) + POISON,
    "after a refusal": filled(message(REFUSAL, status=b"HTTP/1.1 400 No")) + POISON,
    "after a refusal cut by its length": filled(
        message(b"", b"Content-Length: 3", status=b"HTTP/1.1 400 No", length=False)
    )
    + POISON,
    "after what is no JSON": filled(message(b"<html>")) + POISON,
    "after an encoding that is refused": filled(message(b"x", b"Content-Encoding: br")) + POISON,
    "after a head that cannot be read": filled(message(GOOD_BODY, b"Content-Length: 1")) + POISON,
}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "TLS"])
def hostile(request, tmp_path_factory):
    """Within TLS, what is left behind does not show at the socket."""
    bundle = tmp_path_factory.mktemp("tls") / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        with stub(tls=request.param) as running:
            yield running


@pytest.mark.parametrize("data", SURPLUS.values(), ids=SURPLUS)
def test_what_comes_after_an_answer_is_nobodys_answer(hostile, data):
    """The connection is given up, or the surplus is; the next request is answered by its own answer."""
    for _ in range(3):
        outcome = hostile.outcome(keeping(data), timeout=0.5)
        assert not isinstance(outcome, SendResult) or outcome.id != "poison"
        hostile.probe()


def test_a_surplus_that_comes_late_is_nobodys_answer(hostile):
    """It arrives while the connection rests: Nagle's algorithm would hold it back until the next request."""
    resting = []

    def answer(exchange: Exchange) -> None:
        exchange.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keeping(message())(exchange)
        resting.append(exchange)

    hostile.judge(answer, YES)
    hostile.outcome(answer)
    resting[-1].write(POISON)
    hostile.probe()


def test_connections_are_kept_after_answers_that_end_well(hostile):
    """What these tests prove would be cheap if every request had a connection of its own."""
    hostile.probe()
    before = hostile.server.connections
    for answer in (
        whole(GOOD),
        whole(REFUSAL, "400 No"),
        whole(b"<html>"),
        keeping(OK + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(GOOD_BODY)),
    ):
        hostile.outcome(answer)
        hostile.probe()
    assert hostile.server.connections == before


def test_a_connection_that_is_said_to_close_is_not_used_again(hostile):
    hostile.judge(keeping(message(GOOD_BODY, b"Connection: close")), YES)
    hostile.judge(keeping(message(GOOD_BODY, status=b"HTTP/1.0 200 OK")), YES)
    hostile.judge(raw(head(length=0)), DOUBT)
    hostile.judge(raw(message(GOOD_BODY, b"Connection: keep-alive")), YES_OR_DOUBT)


WORDS = {
    "accepted": (GOOD_BODY, "queued"),
    "no word": (b'{"success": true}', "queued"),
    "no data": (b'{"success": true, "data": null}', "queued"),
    "data of a wrong type": (b'{"success": true, "data": ["m1"]}', "unknown"),
    "data that are text": (b'{"success": true, "data": "queued"}', "unknown"),
    "a status of a wrong type": (b'{"success": true, "data": {"id": "m1", "status": true}}', "unknown"),
    "a status in a list": (b'{"success": true, "data": {"id": "m1", "status": ["queued"]}}', "unknown"),
    "a status of another API": (b'{"success": true, "data": {"id": "m1", "status": "bounced"}}', "unknown"),
    "a status with an address": (
        b'{"success": true, "data": {"status": "ada@example.org is suppressed"}}',
        "unknown",
    ),
    "a status of a million letters": (b'{"success": true, "data": {"status": "%b"}}' % (b"x" * 1_000_000), "unknown"),
    "a yes and a no": (b'{"success": false, "success": true}', "unknown"),
    "NaN": (b'{"success": true, "data": {"x": NaN}}', "unknown"),
    "HTML": (b"<html>", "unknown"),
    "a no": (REFUSAL, "failed"),
}


@pytest.mark.parametrize(("body", "word"), WORDS.values(), ids=WORDS)
def test_the_backend_says_accepted_where_migma_did(body, word, settings):
    """And its error, if any, can be logged."""
    with stub():
        server = Server(whole(body))
        settings.MIGMA = settings.MIGMA | {"API_URL": server.url, "MAX_RETRIES": 0, "FAIL_SILENTLY": True}
        for name, value in our_mailer().items():
            setattr(settings, name, value)
        mail = EmailMessage("Hello", "Line", None, ["ada@example.org"])
        assert mail.send() == (word == "queued")
        server.stop()
    [recipient] = mail.migma_status.recipients.values()
    assert recipient.status == word
    if word != "queued":
        assert isinstance(recipient.error, MigmaError)
        assert recipient.error.may_have_been_accepted is (word == "unknown")
        assert "@" not in str(recipient.error)
        assert len(str(recipient.error)) < 1_000
