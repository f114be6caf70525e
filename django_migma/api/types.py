"""Sends, test sends and campaigns: what the client takes and returns, with Migma's names on the wire beside ours.

Requests are strict: a broken rule raises ValueError or TypeError where the object is made.
Field names are those of Migma's OpenAPI excerpt of POST /v1/sending and of its Node SDK, mid 2026, unless noted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from .errors import SerializationError
from .resources import Resource, as_int, json_field

RECIPIENT_TYPES = ("email", "audience", "segment", "tag")
CAMPAIGN_RECIPIENT_TYPES = ("audience", "tag")  # "audience" is a segment
PROVIDER_TYPES = ("ses", "resend", "sendgrid", "mailgun", "migma")
ACCEPTED_STATUSES = frozenset({"queued", "sent", "processing"})  # accepted by Migma; no word at all counts as queued

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def is_object_id(value: object) -> bool:
    """Whether this is an id as Migma documents it for emails and conversations: 24 hex digits."""
    return isinstance(value, str) and len(value) == 24 and _HEX_DIGITS.issuperset(value)


@dataclass(frozen=True, kw_only=True)
class SendRequest:
    """One POST /v1/sending. None means that the field is not sent.

    ``recipient_type`` ``email`` needs ``recipient_email``, one address without a display name; ``audience``,
    ``segment`` and ``tag`` need ``recipient_id``. ``email_id`` or ``conversation_id`` selects the stored email.
    ``template`` with ``project_id`` is raw HTML: documented until spring 2026, absent since. ``bcc`` is in Migma's
    SDK only, ``topic_id`` in one guide only. ``extra`` is merged last, for fields that Migma adds later.

    Raises ValueError or TypeError for a broken rule, such as a missing recipient or an id without 24 hex digits.
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
        for name in _STRING_FIELDS:
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
        """The body as sent; encoded once, since the idempotency key depends on it. See `encode`."""
        return encode(self.to_json())

    def drop_body(self) -> None:
        """Let go of the encoded body; `body` encodes it again."""
        self.__dict__.pop("body", None)

    def to_json(self) -> dict[str, Any]:
        """The body with Migma's names, without fields that are None."""
        return _body(self, _WIRE_NAMES)


@dataclass(frozen=True)
class FrozenRequest:
    """A request that was encoded earlier: ``body`` is what that of a `SendRequest` or `CampaignRequest` was then."""

    body: bytes


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _wire_names(request: Any) -> dict[str, str]:
    """Migma's names by ours, of the fields of a request."""
    names = {item.name: _camel_case(item.name) for item in fields(request) if item.name != "extra"}
    return names | {"from_email": "from"}


def _body(request: Any, wire_names: Mapping[str, str]) -> dict[str, Any]:
    body = {wire: getattr(request, name) for name, wire in wire_names.items()}
    return {name: value for name, value in body.items() if value is not None} | dict(request.extra)


_WIRE_NAMES = _wire_names(SendRequest)
_STRING_FIELDS = tuple(_WIRE_NAMES.keys() - {"transactional", "variables", "bcc"})

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(body: Mapping[str, Any]) -> bytes:
    """A body as JSON in UTF-8. Raises `SerializationError` for what JSON or UTF-8 cannot express."""
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


@dataclass(frozen=True, kw_only=True)
class SendResult(Resource):
    """The answer to a send: accepted into Migma's queue, not delivered.

    ``id`` is the message id of a single send or the batch id; ``send_id`` (single) tracks it in logs and metrics,
    ``batch_id`` is for `MigmaClient.batch_status`. ``status`` is empty where Migma gave no word. ``attempts`` counts
    requests, ``replayed`` says that Migma repeated its answer to an earlier request with this key.
    """

    id: str = json_field("id")
    provider: str = json_field("provider")
    status: str = json_field("status")
    sent_count: int | None = json_field("sentCount", as_int)
    message: str = json_field("message")
    send_id: str = json_field("sendId")
    batch_id: str = json_field("batchId")
    email_id: str = json_field("emailId")
    conversation_id: str = json_field("conversationId")
    idempotency_key: str = ""
    attempts: int = 1
    replayed: bool = False

    @property
    def logged_email_id(self) -> str:
        """The id of the stored email in whose log the mail will stand; empty where Migma gave none."""
        return self.email_id.lower() if is_object_id(self.email_id) else ""


