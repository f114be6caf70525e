"""Faults: the table of what each does to a request, and which request is struck by which.

They are done and not pretended: a reset is an RST on the wire, a lost reply belongs to a mail that was accepted.
"""

from __future__ import annotations

import json
import math
import random
import re
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from django.http import HttpResponse, HttpResponseRedirect
from django.utils.http import http_date

from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from django.http import HttpRequest

    Deliver = Callable[["Connection", HttpResponse, float], None]
    Respond = Callable[["Fault", datetime], HttpResponse]

_DEFAULT_SECONDS = 30.0
_NUMBER = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")
_PAUSE = 0.001  # seconds between chunks of an endless body: 64 MB/s are enough to fill a careless client
_DRIP = 0.005  # seconds between two bytes
_DRIP_LENGTH = 100_000  # bytes: more than eight minutes
_MAX_KEY = 100  # characters of an idempotency key; a longer one is refused anyway
_MAX_STRUCK = 1000  # keys whose recipient asked for a fault, and got it


class Connection(Protocol):
    """The connection that a response goes out on. Writing raises ConnectionError once the client has left."""

    def write(self, response: HttpResponse) -> None: ...
    def start(self, response: HttpResponse, length: int | None) -> None: ...  # headers; None: a chunked body follows
    def send(self, data: bytes) -> None: ...  # part of the body, at once
    def wait(self, seconds: float) -> bool: ...  # False, and early, if the client leaves or the sandbox is stopped
    def close(self) -> None: ...  # end of stream, unannounced, once the response is through
    def reset(self) -> None: ...  # RST instead of an end of stream


def chunk(data: bytes) -> bytes:
    """A part of a body without a length, as it goes over the wire."""
    return b"%x\r\n%b\r\n" % (len(data), data)


_BLANKS = chunk(b" " * 0x10000)


def _whole(connection: Connection, response: HttpResponse, _seconds: float) -> None:
    connection.write(response)


def _reset(connection: Connection, _response: HttpResponse, _seconds: float) -> None:
    connection.reset()


def _hang_up(connection: Connection, _response: HttpResponse, _seconds: float) -> None:
    connection.close()


def _silent(connection: Connection, _response: HttpResponse, seconds: float) -> None:
    connection.wait(seconds)
    connection.close()


