"""A Django message as the requests that carry it: one per distinct recipient. Pure functions, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from . import content, envelope
from .addresses import Address, parse
from .api.errors import MissingVariables
from .api.types import SendRequest
from .content import NO_STORED_EMAIL, Resolver, resolve_without_app
from .features import refuse
from .message import get_attribute
from .variables import placeholder_names, to_json_value

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from .conf import Config

_REFUSED_ATTRIBUTES = (
    "tags",
    "metadata",
    "send_at",
    "track_opens",
    "track_clicks",
    "envelope_sender",
    "merge_headers",
    "merge_metadata",
)
_CARRIED_HEADERS = {"from", "reply-to"}
_MIGMAS_HEADERS = {"date", "message-id"}
_OURS = {"recipientType", "recipientEmail", "recipientId", "bcc", "from", "fromName", "subject", "variables"}
_NAMED_IN_SUBJECT = 10


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request to make. ``address`` is the recipient as the message names it.

    ``missing_variables``: names that the stored email is known to use and that nothing here fills.
    ``stored_email`` is its name.
    """

    address: str
    request: SendRequest
    missing_variables: frozenset[str] = frozenset()
    stored_email: str = ""


def recipients(message: EmailMessage, config: Config) -> list[Address]:
    """To whom the message goes, each mailbox once: ``to``, ``cc``, ``bcc``; or ``REDIRECT_TO`` where that is set."""
    true = _true_recipients(message)
    return [parse(config.redirect_to, "REDIRECT_TO")] if config.redirect_to and true else true


def _true_recipients(message: EmailMessage) -> list[Address]:
    """What ``message.recipients()`` says: Django lets a subclass add to it."""
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


def build(message: EmailMessage, config: Config, find: Resolver = resolve_without_app) -> list[Call]:
    """The requests for a message, one per recipient in order; none for a message to nobody.

    ``find`` knows stored emails by their keys. Raises `UnsupportedFeature`, `InvalidAddress`, `SerializationError`,
    `StoredEmailNotFound`, `MissingVariables`, and ValueError or TypeError as Django does; nothing of the message may
    be sent then.
    """
    to = recipients(message, config)
    if not to:
        return []
    _refuse_what_migma_cannot_carry(message, config)
    merges = (
        get_attribute(message, "merge_data") is not None or get_attribute(message, "merge_global_data") is not None
    )
    chosen = content.choose(message, _subject(message), config, find, merges=merges)
    stored = chosen.stored
    to_one = _to_one(message, config, chosen)
    own = dict(chosen.variables or {})
    defaults = _variables(stored.default_variables, f"default_variables of the stored email {stored.name!r}")
    needed = _needed(chosen) if config.missing_variables != "ignore" else frozenset()
    by_address = _merge_data(message)
    shared = _variables(get_attribute(message, "merge_global_data"), "merge_global_data")
    calls = []
    for address in to:
        merged = shared | by_address.get(_data_key(message, address, config), {})
        if clash := own.keys() & merged.keys():
            raise ValueError(f"The merge data sets {sorted(clash)}, which the layout uses for the message itself.")
        variables = own | defaults | merged
        request = to_one(recipient_email=address.wire, variables=variables or None)
        missing = needed - variables.keys()
        call = Call(address=address.addr_spec, request=request, missing_variables=missing, stored_email=stored.name)
        calls.append(call)
    if config.missing_variables == "raise":
        _refuse_missing(calls, stored.name)
    return calls


def _needed(chosen: content.Content) -> frozenset[str]:
    """The variables that a stored email which is known here uses, with the subject that goes out."""
    stored = chosen.stored
    if stored is NO_STORED_EMAIL:
        return frozenset()
    return stored.body_variables.union(placeholder_names(chosen.subject)) - stored.optional_variables


def _refuse_missing(calls: list[Call], name: str) -> None:
    if missing := sorted(frozenset().union(*(call.missing_variables for call in calls))):
        lacking = sum(bool(call.missing_variables) for call in calls)
        raise MissingVariables(
            f"The stored email {name!r} uses {', '.join(missing)}, which {lacking} of {len(calls)} recipients would "
            "not get. Pass them in merge_global_data or merge_data, or give them a default in the "
            "stored email's default_variables, or name them in its optional_variables if Migma fills them from the "
            "contact.",
            names=tuple(missing),
        )


