"""django-oscar."""

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.urls import path
from oscar.apps.checkout.mixins import OrderPlacementMixin
from oscar.test.factories import create_order

pytestmark = pytest.mark.django_db
urlpatterns = [path("", apps.get_app_config("oscar").urls)]


def test_order(rf, migma_sandbox):
    """An order that is placed mails its confirmation, with its lines, to the customer."""
    checkout = OrderPlacementMixin()
    checkout.request = rf.post("/checkout/preview/")
    checkout.request.user = User.objects.create_user("kim", "kim@example.com", first_name="Kim")
    order = create_order(user=checkout.request.user, number="100007")
    checkout.send_order_placed_email(order)
    [mail] = migma_sandbox.store.messages()
    assert (mail.body["recipientEmail"], mail.body["from"]) == ("kim@example.com", "shop@example.com")
    assert "100007" in mail.subject
    assert order.lines.get().title in mail.html
