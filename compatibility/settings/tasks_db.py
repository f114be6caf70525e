"""A site that sends from Django's tasks, with django-tasks-db as their queue."""

from .base import *

INSTALLED_APPS = [*DJANGO_APPS, "django_tasks_db"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
MIGMA = MIGMA | {"MAX_RETRIES": 0}
