"""An ``EmailMessage`` as the requests that carry it: one `SendRequest` per distinct recipient.

Recipients, sender, reply-to address, variables and idempotency key are read here, the content in `content`, what
Migma cannot carry in `unsupported_features`. No function here touches the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.safestring import SafeString

from . import content
from .addresses import Address, display_name_error, parse
from .api.errors import InvalidAddress, MissingVariables
from .api.types import SendRequest
from .conf import get_setting, is_set, mailer_options
from .message import get_attribute
from .stored_emails import NO_STORED_EMAIL, Resolver, StoredEmailData
from .unsupported_features import find_unsupported, headers_by_name, reply_to_addresses, unsupported_error
from .variables import placeholder_names, to_json_value

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from .conf import Config

_RESERVED = {"recipientType", "recipientEmail", "recipientId", "bcc", "from", "fromName", "subject", "variables"}
"""Fields of the request that the message sets by other means than ``esp_extra``."""
_FEATURE_SETTINGS = ("IGNORE_UNSUPPORTED_FEATURES", "LAYOUT_EMAIL_ID", "PROJECT_ID")
_NAMED_IN_SUBJECT = 10  # true recipients that the subject of a redirected mail names


@dataclass(frozen=True, kw_only=True)
class RecipientPayload:
    """The request for one recipient. ``address`` is the recipient as the message names it.

    ``missing_variables``: names that the stored email, or the message's own text in a layout, is known to use and
    that the recipient's data lack. ``stored_email``: its key or id, empty where none is known here.
    ``dropped_features``: what stays behind, by the names of the settings. ``redirected_from``: the true recipients of
    mail to ``REDIRECT_TO``, which keep the keys of mails to different people apart.
    """

    address: str
    request: SendRequest
    missing_variables: frozenset[str] = frozenset()
    stored_email: str = ""
    dropped_features: frozenset[str] = frozenset()
    redirected_from: str = ""


def build_payloads(message: EmailMessage, config: Config, resolver: Resolver | None = None) -> list[RecipientPayload]:
    """Return the requests for a message: one per mailbox in ``to``, ``cc`` and ``bcc``, or one to ``REDIRECT_TO``.

    A message without recipients has none. ``resolver`` finds stored emails by their keys, by default
    those in ``STORED_EMAILS``.

    Raises `UnsupportedFeature`, `InvalidAddress`, `SerializationError`, `StoredEmailNotFound`, `MissingVariables`,
    and ValueError or TypeError as Django does. Nothing of the message may be sent then.
    """
    recipients = read_recipients(message)
    if not recipients:
        return []
    addresses = [parse(config.redirect_to, "REDIRECT_TO")] if config.redirect_to else recipients
    dropped = _refuse_unsupported(message, config)
    _refuse_unusable_key(message)
    chosen = content.choose(message, read_subject(message), config, resolver, merges=_has_merge_data(message))
    stored, in_subject = chosen.stored, placeholder_names(chosen.subject)
    needed = _needed_variables(chosen, in_subject) if config.missing_variables != "ignore" else frozenset()
    build_request = partial(SendRequest, **_shared_fields(message, config, chosen))
    redirected_from = ",".join(recipient.wire for recipient in recipients) if config.redirect_to else ""
    make_payload = partial(
        RecipientPayload, stored_email=stored.name, dropped_features=dropped, redirected_from=redirected_from
    )
    defaults = to_variables(stored.default_variables, f"default_variables of the stored email {stored.name!r}")
    payloads: list[RecipientPayload] = []
    filled, filled_with = chosen, None
    merge_data = _merge_data(message, recipients)
    for address, merged in zip(addresses, merge_data, strict=False):  # redirected mail has the first one's data
        if merged is not filled_with:
            filled, filled_with = _fill(chosen, merged), merged
        variables = {**filled.variables, **defaults, **merged}
        _refuse_line_breaks(in_subject, variables)
        subject = redirected_subject(filled.subject, recipients) if config.redirect_to else filled.subject
        request = build_request(recipient_email=address.wire, subject=subject, variables=variables or None)
        missing = needed - defaults.keys() - merged.keys()
        payloads.append(make_payload(address=address.addr_spec, request=request, missing_variables=missing))
    if config.missing_variables == "raise":
        _refuse_missing_variables(payloads, stored.name)
    return payloads


def _refuse_unsupported(message: EmailMessage, config: Config) -> frozenset[str]:
    """Raise `UnsupportedFeature`, or return what the settings drop of the message."""
    has_body_route = bool(config.layout_email_id or config.project_id)
    found = find_unsupported(message, config.ignore_unsupported_features, has_body_route=has_body_route)
    if found.refused:
        raise unsupported_error(message, found.refused, config.fallback)
    return found.dropped


def unsupported_features(message: EmailMessage, using: str | None = None) -> tuple[str, ...]:
    """Return the names of all features for which sending this message would raise `UnsupportedFeature`.

    Empty: Migma can carry it. ``using`` is an alias of ``MAILERS``, whose settings count; else those of the default
    mailer. Receivers of ``pre_send``, which may change the message, are not called. Raises `ConfigurationError` for
    an unknown alias.
    """
    ignored, *routes = (get_setting(name, mailer_options(using)) for name in _FEATURE_SETTINGS)
    return tuple(find_unsupported(message, ignored, has_body_route=any(map(is_set, routes))).refused)


def read_recipients(message: EmailMessage) -> list[Address]:
    """Return each mailbox of ``message.recipients()`` once, in order. Django lets a subclass add to them."""
    places = {
        str(value): f"Address {position} in {name!r}"
        for name in ("bcc", "cc", "to")
        for position, value in enumerate(getattr(message, name) or (), 1)
    }
    found: dict[str, Address] = {}
    for value in message.recipients():
        address = parse(value, places.get(str(value), "An address of recipients()"))
        found.setdefault(address.wire, address)
    return list(found.values())


def _fill(chosen: content.Content, merged: Mapping[str, Any]) -> content.Content:
    filled = chosen.fill(merged)
    if clash := filled.variables.keys() & merged.keys():
        raise ValueError(
            f"The merge data sets {sorted(clash)}, which the layout uses for the message itself. Rename them."
        )
    return filled


def _shared_fields(message: EmailMessage, config: Config, chosen: content.Content) -> dict[str, Any]:
    from_email, from_name = resolve_sender(message, config, chosen.stored)
    return {
        "from_email": from_email,
        "from_name": from_name,
        "reply_to": resolve_reply_to(message, config),
        "email_id": chosen.email_id,
        "conversation_id": chosen.conversation_id,
        "template": chosen.template,
        "project_id": chosen.project_id,
        "provider_type": chosen.stored.provider_type or config.provider_type,
        "transactional": config.transactional,
        "extra": _extra_fields(message),
    }


def resolve_sender(message: EmailMessage, config: Config, stored: StoredEmailData) -> tuple[str, str]:
    """Return the sender's address and the sender's name, which Migma requires.

    The address is the message's own, else the stored email's, else ``FROM_EMAIL``, else Django's default. The name is
    that of the address, else the stored email's, else the one that a setting gives the same address, else
    ``FROM_NAME``, else the address. Raises `InvalidAddress`, and ValueError for a line break in the stored email's
    ``from_name``.
    """
    explicit = _explicit_sender(message)
    address = explicit or _default_sender(message, config, stored)
    if error := display_name_error(stored.from_name):
        raise ValueError(f"The from_name of the stored email {stored.name!r} {error}. Remove it there.")
    name = (explicit.display_name if explicit else "") or stored.from_name or address.display_name
    return address.wire, name or _configured_name(address, config) or config.from_name or address.addr_spec


def _configured_name(address: Address, config: Config) -> str:
    """The display name that a setting gives this address: much code passes the bare address of the default sender."""
    for value in filter(None, (config.from_email, settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL)):
        with suppress(InvalidAddress):  # an unusable default matters only to mail that is sent from it
            sender = parse(value, "sender")
            if sender.display_name and sender.wire == address.wire:
                return sender.display_name
    return ""


def _explicit_sender(message: EmailMessage) -> Address | None:
    if header := headers_by_name(message).get("from"):
        return parse(header, "The From header")
    given = message.from_email or settings.DEFAULT_FROM_EMAIL
    return None if given in (settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL) else parse(given, "from_email")


def _default_sender(message: EmailMessage, config: Config, stored: StoredEmailData) -> Address:
    if stored.from_email:
        return parse(stored.from_email, f"from_email of the stored email {stored.name!r}")
    if config.from_email:
        return parse(config.from_email, "FROM_EMAIL")
    return parse(message.from_email or settings.DEFAULT_FROM_EMAIL, "from_email")


def resolve_reply_to(message: EmailMessage, config: Config) -> str | None:
    """Return the address to reply to: the message's own, else ``REPLY_TO``, else None."""
    values = reply_to_addresses(message)
    if values:
        return parse(values[0], "reply_to").wire
    return parse(config.reply_to, "REPLY_TO").wire if config.reply_to else None


