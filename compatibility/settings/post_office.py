"""A site that queues all mail in django-post-office. One lost reply is enough for the queue to try again."""

from datetime import timedelta

import django

from .base import *

INSTALLED_APPS = [*DJANGO_APPS, "post_office"]
POST_OFFICE = {"MESSAGE_ID_ENABLED": True, "MAX_RETRIES": 3, "RETRY_INTERVAL": timedelta(0)}
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {"BACKEND": "post_office.EmailBackend"},
        "migma": {"BACKEND": "django_migma.backends.EmailBackend"},
    }
    POST_OFFICE["DEFAULT_MAILER"] = "migma"
else:
    EMAIL_BACKEND = "post_office.EmailBackend"
    POST_OFFICE["BACKENDS"] = {"default": "django_migma.backends.EmailBackend"}
MIGMA = MIGMA | {"MAX_RETRIES": 0}
