"""The rules that the body of a send or a test send can break by itself; each broken rule is one error text.

From Migma's OpenAPI excerpt of mid 2026; ``bcc`` from its Node SDK. Other fields are ignored, since the excerpt does
not forbid any. A field that it types as a string may not be null: none is declared nullable. All errors are answered
with 400; the excerpt lists 400, 401 and 403.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django_migma.sandbox.account import ACCOUNT
from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from django_migma.sandbox.options import Switches

Body = Mapping[str, Any]
Rule = tuple[Callable[[Any], object], str]  # what a value must satisfy, and the error text behind the field's name

# JSON Schema's `format: email` is ASCII, unlike `idn-email`; whether Migma takes non-ASCII addresses is unknown.
_ADDRESS = re.compile(
    r"""(?=.{3,254}\Z)(?=[^@"]{1,64}@|")
    (?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*|"(?:[ !\#-\[\]-~]|\\[ -~])*")
    @(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)


def _is_address(value: object) -> bool:
    """Exactly one addr-spec: no display name, no angle brackets, no list."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


def _are_addresses(values: list[object]) -> bool:
    return all(_is_address(value) for value in values)


def _type(kind: type, described: str) -> Rule:
    return lambda value: isinstance(value, kind), f" must be {described}"


def _choice(*words: str) -> Rule:
    return lambda value: value in words, f" must be one of {', '.join(words)}"


# Rules of one field each. Only the first broken one becomes an error.
_STRING = _type(str, "a string")
_NOT_EMPTY: list[Rule] = [_STRING, (str.strip, " must not be empty")]
_ONE_LINE: list[Rule] = [_STRING, (re.compile(r"[^\r\n]*").fullmatch, " must not contain line breaks")]
# An empty name satisfies the schema; that a required name may be blank is not known to hold.
_NAME: list[Rule] = [*_ONE_LINE, (str.strip, " must not be blank")]
_HEX_ID: list[Rule] = [_STRING, (re.compile(r"[0-9a-fA-F]{24}").fullmatch, " must be 24 hexadecimal digits")]
# "Invalid email address" is the one error text of Migma's that is public.
_ONE_ADDRESS = [_STRING, (_is_address, ": Invalid email address (one address, without a display name)")]
_ADDRESSES = [
    _type(list, "an array of email addresses"),
    (_are_addresses, ": Invalid email address (each item one address, without a display name)"),
]
# The newest Node SDK narrowed these to ses and migma; the OpenAPI excerpt has all five.
_PROVIDER = [_choice("ses", "resend", "sendgrid", "mailgun", "migma")]


def _is_moment(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).utcoffset() is not None
    except ValueError:
        return False


def _is_zone(value: str) -> bool:
    try:
        return bool(ZoneInfo(value))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False


_MOMENT = [_STRING, (_is_moment, " must be a time in ISO 8601 with its offset")]
_ZONE = [_STRING, (_is_zone, " must be a name such as Europe/Berlin")]


def raise_for(errors: Sequence[str]) -> None:
    """Raises 400, which tells all the errors; nothing if there are none."""
    if errors:
        raise ApiError(400, "; ".join(errors), data={"problems": errors})


def send_errors(body: Body, switches: Switches) -> list[str]:
    """The broken rules of POST /v1/sending, in the order of the reference."""
    return [
        *_recipient(body),
        *_field(body, "from", _ONE_ADDRESS, required=True),
        *_domain(body.get("from"), switches),
        *_field(body, "fromName", _NAME, required=True),
        *_field(body, "replyTo", _ONE_ADDRESS),
        # Required, even though a stored email has a subject of its own; nothing says that it may not be empty.
        *_field(body, "subject", _ONE_LINE, required=True),
        *_field(body, "variables", [_type(dict, "an object")]),
        *_content(body, switches),
        *_field(body, "projectId", _NOT_EMPTY),
        *_field(body, "providerType", _PROVIDER),
        *_field(body, "transactional", [_type(bool, "true or false")]),
        *_field(body, "bcc", _ADDRESSES),
    ]


def send_test_errors(body: Body) -> list[str]:
    """The broken rules of POST /v1/emails/test/send."""
    return [*_field(body, "to", _ONE_ADDRESS, required=True), *_stored_email(body)]


def campaign_errors(body: Body, switches: Switches) -> list[str]:
    """The broken rules of POST /v1/campaigns, which is in the Node SDK and in no OpenAPI excerpt."""
    return [
        *_field(body, "projectId", _NOT_EMPTY, required=True),
        *_field(body, "name", _NAME, required=True),
        *_field(body, "conversationId", _HEX_ID, required=True),
        *_field(body, "emailId", _HEX_ID),
        *_field(body, "from", _ONE_ADDRESS, required=True),
        *_domain(body.get("from"), switches),
        *_field(body, "fromName", _NAME, required=True),
        *_field(body, "recipientType", [_choice("audience", "tag")], required=True),
        *_field(body, "recipientId", _NOT_EMPTY, required=True),
        *_field(body, "subject", _ONE_LINE),
        *_field(body, "preheaderText", _ONE_LINE),
        *_field(body, "replyTo", _ONE_ADDRESS),
        *_field(body, "variables", [_type(dict, "an object")]),
        *_field(body, "providerType", _PROVIDER),
    ]


def schedule_errors(body: Body) -> list[str]:
    """The broken rules of POST /v1/campaigns/{campaignId}/schedule."""
    return [
        *_field(body, "scheduledAt", _MOMENT, required=True),
        *_field(body, "scheduledTimezone", _ZONE),
    ]


def _field(body: Body, name: str, rules: Sequence[Rule], *, required: bool = False) -> list[str]:
    if name not in body:
        return [f"{name} is required"] if required else []
    for is_valid, text in rules:
        if not is_valid(body[name]):
            return [name + text]
    return []


def _recipient(body: Body) -> list[str]:
    types = [_choice("email", "audience", "segment", "tag")]
    if errors := _field(body, "recipientType", types, required=True):
        return errors
    if body["recipientType"] == "email":
        return _field(body, "recipientEmail", _ONE_ADDRESS, required=True)
    return _field(body, "recipientId", _NOT_EMPTY, required=True)


def _domain(sender: Any, switches: Switches) -> list[str]:
    # The status that Migma gives an unverified sender is unknown; 400 as for other faults of the body.
    verified = [known["domain"] for known in ACCOUNT["domains"] if known["isVerified"]]
    verified += [name.lower() for name in switches.verified_domains]
    domain = sender.rpartition("@")[2].lower() if _is_address(sender) else ""
    if not domain or domain in verified or "*" in verified:
        return []
    way_out = f"the sandbox takes it with --verified-domain {domain}"
    return [f"from: the domain {domain} is not verified (verified: {', '.join(verified)}; {way_out})"]


def _stored_email(body: Body) -> list[str]:
    if "emailId" not in body and "conversationId" not in body:
        return ["emailId or conversationId is required"]  # a rule of the prose: the schema demands neither
    return _field(body, "emailId", _HEX_ID) + _field(body, "conversationId", _HEX_ID)


def _content(body: Body, switches: Switches) -> list[str]:
    # In older guides, too, a template counts only where there is no conversation.
    if "emailId" in body or "conversationId" in body or "template" not in body:
        return _stored_email(body)
    if not switches.accept_template:
        way_out = "the sandbox takes it with --accept-template"
        text = f"template (raw HTML) is not part of Migma's newest contract ({way_out})"
        return [f"emailId or conversationId is required: {text}"]
    errors = _field(body, "template", _NOT_EMPTY)
    return errors if "projectId" in body else [*errors, "projectId is required with template"]