def read_subject(message: EmailMessage) -> str:
    """Return the message's own subject, which may be empty. Raises ValueError for a line break in it."""
    subject = "" if message.subject is None else str(message.subject)
    if _has_line_break(subject):
        raise ValueError("The subject contains a line break, which could add headers. Remove line breaks from it.")
    return str(to_json_value(subject, "subject"))


def _has_line_break(value: object) -> bool:
    return isinstance(value, str) and ("\n" in value or "\r" in value)


def _refuse_line_breaks(names: list[str], variables: Mapping[str, Any]) -> None:
    for name in names:
        if _has_line_break(variables.get(name)):
            raise ValueError(
                f"The subject uses the variable {name!r}, whose value contains a line break, which could add "
                "headers. Remove line breaks from the value."
            )


def redirected_subject(subject: str, recipients: list[Address]) -> str:
    """The subject with the true recipients in front, since all redirected mail has one address."""
    from . import html  # noqa: PLC0415 - lazy: few mails are redirected

    more = len(recipients) - _NAMED_IN_SUBJECT
    named = ", ".join(address.addr_spec for address in recipients[:_NAMED_IN_SUBJECT])
    named += f" and {more} more" if more > 0 else ""
    return f"[to {html.escape_placeholders_in_text(named)}] {subject}"  # {{name}}@example.com is a valid address


