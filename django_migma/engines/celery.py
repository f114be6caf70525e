"""Deliver in a task of Celery."""

from __future__ import annotations

from typing import NoReturn

from celery import shared_task

from . import run_pass

_ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""For a connection that was lost while it was idle."""


@shared_task(name="django_migma.deliver", ignore_result=True)
def deliver() -> None:
    """Deliver what is due. Celery's beat may run it as the sweep, too."""
    run_pass(wake_up)


def wake_up(delay: float = 0.0) -> None:
    """Enqueue the task, to run after ``delay`` seconds. Raises where the broker cannot be reached at once.

    Left alone, Celery looks for a broker for six seconds, and a request may wait for this.
    """
    with deliver.app.producer_or_acquire() as producer:
        producer.connection.ensure_connection(errback=_give_up)
        deliver.apply_async(countdown=delay or None, producer=producer, retry=True, retry_policy=_ONCE_MORE)


def _give_up(error: Exception, _seconds: float) -> NoReturn:
    raise error
