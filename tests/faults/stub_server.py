"""A local server with broken responses, and what the client concludes from each of them."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from unittest import mock

from django_migma.api import MigmaError, SendResult
from django_migma.api.connections import close_pools
from tests.api.examples import client, send_request
from tests.api.servers import Answer, Exchange, Server, whole

ACCEPTED, REFUSED, DOUBT = "accepted", "refused", "doubt"
"""What a client may conclude from a response: a clear yes, a clear no, anything else."""
YES, NO, UNCLEAR, YES_OR_UNCLEAR = {ACCEPTED}, {REFUSED}, {DOUBT}, {ACCEPTED, DOUBT}
GOOD: dict[str, Any] = {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma"}}
GOOD_BODY = json.dumps(GOOD).encode()
REFUSAL = b'{"success": false, "error": "no"}'
OK = b"HTTP/1.1 200 OK"
PATIENCE = 60
"""Seconds for an answer that comes, and which a busy machine may delay."""
MAX_TEXT = 1_000
"""Characters of an error text: a longer one drowns a log."""
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Categories of characters that forge log lines, command terminals, or hide and reverse text."""
_ADDRESS = re.compile(r"[^\s@]@[^\s@]")


def conclusion(outcome: SendResult | MigmaError) -> str:
    """What the client concluded."""
    if isinstance(outcome, SendResult):
        return ACCEPTED if outcome.status in {"", "queued", "sent", "processing"} else DOUBT
    return DOUBT if outcome.may_have_been_accepted else REFUSED


def message(body: bytes = GOOD_BODY, *headers: bytes, status: bytes = OK, length: bool = True) -> bytes:
    """A whole response with these header lines, well-formed or not."""
    about = [b"Content-Length: %d" % len(body)] if length else []
    return b"\r\n".join([status, *headers, *about, b"", b""]) + body


def chunks(*parts: bytes, trailer: bytes = b"") -> bytes:
    """A whole chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


def chunked(body: bytes) -> bytes:
    """A response whose body is these bytes, announced as chunks."""
    return message(body, b"Transfer-Encoding: chunked", length=False)


def zipped(body: bytes) -> bytes:
    """The body in gzip, the same bytes each time."""
    return gzip.compress(body, mtime=0)


def keeping(data: bytes) -> Answer:
    """These bytes; the connection then stays open."""

    def answer(exchange: Exchange) -> None:
        exchange.write(data)
        exchange.kept = True

    return answer


class StubServer:
    """Answers each idempotency key with its own response, over whichever connection the request comes."""

    def __init__(self, *, tls: bool = False) -> None:
        self.server = Server(self._answer, tls=tls)
        self._answers: dict[str, Answer] = {}
        self._count = 0

    def _answer(self, exchange: Exchange) -> None:
        # Not the last request of the server: one that was given up may be read late, beside the next.
        self._answers[exchange.request.headers["Idempotency-Key"]](exchange)

    def send(self, answer: Answer, *, timeout: Any = PATIENCE, **options: Any) -> SendResult | MigmaError:
        """One send without retries that gets this response. Raises whatever is no `MigmaError`.

        Each send has an API key of its own: a pause that one response asks for must not hold up the next.
        """
        self._count += 1
        key = f"send-{self._count}"
        api_key = f"sk_of_{key:0>12}"
        self._answers[key] = answer
        about = {"timeout": timeout, "max_retries": 0, "retry_deadline": 2 * PATIENCE} | options
        sender = client(self.server.url, api_key, **about)
        try:
            return sender.send(send_request(), idempotency_key=key)
        except MigmaError as error:
            check_error(error, api_key)
            return error

    def check(self, answer: Answer, allowed: set[str], **options: Any) -> Any:
        """Send, compare the conclusion, and check that the next request gets its own response."""
        outcome = self.send(answer, **options)
        assert conclusion(outcome) in allowed, f"{outcome!r} is not {allowed}"
        self.check_next()
        return outcome

    def check_next(self) -> None:
        """The next request gets its own response, whatever the last one left behind.

        It is retried: a server may close a connection between two requests without a word.
        """
        identity = f"next-{self._count}"
        outcome = self.send(whole({"success": True, "data": {"id": identity, "status": "queued"}}), max_retries=2)
        assert getattr(outcome, "id", outcome) == identity


def check_error(error: MigmaError, api_key: str) -> None:
    """An error can be logged, stored and pickled, whatever the server wrote."""
    text = str(error)
    assert not _UNPRINTABLE.intersection(map(unicodedata.category, text)), ascii(text[:MAX_TEXT])
    assert len(text) <= MAX_TEXT, f"{len(text)} characters: {text[:100]}"
    assert not _ADDRESS.search(text.replace("<address>", "")), ascii(text)
    assert api_key not in text
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), text)


@contextlib.contextmanager
def stub_server(*, tls: bool = False) -> Iterator[StubServer]:
    """A running server, without the proxies of this machine and without connections of other tests."""
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    close_pools()
    with mock.patch.dict(os.environ, proxies):
        stub = StubServer(tls=tls)
        try:
            yield stub
        finally:
            close_pools()
            stub.server.stop()