def _to_one(message: EmailMessage, config: Config, chosen: content.Content) -> partial[SendRequest]:
    """What the requests to all recipients share."""
    from_email, from_name = envelope.sender(message, config, chosen.stored)
    return partial(
        SendRequest,
        from_email=from_email,
        from_name=from_name,
        subject=_redirected(chosen.subject, message) if config.redirect_to else chosen.subject,
        reply_to=envelope.reply_to(message, config),
        email_id=chosen.email_id,
        conversation_id=chosen.conversation_id,
        template=chosen.template,
        project_id=chosen.project_id,
        provider_type=chosen.stored.provider_type or config.provider_type,
        transactional=config.transactional,
        extra=_extra(message),
    )


def _subject(message: EmailMessage) -> str:
    subject = "" if message.subject is None else str(message.subject)
    if "\n" in subject or "\r" in subject:
        raise ValueError("The subject contains a line break, which would add headers of a stranger's choice.")
    return str(to_json_value(subject, "subject"))


def _redirected(subject: str, message: EmailMessage) -> str:
    """The subject with the true recipients in front, since staging mail goes to one address."""
    true = [address.addr_spec for address in _true_recipients(message)]
    more = len(true) - _NAMED_IN_SUBJECT
    named = ", ".join(true[:_NAMED_IN_SUBJECT]) + (f" and {more} more" if more > 0 else "")
    return f"[to {named}] {subject}"


def _extra(message: EmailMessage) -> dict[str, Any]:
    extra = _variables(get_attribute(message, "esp_extra"), "esp_extra")
    if taken := sorted(_OURS & extra.keys()):
        raise ValueError(f"esp_extra may not set {', '.join(taken)}: use the message's own attributes for that.")
    return extra


def _merge_data(message: EmailMessage) -> dict[str, dict[str, Any]]:
    data = get_attribute(message, "merge_data") or {}
    if not isinstance(data, Mapping):
        raise TypeError(f"merge_data must be a dict of dicts by address, not {type(data).__name__}.")
    return {
        parse(address, "A key of merge_data").wire: _variables(values, f"merge_data[{position}]")
        for position, (address, values) in enumerate(data.items())
    }


def _variables(value: Any, path: str) -> dict[str, Any]:
    """A dict in plain JSON; None stands for an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{path} must be a dict, not {type(value).__name__}.")
    variables: dict[str, Any] = to_json_value(value or {}, path)
    return variables


def _data_key(message: EmailMessage, address: Address, config: Config) -> str:
    """Whose merge data a call uses: the recipient's; in redirected mail, the first true recipient's."""
    return _true_recipients(message)[0].wire if config.redirect_to else address.wire


def _refuse_what_migma_cannot_carry(message: EmailMessage, config: Config) -> None:
    ignored = config.ignore_unsupported_features
    for name in _REFUSED_ATTRIBUTES:
        if get_attribute(message, name) is not None:
            refuse(name, ignored)
    if message.attachments:
        refuse("attachments", ignored)
    if any(_other_alternatives(message)):
        refuse("alternatives", ignored)
    if names := [
        name for key, (name, _) in envelope.headers(message).items() if key not in _CARRIED_HEADERS | _MIGMAS_HEADERS
    ]:
        refuse("headers", ignored, names)


def _other_alternatives(message: EmailMessage) -> Iterator[bool]:
    """True for each alternative beyond the one HTML part that Migma sends."""
    seen = False
    for _, mimetype in getattr(message, "alternatives", None) or ():
        yield seen or not content.is_html(mimetype)
        seen = True


def idempotency_key(message: EmailMessage, call: Call, nonce: str) -> str:
    """The key of one call: the caller's own key and the address, else what sets this mail and its payload apart.

    An unchanged message that is sent again after a failure has the same key, a changed one another.
    """
    own = get_attribute(message, "idempotency_key")
    if own is not None and not isinstance(own, str):
        raise TypeError(f"idempotency_key must be a string, not {type(own).__name__}.")
    address = call.request.recipient_email or ""
    parts = [own.encode(), address.encode()] if own else [nonce.encode(), address.encode(), call.request.body]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
