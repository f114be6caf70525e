"""The signals and their arguments. The first four are sent in the thread that called ``send_messages``.

``pre_send(sender, message, alias)``
    Before anything of a message is read. A receiver may change the message, or raise `CancelSend` to drop it. Any
    other exception stops the call and reaches the caller.

``post_send(sender, message, status, alias)``
    After every message for which ``pre_send`` was sent and not cancelled, with success or without; not for messages
    that a stopped call did not reach, or that have no recipients. ``status`` is its ``migma_status``. Sent robustly:
    Django logs a receiver's exception, so that it cannot hide that mail has been sent.

``post_enqueue(sender, message, status, alias)``
    In place of ``post_send``, after every message that the queue backend has taken or refused: its rows may still be
    rolled back, and what becomes of them is told by ``delivery_updated``. Mail that the mailer of ``FALLBACK`` sends
    after the commit has a ``post_send`` too. Sent robustly.

``batch_finished(sender, messages_sent, alias)``
    At the end of a ``send_messages`` call. ``messages_sent`` is its return value. Sent robustly.

``delivery_updated(sender, delivery, previous)``
    After the commit that changed the status of a row of `Delivery`: by a worker, by tracking, by a person, or by a
    direct send of the same mail. ``sender`` is `Delivery`, ``previous`` the status word before. Sent robustly, in the
    thread that changed the row.

Of the first four, ``sender`` is the backend's class, and ``alias`` the key of ``MAILERS`` or None.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from types import FrameType
from typing import Any

from django.dispatch import Signal


class CancelSend(Exception):
    """Raised by a receiver of `pre_send` to drop the message. That does not count as a failure."""


pre_send = Signal()
post_send = Signal()
post_enqueue = Signal()
batch_finished = Signal()
delivery_updated = Signal()

_LOGGING = (logging.Logger.callHandlers.__code__, logging.Handler.handle.__code__)
"""Functions on the stack while a log record is handled, in the logging thread or in that of a `QueueListener`."""


def send_robust(signal: Signal, sender: type, **arguments: Any) -> None:
    """Send a signal as Django's ``send_robust`` does, which logs the exceptions of receivers.

    In a mail that logging itself sends (``mail_admins`` in a handler), a logged exception would be mailed, and that
    mail would send the signal again. There the exception goes to stderr, and the receivers after it are not called.
    """
    if not signal.has_listeners(sender):
        return
    if not is_inside_logging():
        signal.send_robust(sender, **arguments)
        return
    try:
        signal.send(sender, **arguments)
    except Exception:  # noqa: BLE001 - any receiver's
        write_to_stderr(traceback.format_exc().rstrip())


def write_to_stderr(text: str) -> None:
    """Write a line in place of logging it. A stderr that is closed or full must not replace a site's error page."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr)  # noqa: T201


def is_inside_logging() -> bool:
    """Whether this thread is handling a log record. A flag would miss the thread of a `QueueListener`."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to walk the stack
    while frame is not None:
        if frame.f_code in _LOGGING:
            return True
        frame = frame.f_back
    return False
