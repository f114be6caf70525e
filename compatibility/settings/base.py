"""What the sites have in common: our backend is the default mailer, with a layout and otherwise default settings.

The fixture ``migma_sandbox`` puts its own key and address in place.
"""

import django

SECRET_KEY = "compatibility"
USE_TZ = True
SITE_ID = 1
DJANGO_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django_migma",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
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
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"
ALLOWED_HOSTS = ["testserver"]
DEFAULT_FROM_EMAIL = "Example Shop <shop@example.com>"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django_migma.backends.EmailBackend"}}
else:
    EMAIL_BACKEND = "django_migma.backends.EmailBackend"
MIGMA = {"API_KEY": "sk_test_of_the_sites", "LAYOUT_EMAIL_ID": "665f1c2ab7d3e4f5a6b70004"}
