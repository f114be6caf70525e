"""What Migma's API has no field for: refused by name, dropped if the settings say so, or left to another mailer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.utils.encoding import force_str

from .addresses import split
from .api.errors import UnsupportedFeature
from .message import get_attribute

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

_UNSUPPORTED_ATTRIBUTES = {
    "tags": "Migma's send endpoint has no field for tags",
    "metadata": "Migma's send endpoint has no field for metadata",
    "send_at": "Migma sends single mail at once; schedule with your task queue, or a campaign in Migma",
    "track_opens": "Migma tracks by domain, in its dashboard, not by message",
    "track_clicks": "Migma tracks by domain, in its dashboard, not by message",
    "envelope_sender": "Migma chooses the envelope sender of a verified domain",
    "merge_headers": "Migma's API takes no headers of your own",
    "merge_metadata": "Migma's send endpoint has no field for metadata",
}
UNSUPPORTED_FEATURES = {
    **_UNSUPPORTED_ATTRIBUTES,
    "attachments": "Migma's API takes no attachments; link to the file instead",
    "alternatives": "Migma sends one HTML part, so the message may have one text/html alternative and no other",
    "content_subtype": "Migma sends HTML, so the body may be plain text or HTML",
    "headers": "Migma's API takes no headers of your own",
    "multiple_reply_to": "Migma takes one address to reply to",
}
"""Each feature's name, for ``IGNORE_UNSUPPORTED_FEATURES``, and why Migma cannot carry it."""

MAX_BODY = 5_000_000  # characters of a body or of a text/html alternative; our limit, Migma documents none
HINTS = {
    "body": "Set MIGMA['LAYOUT_EMAIL_ID'] to a stored email that wraps such mail, or MIGMA['PROJECT_ID'] to send it "
    "as raw HTML, or give the message a template_id (in a pre_send receiver, for mail of other packages).",
    "body_size": "Shorten it, or link to the rest. The limit protects your site's memory and is not Migma's; "
    "IGNORE_UNSUPPORTED_FEATURES cannot lift it, since a body cannot be dropped.",
}
"""Features that cannot be dropped, since nothing of the mail would be left, and what to do about them."""

_SUPPORTED_HEADERS = {"from", "reply-to", "date", "message-id"}
"""The first two become fields of the request; Migma writes the others itself, so a message's own are dropped."""
_HARMLESS_HEADERS = {
    "auto-submitted",
    "importance",
    "mime-version",
    "precedence",
    "x-auto-response-suppress",
    "x-mailer",
    "x-msmail-priority",
    "x-priority",
}
"""Headers that say how a mail was made or how urgent it is. Readers lose nothing when they stay behind."""
_MERGE_ATTRIBUTES = ("merge_data", "merge_global_data", "merge_headers", "merge_metadata")


class Unsupported(NamedTuple):
    """What a message uses that Migma cannot carry.

    ``refused``: the features that no setting drops, in order, with the headers or the part in question. ``dropped``:
    the names of what stays behind, such as ``attachments`` or ``headers:X-Priority``.
    """

    refused: dict[str, list[str]]
    dropped: frozenset[str]


def find_unsupported(message: EmailMessage, ignored: Collection[str] | bool, *, has_body_route: bool) -> Unsupported:
    """Return everything that Migma cannot carry. ``ignored`` is the setting ``IGNORE_UNSUPPORTED_FEATURES``.

    ``has_body_route``: the settings allow mail with a body of its own.
    """
    names = {name.lower() for name in ignored} if ignored and not isinstance(ignored, bool) else set()
    refused: dict[str, list[str]] = {}
    dropped = set()
    for feature, part in _features(message, has_body_route=has_body_route):
        name = f"{feature}:{part}" if feature == "headers" else feature
        is_ignored = ignored is True or feature in names or name.lower() in names or _is_harmless(feature, part)
        if is_ignored and feature not in HINTS:
            dropped.add(name)
        else:
            refused.setdefault(feature, []).append(part)
    return Unsupported(refused, frozenset(dropped))


def _is_harmless(feature: str, part: str) -> bool:
    return feature == "headers" and (part.lower() in _HARMLESS_HEADERS or part.lower().startswith("content-"))


def _features(message: EmailMessage, *, has_body_route: bool) -> Iterator[tuple[str, str]]:
    """Each feature of a message with the name of its header or part, if it has one."""
    yield from ((name, "") for name in _UNSUPPORTED_ATTRIBUTES if get_attribute(message, name) is not None)
    if message.attachments:
        yield "attachments", ""
    types = [mimetype for _, mimetype in getattr(message, "alternatives", None) or ()]
    if len(types) > 1 or not all(map(is_html, types)):
        yield "alternatives", ""
    headers = map(str, message.extra_headers or ())
    yield from (("headers", name) for name in headers if name.lower() not in _SUPPORTED_HEADERS)
    if not names_stored_email(message):
        yield from _body_features(message, has_route=has_body_route)
    if (header := headers_by_name(message).get("from")) and not _is_default_sender(message, header):
        yield "envelope_sender", ""
    if len(reply_to_addresses(message)) > 1:
        yield "multiple_reply_to", ""