def _extra_fields(message: EmailMessage) -> dict[str, Any]:
    extra = to_variables(get_attribute(message, "esp_extra"), "esp_extra")
    if taken := sorted(_RESERVED & extra.keys()):
        raise ValueError(f"esp_extra may not set {', '.join(taken)}: use the message's own attributes for that.")
    return extra


def _has_merge_data(message: EmailMessage) -> bool:
    return any(get_attribute(message, name) is not None for name in ("merge_data", "merge_global_data"))


def _merge_data(message: EmailMessage, recipients: list[Address]) -> list[dict[str, Any]]:
    """The merge data of each recipient. Those without data of their own share one dict; data of others is ignored."""
    shared = to_variables(get_attribute(message, "merge_global_data"), "merge_global_data")
    data = get_attribute(message, "merge_data") or {}
    if not isinstance(data, Mapping):
        raise TypeError(f"merge_data must be a dict of dicts by address, not {type(data).__name__}.")
    by_address = {
        parse(address, "A key of merge_data").wire: to_variables(values, f"merge_data[{position}]")
        for position, (address, values) in enumerate(data.items())
    }
    own = (by_address.get(recipient.wire) for recipient in recipients)
    return [shared | variables if variables else shared for variables in own]


def to_variables(value: Any, path: str) -> dict[str, Any]:
    """Return a dict of variables as plain JSON. Raises TypeError for another type, and `SerializationError`."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{path} must be a dict, not {type(value).__name__}.")
    variables: dict[str, Any] = to_json_value(value or {}, path)
    for name, item in (value or {}).items():
        if hasattr(item, "__html__") and isinstance(name, str):  # HTML already, where a message's own text uses it
            variables[str.__str__(name)] = SafeString(variables[str.__str__(name)])
    return variables


def _needed_variables(chosen: content.Content, in_subject: list[str]) -> frozenset[str]:
    """The variables that must come with the request: none where the stored email is not known here."""
    stored = chosen.stored
    if chosen.own:
        return frozenset(chosen.own.placeholder_names())
    if stored is NO_STORED_EMAIL:
        return frozenset()
    return stored.body_variables.union(in_subject) - stored.optional_variables


def _refuse_missing_variables(payloads: list[RecipientPayload], name: str) -> None:
    if missing := sorted(frozenset().union(*(payload.missing_variables for payload in payloads))):
        count = sum(bool(payload.missing_variables) for payload in payloads)
        which, hint = "message's own text", "Pass them in merge_global_data or merge_data."
        if name:
            which = f"stored email {name!r}"
            hint = (
                "Pass them in merge_global_data or merge_data, or give them a default in the stored email's "
                "default_variables, or name them in its optional_variables if Migma fills them from the contact."
            )
        reason = f"The {which} uses {', '.join(missing)}, which {count} of {len(payloads)} recipients would not get"
        raise MissingVariables(reason, hint=hint, names=tuple(missing))


def idempotency_key(message: EmailMessage, payload: RecipientPayload, nonce: str) -> str:
    """Return the key of one request: a SHA-256 in hex.

    It is made of the message's own ``idempotency_key`` and the address; else of its ``Message-ID`` header and the
    address, since packages that build a mail anew repeat that; else of ``nonce`` (one per mail), the address and the
    body: an unchanged message that is sent again after a failure has the same key, a changed one another.
    """
    addresses = [payload.request.recipient_email or "", payload.redirected_from]
    address = "\0".join(filter(None, addresses)).encode()
    if own := _own_key(message):
        parts = [own.encode(), address]
    elif message_id := _message_id(message):
        parts = [message_id.encode(), address, b"Message-ID"]  # no own key ends so: this place is an address there
    else:
        parts = [nonce.encode(), address, payload.request.body]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def caller_key(message: EmailMessage) -> str:
    """Return the key that the message brings: its ``idempotency_key``, else its ``Message-ID``; empty for neither."""
    return _own_key(message) or _message_id(message)


def _refuse_unusable_key(message: EmailMessage) -> None:
    """Raise what `idempotency_key` would raise, before anything of the message is sent."""
    caller_key(message)


def _own_key(message: EmailMessage) -> str:
    """The message's own key, or an empty string. Raises TypeError, also as `SerializationError`."""
    own = get_attribute(message, "idempotency_key") or ""
    if not isinstance(own, str):
        raise TypeError(f"idempotency_key must be a string, not {type(own).__name__}.")
    return str(to_json_value(own, "idempotency_key"))


def _message_id(message: EmailMessage) -> str:
    """The message's ``Message-ID`` header, or an empty string. Raises ValueError and `SerializationError`."""
    message_id = str(headers_by_name(message).get("message-id") or "")
    if _has_line_break(message_id):
        raise ValueError("The Message-ID header contains a line break, which could add headers. Remove line breaks.")
    return str(to_json_value(message_id.strip(), "Message-ID header"))
