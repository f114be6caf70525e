"""dj-rest-auth."""

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordResetConfirmView
from django.urls import include, path

pytestmark = pytest.mark.django_db
urlpatterns = [
    path("auth/", include("dj_rest_auth.urls")),
    path("reset/<uidb64>/<token>/", PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
]


def test_password_reset(client, migma_sandbox):
    """A password reset that is asked for through the API sends its link."""
    User.objects.create_user("kim", "kim@example.com", "kettle-and-kiln")
    response = client.post("/auth/password/reset/", {"email": "kim@example.com"})
    [mail] = migma_sandbox.store.messages()
    assert response.status_code == 200
    assert mail.body["recipientEmail"] == "kim@example.com"
    assert "/reset/" in mail.html
