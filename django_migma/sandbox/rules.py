"""The rules of POST /v1/sending that the body alone can break.

From Migma's OpenAPI excerpt of mid 2026; `bcc` from its Node SDK. Fields beyond them are ignored, since
the excerpt does not forbid any. All are answered with 400; the excerpt lists 400, 401 and 403.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_migma.sandbox import data, fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django_migma.sandbox.switches import Switches

RECIPIENT_TYPES = ("email", "audience", "segment", "tag")
# The newest Node SDK narrowed these to ses and migma; the OpenAPI excerpt has all five.
PROVIDERS = ("ses", "resend", "sendgrid", "mailgun", "migma")


def broken_rules(body: Mapping[str, Any], switches: Switches) -> list[str]:
    """A text for each broken rule, in the order of the reference."""
    return [
        *_recipient(body),
        *_sender(body, switches),
        *_words(body),
        *_content(body, switches),
        *_options(body),
    ]


def _recipient(body: Mapping[str, Any]) -> Iterator[str]:
    yield from fields.choice(body, "recipientType", RECIPIENT_TYPES, required=True)
    kind = body.get("recipientType")
    if kind == "email":
        yield from fields.address(body, "recipientEmail", required=True)
    elif kind in RECIPIENT_TYPES:
        yield from fields.filled(body, "recipientId", required=True)


def _sender(body: Mapping[str, Any], switches: Switches) -> Iterator[str]:
    yield from fields.address(body, "from", required=True)
    if fields.is_address(body.get("from")):
        yield from _domain(body["from"].rpartition("@")[2].lower(), switches)
    yield from fields.one_line(body, "fromName", required=True)
    # An empty name satisfies the schema; that a required name may be blank is not known to hold.
    if isinstance(name := body.get("fromName"), str) and not name.strip():
        yield "fromName must not be blank"
    yield from fields.address(body, "replyTo")


def _domain(domain: str, switches: Switches) -> Iterator[str]:
    # The status that Migma gives an unverified sender is unknown; 400 as for other faults of the body.
    verified = [known.domain for known in data.DOMAINS if known.verified]
    verified += [name.lower() for name in switches.verified_domains]
    if domain not in verified and "*" not in verified:
        known = ", ".join(verified)
        yield (
            f"from: the domain {domain} is not verified (verified: {known}; "
            f"the sandbox takes it with --verified-domain {domain})"
        )


def _words(body: Mapping[str, Any]) -> Iterator[str]:
    # Required, even though a stored email has a subject of its own; nothing says that it may not be empty.
    yield from fields.one_line(body, "subject", required=True)
    yield from fields.mapping(body, "variables")


def _content(body: Mapping[str, Any], switches: Switches) -> Iterator[str]:
    yield from fields.hex_id(body, "emailId")
    yield from fields.hex_id(body, "conversationId")
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
        yield from fields.filled(body, "template")
        if "projectId" not in body:
            yield "projectId is required with template"


def _options(body: Mapping[str, Any]) -> Iterator[str]:
    yield from fields.filled(body, "projectId")
    yield from fields.choice(body, "providerType", PROVIDERS)
    yield from fields.boolean(body, "transactional")
    yield from fields.addresses(body, "bcc")
