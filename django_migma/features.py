"""What Migma's API has no field for: refused by name, or dropped where the settings say so."""

from __future__ import annotations

from collections.abc import Collection

from .api.errors import UnsupportedFeature

REASONS = {
    "attachments": "Migma's API takes no attachments; link to the file instead",
    "alternatives": "Migma sends one HTML part, so the message may have one text/html alternative and no other",
    "content_subtype": "Migma sends HTML, so the body may be plain text or HTML",
    "headers": "Migma's API takes no headers of your own",
    "multiple_reply_to": "Migma takes one address to reply to",
    "tags": "Migma echoes no tags of single sends",
    "metadata": "Migma echoes no metadata of single sends",
    "send_at": "Migma sends single mail at once; schedule with your task queue, or a campaign in Migma",
    "track_opens": "Migma tracks by domain, in its dashboard, not by message",
    "track_clicks": "Migma tracks by domain, in its dashboard, not by message",
    "envelope_sender": "Migma chooses the envelope sender of a verified domain",
    "merge_headers": "Migma's API takes no headers of your own",
    "merge_metadata": "Migma echoes no metadata of single sends",
}
"""Each feature's name, for ``IGNORE_UNSUPPORTED_FEATURES``, and why Migma cannot carry it."""


def refuse(feature: str, ignored: Collection[str] | bool, names: Collection[str] = ()) -> None:
    """Raise `UnsupportedFeature`, unless the settings drop the feature. ``names`` are the parts in question."""
    if isinstance(ignored, bool):
        if ignored:
            return
        ignored = ()
    if feature in ignored:
        return
    left = [name for name in names if f"{feature}:{name}".lower() not in {item.lower() for item in ignored}]
    if names and not left:
        return
    what = f"{feature} ({', '.join(left)})" if left else feature
    one = f" (or {f'{feature}:{left[0]}'!r} for one)" if left else ""
    raise UnsupportedFeature(
        f"This message uses {what}: {REASONS[feature]}. To drop it instead, put {feature!r}{one} into "
        "MIGMA['IGNORE_UNSUPPORTED_FEATURES'].",
        feature=feature,
    )