def _half(connection: Connection, response: HttpResponse, _seconds: float) -> None:
    connection.start(response, len(response.content))
    connection.send(response.content[: len(response.content) // 2])
    connection.close()


def _empty(connection: Connection, response: HttpResponse, _seconds: float) -> None:
    connection.start(response, 0)


def _slow(connection: Connection, response: HttpResponse, seconds: float) -> None:
    connection.start(response, len(response.content))
    if connection.wait(seconds):
        connection.send(response.content)
    else:
        connection.close()


def _drip(connection: Connection, response: HttpResponse, _seconds: float) -> None:
    padded = response.content.ljust(_DRIP_LENGTH)
    connection.start(response, len(padded))
    for place in range(len(padded)):
        if not connection.wait(_DRIP):
            break
        connection.send(padded[place : place + 1])
    connection.close()


def _endless(connection: Connection, response: HttpResponse, _seconds: float) -> None:
    connection.start(response, None)
    connection.send(chunk(response.content))
    while connection.wait(_PAUSE):
        connection.send(_BLANKS)
    connection.close()


def _close(connection: Connection, response: HttpResponse, _seconds: float) -> None:
    connection.start(response, len(response.content))
    connection.send(response.content)
    connection.close()


def _error(status: int, *, retry_after: Literal["seconds", "date"] | None = None) -> Respond:
    def respond(fault: Fault, now: datetime) -> HttpResponse:
        # Rounded up: an HTTP date has no fractions, and must not come before the time is over.
        date = http_date(math.ceil(now.timestamp() + fault.seconds))
        value = date if retry_after == "date" else str(int(fault.seconds))
        headers = {"Retry-After": value} if retry_after else None
        return ApiError(status, f"The sandbox strikes: fault {fault.word}", headers=headers).response()

    return respond


def _page(status: int, title: str) -> Respond:
    page = f"<!doctype html><title>{title}</title><h1>{title}</h1><hr>a proxy before the sandbox"
    return lambda _fault, _now: HttpResponse(page.encode(), status=status, content_type="text/html; charset=utf-8")


def _redirect(_fault: Fault, _now: datetime) -> HttpResponse:
    # To a path that answers with success: a client that follows takes a list of projects for an accepted mail.
    return HttpResponseRedirect("/v1/projects", content_type="application/json")


class Learnt(StrEnum):
    """What an application learns of a send that a fault strikes."""

    NOT_TAKEN = "Migma did not take the mail, and says so."
    NOT_TOLD = "Migma took the mail, and the application does not learn it."
    NOTHING = "Migma did not take the mail, and the application learns nothing."


class Reply(StrEnum):
    """How an answer reaches the application, as far as the sandbox can tell."""

    WHOLE = "whole"
    HALF = "half"
    LATE = "late"
    NONE = "none"


_REPLIES: dict[Deliver, Reply] = {
    _reset: Reply.NONE,
    _hang_up: Reply.NONE,
    _silent: Reply.NONE,
    _half: Reply.HALF,
    _empty: Reply.HALF,
    _endless: Reply.HALF,
    _slow: Reply.LATE,
    _drip: Reply.LATE,
}


@dataclass(frozen=True)
class Kind:
    """One row of the table, which is a fault but for its number."""

    name: str
    meaning: str
    number: Literal["none", "whole", "optional"] = "none"  # of seconds in the word; optional: any number, or none
    delays: bool = False  # its seconds pass while the request is being processed
    # A response in place of the usual one; nothing is accepted then, and nothing but the API key is looked at.
    respond: Respond | None = None
    deliver: Deliver = _whole

    @property
    def words(self) -> tuple[str, ...]:
        """As they are written, N for a number."""
        forms = {"none": (self.name,), "whole": (f"{self.name}-N",), "optional": (self.name, f"{self.name}-N")}
        return forms[self.number]

    @property
    def accepts_mail(self) -> bool:
        return self.respond is None

    @property
    def learnt(self) -> Learnt:
        if self.accepts_mail:
            return Learnt.NOT_TOLD
        return Learnt.NOT_TAKEN if self.deliver is _whole else Learnt.NOTHING

    @property
    def reply(self) -> Reply:
        return Reply.LATE if self.delays else _REPLIES.get(self.deliver, Reply.WHOLE)


_UNSENT = _error(500)  # stands in for a response that never leaves
KINDS = (
    Kind("429", "429 without Retry-After", respond=_error(429)),
    Kind("429-after", "429 with Retry-After in seconds", number="whole", respond=_error(429, retry_after="seconds")),
    Kind("429-date", "429 with Retry-After as a date", number="whole", respond=_error(429, retry_after="date")),
    Kind("503", "503 without Retry-After", respond=_error(503)),
    Kind("503-after", "503 with Retry-After in seconds", number="whole", respond=_error(503, retry_after="seconds")),
    Kind("503-date", "503 with Retry-After as a date", number="whole", respond=_error(503, retry_after="date")),
    Kind("500", "500", respond=_error(500)),
    Kind("502", "502 with a proxy's HTML page", respond=_page(502, "Bad Gateway")),
    Kind("504", "504 with a proxy's HTML page", respond=_page(504, "Gateway Timeout")),
    Kind("html", "200 with a proxy's HTML page", respond=_page(200, "Please sign in")),
    Kind("redirect", "302 to a path that answers with success", respond=_redirect),
    Kind("reset", "the connection is reset", respond=_UNSENT, deliver=_reset),
    Kind("hangup", "the connection ends without a byte of answer", respond=_UNSENT, deliver=_hang_up),
    Kind("silent", "no answer for so long, then the end", number="optional", respond=_UNSENT, deliver=_silent),
    Kind("lost", "the connection is reset: the reply is lost", deliver=_reset),
    Kind("half", "headers and half of the body, then the end", deliver=_half),
    Kind("empty", "the answer with an empty body", deliver=_empty),
    Kind("slow", "headers, and the body so much later", number="optional", deliver=_slow),
    Kind("busy", "accepting takes so long; its Idempotency-Key is in use meanwhile", number="optional", delays=True),
    Kind("drip", "a body that comes byte by byte for minutes", deliver=_drip),
    Kind("endless", "a body without an end", deliver=_endless),
    Kind("close", "the whole answer, then an end that was not announced", deliver=_close),
    Kind("ok", "no fault"),
)
_KINDS_BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True, kw_only=True)
class Fault:
    word: str
    kind: Kind
    seconds: float

    @property
    def strikes(self) -> bool:
        """False for "ok", which is a fault only by name: a script may want one send to go through."""
        return self.kind.name != "ok"

    def deliver(self, connection: Connection, response: HttpResponse) -> None:
        self.kind.deliver(connection, response, self.seconds)


def parse_fault(word: str) -> Fault:
    """Raises ValueError, which names the known words, for an unknown one."""
    name, _, number = word.rpartition("-")
    if not _NUMBER.fullmatch(number) or not name:
        name, number = word, ""
    kind = _KINDS_BY_NAME.get(name)
    if kind is None or not {"none": not number, "whole": number.isdigit(), "optional": True}[kind.number]:
        raise ValueError(f"unknown fault {word!r}; known: {', '.join(word for k in KINDS for word in k.words)}")
    return Fault(word=word, kind=kind, seconds=float(number or _DEFAULT_SECONDS))


# What may happen to any client on any day, with short waits. Without `redirect` (a mistake of the API's operator),
# `drip` and `endless` (malice): a client may rightly give up on those.
DEFAULT_KINDS = (
    "429", "429-after-1", "503", "503-after-1", "500", "502", "504", "html",
    "reset", "hangup", "silent-0.5", "lost", "half", "empty", "slow-0.5", "busy-0.5", "close",
)  # fmt: skip
NO_FAULT = parse_fault("ok")
RECIPIENT_DOMAIN = "sandbox.example"
"""Mail to addresses here gets the fault, or has the outcome, that their local part names."""

_ALWAYS = "-always"
_MAX_LINE = 1000  # faults of the script that wait: a control call of 10 MB holds a million
# The endpoints that are struck, and where each has its recipient.
_RECIPIENTS = {"POST /v1/sending": "recipientEmail", "POST /v1/emails/test/send": "to"}
_CAMPAIGN = "POST /v1/campaigns"
_STRUCK = {*_RECIPIENTS, _CAMPAIGN, *(f"{_CAMPAIGN}/{{campaignId}}/{verb}" for verb in ("send", "schedule"))}


def check_rate(rate: float) -> None:
    """Raises ValueError unless it is a share of all sends."""
    if not 0 <= rate <= 1:
        raise ValueError(f"fault_rate must be from 0 to 1, not {rate}")


class FaultPlan:
    """The faults to come: first the script decides, then the recipient, then chance. Safe to use from any thread."""

    def __init__(self, *, rate: float, seed: int | None, kinds: Sequence[str]) -> None:
        self._script: deque[Fault] = deque()
        self._struck: dict[str, None] = {}  # idempotency keys, oldest first
        self._lock = threading.Lock()
        self.by_chance(rate, kinds, seed)

    def script(self, *words: str) -> None:
        """Strike the next sends, after earlier scripts. Raises ValueError, and takes none, if one is unknown."""
        faults = [parse_fault(word) for word in words]
        with self._lock:
            if len(self._script) + len(faults) > _MAX_LINE:
                raise ValueError(f"at most {_MAX_LINE} faults may wait, and {len(self._script)} do; take some back")
            self._script.extend(faults)

    def remove(self, position: int, word: str) -> None:
        """Take one fault of the script back, counted from 0.

        Raises ValueError if it is no longer this one: a send may have come between the look and the deed.
        """
        with self._lock:
            if not 0 <= position < len(self._script) or self._script[position].word != word:
                raise ValueError(f"no fault {word} waits at place {position + 1} any more; look at the line again")
            del self._script[position]

    def by_chance(self, rate: float, kinds: Sequence[str] = (), seed: int | None = None) -> None:
        """Strike this share of the other sends, 0 to 1, from now on.

        Without kinds it is `DEFAULT_KINDS`; without a seed, one is drawn. Raises ValueError, and changes nothing, for
        another share and for an unknown kind.
        """
        check_rate(rate)
        faults = [parse_fault(word) for word in kinds or DEFAULT_KINDS]
        with self._lock:
            self._kinds, self._rate = faults, rate
            self.seed = secrets.randbelow(2**32) if seed is None else seed
            self._random = random.Random(self.seed)  # noqa: S311 - to be repeated, not to be secret

    def clear(self) -> None:
        """Drop the script and faults by chance; recipients strike as if for the first time."""
        with self._lock:
            self._script.clear()
            self._struck.clear()
            self._rate = 0.0

    def state(self) -> dict[str, Any]:
        """The faults to come, as JSON."""
        with self._lock:
            to_come = {
                "script": [fault.word for fault in self._script],
                "fault_rate": self._rate,
                "fault_seed": self.seed,
                "fault_kinds": [fault.word for fault in self._kinds],
            }
        words = [
            {"word": word, "accepts": kind.accepts_mail, "meaning": kind.meaning}
            for kind in KINDS
            for word in kind.words
        ]
        return to_come | {"words": words}

    def next_fault(self, endpoint: str, request: HttpRequest) -> Fault:
        """The fault for a request to an endpoint (method and path template), which is used up; often `NO_FAULT`."""
        if endpoint not in _STRUCK:
            return NO_FAULT
        word = _requested_word(request.body, _RECIPIENTS[endpoint]) if endpoint in _RECIPIENTS else ""
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        with self._lock:
            if self._script:
                return self._script.popleft()
            if word:
                return parse_fault(word.removesuffix(_ALWAYS)) if self._is_due(word, key) else NO_FAULT
            return self._random.choice(self._kinds) if self._random.random() < self._rate else NO_FAULT

    def _is_due(self, word: str, key: str | None) -> bool:
        # The key is looked at even where a switch ignores it, or no mail would ever come through.
        if word.endswith(_ALWAYS) or key is None:
            return True
        key = key[:_MAX_KEY]
        is_first = key not in self._struck
        self._struck[key] = None
        if len(self._struck) > _MAX_STRUCK:
            del self._struck[next(iter(self._struck))]
        return is_first


def _requested_word(body: bytes, field: str) -> str:
    """The fault that the recipient's address asks for, perhaps with ``-always``; empty for ordinary ones."""
    if RECIPIENT_DOMAIN.encode() not in body.lower():  # nearly always; to parse every body twice would be slow
        return ""
    try:
        local, _, domain = json.loads(body)[field].lower().rpartition("@")
        parse_fault(local.removesuffix(_ALWAYS))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return ""
    return local if domain == RECIPIENT_DOMAIN else ""
