"""Deliver in a task of Celery."""

from __future__ import annotations

from celery import shared_task

from . import run_pass


@shared_task(name="django_migma.deliver", ignore_result=True)
def deliver() -> None:
    """Deliver what is due. Celery's beat may run it as the sweep, too."""
    run_pass(wake_up)


def wake_up(delay: float = 0.0) -> None:
    """Enqueue the task, to run after ``delay`` seconds. A broker that does not answer is not tried again."""
    deliver.apply_async(countdown=delay or None, retry=False)
