"""One task per mail, as sites write it for django.tasks and for Celery, and the Celery application."""

from celery import Celery
from django.conf import settings
from django.core.mail import send_mail
from django.tasks import task

from benchmarks.messages import SENDER

app = Celery("benchmark", broker=f"redis://127.0.0.1:{settings.SITE['redis']}/0", set_as_current=True)
app.autodiscover_tasks()


@task
def send_by_tasks(subject, text, html, recipient):
    send_mail(subject, text, SENDER, [recipient], html_message=html)


@app.task(ignore_result=True)
def send_by_celery(subject, text, html, recipient):
    send_mail(subject, text, SENDER, [recipient], html_message=html)
