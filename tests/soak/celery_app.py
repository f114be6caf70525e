"""The Celery app of the site, as Celery's own manual has it for Django."""

from celery import Celery

app = Celery("site", include=["django_migma.engines.celery"])
app.config_from_object("django.conf:settings", namespace="CELERY")
