"""djoser."""

import pytest
from django.contrib.auth.models import User
from django.urls import include, path

pytestmark = pytest.mark.django_db
urlpatterns = [path("auth/", include("djoser.urls"))]


def test_activation(client, migma_sandbox):
    """A new user gets the link that activates the account."""
    person = {"username": "kim", "email": "kim@example.com", "password": "kettle-and-kiln"}
    response = client.post("/auth/users/", person)
    [mail] = migma_sandbox.store.messages()
    assert response.status_code == 201
    assert mail.body["recipientEmail"] == "kim@example.com"
    assert "/activate/" in mail.html


def test_password_reset(client, migma_sandbox):
    """A forgotten password sends the link that resets it."""
    User.objects.create_user("kim", "kim@example.com", "kettle-and-kiln")
    response = client.post("/auth/users/reset_password/", {"email": "kim@example.com"})
    [mail] = migma_sandbox.store.messages()
    assert response.status_code == 204
    assert "/reset/" in mail.html
