"""The words that Migma's API takes and gives, and the form of its ids."""

RECIPIENT_TYPES = ("email", "audience", "segment", "tag")
PROVIDER_TYPES = ("ses", "resend", "sendgrid", "mailgun", "migma")
ACCEPTED_STATUSES = frozenset({"queued", "sent", "processing"})
"""What Migma calls a mail that it has taken. A success without a word counts as ``queued``."""

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def is_object_id(value: object) -> bool:
    """Whether this is an id as Migma documents it for emails and conversations: 24 hex digits."""
    return isinstance(value, str) and len(value) == 24 and _HEX_DIGITS.issuperset(value)
