"""The faults, by their words: what each does to a request, in one table.

They are done and not pretended: a reset is an RST on the wire, a lost reply belongs to a mail that was accepted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Literal

from django_migma.sandbox.wire import Answer, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_migma.sandbox.wire import Line

    Reply = Callable[["Fault", datetime], Answer]
    Way = Callable[[Line, Answer, float], None]

_SECONDS = 30.0
_NUMBER = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")
_CHUNK = b" " * 65536
_PAUSE = 0.001  # seconds between chunks of an endless body: 64 MB/s are enough to fill a careless client
_DRIP = 0.005  # seconds between two bytes
_DRIP_LENGTH = 100_000  # bytes: more than eight minutes


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One row of the table."""

    name: str
    meaning: str
    # Whether the request is processed as usual before the fault strikes. Then the answer is the usual one, be it a
    # refusal. Otherwise the fault strikes whatever the request is: no key is looked at, no token taken.
    accepts: bool = False
    # Whether a number follows the word: none, whole seconds, or a number of seconds that may be left out.
    number: Literal["none", "whole", "optional"] = "none"
    delays: bool = False  # its seconds pass while the request is being processed
    reply: Reply | None = None  # an answer in place of the usual one
    way: Way | None = None  # how the answer is written, when not whole and in one piece

    @property
    def words(self) -> tuple[str, ...]:
        """As they are written, N for a number."""
        forms = {"none": (self.name,), "whole": (f"{self.name}-N",), "optional": (self.name, f"{self.name}-N")}
        return forms[self.number]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind with its number."""

    word: str
    kind: Kind
    seconds: float

    @property
    def delay(self) -> float:
        """Seconds that processing takes."""
        return self.seconds if self.kind.delays else 0.0

    def reply(self, now: datetime) -> Answer:
        """The answer of a fault that does not accept; one that is never sent where it does not answer."""
        return self.kind.reply(self, now) if self.kind.reply is not None else Answer(status=500, body=b"")

    def applied_to(self, answer: Answer) -> Answer:
        """The same answer, to be delivered in the fault's way."""
        way = self.kind.way
        return answer if way is None else replace(answer, delivery=lambda line, own: way(line, own, self.seconds))


def parse_fault(word: str) -> Fault:
    """ValueError, which names the known words, when there is no such fault."""
    name, _, number = word.rpartition("-")
    if not _NUMBER.fullmatch(number) or not name:
        name, number = word, ""
    kind = _KINDS_BY_NAME.get(name)
    if kind is None or not _number_fits(kind, number):
        raise ValueError(f"unknown fault {word!r}; known: {', '.join(word for k in KINDS for word in k.words)}")
    return Fault(word=word, kind=kind, seconds=float(number or _SECONDS))


def _number_fits(kind: Kind, number: str) -> bool:
    return {"none": not number, "whole": number.isdigit(), "optional": True}[kind.number]


def _error(status: int, retry_after: Callable[[Fault, datetime], str] | None = None) -> Reply:
    def reply(fault: Fault, now: datetime) -> Answer:
        headers = () if retry_after is None else (("Retry-After", retry_after(fault, now)),)
        return Refusal(status, f"The sandbox strikes: fault {fault.word}", headers=headers).answer()

    return reply


def _whole_seconds(fault: Fault, _now: datetime) -> str:
    return str(int(fault.seconds))


def _date(fault: Fault, now: datetime) -> str:
    # Rounded up: an HTTP date has no fractions, and must not come before the time is over.
    moment = math.ceil(now.timestamp() + fault.seconds)
    return format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


def _page(status: int, title: str) -> Reply:
    """What a proxy in between says, in its own words: no JSON."""
    page = f"<!doctype html><title>{title}</title><h1>{title}</h1><hr>a proxy before the sandbox"
    answer = Answer(status=status, body=page.encode(), content_type="text/html; charset=utf-8")
    return lambda _fault, _now: answer


def _redirect(_fault: Fault, _now: datetime) -> Answer:
    # To a path that answers with success: a client that follows takes a list of projects for an accepted mail.
    return Answer(status=302, body=b"", headers=(("Location", "/v1/projects"),))


