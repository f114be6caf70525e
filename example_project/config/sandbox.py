"""What the settings use while there is no MIGMA_API_KEY: the sandbox on this machine, and what its account holds.

A site of yours has its own account and its own ids, and needs nothing like this file.
"""

from urllib.parse import urljoin

from django.conf import settings

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS

VALUES = {
    "MIGMA_API_KEY": KEYS.full,
    "MIGMA_API_URL": "http://127.0.0.1:8026/v1",
    "MIGMA_PROJECT_ID": account.FERNHILL,
    "MIGMA_FROM_NAME": "Fernhill Coffee",
    "MIGMA_LAYOUT_EMAIL_ID": account.LAYOUT,
    "DEFAULT_FROM_EMAIL": "hello@fernhill.example",
}
STORED_EMAILS = {
    "welcome": account.WELCOME,
    "password-reset": account.PASSWORD_RESET,
    "receipt": account.RECEIPT,
    "letter": account.SERIES_2,
}


def inbox(request):
    """The sandbox's inbox, for the foot of every page; empty where mail goes to Migma."""
    is_sandbox = settings.MIGMA["API_KEY"] == KEYS.full
    return {"inbox_url": urljoin(settings.MIGMA["API_URL"], "/") if is_sandbox else ""}
