"""A site whose code was written for django-anymail."""

from .base import *

INSTALLED_APPS = [*DJANGO_APPS, "anymail"]
