"""An API with the accounts of dj-rest-auth, without allauth."""

from .base import *

ROOT_URLCONF = "compatibility.test_dj_rest_auth"
INSTALLED_APPS = [*DJANGO_APPS, "rest_framework", "rest_framework.authtoken", "dj_rest_auth"]
