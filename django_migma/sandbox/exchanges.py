"""What the inbox is made of: requests to send, with their answers, and the mails they meant.

A `Mail` is what the application meant: all requests under one API key and Idempotency-Key, those included that were
refused or that a fault struck. A request without an Idempotency-Key is a mail of its own, and so is its repeat.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import account
from django_migma.sandbox.placeholders import RenderedEmail, missing_variables, variables_used
from django_migma.sandbox.plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from django_migma.sandbox.faults import Fault, Reply
    from django_migma.sandbox.options import Switches
    from django_migma.sandbox.placeholders import VariableUse

TEST_ENDPOINT = "POST /v1/emails/test/send"
_SENDING = re.compile(r"POST /v1/(sending|emails/test/send|campaigns/[^/]+/(send|schedule))")
RECORDED_HEADERS = (
    "Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Content-Type", "Content-Length",
    "Idempotency-Key",
)  # fmt: skip
"""Never Authorization: the key of a sandbox opens nothing, but a real one may have come by mistake."""
_OVERHEAD = 1024  # bytes of the objects that an exchange consists of, about


@dataclass(frozen=True, kw_only=True)
class Message(RenderedEmail):
    """One accepted send, to one recipient or to a batch, or one test send; ``subject`` and ``html`` as rendered."""

    id: str  # message id, or batch id: `id` of the answer
    received_at: datetime
    endpoint: str  # method and path template
    key_name: str  # which of the sandbox's keys, never the key itself
    idempotency_key: str | None = None
    body: Mapping[str, Any]  # the request as it came, fields unknown to Migma included
    size: int  # bytes that its parsed body takes, about
    answer: Mapping[str, Any]  # `data` of the answer
    recipients: int | None = None  # the size of the segment or tag; None for one address
    replays: int = 0  # how often the same request came again under its key


def is_send(request: str) -> bool:
    """Whether a request, given as method and path, asks for a mail: the inbox shows those."""
    return _SENDING.fullmatch(request) is not None


class Result(StrEnum):
    """What became of one request."""

    ACCEPTED = "accepted"
    REPLAYED = "replayed"  # its Idempotency-Key was known: the first answer again
    REFUSED = "refused"
    CONFLICT = "conflict"  # its Idempotency-Key is in use, or was used for another body
    LIMITED = "limited"  # over the rate limit
    UNTOUCHED = "untouched"  # a fault struck before the request was looked at


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request to a sending endpoint and its answer. The properties are lenient: a body may be any garbage."""

    number: int  # counts the requests to the sending endpoints, from 1
    at: datetime  # when it had come
    took: float  # seconds until its answer was ready
    endpoint: str  # method and path template
    path: str  # as it came, quoted
    key_name: str  # which of the sandbox's keys; empty for an unknown or a missing one
    idempotency_key: str | None
    head: Mapping[str, str]  # the headers that RECORDED_HEADERS names
    body: bytes
    fault: Fault
    result: Result
    status: int
    answer: bytes  # as prepared, also where the fault kept it back
    message: Message | None  # of a replay, the first one's
    switches: Switches  # of the sandbox

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """The body as JSON; empty if it is not one JSON object."""
        return self.message.body if self.message else _json_object(self.body)

    @cached_property
    def stored_email(self) -> account.Json | None:
        """The stored email that the request names; None if the sandbox has no such email."""
        return account.stored_email_or_none(self.payload)

    @cached_property
    def recipient(self) -> str:
        """An address, or such as "segment Coffee lovers, 412 recipients"; empty if the body has none."""
        payload = self.payload
        if self.is_test:
            return _text(payload, "to")
        kind, audience_id = _text(payload, "recipientType"), _text(payload, "recipientId")
        if kind not in ("segment", "audience", "tag"):
            return _text(payload, "recipientEmail")
        if (audience := account.find_audience(kind, audience_id)) is not None:
            return f"{audience.kind} {audience.name}, {audience.size} recipients"
        return f"{'tag' if kind == 'tag' else 'segment'} {audience_id}"

    @property
    def sender(self) -> str:
        """Such as "Fernhill Coffee <hello@fernhill.example>"; empty if the body has none, as that of a test send."""
        name, address = _text(self.payload, "fromName"), _text(self.payload, "from")
        return f"{name} <{address}>" if name else address

    @cached_property
    def subject(self) -> str:
        """As it was sent, with its placeholders; of a test send, the stored email's."""
        stored = self.stored_email if self.is_test else None
        return _text(stored or self.payload, "subject")

    @cached_property
    def email_id(self) -> str:
        """The id of the stored email that the request names, perhaps an unknown one; empty if it names none."""
        if self.message is not None and "emailId" in self.message.answer:
            return _text(self.message.answer, "emailId")
        return _text(self.stored_email or self.payload, "emailId")

    @property
    def problem(self) -> str:
        """The error text of the answer; empty if it has none."""
        return _text(_json_object(self.answer), "error")

    @property
    def message_id(self) -> str:
        """Of the message that it made or repeated; empty if there is none."""
        return self.message.id if self.message else ""

    @property
    def reply(self) -> Reply:
        return self.fault.kind.reply

    @property
    def is_test(self) -> bool:
        return self.endpoint == TEST_ENDPOINT

    @cached_property
    def size(self) -> int:
        """Bytes that it alone holds, about: without the body and the message, which a repeat holds as well."""
        payload = 0 if self.message else parsed_size(self.body)
        return _OVERHEAD + payload + len(self.answer) + sum(map(len, self.head.values()))


