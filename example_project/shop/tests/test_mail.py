"""The mail of the shop. Run ``pytest`` in the folder that has manage.py."""

from threading import Thread

import pytest
from django.core.mail import send_mail

from config.sandbox import STORED_EMAILS
from django_migma.exceptions import UnsupportedFeature
from django_migma.message import MigmaMessage
from django_migma.testing import sandbox
from shop.mail import send_receipt
from shop.models import Order

pytestmark = pytest.mark.django_db
ADA = {"first_name": "Ada", "email": "ada@example.org"}
PASSWORDS = {"password1": "a long enough one", "password2": "a long enough one"}


@pytest.fixture(autouse=True)
def stored_emails(migma_stored_emails):
    """The keys that the shop sends by. Ids are optional: migma_stored_emails("welcome", "receipt") does as well."""
    migma_stored_emails(**STORED_EMAILS)


@pytest.fixture
def submit(client, django_capture_on_commit_callbacks):
    """Fill in a form of the shop, and run what waits for the commit."""

    def post(path, **fields):
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(path, fields)

    return post


def test_a_new_customer_gets_the_welcome(migma_sandbox, submit):
    submit("/sign-up/", username="ada", **ADA, **PASSWORDS)
    [mail] = migma_sandbox.mails
    assert (mail.recipient, mail.subject) == ("ada@example.org", "Welcome to Fernhill Coffee")
    assert mail.variables["first_name"] == "Ada"
    assert "Hello Ada" in mail.text
    assert mail.missing_variables == []


def test_the_link_of_a_password_reset_works(migma_sandbox, client, django_user_model):
    django_user_model.objects.create_user("ada", "ada@example.org", "forgotten")
    client.post("/accounts/password_reset/", {"email": "ada@example.org"})
    [mail] = migma_sandbox.mails
    assert mail.variables["reset_url"] in mail.html
    assert "Choose a new password" in client.get(mail.variables["reset_url"], follow=True).content.decode()


def test_a_lost_reply_makes_no_second_receipt(migma_sandbox, submit):
    migma_sandbox.fail_next("lost")
    submit("/order/", **ADA, bags_1=2)
    [receipt] = migma_sandbox.mails
    assert receipt.attempts == 2


def test_customers_see_that_a_receipt_is_late(migma_sandbox, submit, client, settings):
    settings.MIGMA = settings.MIGMA | {"MAX_RETRIES": 0}
    migma_sandbox.fail_next("503")
    page = submit("/order/", **ADA, bags_1=2)
    assert migma_sandbox.mails == []
    assert "not sent yet" in client.get(page.url).content.decode()


def test_a_sender_that_is_not_verified_is_found(submit, settings):
    settings.DEFAULT_FROM_EMAIL = "hello@shop.example"
    with sandbox(verified_domains=("fernhill.example",)) as strict:
        submit("/order/", **ADA, bags_1=2)
    assert strict.mails == []
    [receipt] = strict.not_accepted
    assert "shop.example is not verified" in receipt.problem


def test_a_newsletter_keeps_to_the_rate_limit(migma_sandbox):
    migma_sandbox.rate_limit("5/s")
    readers = [f"reader-{number}@example.org" for number in range(8)]
    MigmaMessage(to=readers, template_id="welcome", merge_global_data={"first_name": "reader"}).send()
    assert sorted(mail.recipient for mail in migma_sandbox.mails) == readers


def test_mail_of_a_thread_is_waited_for(migma_sandbox, settings):
    settings.MIGMA = settings.MIGMA | {"DELIVERY_LOG": False}  # the thread is not part of the test's transaction
    thread = Thread(target=send_mail, args=("News", "Night Train is back.", None, ["ada@example.org"]))
    thread.start()
    [mail] = migma_sandbox.wait_for(1, timeout=30)
    assert mail.subject == "News"
    thread.join()


def test_without_a_fallback_the_invoice_is_refused(migma_outbox, settings):
    settings.MIGMA = settings.MIGMA | {"FALLBACK": None}
    with pytest.raises(UnsupportedFeature, match="attachments"):
        send_receipt(Order.objects.create(**ADA), "https://shop.example/order/1/")
    [receipt] = migma_outbox
    [mail] = receipt.migma_mails
    assert (receipt.template_id, mail.variables["first_name"]) == ("receipt", "Ada")