def _body_features(message: EmailMessage, *, has_route: bool) -> Iterator[tuple[str, str]]:
    """The features for which the message's own body cannot be sent."""
    alternative = html_alternative(message)
    if not has_route:
        yield "body", ""
    for part, content in (("body", message.body or ""), ("text/html alternative", alternative or "")):
        if (size := len(force_str(content, errors="surrogateescape"))) > MAX_BODY:
            yield "body_size", f"{part} has {size:,} characters"
    if alternative is not None and message.content_subtype == "html":
        yield "alternatives", ""  # two HTML parts
    if alternative is None and message.content_subtype not in {"html", "plain"}:
        yield "content_subtype", ""


def names_stored_email(message: EmailMessage) -> bool:
    """Whether the message selects a stored email, so that its own body is not sent."""
    return any(get_attribute(message, name) is not None for name in ("template_id", "conversation_id"))


def _is_default_sender(message: EmailMessage, header: str) -> bool:
    given = message.from_email or settings.DEFAULT_FROM_EMAIL
    return given in (settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL, header)


def unsupported_error(
    message: EmailMessage, refused: dict[str, list[str]], fallback: str | None
) -> UnsupportedFeature:
    """Return the error for the refused features. ``fallback`` is the setting ``FALLBACK``."""
    reasons = [_reason(feature, parts) for feature, parts in refused.items()]
    others = [reason.replace("This message uses", "It also uses", 1) for reason in reasons[1:]]
    hints = [hint for feature, hint in HINTS.items() if feature in refused]
    hints += [_how_to_drop(refused), _how_to_fall_back(message, fallback)]
    return UnsupportedFeature(
        ". ".join([*reasons[:1], *others]), hint=" ".join(filter(None, hints)), features=tuple(refused)
    )


def _reason(feature: str, parts: list[str]) -> str:
    if feature == "body":
        return "Migma sends stored emails, and this message has only a body of its own"
    if feature == "body_size":
        return f"This message's {' and its '.join(parts)}, and django-migma sends {MAX_BODY:,} at most"
    names = ", ".join(filter(None, parts))
    what = f"{feature} ({names})" if names else feature
    return f"This message uses {what}: {UNSUPPORTED_FEATURES[feature]}"


def _how_to_drop(refused: dict[str, list[str]]) -> str:
    names = [feature for feature in refused if feature not in HINTS]
    if not names:
        return ""
    one = f" (or 'headers:{refused['headers'][0]}' for one)" if "headers" in refused else ""
    listed = ", ".join(f"{name!r}{one if name == 'headers' else ''}" for name in names)
    them = "the rest" if len(names) < len(refused) else "it" if len(names) == 1 else "them"
    return f"To drop {them} instead, put {listed} into MIGMA['IGNORE_UNSUPPORTED_FEATURES']."


def _how_to_fall_back(message: EmailMessage, fallback: str | None) -> str:
    obstacle = fallback_obstacle(message)
    if fallback:
        return f"The mailer {fallback!r} of FALLBACK does not get it: {obstacle}." if obstacle else ""
    return "" if obstacle else "To send such mail through another mailer, name that in MIGMA['FALLBACK']."


def fallback_obstacle(message: EmailMessage) -> str:
    """Return why another mailer must not send a message that Migma cannot carry; an empty string if it may."""
    if merged := [name for name in _MERGE_ATTRIBUTES if get_attribute(message, name) is not None]:
        return f"the message has {merged[0]}, and readers would see placeholders, or what is meant for others"
    if names_stored_email(message) and not (message.body or html_alternative(message)):
        return "the message names a stored email and has no body of its own, so readers would see an empty mail"
    if get_attribute(message, "send_at") is not None:
        return "the message has send_at, and it would be sent at once"
    return ""


def headers_by_name(message: EmailMessage) -> dict[str, Any]:
    """The message's extra headers by name in lower case."""
    return {str(name).lower(): value for name, value in (message.extra_headers or {}).items()}


def reply_to_addresses(message: EmailMessage) -> list[str]:
    """Every address for replies: those of the message's ``Reply-To`` header, else those of ``reply_to``."""
    header = headers_by_name(message).get("reply-to")
    given = [header] if header else [value for value in message.reply_to or () if value]
    return [address for value in given for address in split(value)]


def html_alternative(message: EmailMessage) -> Any:
    """The first text/html alternative as the message holds it, or None."""
    alternatives = getattr(message, "alternatives", None) or ()
    return next((content for content, mimetype in alternatives if is_html(mimetype)), None)


def is_html(mimetype: str | None) -> bool:
    """Whether a media type is HTML, parameters aside."""
    return (mimetype or "").partition(";")[0].strip().lower() == "text/html"