@dataclass(frozen=True, kw_only=True, repr=False)
class Mail:
    """The mail that an application meant: one or more exchanges."""

    id: str  # "1", "2" and so on, in order of the first request
    exchanges: tuple[Exchange, ...]  # in the order in which they came; never empty
    dropped: int = 0  # exchanges between the first and the last ones that are no longer kept
    is_read: bool = False

    def __repr__(self) -> str:
        """What a failing assert should say; the whole of the exchanges would bury it."""
        requests = "" if self.attempts == 1 else f", {self.attempts} requests"
        outcome = "accepted" if self.is_accepted else f"not accepted: {self.problem}"
        return f"<Mail {self.subject!r} to {self.recipient or 'nobody'}{requests}, {outcome}>"

    @cached_property
    def main(self) -> Exchange:
        """The accepted exchange, or a replay of it; the first one if none was accepted."""
        return next((each for each in self.exchanges if each.message), self.exchanges[0])

    @property
    def message(self) -> Message | None:
        return self.main.message

    @property
    def messages(self) -> list[Message]:
        """Several where idempotency keys are ignored, or where one was used again after its 24 hours."""
        found: dict[str, Message] = {}
        for each in self.exchanges:
            if each.message is not None:
                found.setdefault(each.message.id, each.message)
        return list(found.values())

    @property
    def recipient(self) -> str:
        return self.main.recipient

    @cached_property
    def rendered(self) -> RenderedEmail:
        """The mail; where none was accepted, what it would have been. It has no HTML if no known email is named."""
        if self.message is not None:
            return self.message
        stored = self.main.stored_email
        return RenderedEmail(
            subject_template=self.main.subject,
            html_template=stored["html"] if stored else _text(self.main.payload, "template"),
            variables=self.variables,
            switches=self.main.switches,
        )

    @property
    def subject(self) -> str:
        """As rendered, also where no mail was accepted."""
        return self.rendered.subject

    @property
    def html(self) -> str:
        """As rendered; empty where no mail was accepted."""
        return self.message.html if self.message else ""

    @cached_property
    def text(self) -> str:
        """The HTML as plain text, with the addresses of links; empty where no mail was accepted."""
        return plain_text(self.html)

    @property
    def problem(self) -> str:
        """Why no mail was accepted: the error of the last answer, or the fault; empty for an accepted one."""
        last = self.exchanges[-1]
        return "" if self.is_accepted else last.problem or f"fault {last.fault.word}"

    @property
    def variables(self) -> dict[str, Any]:
        given = self.main.payload.get("variables")
        return given if isinstance(given, dict) else {}

    @property
    def template(self) -> str:
        """The name of a stored email of the sandbox, such as "receipt"; else its id; empty if the mail has none."""
        return account.EMAIL_NAMES.get(self.main.email_id, self.main.email_id)

    @cached_property
    def missing_variables(self) -> list[str]:
        """The names of placeholders without a variable. Of a mail that was not accepted, as it would have been."""
        return missing_variables(self.variables, self._templates().values())

    @cached_property
    def variables_used(self) -> list[VariableUse]:
        """Each variable of the mail, and each placeholder without one; see `variables_used`."""
        return variables_used(self.variables, self._templates())

    def _templates(self) -> dict[str, str]:
        """The texts with placeholders, by place, as a reader meets them."""
        rendered, preheader = self.rendered.templates, _text(self.main.stored_email or {}, "preheader")
        return {"subject": rendered["subject"], "preheader": preheader, "body": rendered["body"]}

    @property
    def attempts(self) -> int:
        """How many requests there were, with those that are no longer kept."""
        return len(self.exchanges) + self.dropped

    @cached_property
    def is_accepted(self) -> bool:
        """Also where the inbox was emptied meanwhile and only a replay is known."""
        return any(
            each.result is Result.ACCEPTED or (each.result is Result.REPLAYED and each.status < 300)
            for each in self.exchanges
        )

    @property
    def is_refused(self) -> bool:
        """Not accepted, and not because of faults or the rate limit alone."""
        return not self.is_accepted and any(
            each.result in (Result.REFUSED, Result.CONFLICT) for each in self.exchanges
        )

    @property
    def is_test(self) -> bool:
        """Through Migma's endpoint for tests, or marked by its subject, as the admin does with mail of the site."""
        return self.main.is_test or self.subject.startswith("[Test] ")

    @property
    def at(self) -> datetime:
        return self.exchanges[0].at

    @property
    def last_at(self) -> datetime:
        return self.exchanges[-1].at

    @cached_property
    def size(self) -> int:
        """Bytes that it holds, about. A body or a message that several of its exchanges hold counts once."""
        bodies = {id(each.body): len(each.body) for each in self.exchanges}
        messages = {each.message.id: each.message.size for each in self.exchanges if each.message}
        return sum(each.size for each in self.exchanges) + sum(bodies.values()) + sum(messages.values())


def parsed_size(body: bytes) -> int:
    """Bytes that its JSON takes as objects, about: a million empty lists are 3 MB of text, and 60 MB of lists."""
    separators = len(body) - len(body.translate(None, b",:[{"))
    return len(body) + 64 * separators


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    return value if isinstance(value, str) else ""
