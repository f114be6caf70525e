"""What travels between the layers: frozen dataclasses, with Migma's names on the wire beside ours.

Requests are strict: a broken rule is a ``ValueError`` or ``TypeError`` where the object is made. Answers are lenient:
any field may be missing or of another type and reads as empty then; all that Migma sent stays in ``raw``.
Field names are those of Migma's OpenAPI excerpt of POST /v1/sending and of its Node SDK, mid 2026, unless said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any, Self

from .errors import SerializationError
from .words import PROVIDER_TYPES, RECIPIENT_TYPES, is_object_id


@dataclass(frozen=True, kw_only=True)
class SendRequest:
    """One POST /v1/sending.

    ``recipient_type`` ``email`` needs ``recipient_email`` (one addr-spec); ``audience``, ``segment`` and ``tag`` need
    ``recipient_id``. ``email_id`` or ``conversation_id`` selects the stored email. ``template`` with ``project_id``
    is raw HTML: documented until spring 2026, absent since. ``bcc`` is in Migma's SDK only, ``topic_id`` in one
    guide only. None means that the field is not sent. ``extra`` is merged last, for fields that Migma adds later.
    """

    recipient_type: str = "email"
    recipient_email: str | None = None
    recipient_id: str | None = None
    from_email: str
    from_name: str
    subject: str
    reply_to: str | None = None
    email_id: str | None = None
    conversation_id: str | None = None
    template: str | None = None
    project_id: str | None = None
    variables: Mapping[str, Any] | None = None
    provider_type: str | None = None
    transactional: bool | None = None
    bcc: tuple[str, ...] | None = None
    topic_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError where a rule of the API is broken that needs no server to know."""
        for name in _WIRE_NAMES.keys() - {"transactional", "variables", "bcc"}:
            _kind(name, getattr(self, name), str)
        _kind("transactional", self.transactional, bool)
        _kind("variables", self.variables, Mapping)
        _kind("bcc", self.bcc, list, tuple)
        _one_of("recipient_type", self.recipient_type, RECIPIENT_TYPES)
        if self.provider_type is not None:
            _one_of("provider_type", self.provider_type, PROVIDER_TYPES)
        self._check_recipient()
        self._check_content()

    def _check_recipient(self) -> None:
        needed, other = "recipient_email", "recipient_id"
        if self.recipient_type != "email":
            needed, other = other, needed
        for name in (needed, "from_email", "from_name"):
            if not getattr(self, name):
                raise ValueError(f"SendRequest needs {name} when recipient_type is {self.recipient_type!r}.")
        if getattr(self, other):
            raise ValueError(f"SendRequest takes no {other} when recipient_type is {self.recipient_type!r}.")

    def _check_content(self) -> None:
        if self.subject is None:
            raise ValueError("SendRequest needs subject; it may be empty.")
        if self.email_id and self.conversation_id:
            raise ValueError("SendRequest takes email_id or conversation_id, not both.")
        for name in ("email_id", "conversation_id"):
            value = getattr(self, name)
            if value is not None and not is_object_id(value):
                raise ValueError(f"SendRequest: {name} must be 24 hex digits, not {value!r}.")

    @cached_property
    def body(self) -> bytes:
        """The body as it goes out; made once, since the idempotency key depends on it. See `encoded`."""
        return encoded(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The body, in Migma's names and without what is None."""
        body = {wire: getattr(self, name) for name, wire in _WIRE_NAMES.items()}
        return {name: value for name, value in body.items() if value is not None} | dict(self.extra)


_WIRE_NAMES = {
    "recipient_type": "recipientType",
    "recipient_email": "recipientEmail",
    "recipient_id": "recipientId",
    "from_email": "from",
    "from_name": "fromName",
    "subject": "subject",
    "reply_to": "replyTo",
    "email_id": "emailId",
    "conversation_id": "conversationId",
    "template": "template",
    "project_id": "projectId",
    "variables": "variables",
    "provider_type": "providerType",
    "transactional": "transactional",
    "bcc": "bcc",
    "topic_id": "topicId",
}


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as JSON in UTF-8. Raises `SerializationError` for what JSON or UTF-8 cannot express."""
    problem = ""
    try:
        return _ENCODER.encode(body).encode()
    except UnicodeEncodeError:
        problem = "a lone surrogate: it is no text that UTF-8 can carry"
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)
    raise SerializationError(f"The request cannot be written as JSON: {problem}. Pass plain JSON values.")


def _kind(name: str, value: object, *kinds: type) -> None:
    if value is not None and not isinstance(value, kinds):
        raise TypeError(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, not {type(value).__name__}.")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def text(value: object) -> str:
    """A string as it is, a number as its digits, anything else as empty."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def number(value: object) -> int | None:
    """A whole number, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def flag(value: object) -> bool | None:
    """A boolean, or None."""
    return value if isinstance(value, bool) else None


def mapping(value: object) -> dict[str, Any]:
    """A JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """The JSON objects of a JSON array; whatever else it holds is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def answer(wire: str, read: Any = text) -> Any:
    """A field of an answer: its name in Migma's JSON and the function that reads it."""
    return field(default_factory=lambda: read(None), metadata={"wire": wire, "read": read})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Base of what Migma answers. ``raw`` is the JSON object as received."""

    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, data: object, **more: Any) -> Self:
        """Read leniently from a JSON value, which should be an object."""
        raw = mapping(data)
        wired: Any = _wired  # mypy takes no class for hashable here
        known = {name: read(raw.get(wire)) for name, wire, read in wired(cls)}
        return cls(raw=raw, **known, **more)


@cache
def _wired(cls: Any) -> tuple[tuple[str, str, Any], ...]:
    """Each field of an answer that comes from Migma, with its name there and the function that reads it."""
    found = ((item.name, item.metadata) for item in fields(cls))
    return tuple((name, about["wire"], about["read"]) for name, about in found if "wire" in about)


@dataclass(frozen=True, kw_only=True)
class SendResult(Answer):
    """The answer to a send: accepted into Migma's queue, not delivered.

    ``id`` is the message id of a single send or the batch id; ``send_id`` (single) tracks it in logs and metrics,
    ``batch_id`` is for `MigmaClient.batch_status`. ``status`` is empty where Migma gave no word. ``attempts`` counts
    requests, ``replayed`` says that Migma repeated its answer to an earlier request with this key.
    """

    id: str = answer("id")
    provider: str = answer("provider")
    status: str = answer("status")
    sent_count: int | None = answer("sentCount", number)
    message: str = answer("message")
    send_id: str = answer("sendId")
    batch_id: str = answer("batchId")
    email_id: str = answer("emailId")
    conversation_id: str = answer("conversationId")
    idempotency_key: str = ""
    attempts: int = 1
    replayed: bool = False
