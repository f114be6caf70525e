"""An API with the accounts of djoser."""

from .base import *

ROOT_URLCONF = "compatibility.test_djoser"
INSTALLED_APPS = [*DJANGO_APPS, "rest_framework", "djoser"]
DJOSER = {
    "ACTIVATION_URL": "activate/{uid}/{token}",
    "PASSWORD_RESET_CONFIRM_URL": "reset/{uid}/{token}",
    "SEND_ACTIVATION_EMAIL": True,
}
