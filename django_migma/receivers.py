"""Receivers of our own signals that write log lines. The app connects them when it is ready."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from .api.errors import MigmaError
from .signals import is_inside_logging, post_send, write_to_stderr

if TYPE_CHECKING:
    from .message import MessageStatus

logger = logging.getLogger("django_migma")


def log_failure(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log a message that was not accepted for all recipients, at WARNING, without recipients, bodies or keys.

    Not the failure of a mail that logging itself sends (``mail_admins`` in a handler): logged, it would cause the
    next mail, without end. The backend writes it to stderr.
    """
    errors = [recipient.error for recipient in status.recipients.values() if recipient.error]
    if not errors or is_inside_logging():
        return
    counts = Counter(recipient.status for recipient in status.recipients.values())
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    # The text of an error that is not ours may hold recipients or a body.
    reason = str(errors[0]) if isinstance(errors[0], MigmaError) else type(errors[0]).__name__
    _write(f"Mail through {_mailer(alias)} was not accepted ({summary}): {reason}", {"status": dict(counts)})


def log_missing_variables(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log the variables that a stored email uses and a message lacks, unless the settings ignore them."""
    if not status.missing_variables or not status.stored_email:  # a refused message, which log_failure reports
        return
    names = ", ".join(sorted(status.missing_variables))
    which = f"the stored email {status.stored_email!r} uses"
    line = f"Mail through {_mailer(alias)} lacked variables that {which}: {names}. See MISSING_VARIABLES."
    _write(line, {"missing_variables": names, "stored_email": status.stored_email})


def _mailer(alias: str | None) -> str:
    return f"the mailer {alias!r}" if alias else "Migma"


def _write(line: str, extra: dict[str, Any]) -> None:
    """Log a line at WARNING, or print it to stderr where logging itself sends the mail."""
    if is_inside_logging():
        write_to_stderr(f"django_migma: {line}")
    else:
        logger.warning("%s", line, extra=extra)


def connect() -> None:
    """Connect the receivers. A second call changes nothing."""
    post_send.connect(log_failure, dispatch_uid="django_migma.log_failure")
    post_send.connect(log_missing_variables, dispatch_uid="django_migma.log_missing_variables")
