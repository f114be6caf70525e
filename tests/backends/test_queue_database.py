"""The rows of the queue in a database of their own, by a router: its transactions decide."""

import django
import pytest
from django.core.mail import EmailMessage, send_mail
from django.db import connections, transaction

from django_migma.models import Delivery, StoredEmail
from tests.conftest import QUEUE, our_mailer

from .test_queue import Keeping


class RowsElsewhere:
    def db_for_write(self, model, **hints):
        return "log" if model is Delivery else None


@pytest.fixture
def log(wire, settings, migma, tmp_path, django_db_setup, django_db_blocker):
    """The other database, beside the project's. Django's own fixtures admit none that the settings do not have."""
    mailer = our_mailer(backend=QUEUE)
    if "MAILERS" in mailer:
        mailer["MAILERS"]["other"] = {"BACKEND": f"{Keeping.__module__}.Keeping"}
    for name, value in mailer.items():
        setattr(settings, name, value)
    migma(FALLBACK="other" if django.VERSION >= (6, 1) else f"{Keeping.__module__}.Keeping")
    Keeping.sent, Keeping.error = [], None
    settings.DATABASE_ROUTERS = [RowsElsewhere()]
    connections.databases["log"] = connections["default"].settings_dict | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path / "log.sqlite3",
    }
    with django_db_blocker.unblock():
        with connections["log"].schema_editor() as editor:
            editor.create_model(StoredEmail)
            editor.create_model(Delivery)
        yield Delivery.objects.using("log")
        connections["log"].close()
    del connections["log"]
    del connections.databases["log"]


def send():
    send_mail("Hello", "Text", None, ["a@example.org"])
    invoice = EmailMessage("Invoice", "Text", to=["a@example.org"])
    invoice.attach("invoice.pdf", b"%PDF", "application/pdf")
    invoice.send()


def test_a_rollback_elsewhere_changes_nothing(log):
    with transaction.atomic():
        send()
        transaction.set_rollback(True)
    assert log.count() == len(Keeping.sent) == 1


def test_its_own_rollback_takes_rows_and_the_other_mailers_mail_along(log):
    with transaction.atomic(using="log"):
        send()
        assert log.count() == 1
        assert Keeping.sent == []
        transaction.set_rollback(True, using="log")
    assert log.count() == len(Keeping.sent) == 0
