"""Receivers of our own signals that write log lines. The app connects them when it is ready."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from .api.errors import MigmaError, MissingVariables
from .signals import is_inside_logging, post_send

if TYPE_CHECKING:
    from .message import MessageStatus

logger = logging.getLogger("django_migma")


def log_failure(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log a message that was not accepted for all recipients, at WARNING, without recipients, bodies or keys.

    The failure of a mail that logging itself sends (``mail_admins`` in a handler) goes to stderr instead: logged, it
    would cause the next mail, without end.
    """
    errors = [recipient.error for recipient in status.recipients.values() if recipient.error]
    if not errors:
        return
    counts = Counter(recipient.status for recipient in status.recipients.values())
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    # The text of an error that is not ours may hold recipients or a body.
    reason = str(errors[0]) if isinstance(errors[0], MigmaError) else type(errors[0]).__name__
    _write(f"Mail through {_mailer(alias)} was not accepted ({summary}): {reason}", {"status": dict(counts)})


def log_missing_variables(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log the variables that a stored email or a message's own text uses and the message lacks.

    Not where the settings ignore them, nor for a message that was refused, which `log_failure` reports.
    """
    is_refused = any(isinstance(recipient.error, MissingVariables) for recipient in status.recipients.values())
    if not status.missing_variables or is_refused:
        return
    names = ", ".join(sorted(status.missing_variables))
    which = f"the stored email {status.stored_email!r} uses" if status.stored_email else "its own text uses"
    line = f"Mail through {_mailer(alias)} lacked variables that {which}: {names}. See MISSING_VARIABLES."
    _write(line, {"missing_variables": names, "stored_email": status.stored_email})


def _mailer(alias: str | None) -> str:
    return f"the mailer {alias!r}" if alias else "Migma"


def _write(line: str, extra: dict[str, Any]) -> None:
    """Log a line at WARNING, or print it to stderr where logging itself sends the mail."""
    if is_inside_logging():
        print(f"django_migma: {line}", file=sys.stderr)  # noqa: T201
    else:
        logger.warning("%s", line, extra=extra)


def connect() -> None:
    """Connect the receivers. A second call changes nothing."""
    post_send.connect(log_failure, dispatch_uid="django_migma.log_failure")
    post_send.connect(log_missing_variables, dispatch_uid="django_migma.log_missing_variables")
