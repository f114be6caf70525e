"""A site that queues all mail in django-post-office. One lost reply is enough for the queue to try again."""

from datetime import timedelta

from .base import *

INSTALLED_APPS = [*DJANGO_APPS, "post_office"]
MAILERS = {
    "default": {"BACKEND": "post_office.EmailBackend"},
    "migma": {"BACKEND": "django_migma.backends.EmailBackend"},
}
POST_OFFICE = {
    "DEFAULT_MAILER": "migma",
    "MESSAGE_ID_ENABLED": True,
    "MAX_RETRIES": 3,
    "RETRY_INTERVAL": timedelta(0),
}
MIGMA = MIGMA | {"MAX_RETRIES": 0}
