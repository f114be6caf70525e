"""Settings of a site whose processes tests start and kill. ``SITE`` of the environment has what differs between them.

Timeouts and leases are short, so that what a killed worker leaves behind is taken up in seconds.
"""

import json
import os

import django

from tests.settings import *

SITE = json.loads(os.environ["SITE"])
BACKEND = "django_migma.backends.queue.EmailBackend"
LEASE = 5  # seconds

DATABASES = {"default": SITE["database"]}
MIGMA = MIGMA | {
    "API_URL": SITE["api_url"],
    "API_KEY": SITE["api_key"],
    "FROM_EMAIL": "Shop <shop@b.example>",
    "TIMEOUT": (1, 3),
    "MAX_CONCURRENCY": SITE["concurrency"],
    "QUEUE": {"ENGINE": SITE["engine"], "SCHEDULE": (1, 2, 4), "LEASE": LEASE},
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
