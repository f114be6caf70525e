"""Answers that no honest server gives, a server that gives them, and what the client makes of them.

What a client may conclude from an answer is written down as a verdict, so that each table reads as name, bytes,
verdict.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from django_migma.api import MigmaError, SendResult
from django_migma.api.connections import close_pools
from tests.api.examples import client, send_request
from tests.api.servers import Answer, Exchange, Server, whole

GOOD: dict[str, Any] = {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma"}}
GOOD_BODY = json.dumps(GOOD).encode()
OK = b"HTTP/1.1 200 OK"
ACCEPTED_WORDS = {"", "queued", "sent", "processing"}
LONGEST_TEXT = 1_000
"""Characters of an error: more drowns a log."""
QUICK = 0.1
"""Seconds of read timeout where the server stalls on purpose. Elsewhere the machine may be as slow as it likes."""
_UNFIT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Kinds of characters that forge log lines, command terminals, or hide and turn around what people read."""
_MAILBOX = re.compile(r"[^\s@]@[^\s@]")


@dataclass(frozen=True)
class Verdict:
    """What one answer may come to: a certain yes, a clear no, or doubt; ``kind`` narrows the error's class."""

    yes: bool = False
    no: bool = False
    doubt: bool = False
    kind: type[MigmaError] = MigmaError

    def fits(self, outcome: SendResult | MigmaError) -> bool:
        """Whether the client may conclude this."""
        if isinstance(outcome, SendResult):
            return self.yes if is_certain(outcome) else self.doubt and self.kind is MigmaError
        allowed = self.doubt if outcome.may_have_been_accepted else self.no
        return allowed and (type(outcome) is self.kind or self.kind is MigmaError)


YES = Verdict(yes=True)
DOUBT = Verdict(doubt=True)
YES_OR_DOUBT = Verdict(yes=True, doubt=True)
"""Where the letter is broken and the meaning clear: to be strict is as right as to be lenient."""


def refused(kind: type[MigmaError]) -> Verdict:
    """Exactly this error, and nothing was accepted."""
    return Verdict(no=True, kind=kind)


def doubtful(kind: type[MigmaError]) -> Verdict:
    """Exactly this error, and the mail may have been accepted."""
    return Verdict(doubt=True, kind=kind)


def is_certain(result: SendResult) -> bool:
    """Whether a result is what the backends count as accepted."""
    return result.status in ACCEPTED_WORDS


def message(
    body: bytes = GOOD_BODY, *headers: bytes, status: bytes = OK, length: bool = True, newline: bytes = b"\r\n"
) -> bytes:
    """A whole answer with these lines in its head, well formed or not."""
    about = [b"Content-Length: %d" % len(body)] if length else []
    return newline.join([status, *headers, *about, b"", b""]) + body


def chunks(*parts: bytes, trailer: bytes = b"") -> bytes:
    """A chunked body, whole and right."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailer + b"\r\n"


def zipped(body: bytes) -> bytes:
    """The same bytes each time."""
    return gzip.compress(body, mtime=0)


def keeping(data: bytes) -> Answer:
    """These bytes; then the connection stays open, as if all were well."""

    def answer(exchange: Exchange) -> None:
        exchange.write(data)
        exchange.kept = True

    return answer


def accepting(identity: str) -> Answer:
    """A good answer that can be told from every other."""
    return whole({"success": True, "data": {"id": identity, "status": "queued", "provider": "migma"}})


class Stub:
    """A server that answers by the idempotency key, however often and over whichever connection it is asked."""

    def __init__(self, *, tls: bool = False) -> None:
        self.answers: dict[str, Answer] = {}
        self.server = Server(self._answer, tls=tls)
        self._asked = 0

    def _answer(self, exchange: Exchange) -> None:
        self.answers[self.server.received[-1].headers["Idempotency-Key"]](exchange)

    def outcome(self, answer: Answer, *, timeout: float = 5, **options: Any) -> SendResult | MigmaError:
        """What a client without retries makes of an answer. Any error but a `MigmaError` goes through.

        Each send has an API key of its own, lest a pause that one answer asks for holds up the next.
        """
        self._asked += 1
        key = f"send-{self._asked}"
        self.answers[key] = answer
        sender = client(self.server.url, f"sk_of_{key:0>12}", timeout=timeout, max_retries=0, **options)
        try:
            return sender.send(send_request(), idempotency_key=key)
        except MigmaError as error:
            check_error(error, f"sk_of_{key:0>12}")
            return error

    def judge(self, answer: Answer, verdict: Verdict, **options: Any) -> SendResult | MigmaError:
        """One send that gets this answer comes to the verdict, and the send after it to its own."""
        outcome = self.outcome(answer, **options)
        assert verdict.fits(outcome), f"{outcome!r} is not {verdict}"
        self.probe()
        return outcome

    def probe(self) -> None:
        """The next request is answered by its own answer, whatever the last one left behind."""
        identity = f"probe-{self._asked}"
        result = self.outcome(accepting(identity))
        found = (result.id, result.attempts) if isinstance(result, SendResult) else result
        assert found == (identity, 1), f"The answer to {identity} is {found!r}"


def check_error(error: MigmaError, secret: str) -> None:
    """An error can be logged, stored and handed to another process, whoever wrote its words."""
    text = str(error)
    assert not _UNFIT.intersection(map(unicodedata.category, text)), ascii(text[:LONGEST_TEXT])
    assert len(text) <= LONGEST_TEXT, f"{len(text)} characters: {text[:100]}"
    assert not _MAILBOX.search(text.replace("<address>", "")), ascii(text)
    assert secret not in text
    text.encode()
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), text)


@contextlib.contextmanager
def stub(*, tls: bool = False) -> Iterator[Stub]:
    """A running stub, without this machine's proxies and without connections of others."""
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    close_pools()
    with mock.patch.dict(os.environ, proxies):
        running = Stub(tls=tls)
        try:
            yield running
        finally:
            close_pools()
            running.server.stop()
