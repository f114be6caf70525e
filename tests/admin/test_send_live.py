"""Tests as customers get them: through the site's mailer, with its sender, subject and values."""

import html

import django
import pytest
from django.contrib.admin.models import LogEntry

from django_migma import signals
from django_migma.models import Delivery, StoredEmail
from tests.conftest import QUEUE, our_mailer

from .conftest import RECEIPT, TEST_SEND, WELCOME, messages_of
from .test_send_test import TAKEN, ask, confirm

pytestmark = pytest.mark.django_db
MARKED = {"mark": "on"}


def send(client, *emails, addresses="ada@example.org", values=None, **fields):
    """Press the button of a fresh page, with values in its inputs."""
    page = ask(client, *emails)
    inputs = {bound.html_name: bound.value() for bound in page.context["form"].inputs}
    inputs |= {f"value.{name}": text for name, text in (values or {}).items()}
    return confirm(client, page, addresses, kind="customers", **{**MARKED, **inputs, **fields})


def declare(migma, **entry):
    migma(STORED_EMAILS={"welcome": {"email_id": WELCOME, **entry}})


def test_it_has_sender_subject_and_values_of_the_site(tester, accepting, migma, welcome):
    migma(FROM_EMAIL="Fernhill <hello@example.com>")
    StoredEmail.objects.update(default_variables={"town": "Fernhill"})
    response = send(tester, welcome, values={"first_name": "Ada"})
    body = accepting.body
    assert (body["emailId"], body["recipientEmail"]) == (WELCOME, "ada@example.org")
    assert (body["from"], body["fromName"]) == ("hello@example.com", "Fernhill")
    assert body["subject"] == "[Test] Hello {{first_name}}"
    assert body["variables"] == {"first_name": "Ada", "town": "Fernhill"}
    link = '<a href="http://127.0.0.1:9/mail/m1">See it</a>'
    assert messages_of(response) == [
        ("success", f"Test of “Welcome” to ada@example.org: The sandbox accepted it. {link}")
    ]


def test_the_mark_before_the_subject_can_be_switched_off(tester, accepting, welcome):
    send(tester, welcome, mark="")
    assert accepting.body["subject"] == "Hello {{first_name}}"


def test_the_page_says_who_sends_and_what(tester, mailer, migma, welcome, receipt):
    migma(FROM_EMAIL="Fernhill <hello@example.com>")
    page = ask(tester, welcome)
    text = html.unescape(page.content.decode())
    assert page.context["form"]["kind"].value() == "customers"
    assert "From Fernhill <hello@example.com>, with the values below." in " ".join(text.split())
    StoredEmail.objects.update(subject="Hello")
    several = html.unescape(ask(tester, welcome, receipt).content.decode())
    assert "From Fernhill <hello@example.com>, with the sample values of each." in " ".join(several.split())
    StoredEmail.objects.filter(pk=receipt.pk).update(from_email="billing@example.com")
    assert "From the sender of each, with the sample values" in ask(tester, welcome, receipt).content.decode()


def test_with_redirect_to_nobody_else_gets_it(tester, accepting, migma, welcome):
    migma(REDIRECT_TO="staging@example.net")
    [(_level, text)] = messages_of(send(tester, welcome))
    assert (accepting.body["recipientEmail"], accepting.body["subject"]) == (
        "staging@example.net",
        "[to ada@example.org] [Test] Hello {{first_name}}",
    )
    assert "to ada@example.org: The sandbox accepted it. REDIRECT_TO sends it to staging@example.net." in text
    assert Delivery.objects.get().recipient == "staging@example.net"


def test_each_is_one_row_with_all_that_the_mailer_knows(tester, accepting, migma, welcome):
    """One, not two: the row that was written before is the one that is there after, with DELIVERY_LOG and without."""
    for is_logged in (False, True):
        migma(DELIVERY_LOG=is_logged)
        Delivery.objects.all().delete()
        send(tester, welcome, addresses="ada@example.org, bob@example.org")
        first, second = Delivery.objects.order_by("pk")
        assert [row.recipient for row in (first, second)] == ["ada@example.org", "bob@example.org"]
        assert (first.status, first.message_id, first.is_test, first.in_doubt) == ("accepted", "m1", True, False)
        assert (first.subject, first.from_email) == ("[Test] Hello {{first_name}}", "shop@example.com")
        assert (first.stored_email, first.batch) == (welcome, second.batch)
        assert first.idempotency_key != second.idempotency_key
        assert first.caller_key == f"admin-test/{tester.user.pk}/{first.batch}/0"


def test_a_repeat_within_one_test_has_the_same_key(tester, migma_sandbox, welcome):
    """The reply to the first request is lost."""
    StoredEmail.objects.update(from_email="hello@fernhill.example")
    migma_sandbox.faults.script("lost")
    [(level, _text)] = messages_of(send(tester, welcome, values={"first_name": "Ada"}))
    assert level == "success"
    [message] = migma_sandbox.store.messages()
    assert message.subject == "[Test] Hello Ada"


