"""What Migma's API has no field for: refused by name, or dropped where the settings say so."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

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

_SUPPORTED_HEADERS = {"from", "reply-to", "date", "message-id"}
"""The first two become fields of the request; Migma writes the others itself, so a message's own are dropped."""


def refuse_unsupported(message: EmailMessage, ignored: Collection[str] | bool) -> None:
    """Raise `UnsupportedFeature` for the first feature that ``ignored`` does not drop.

    ``ignored`` is the setting ``IGNORE_UNSUPPORTED_FEATURES``. Features that depend on the route or on addresses are
    refused where those are read, by `refuse_feature`.
    """
    for name in _UNSUPPORTED_ATTRIBUTES:
        if get_attribute(message, name) is not None:
            refuse_feature(name, ignored)
    if message.attachments:
        refuse_feature("attachments", ignored)
    types = [mimetype for _, mimetype in getattr(message, "alternatives", None) or ()]
    if len(types) > 1 or not all(map(is_html, types)):
        refuse_feature("alternatives", ignored)
    if names := [str(name) for name in message.extra_headers or () if str(name).lower() not in _SUPPORTED_HEADERS]:
        refuse_feature("headers", ignored, names)


def refuse_feature(feature: str, ignored: Collection[str] | bool, names: Collection[str] = ()) -> None:
    """Raise `UnsupportedFeature`, unless the settings drop the feature. ``names`` are the parts in question."""
    if ignored is True or feature in (ignored or ()):
        return
    dropped = {item.lower() for item in ignored or ()}
    left = [name for name in names if f"{feature}:{name}".lower() not in dropped]
    if names and not left:
        return
    what = f"{feature} ({', '.join(left)})" if left else feature
    one = f" (or {f'{feature}:{left[0]}'!r} for one)" if left else ""
    raise UnsupportedFeature(
        f"This message uses {what}: {UNSUPPORTED_FEATURES[feature]}",
        hint=f"To drop it instead, put {feature!r}{one} into MIGMA['IGNORE_UNSUPPORTED_FEATURES'].",
        feature=feature,
    )


def headers_by_name(message: EmailMessage) -> dict[str, Any]:
    """The message's extra headers by name in lower case."""
    return {str(name).lower(): value for name, value in (message.extra_headers or {}).items()}


def is_html(mimetype: str | None) -> bool:
    """Whether a media type is HTML, parameters aside."""
    return (mimetype or "").partition(";")[0].strip().lower() == "text/html"
