"""Our own signals -> log lines. Connected when the app is ready."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from .api.errors import MigmaError
from .signals import is_inside_logging, post_send

if TYPE_CHECKING:
    from .message import MessageStatus

logger = logging.getLogger("django_migma")


def log_failure(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log a message that was not accepted for everybody, at WARNING, without recipients, bodies or keys.

    A mail that logging itself sends (``mail_admins`` behind a handler) must not log its own failure, or a failing API
    would make logging and mail call each other without end; stderr gets the line instead, as from a failing handler.
    """
    errors = [recipient.error for recipient in status.recipients.values() if recipient.error]
    if not errors:
        return
    words = Counter(recipient.status for recipient in status.recipients.values())
    counts = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    # The text of an error that is not ours may hold anything.
    reason = str(errors[0]) if isinstance(errors[0], MigmaError) else type(errors[0]).__name__
    _write(f"Mail through {_mailer(alias)} was not accepted ({counts}): {reason}", {"status": dict(words)})


def log_missing_variables(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log the variables that a stored email uses and a message did not bring, unless the settings ignore them."""
    if not status.missing_variables or not status.stored_email:  # without one, it was refused, which is told already
        return
    names = ", ".join(sorted(status.missing_variables))
    which = f"the stored email {status.stored_email!r} uses"
    line = f"Mail through {_mailer(alias)} lacked variables that {which}: {names}. See MISSING_VARIABLES."
    _write(line, {"missing_variables": names, "stored_email": status.stored_email})


def _mailer(alias: str | None) -> str:
    return f"the mailer {alias!r}" if alias else "Migma"


def _write(line: str, about: dict[str, Any]) -> None:
    """To the log, at WARNING; to stderr where logging itself has sent the mail."""
    if is_inside_logging():
        print(f"django_migma: {line}", file=sys.stderr)  # noqa: T201
    else:
        logger.warning("%s", line, extra=about)


def connect() -> None:
    """Connect the receivers. Repeating it changes nothing."""
    post_send.connect(log_failure, dispatch_uid="django_migma.log_failure")
    post_send.connect(log_missing_variables, dispatch_uid="django_migma.log_missing_variables")
