"""The rules that the body of a send or a test send can break by itself; each broken rule is one error text.

From Migma's OpenAPI excerpt of mid 2026; ``bcc`` from its Node SDK. Other fields are ignored, since the excerpt does
not forbid any. A field that it types as a string may not be null: none is declared nullable. All errors are answered
with 400; the excerpt lists 400, 401 and 403.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.account import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from django_migma.sandbox.options import Switches

    Body = Mapping[str, Any]

_RECIPIENT_TYPES = ("email", "audience", "segment", "tag")
# The newest Node SDK narrowed these to ses and migma; the OpenAPI excerpt has all five.
_PROVIDERS = ("ses", "resend", "sendgrid", "mailgun", "migma")
# `format: email` of JSON Schema is ASCII (`idn-email` would be the other); whether Migma takes
# non-ASCII addresses is unknown.
_ADDRESS = re.compile(
    r"""(?=.{3,254}\Z)(?=[^@"]{1,64}@|")
    (?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*|"(?:[ !\#-\[\]-~]|\\[ -~])*")
    @(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)


def send_errors(body: Body, switches: Switches) -> list[str]:
    """The broken rules of POST /v1/sending, in the order of the reference."""
    return [
        *_recipient(body),
        *_sender(body, switches),
        # Required, even though a stored email has a subject of its own; nothing says that it may not be empty.
        *_string(body, "subject", _ONE_LINE, required=True),
        *_instance(body, "variables", dict, "an object"),
        *_content(body, switches),
        *_string(body, "projectId", _NOT_EMPTY),
        *_choice(body, "providerType", _PROVIDERS),
        *_instance(body, "transactional", bool, "true or false"),
        *_addresses(body, "bcc"),
    ]


def send_test_errors(body: Body) -> list[str]:
    """The broken rules of POST /v1/emails/test/send."""
    errors = [
        *_string(body, "to", _ONE_ADDRESS, required=True),
        *_string(body, "emailId", _HEX_ID),
        *_string(body, "conversationId", _HEX_ID),
    ]
    if "emailId" not in body and "conversationId" not in body:
        errors.append("emailId or conversationId is required")
    return errors


def _recipient(body: Body) -> Iterator[str]:
    yield from _choice(body, "recipientType", _RECIPIENT_TYPES, required=True)
    kind = body.get("recipientType")
    if kind == "email":
        yield from _string(body, "recipientEmail", _ONE_ADDRESS, required=True)
    elif kind in _RECIPIENT_TYPES:
        yield from _string(body, "recipientId", _NOT_EMPTY, required=True)


def _sender(body: Body, switches: Switches) -> Iterator[str]:
    yield from _string(body, "from", _ONE_ADDRESS, required=True)
    if _is_address(body.get("from")):
        yield from _domain(body["from"].rpartition("@")[2].lower(), switches)
    yield from _string(body, "fromName", _ONE_LINE, required=True)
    # An empty name satisfies the schema; that a required name may be blank is not known to hold.
    if isinstance(name := body.get("fromName"), str) and not name.strip():
        yield "fromName must not be blank"
    yield from _string(body, "replyTo", _ONE_ADDRESS)


def _domain(domain: str, switches: Switches) -> Iterator[str]:
    # The status that Migma gives an unverified sender is unknown; 400 as for other faults of the body.
    verified = [known["domain"] for known in ACCOUNT["domains"] if known["isVerified"]]
    verified += [name.lower() for name in switches.verified_domains]
    if domain not in verified and "*" not in verified:
        known = ", ".join(verified)
        yield (
            f"from: the domain {domain} is not verified (verified: {known}; "
            f"the sandbox takes it with --verified-domain {domain})"
        )


def _content(body: Body, switches: Switches) -> Iterator[str]:
    yield from _string(body, "emailId", _HEX_ID)
    yield from _string(body, "conversationId", _HEX_ID)
    if "emailId" in body or "conversationId" in body:
        return  # older guides: a template counts only where there is no conversation
    if "template" not in body:
        # A rule of the prose: the schema itself does not demand one of the two.
        yield "emailId or conversationId is required"
    elif not switches.accept_template:
        yield (
            "emailId or conversationId is required: template (raw HTML) is not part of Migma's "
            "newest contract (the sandbox takes it with --accept-template)"
        )
    else:
        yield from _string(body, "template", _NOT_EMPTY)
        if "projectId" not in body:
            yield "projectId is required with template"


def _is_address(value: object) -> bool:
    """Exactly one addr-spec: no display name, no angle brackets, no list."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


# What a string must satisfy, and the error text behind its name if it does not.
_Rule = tuple["Callable[[str], object]", str]
_NOT_EMPTY: _Rule = (str.strip, " must not be empty")
_ONE_LINE: _Rule = (re.compile(r"[^\r\n]*").fullmatch, " must not contain line breaks")
_HEX_ID: _Rule = (re.compile(r"[0-9a-fA-F]{24}").fullmatch, " must be 24 hexadecimal digits")
# "Invalid email address" is the one error text of Migma's that is public.
_ONE_ADDRESS: _Rule = (_is_address, ": Invalid email address (one address, without a display name)")


def _string(body: Body, name: str, rule: _Rule, *, required: bool = False) -> Iterator[str]:
    is_valid, text = rule
    if name not in body:
        if required:
            yield f"{name} is required"
    elif not isinstance(body[name], str):
        yield f"{name} must be a string"
    elif not is_valid(body[name]):
        yield f"{name}{text}"


def _addresses(body: Body, name: str) -> Iterator[str]:
    value = body.get(name, [])
    if not isinstance(value, list):
        yield f"{name} must be an array of email addresses"
    elif not all(_is_address(item) for item in value):
        yield f"{name}: Invalid email address (each item one address, without a display name)"


def _choice(body: Body, name: str, words: Sequence[str], *, required: bool = False) -> Iterator[str]:
    if name not in body:
        if required:
            yield f"{name} is required"
    elif body[name] not in words:
        yield f"{name} must be one of {', '.join(words)}"


def _instance(body: Body, name: str, kind: type, described: str) -> Iterator[str]:
    if name in body and not isinstance(body[name], kind):
        yield f"{name} must be {described}"
