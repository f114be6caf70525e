"""Settings of a site whose processes tests start and kill. ``SITE`` of the environment says what differs."""

import json
import os

import django

from tests.settings import *

SITE = json.loads(os.environ["SITE"])
BACKEND = "django_migma.backends.queue.EmailBackend"

DATABASES = {"default": SITE["database"]}
MIGMA = MIGMA | {
    "API_URL": SITE["api_url"],
    "API_KEY": SITE["api_key"],
    "FROM_EMAIL": "Shop <shop@b.example>",
    "TIMEOUT": tuple(SITE["timeout"]),
    "MAX_CONCURRENCY": SITE["concurrency"],
    "QUEUE": {"ENGINE": SITE["engine"], "SCHEDULE": (1, 2, 4), "LEASE": SITE["lease"]},
}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": BACKEND}}
else:
    EMAIL_BACKEND = BACKEND

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks_db"]
if django.VERSION < (6, 0):
    INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks"]  # the backport of Django's tasks
CELERY_BROKER_URL = SITE.get("broker")
