"""A site that queues all mail in django-mailer. One lost reply is enough for the queue to try again.

django-mailer 2.3 asks for a backend by its path, which Django refuses where there is MAILERS.
"""

import django

from .base import *

if django.VERSION >= (6, 1):
    del MAILERS  # noqa: F821 - of the base

INSTALLED_APPS = [*DJANGO_APPS, "mailer"]
EMAIL_BACKEND = "compatibility.test_mailer.QueueBackend"
MAILER_EMAIL_BACKEND = "django_migma.backends.EmailBackend"
MAILER_ERROR_HANDLER = "compatibility.test_mailer.defer"
MAILER_USE_FILE_LOCK = False
MIGMA = MIGMA | {"MAX_RETRIES": 0}
