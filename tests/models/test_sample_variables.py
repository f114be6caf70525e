"""Samples are for previews and tests: no mail of a site carries one, on any of its ways to Migma."""

import json

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail import send_mail

from django_migma.message import MigmaMessage
from django_migma.models import Delivery, StoredEmail
from django_migma.models.stored_email import StoredEmailResolver
from django_migma.stored_emails import DeclaredEmails
from tests.conftest import QUEUE, our_mailer

WELCOME = "665f1c2ab7d3e4f5a6b70001"

pytestmark = pytest.mark.django_db


@pytest.fixture
def welcome():
    return StoredEmail.objects.create(
        key="welcome",
        email_id=WELCOME,
        subject="Welcome to {{town}}, {{first_name}}",
        html="<p>{{first_name}} {{content}}</p>",
        default_variables={"town": "Fernhill"},
        sample_variables={"first_name": "Robin", "town": "Robin's town", "content": "Robin's text"},
    )


def message(template_id="welcome", **fields):
    return MigmaMessage(**{"to": ["zoe@example.org"], "template_id": template_id} | fields)


@pytest.mark.parametrize("by", ["key", "row"])
def test_mail_that_is_sent_at_once_carries_none(accepting, welcome, by):
    """It has the default, and the name that nobody gave is said to be missing."""
    sent = message(welcome if by == "row" else "welcome")
    sent.send()
    assert accepting.body["variables"] == {"town": "Fernhill"}
    assert "Robin" not in json.dumps(accepting.body)
    assert sent.migma_status.missing_variables == {"first_name", "content"}


def test_mail_of_a_key_that_both_declare_carries_none(accepting, welcome, migma):
    migma(STORED_EMAILS={"welcome": {"email_id": WELCOME, "sample_variables": {"first_name": "Robin too"}}})
    message().send()
    assert accepting.body["variables"] == {"town": "Fernhill"}


def test_mail_through_the_queue_carries_none(wire, welcome, settings):
    for name, value in our_mailer(backend=QUEUE).items():
        setattr(settings, name, value)
    message().send()
    payload = Delivery.objects.get().payload
    assert json.loads(payload)["variables"] == {"town": "Fernhill"}
    assert "Robin" not in payload


def test_mail_inside_a_layout_carries_none(accepting, welcome, migma):
    migma(LAYOUT_EMAIL_ID=WELCOME)
    send_mail("Hello", "Your own text", None, ["zoe@example.org"])
    assert accepting.body["emailId"] == WELCOME
    assert "Your own text" in json.dumps(accepting.body)
    assert "Robin" not in json.dumps(accepting.body)


def test_the_outbox_of_a_sites_tests_shows_none(migma_outbox, welcome):
    message().send()
    assert migma_outbox[0].migma_payloads[0]["variables"] == {"town": "Fernhill"}
    assert mail.outbox == migma_outbox


def test_a_test_finds_them_and_those_of_the_settings_win(welcome):
    declared = {"email_id": WELCOME, "sample_variables": {"first_name": "Ada", "nick": "A"}}
    assert StoredEmailResolver()("welcome").sample_variables == welcome.sample_variables
    both = StoredEmailResolver(DeclaredEmails({"welcome": declared}))("welcome")
    assert both.sample_variables == {**welcome.sample_variables, "first_name": "Ada", "nick": "A"}


@pytest.mark.parametrize("value", [["first_name"], {"a": "\0"}, {"a": float("nan")}])
def test_what_is_no_value_by_name_is_refused(value):
    with pytest.raises(ValidationError) as caught:
        StoredEmail(email_id=WELCOME, sample_variables=value).full_clean()
    assert set(caught.value.message_dict) == {"sample_variables"}


def test_what_a_form_leaves_empty_is_none():
    row = StoredEmail(email_id=WELCOME, sample_variables="")
    row.full_clean()
    assert row.sample_variables == {}


def test_the_help_says_who_reads_which():
    def help_of(name):
        return str(StoredEmail._meta.get_field(name).help_text)

    assert "Customers read these." in help_of("default_variables")
    assert help_of("sample_variables").startswith("For previews and tests only; never sent to customers.")
