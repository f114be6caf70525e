"""The signals, sent in the thread that called ``send_messages``, and their arguments.

``pre_send(sender, message, alias)``
    Before a message is looked at. A receiver may change the message, or raise `CancelSend` to drop it. Any other
    exception stops the call and reaches the caller.

``post_send(sender, message, status, alias)``
    After every message for which ``pre_send`` was sent and not cancelled, whatever became of it; not for those that a
    stopped call never came to. ``status`` is its ``migma_status``. Sent robustly: a receiver's exception is logged by
    Django and hides no mail that has gone out.

``batch_finished(sender, messages_sent, alias)``
    At the end of a ``send_messages`` call. ``messages_sent`` is its return value. Sent robustly.

``sender`` is the backend's class; ``alias`` the key of ``MAILERS``, or None where a site has none.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import FrameType
from typing import Any

from django.dispatch import Signal


class CancelSend(Exception):
    """Raised by a receiver of `pre_send`: this message is not sent, and that is no failure."""


pre_send = Signal()
post_send = Signal()
batch_finished = Signal()

_LOGGING = (logging.Logger.callHandlers.__code__, logging.Handler.handle.__code__)
"""What stands on the stack while a log record is handed out, in the logging thread or in a queue's listener."""


def send_robust(signal: Signal, sender: type, **arguments: Any) -> None:
    """Send a signal robustly: a receiver's exception is logged by Django and reaches nobody.

    Except in a mail that logging itself sends (``mail_admins`` behind a handler): there, a logged exception would be
    mailed, and that mail announced. The exception goes to stderr then, as from a failing handler, and the receivers
    after it are passed over.
    """
    if not signal.has_listeners(sender):
        return
    if not is_inside_logging():
        signal.send_robust(sender, **arguments)
        return
    try:
        signal.send(sender, **arguments)
    except Exception:  # noqa: BLE001 - any receiver's
        traceback.print_exc(file=sys.stderr)


def is_inside_logging() -> bool:
    """Whether this thread is in the middle of handing out a log record."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to walk the stack
    while frame is not None:
        if frame.f_code in _LOGGING:
            return True
        frame = frame.f_back
    return False
