"""Wake an engine once mail is committed, so that one of its workers begins to deliver.

An engine is woken with nothing but "there may be rows". Rows hold all that matters: a wake-up that is lost, or comes
twice, loses and doubles no mail.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module

from django.db import transaction

from django_migma.signals import is_inside_logging, write_to_stderr

DEBOUNCE = 1.0
"""Seconds after a wake-up in which no other follows from this process: `django_migma.engines.LINGER` covers them."""
PAUSE_AFTER_FAILURE = 30.0
"""Seconds without wake-ups after a failure: a broker that is down can hold up a request for seconds."""

logger = logging.getLogger("django_migma")
_not_before: dict[str, float] = {}


def wake_on_commit(engine: str | None, using: str) -> None:
    """Wake an engine when the current transaction commits, once per transaction. ``using`` is the database's alias.

    Raises Django's ``TransactionManagementError`` where autocommit is off and there is no ``atomic()``.
    """
    if engine is None:
        return
    hook = _hook(engine)
    if not any(hook is other for _savepoints, other, _robust in transaction.get_connection(using).run_on_commit):
        transaction.on_commit(hook, using=using, robust=True)


@cache
def _hook(engine: str) -> Callable[[], None]:
    def wake_up_after_commit() -> None:
        if time.monotonic() >= _not_before.get(engine, 0.0):
            _wake_up(engine)

    return wake_up_after_commit


def _wake_up(engine: str) -> None:
    """Wake the engine. An error is logged: the mail is committed, and the sweep finds it."""
    _not_before[engine] = time.monotonic() + DEBOUNCE
    try:
        import_module(engine).wake_up()
    except Exception as error:  # noqa: BLE001 - a broker's client, or the engine's missing package, may raise anything
        _not_before[engine] = time.monotonic() + PAUSE_AFTER_FAILURE
        # Only the type: the text may hold the broker's address and password.
        text = (
            f"The engine {engine} could not be woken ({type(error).__name__}). The mail is in the queue, and "
            "migma_deliver --once delivers it; run that from cron each minute."
        )
        if is_inside_logging():
            write_to_stderr(f"django_migma: {text}")
        else:
            logger.warning("%s", text)
