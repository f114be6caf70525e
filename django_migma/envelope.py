"""Whom a mail is from, and where answers go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from .addresses import Address, parse, split
from .features import refuse

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from .conf import Config
    from .content import StoredEmailData


def headers(message: EmailMessage) -> dict[str, tuple[str, Any]]:
    """The message's headers by name in lower case, each with its name as written."""
    found: dict[str, tuple[str, Any]] = {}
    for name, value in (message.extra_headers or {}).items():
        if str(name).lower() in found:
            raise ValueError(f"The header {name} is given twice, in two spellings: leave one of them out.")
        found[str(name).lower()] = (str(name), value)
    return found


def sender(message: EmailMessage, config: Config, stored: StoredEmailData) -> tuple[str, str]:
    """The address that a mail is from, and the name, which Migma requires."""
    explicit = _explicit_sender(message, config)
    address = explicit or _default_sender(message, config, stored)
    named = explicit.display_name if explicit else ""
    return address.wire, named or stored.from_name or address.display_name or config.from_name or address.addr_spec


def _explicit_sender(message: EmailMessage, config: Config) -> Address | None:
    """The sender that the message itself names, by header or argument."""
    defaults = (settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL)
    given = message.from_email or settings.DEFAULT_FROM_EMAIL
    if header := headers(message).get("from"):
        if given not in (*defaults, header[1]):
            refuse("envelope_sender", config.ignore_unsupported_features)
        return parse(header[1], "The From header")
    return None if given in defaults else parse(given, "from_email")


def _default_sender(message: EmailMessage, config: Config, stored: StoredEmailData) -> Address:
    """The stored email's sender, else ``FROM_EMAIL``, else Django's settings."""
    if stored.from_email:
        return parse(stored.from_email, f"from_email of the stored email {stored.name!r}")
    if config.from_email:
        return parse(config.from_email, "FROM_EMAIL")
    return parse(message.from_email or settings.DEFAULT_FROM_EMAIL, "from_email")


def reply_to(message: EmailMessage, config: Config) -> str | None:
    """The address for answers: the message's own, else ``REPLY_TO``."""
    header = headers(message).get("reply-to")
    given = [header[1]] if header else [value for value in message.reply_to or () if value]
    values = [address for value in given for address in split(value)]
    if len(values) > 1:
        refuse("multiple_reply_to", config.ignore_unsupported_features)
    if values:
        return parse(values[0], "reply_to").wire
    return parse(config.reply_to, "REPLY_TO").wire if config.reply_to else None
