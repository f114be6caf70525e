"""Where ``autodiscover_tasks()`` of a site's Celery app looks for tasks, as other task queues do."""

from contextlib import suppress

with suppress(ImportError):  # without Celery
    from .engines.celery import deliver  # noqa: F401
