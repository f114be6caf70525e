"""django-allauth."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import include, path

from .manual import pasted

pytestmark = pytest.mark.django_db
urlpatterns = [path("accounts/", include("allauth.urls"))]
AccountAdapter = pasted("third-party-mail", "AccountAdapter", __name__)


def test_sign_up(client, migma_sandbox):
    """A sign-up sends the link that confirms the address, and the link works."""
    password = "kettle-and-kiln"
    person = {"email": "kim@example.com", "username": "kim", "password1": password, "password2": password}
    client.post("/accounts/signup/", person)
    [mail] = migma_sandbox.store.messages()
    assert mail.body["recipientEmail"] == "kim@example.com"
    [link] = re.findall(r'href="http://testserver(/accounts/confirm-email/[^"]+)"', mail.html)
    client.post(link)
    assert User.objects.get().emailaddress_set.get().verified


def test_password_reset(client, migma_sandbox):
    """A forgotten password sends the link that resets it."""
    User.objects.create_user("kim", "kim@example.com", "kettle-and-kiln")
    client.post("/accounts/password/reset/", {"email": "kim@example.com"})
    [mail] = migma_sandbox.store.messages()
    assert mail.body["recipientEmail"] == "kim@example.com"
    assert 'href="http://testserver/accounts/password/reset/key/' in mail.html


def test_design(client, migma_sandbox, settings):
    """With the manual's adapter, the mail has a design from Migma."""
    settings.ACCOUNT_ADAPTER = f"{__name__}.AccountAdapter"
    User.objects.create_user("kim", "kim@example.com", "kettle-and-kiln")
    client.post("/accounts/password/reset/", {"email": "kim@example.com"})
    [mail] = migma_sandbox.store.messages()
    assert mail.body["emailId"] == "665f1c2ab7d3e4f5a6b70003"
    assert "/accounts/password/reset/key/" in mail.body["variables"]["password_reset_url"]
