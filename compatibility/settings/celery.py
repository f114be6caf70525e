"""A site that sends from Celery's tasks. One lost reply is enough for the task to be tried again."""

from .base import *

INSTALLED_APPS = DJANGO_APPS
MIGMA = MIGMA | {"MAX_RETRIES": 0}