@dataclass(frozen=True, kw_only=True)
class CampaignRequest:
    """One POST /v1/campaigns, which makes a draft. None means that the field is not sent.

    ``recipient_type``: ``audience`` (a segment) or ``tag``; ``recipient_id`` is its id. Without ``email_id``, the
    conversation must hold a single email; without ``subject``, the email's own counts. Migma documents no
    ``transactional`` here: a campaign is marketing mail. ``extra`` is merged last, for fields that Migma adds later.

    Raises ValueError or TypeError for a broken rule, such as a missing name or an id without 24 hex digits.
    """

    project_id: str
    name: str
    conversation_id: str
    from_email: str
    from_name: str
    recipient_type: str
    recipient_id: str
    email_id: str | None = None
    subject: str | None = None
    preheader_text: str | None = None
    reply_to: str | None = None
    topic_id: str | None = None
    provider_type: str | None = None
    variables: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _CAMPAIGN_WIRE_NAMES.keys() - {"variables"}:
            _kind(name, getattr(self, name), str)
        _kind("variables", self.variables, Mapping)
        for name in ("project_id", "name", "from_email", "from_name", "recipient_id"):
            if not getattr(self, name):
                raise ValueError(f"CampaignRequest needs {name}.")
        _one_of("recipient_type", self.recipient_type, CAMPAIGN_RECIPIENT_TYPES)
        if self.provider_type is not None:
            _one_of("provider_type", self.provider_type, PROVIDER_TYPES)
        for name, value in (("conversation_id", self.conversation_id), ("email_id", self.email_id)):
            if not is_object_id(value) and (name, value) != ("email_id", None):
                raise ValueError(f"CampaignRequest: {name} must be 24 hex digits, not {value!r}.")

    @cached_property
    def body(self) -> bytes:
        """The body as sent; encoded once, see `encode`."""
        return encode(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The body with Migma's names, without fields that are None."""
        return _body(self, _CAMPAIGN_WIRE_NAMES)


_CAMPAIGN_WIRE_NAMES = _wire_names(CampaignRequest)


@dataclass(frozen=True, kw_only=True)
class TestSendRequest:
    """One POST /v1/emails/test/send: the stored email as it is, to one address, from Migma's own sender.

    Takes ``email_id`` or ``conversation_id``. Raises ValueError for both, neither, or an id without 24 hex digits.
    """

    __test__ = False  # no test class, whatever pytest makes of the name

    to: str
    email_id: str | None = None
    conversation_id: str | None = None

    def __post_init__(self) -> None:
        if bool(self.email_id) == bool(self.conversation_id):
            raise ValueError("TestSendRequest needs either email_id or conversation_id.")
        if not is_object_id(self.email_id or self.conversation_id):
            raise ValueError("TestSendRequest: Migma's ids have 24 hex digits.")
        if not self.to:
            raise ValueError("TestSendRequest needs to: the address that gets the test.")

    def to_json(self) -> dict[str, Any]:
        """The body with Migma's names."""
        chosen = {"emailId": self.email_id} if self.email_id else {"conversationId": self.conversation_id}
        return {"to": self.to} | chosen


@dataclass(frozen=True, kw_only=True)
class TestSendResult(Resource):
    """The answer to a test send. ``sent_at`` is ISO 8601 text."""

    __test__ = False

    message_id: str = json_field("messageId")
    conversation_id: str = json_field("conversationId")
    email_id: str = json_field("emailId")
    sent_to: str = json_field("sentTo")
    sent_at: str = json_field("sentAt")
    subject: str = json_field("subject")