def _reset(line: Line, _answer: Answer, seconds: float) -> None:
    line.reset()


def _hang_up(line: Line, _answer: Answer, seconds: float) -> None:
    line.close()


def _half(line: Line, answer: Answer, seconds: float) -> None:
    line.start(answer)
    line.send(answer.body[: len(answer.body) // 2])
    line.close()


def _slow(line: Line, answer: Answer, seconds: float) -> None:
    line.start(answer)
    if line.wait(seconds):
        line.send(answer.body)
    else:
        line.close()


def _silent(line: Line, _answer: Answer, seconds: float) -> None:
    line.wait(seconds)
    line.close()


def _empty(line: Line, answer: Answer, seconds: float) -> None:
    line.start(replace(answer, body=b""))


def _endless(line: Line, answer: Answer, seconds: float) -> None:
    line.start(answer, ("Transfer-Encoding", "chunked"))
    line.send(_chunk(answer.body))
    while line.wait(_PAUSE):
        line.send(_chunk(_CHUNK))
    line.close()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _drip(line: Line, answer: Answer, seconds: float) -> None:
    padded = replace(answer, body=answer.body.ljust(_DRIP_LENGTH))
    line.start(padded)
    for place in range(len(padded.body)):
        if not line.wait(_DRIP):
            break
        line.send(padded.body[place : place + 1])
    line.close()


def _close(line: Line, answer: Answer, seconds: float) -> None:
    line.start(answer)
    line.send(answer.body)
    line.close()


_AFTER = "with Retry-After in whole seconds"
_AS_DATE = "with Retry-After as an HTTP date so many seconds ahead"

KINDS = (
    Kind(name="429", reply=_error(429), meaning="429 without Retry-After"),
    Kind(name="429-after", number="whole", reply=_error(429, _whole_seconds), meaning=f"429 {_AFTER}"),
    Kind(name="429-date", number="whole", reply=_error(429, _date), meaning=f"429 {_AS_DATE}"),
    Kind(name="503", reply=_error(503), meaning="503 without Retry-After"),
    Kind(name="503-after", number="whole", reply=_error(503, _whole_seconds), meaning=f"503 {_AFTER}"),
    Kind(name="503-date", number="whole", reply=_error(503, _date), meaning=f"503 {_AS_DATE}"),
    Kind(name="500", reply=_error(500), meaning="500"),
    Kind(name="502", reply=_page(502, "Bad Gateway"), meaning="502 with a proxy's HTML page"),
    Kind(name="504", reply=_page(504, "Gateway Timeout"), meaning="504 with a proxy's HTML page"),
    Kind(name="html", reply=_page(200, "Please sign in"), meaning="200 with a proxy's HTML page"),
    Kind(name="redirect", reply=_redirect, meaning="302 to a path that answers with success"),
    Kind(name="reset", way=_reset, meaning="the connection is reset"),
    Kind(name="hangup", way=_hang_up, meaning="the connection ends without a byte of answer"),
    Kind(name="silent", number="optional", way=_silent, meaning="no answer for so many seconds, then the end"),
    Kind(name="lost", accepts=True, way=_reset, meaning="the connection is reset: the reply is lost"),
    Kind(name="half", accepts=True, way=_half, meaning="headers and half of the body, then the end"),
    Kind(name="empty", accepts=True, way=_empty, meaning="the answer with an empty body"),
    Kind(name="slow", accepts=True, number="optional", way=_slow, meaning="headers, and the body so much later"),
    Kind(
        name="busy",
        accepts=True,
        number="optional",
        delays=True,
        meaning="accepting takes so many seconds; its Idempotency-Key is in use meanwhile",
    ),
    Kind(name="drip", accepts=True, way=_drip, meaning="a body that comes byte by byte for minutes"),
    Kind(name="endless", accepts=True, way=_endless, meaning="a body without an end"),
    Kind(name="close", accepts=True, way=_close, meaning="the whole answer, then an end that was not announced"),
    Kind(name="ok", accepts=True, meaning="no fault"),
)
_KINDS_BY_NAME = {kind.name: kind for kind in KINDS}
