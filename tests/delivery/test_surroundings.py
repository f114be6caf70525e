"""What a site has around its mail: transactions that fail, requests that are one, tests, and all of Unicode."""

from __future__ import annotations

import contextlib

import pytest
from django.db import connections, transaction
from django.test import Client, override_settings
from django.urls import path

from django_migma.delivery.deliverer import Deliverer
from django_migma.models import Delivery
from tests.conftest import our_mailer
from tests.delivery.queueing import queue_mails

QUEUE = "django_migma.backends.queue.EmailBackend"
ODD = "\U0001f600 Grüße \u0000 \u2028 \x7f \U0001d518"
"""Four bytes in UTF-8 and two units in UTF-16, NUL, which PostgreSQL stores in no text, and what breaks lines."""


class Oops(Exception):
    """A mistake in a view."""


def view(request):
    """Place an order, tell three people, and fail."""
    queue_mails(["a@example.org", "b@example.org", "c@example.org"])
    raise Oops


urlpatterns = [path("order/", view)]


@pytest.fixture(autouse=True)
def queue(accepting):
    """The queue backend, and Migma accepting everything."""
    with override_settings(**our_mailer(backend=QUEUE)):
        yield accepting


def deliver():
    return Deliverer().run(idle=0).counts


@pytest.mark.django_db(transaction=True)
def test_mail_of_transactions_that_fail_is_never_sent(queue):
    """200 of them, beside one that does not fail."""
    for number in range(200):
        with contextlib.suppress(Oops), transaction.atomic():
            queue_mails([f"r{number}@example.org"])
            raise Oops
    queue_mails(["kept@example.org"])
    assert deliver() == {"accepted": 1}
    assert Delivery.objects.get().recipient == queue.body["recipientEmail"] == "kept@example.org"


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls(__name__)
def test_mail_of_a_request_that_fails_is_never_sent(queue, monkeypatch):
    """With ``ATOMIC_REQUESTS``, and without further thought in the view."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    for _ in range(20):
        assert Client(raise_request_exception=False).get("/order/").status_code == 500
    assert deliver() == {}
    assert (Delivery.objects.count(), queue.bodies) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_a_worker_refuses_to_deliver_inside_a_transaction():
    """Nobody else would see what it claims, and a rollback would forget what was accepted."""
    queue_mails(["a@example.org"])
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        deliver()
    assert Delivery.objects.get().status == "waiting"


@pytest.mark.django_db
def test_a_site_can_deliver_in_its_own_tests(queue):
    """Django's ``TestCase`` is one long transaction, which does not count."""
    queue_mails(["a@example.org"])
    assert deliver() == {"accepted": 1}
    assert queue.body["recipientEmail"] == "a@example.org"


@pytest.mark.django_db
def test_every_character_arrives_and_none_stops_a_row(queue):
    """As the direct backend sends it, whatever the database can store."""
    queue_mails(["a@example.org"], merge_global_data={"note": ODD})
    assert deliver() == {"accepted": 1}
    assert queue.body["variables"]["note"] == ODD
