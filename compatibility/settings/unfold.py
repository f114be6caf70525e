"""A site whose admin has the theme of django-unfold."""

from .base import *

ROOT_URLCONF = "compatibility.test_unfold"
INSTALLED_APPS = ["unfold", *DJANGO_APPS, "django.contrib.staticfiles"]
MIGMA["PROJECT_ID"] = "665f1c2ab7d3e4f5a6a70001"
