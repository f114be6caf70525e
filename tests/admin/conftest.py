"""Fixtures for the tests of the admin: rows, users with permissions, and the messages of a page."""

import datetime as dt

import django
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_migma.models import Delivery, StoredEmail

PROJECT = "665f1c2ab7d3e4f5a6a70001"
WELCOME = "665f1c2ab7d3e4f5a6b70001"
RECEIPT = "665f1c2ab7d3e4f5a6b70002"
CONVERSATION = "665f1c2ab7d3e4f5a6c70001"
TEST_SEND = "http://127.0.0.1:9/v1/emails/test/send"
LIST = "http://127.0.0.1:9/v1/projects/emails"


def admin_url(view, *args, site="admin", model="storedemail"):
    """The address of a view of the stored emails' admin, or that of another model."""
    return reverse(f"admin:django_migma_{model}_{view}", args=args, current_app=site)


def messages_of(response):
    """The messages that a page shows, each with its level."""
    return [(message.level_tag, str(message)) for message in response.context["messages"]]


def error_answer(status, text="Migma's own words", **headers):
    """An answer with which Migma refuses."""
    return status, {"success": False, "error": text}, headers


@pytest.fixture
def noon(monkeypatch, settings):
    """The clock stands at noon of a day, so that no day begins during the test."""
    moment = dt.datetime(2026, 11, 18, 12, tzinfo=timezone.get_default_timezone())
    monkeypatch.setattr(timezone, "now", lambda: moment if settings.USE_TZ else timezone.make_naive(moment))


@pytest.fixture
def welcome(db):
    return StoredEmail.objects.create(
        key="welcome", email_id=WELCOME, title="Welcome", subject="Hello {{first_name}}", html="<p>{{first_name}}</p>"
    )


@pytest.fixture
def receipt(db):
    return StoredEmail.objects.create(email_id=RECEIPT, title="Receipt", project_id=PROJECT)


@pytest.fixture
def deliver(db):
    """Write a delivery as the queue would leave it in this state; ``ago`` is its age in hours."""

    def make(status="waiting", *, ago=0, **fields):
        now = timezone.now()
        is_unfinished = status in Delivery.UNFINISHED
        values = {
            "idempotency_key": f"{Delivery.objects.count():064}",
            "alias": "default" if django.VERSION >= (6, 1) else "",
            "recipient": "ada@example.org",
            "subject": "Your receipt",
            "status": status,
            "due_at": now if is_unfinished else None,
            "finished_at": None if is_unfinished else now,
            "created_at": now - dt.timedelta(hours=ago),
            "payload": '{"subject":"Your receipt"}',
        }
        return Delivery.objects.create(**{**values, **fields})

    return make


@pytest.fixture
def person(db):
    """A signed-in member of staff with these permissions and no others."""

    def make(*permissions, name="ada", model="storedemail", **options):
        user = get_user_model().objects.create_user(name, f"{name}@example.org", is_staff=True)
        chosen = Permission.objects.filter(codename__in=[f"{found}_{model}" for found in permissions])
        assert len(chosen) == len(permissions)
        user.user_permissions.set(chosen)
        client = Client(**options)
        client.force_login(user)
        client.user = user
        return client

    return make


@pytest.fixture
def admin_client(db):
    """A superuser, without a password: hashing one takes longer than most tests."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root", "root@example.org"))
    return client


@pytest.fixture
def tester(person):
    """A user who may see stored emails and send tests."""
    return person("view", "send_test")
