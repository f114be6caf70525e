"""Settings of the test project: the mailer is ours, and the address leads nowhere unless a test gives another."""

import json
import os

import django

SECRET_KEY = "tests"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",  # brings the templates of the password reset too
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_migma",
]
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": json.loads(os.environ.get("TEST_DATABASE", "null")) or SQLITE}  # see tests/services.py
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
DEFAULT_FROM_EMAIL = "Example Shop <shop@example.com>"
SERVER_EMAIL = "server@example.com"
MIGMA = {
    "API_KEY": "sk_test_of_the_suite",
    "API_URL": "http://127.0.0.1:9/v1",
    "PROJECT_ID": "665f1c2ab7d3e4f5a6a70001",
}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django_migma.backends.EmailBackend"}}
else:
    EMAIL_BACKEND = "django_migma.backends.EmailBackend"