def test_a_site_with_a_queue_sends_at_once(tester, accepting, settings, welcome):
    for name, value in our_mailer(backend=QUEUE).items():
        setattr(settings, name, value)
    send(tester, welcome)
    assert len(accepting.bodies) == 1
    assert [row.status for row in Delivery.objects.all()] == ["accepted"]


def test_several_emails_use_their_samples(tester, accepting, welcome, receipt):
    StoredEmail.objects.filter(pk=receipt.pk).update(subject="Total {{total}}", sample_variables={"total": 12.5})
    StoredEmail.objects.filter(pk=welcome.pk).update(sample_variables={"first_name": "", "town": None})
    send(tester, welcome, receipt)
    assert {body["emailId"]: body.get("variables") for body in accepting.bodies} == {
        WELCOME: None,
        RECEIPT: {"total": 12.5},
    }


def test_what_the_settings_declare_for_the_key_counts(tester, accepting, migma, welcome):
    declare(migma, from_email="Crew <crew@example.com>", subject="Hi {{first_name}}", default_variables={"a": 1})
    send(tester, welcome)
    body = accepting.body
    assert (body["from"], body["subject"], body["variables"]) == (
        "crew@example.com",
        "[Test] Hi {{first_name}}",
        {"a": 1},
    )


def test_a_key_that_the_settings_give_another_email_does_not_change_the_design(tester, accepting, migma, welcome):
    migma(STORED_EMAILS={"welcome": {"email_id": RECEIPT, "subject": "Another"}})
    send(tester, welcome)
    assert (accepting.body["emailId"], accepting.body["subject"]) == (WELCOME, "[Test] Hello {{first_name}}")


IMPOSSIBLE = {
    "no subject": ({"subject": ""}, {}, "Welcome: Its subject is not known here, and Migma needs one."),
    "sender": ({"from_email": "nobody"}, {}, "Welcome: from_email of the stored email 'welcome' is not an address."),
    "name": ({"from_name": "a\nb"}, {}, "Welcome: The from_name of the stored email 'welcome'"),
    "declared": ({}, {"subject": 5}, "Welcome: STORED_EMAILS must give 'welcome' one line of text"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_where_the_site_cannot_send_it_the_page_says_why(tester, accepting, migma, welcome, case):
    fields, declared, reason = IMPOSSIBLE[case]
    StoredEmail.objects.update(**fields)
    if declared:
        declare(migma, **declared)
    page = ask(tester, welcome)
    text = html.unescape(page.content.decode())
    assert f"Not possible here. {reason}" in " ".join(text.split())
    assert page.context["form"]["kind"].value() == "stored"
    refused = send(tester, welcome)
    assert refused.context["form"].errors["kind"][0].startswith(reason)
    assert accepting.bodies == []
    accepting.answers(TAKEN, url=TEST_SEND)
    assert messages_of(confirm(tester, page))[0][0] == "success"


def test_a_receiver_that_cancels_it_leaves_no_doubt(tester, accepting, welcome):
    def cancel(message, **_options):
        raise signals.CancelSend

    signals.pre_send.connect(cancel)
    try:
        [(level, text)] = messages_of(send(tester, welcome))
    finally:
        signals.pre_send.disconnect(cancel)
    assert (level, accepting.bodies) == ("warning", [])
    assert "Not sent: a receiver of pre_send cancelled it." in text
    row = Delivery.objects.get()
    assert (row.status, row.in_doubt) == ("not_attempted", False)


def test_what_migma_refuses_is_a_message_an_entry_and_a_row(tester, wire, welcome):
    wire.answers((400, {"success": False, "error": "the domain is not verified"}))
    [(level, text)] = messages_of(send(tester, welcome))
    assert level == "error"
    assert "Migma answered 400: the domain is not verified." in text
    assert "the domain is not verified" in LogEntry.objects.get().get_change_message()
    row = Delivery.objects.get()
    assert (row.status, row.errors[0]["text"]) == ("failed", "Migma answered 400: the domain is not verified")


def test_an_email_without_key_is_sent_too(tester, accepting, receipt):
    StoredEmail.objects.update(subject="Your receipt")
    send(tester, receipt)
    assert accepting.body["emailId"] == RECEIPT


def test_the_kind_has_to_be_chosen(tester, accepting, welcome):
    assert "kind" in confirm(tester, ask(tester, welcome), kind="").context["form"].errors
    assert accepting.bodies == []


@pytest.mark.skipif(django.VERSION < (6, 1), reason="aliases came with Django 6.1")
def test_the_mailer_that_the_page_names_sends_it(tester, accepting, settings, welcome):
    settings.MAILERS = {
        "default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"},
        "news": {"BACKEND": "django_migma.backends.EmailBackend", "OPTIONS": {"from_email": "news@example.com"}},
    }
    assert "<code>news</code>" in ask(tester, welcome).content.decode()
    send(tester, welcome)
    assert accepting.body["from"] == "news@example.com"
    assert Delivery.objects.get().alias == "news"
