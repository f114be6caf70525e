"""The logs of stored emails: what becomes of each single send, as its recipient's address asks for.

Names of fields and statuses are those of Migma's docs and of its Node SDK (mid 2026). When an outcome comes, how the
words follow each other and what the types of bounces and complaints are called is public nowhere.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.faults import RECIPIENT_DOMAIN
from django_migma.sandbox.protocol import ApiError, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from django_migma.sandbox.exchanges import Message

STATUSES = ("delivered", "opened", "clicked", "bounced", "complained", "suppressed", "sent")
OUTCOMES = {
    "delivered": ("sent", "delivered"),
    "opened": ("sent", "delivered", "opened"),
    "clicked": ("sent", "delivered", "opened", "clicked"),
    "bounced": ("sent", "bounced"),
    "complained": ("sent", "delivered", "complained"),
    "suppressed": ("suppressed",),  # such an address is not tried at all
}
"""What happens to mail to this name at ``sandbox.example``, one status after the other. Other mail is delivered."""

_KEPT = timedelta(days=30)


def page(
    sends: Iterable[Message], email_id: str, now: datetime, *, limit: int, cursor: str | None, status: str | None
) -> dict[str, Any]:
    """One page of the log of an email. ``sends``: single sends, newest first. Raises 400 for an unknown cursor."""
    logged: Iterator[Message] = (
        send for send in sends if _email_id(send) == email_id.lower() and _is_logged(send, now)
    )
    if cursor is not None:
        logged = dropwhile(lambda send: send.id != cursor, logged)
        if next(logged, None) is None:
            raise ApiError(400, "cursor is not one that this list has given")
    found = list(islice(_with_status(logged, now, status), limit + 1))
    has_more = len(found) > limit
    return {
        "emails": [_row(send, now) for send in found[:limit]],
        "nextCursor": found[limit - 1].id if has_more else None,
        "hasMore": has_more,
    }


def _email_id(send: Message) -> str:
    """The answer has no id where the sandbox takes any; a conversation's email stands in the answer only."""
    return str(send.answer.get("emailId") or send.body.get("emailId") or "").lower()


def _is_logged(send: Message, now: datetime) -> bool:
    return timedelta(seconds=send.switches.log_delay) <= now - send.received_at < _KEPT


def _with_status(sends: Iterable[Message], now: datetime, status: str | None) -> Iterator[Message]:
    return (send for send in sends if status in {None, _history(send, now)[-1]})


def _history(send: Message, now: datetime) -> tuple[str, ...]:
    """The statuses that a send has had, the present one last."""
    local, _, domain = send.body["recipientEmail"].lower().rpartition("@")
    statuses = OUTCOMES.get(local if domain == RECIPIENT_DOMAIN else "", OUTCOMES["delivered"])
    delay = send.switches.outcome_delay
    steps = (now - send.received_at).total_seconds() // delay if delay else len(statuses)
    return statuses[: int(min(steps, len(statuses))) + 1]


def _row(send: Message, now: datetime) -> dict[str, Any]:
    history = _history(send, now)
    was_opened, was_clicked = "opened" in history, "clicked" in history
    return {
        "id": int(send.id[:12], 16),
        "tracking_id": send.answer[send.switches.tracking_id],
        "domain": send.body["from"].rpartition("@")[2],
        "from_email": send.body["from"],
        "to_email": send.body["recipientEmail"],
        "subject": send.subject,
        "status": history[-1],
        "opened_at": _since(send, history, "opened"),
        "clicked_at": _since(send, history, "clicked"),
        "open_count": int(was_opened),
        "click_count": int(was_clicked),
        "bounce_type": "Permanent" if history[-1] == "bounced" else None,
        "complaint_type": "abuse" if history[-1] == "complained" else None,
        "created_at": timestamp(send.received_at),
    }


def _since(send: Message, history: tuple[str, ...], status: str) -> str | None:
    if status not in history:
        return None
    return timestamp(send.received_at + history.index(status) * timedelta(seconds=send.switches.outcome_delay))
