"""The settings of a benchmarked site, as a module for ``DJANGO_SETTINGS_MODULE``. The site is in the environment."""

import json
import os

from benchmarks.messages import SENDER

from .contenders import CONTENDERS

SITE = json.loads(os.environ["BENCHMARK_SITE"])
SECRET_KEY = "benchmark"  # noqa: S105 - it protects nothing
USE_TZ = True
DEFAULT_FROM_EMAIL = SENDER
DATABASES = {"default": SITE["database"]}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "benchmarks.queue.settings"
urlpatterns: list[object] = []
_own = CONTENDERS[SITE["contender"]].settings(SITE)
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", *_own.pop("INSTALLED_APPS")]
globals().update(_own)
