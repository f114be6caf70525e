"""Deliver in a task of django.tasks: Django's own from 6.0 on, the package ``django-tasks`` before."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import django
from django.utils import timezone

from . import run_pass

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task


@task()
def deliver() -> None:
    """Deliver what is due. The sweep may enqueue it, too."""
    run_pass(wake_up)


def wake_up(delay: float = 0.0) -> None:
    """Enqueue the task, to run after ``delay`` seconds. A backend that cannot defer leaves that to the sweep."""
    if not delay:
        deliver.enqueue()
    elif deliver.get_backend().supports_defer:
        deliver.using(run_after=timezone.now() + dt.timedelta(seconds=delay)).enqueue()
