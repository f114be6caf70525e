"""Receivers of our own signals that write log lines. The app connects them when it is ready."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from .api.errors import MigmaError, MissingVariables
from .exceptions import ConfigurationError
from .signals import is_inside_logging, post_enqueue, post_send, write_to_stderr

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
    reason = str(errors[0]) if isinstance(errors[0], MigmaError | ConfigurationError) else type(errors[0]).__name__
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


def log_dropped_features(sender: type, status: MessageStatus, alias: str | None, **kwargs: Any) -> None:
    """Log what was left out of a message: at WARNING where attachments are among it, else at INFO.

    At INFO, nothing is said about a mail that logging itself sends.
    """
    if not status.dropped_features:
        return
    names = ", ".join(sorted(status.dropped_features))
    line = f"Left out of mail through {_mailer(alias)}, since Migma cannot carry it: {names}."
    level = logging.WARNING if "attachments" in status.dropped_features else logging.INFO
    _write(line, {"dropped_features": names}, level)


def _mailer(alias: str | None) -> str:
    return f"the mailer {alias!r}" if alias else "Migma"


def _write(line: str, extra: dict[str, Any], level: int = logging.WARNING) -> None:
    """Log a line. Where logging itself sends the mail, write it to stderr if it is a warning."""
    if not is_inside_logging():
        logger.log(level, "%s", line, extra=extra)
    elif level >= logging.WARNING:
        write_to_stderr(f"django_migma: {line}")


def connect() -> None:
    """Connect the receivers. A second call changes nothing."""
    for receiver in (log_failure, log_dropped_features, log_missing_variables):
        post_send.connect(receiver, dispatch_uid=f"django_migma.{receiver.__name__}")
        post_enqueue.connect(receiver, dispatch_uid=f"django_migma.{receiver.__name__}")
