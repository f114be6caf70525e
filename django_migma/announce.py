"""Telling receivers what happened, without letting logging and mail call each other for ever."""

from __future__ import annotations

import logging
import sys
import traceback
from types import FrameType
from typing import Any

from django.dispatch import Signal

_LOGGING = (logging.Logger.callHandlers.__code__, logging.Handler.handle.__code__)
"""What stands on the stack while a log record is handed out, in the logging thread or in a queue's listener."""


def announce(signal: Signal, sender: type, **arguments: Any) -> None:
    """Send a signal robustly: a receiver's exception is logged by Django and reaches nobody.

    Except in a mail that logging itself sends (``mail_admins`` behind a handler): there, a logged exception would be
    mailed, and that mail announced. The exception goes to stderr then, as from a failing handler, and the receivers
    after it are passed over.
    """
    if not signal.has_listeners(sender):
        return
    if not caused_by_logging():
        signal.send_robust(sender, **arguments)
        return
    try:
        signal.send(sender, **arguments)
    except Exception:  # noqa: BLE001 - any receiver's
        traceback.print_exc(file=sys.stderr)


def caused_by_logging() -> bool:
    """Whether this thread is in the middle of handing out a log record."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the documented way to walk the stack
    while frame is not None:
        if frame.f_code in _LOGGING:
            return True
        frame = frame.f_back
    return False
