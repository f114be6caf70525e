"""From Django's mail functions to a request that the sandbox accepts, over real sockets."""

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail import EmailMultiAlternatives, send_mail
from django.test import override_settings

from django_migma.exceptions import Conflict
from django_migma.message import MigmaMessage

LAYOUT = "665f1c2ab7d3e4f5a6b70004"
WELCOME = "665f1c2ab7d3e4f5a6b70001"


@pytest.fixture
def layout(migma_sandbox, settings):
    """The sandbox, with its layout email around ordinary mail."""
    settings.MIGMA = settings.MIGMA | {"LAYOUT_EMAIL_ID": LAYOUT}
    return migma_sandbox


def accepted(sandbox):
    return [(message.body["recipientEmail"], message.subject) for message in sandbox.store.messages()]


def test_send_mail_reaches_migma(layout):
    """The first promise: plain send_mail, nothing special, is accepted by the API."""
    assert send_mail("Hello", "Line one\n\nLine two", None, ["ada@example.org"]) == 1
    assert accepted(layout) == [("ada@example.org", "Hello")]
    assert "<p>Line one</p>" in layout.store.messages()[0].html


def test_everyone_gets_a_mail_of_their_own(layout):
    """To, cc and bcc become one call each, once per mailbox."""
    message = EmailMultiAlternatives(
        "Offer", "text", None, ["a@example.org", "A <a@example.org>"], cc=["c@example.org"], bcc=["b@example.org"]
    )
    message.attach_alternative("<b>Offer</b>", "text/html")
    assert message.send() == 1
    assert sorted(accepted(layout)) == [
        ("a@example.org", "Offer"),
        ("b@example.org", "Offer"),
        ("c@example.org", "Offer"),
    ]
    assert list(message.migma_status.recipients) == ["a@example.org", "c@example.org", "b@example.org"]
    assert message.migma_status.status == {"queued"}
    assert message.migma_status.message_id == {stored.id for stored in layout.store.messages()}
    assert message.anymail_status is message.migma_status


@pytest.mark.parametrize("escape", [False, True])
def test_placeholders_of_ordinary_mail_are_filled_within_the_layout(settings, escape):
    """Whether Migma escapes variables or not, nobody reads ``{{first_name}}``."""
    from django_migma.testing import sandbox

    settings.MIGMA = settings.MIGMA | {"LAYOUT_EMAIL_ID": LAYOUT}
    with sandbox(escape_variables=escape) as running:
        message = EmailMultiAlternatives("Hi {{first_name}}", "Come, {{first_name}}", None, ["ada@example.org"])
        message.attach_alternative("<b>Come, {{first_name}}</b>", "text/html")
        message.merge_data = {"ada@example.org": {"first_name": "Ada"}}
        message.send()
        [stored] = running.store.messages()
    assert stored.subject == "Hi Ada"
    assert "Come, Ada" in stored.html
    assert "{{" not in stored.html


def test_stored_email_with_variables_for_each(layout):
    """A stored email is filled with the global variables and with each recipient's own."""
    message = MigmaMessage(
        "Welcome",
        to=["a@example.org", "b@example.org"],
        template_id=WELCOME,
        merge_global_data={"shop_url": "https://shop.example"},
        merge_data={"a@example.org": {"first_name": "Ada"}, "B <b@EXAMPLE.org>": {"first_name": "Bo"}},
    )
    message.send()
    by_address = {stored.body["recipientEmail"]: stored.body["variables"] for stored in layout.store.messages()}
    assert by_address == {
        "a@example.org": {"shop_url": "https://shop.example", "first_name": "Ada"},
        "b@example.org": {"shop_url": "https://shop.example", "first_name": "Bo"},
    }


@pytest.mark.django_db
def test_password_reset_of_django(layout, client):
    """Django's own mail goes through without a change to it."""
    User.objects.create_user("ada", "ada@example.org", "secret")
    response = client.post("/accounts/password_reset/", {"email": "ada@example.org"})
    assert response.status_code == 302
    [stored] = layout.store.messages()
    assert stored.body["recipientEmail"] == "ada@example.org"
    assert "/accounts/reset/" in stored.html


def test_raw_html_where_the_server_still_takes_it(settings):
    """The raw route sends the body as `template`; the sandbox refuses it unless told to take it."""
    from django_migma.testing import sandbox

    with sandbox(accept_template=True) as running:
        send_mail("Hello", "text", None, ["ada@example.org"], html_message="<b>Hi</b>")
        assert running.store.messages()[0].html == "<b>Hi</b>"


def test_mail_admins(layout, settings):
    """Mail to the admins goes out with the server's address as sender."""
    with override_settings(ADMINS=admins("root@example.org")):
        mail.mail_admins("Disk", "full")
    assert accepted(layout) == [("root@example.org", "[Django] Disk")]
    assert layout.store.messages()[0].body["from"] == "server@example.com"


def admins(address):
    """The setting as each Django wants it."""
    import django

    return [address] if django.VERSION >= (6, 0) else [("Root", address)]


def test_mass_mail(layout):
    """Every message of send_mass_mail is sent and counted."""
    messages = [(f"Subject {number}", "text", None, [f"r{number}@example.org"]) for number in range(5)]
    assert mail.send_mass_mail(messages) == 5
    assert len(accepted(layout)) == 5


def test_a_hundred_mails_share_one_connection(layout, migma):
    """Calls of send_mail one after another keep one connection alive; the server counts."""
    migma(TIMEOUT=60, RETRY_DEADLINE=120)
    for _ in range(100):
        send_mail("Hello", "text", None, ["ada@example.org"])
    assert layout.store.stats()["connections"] == 1


def test_a_mail_that_is_built_three_times_arrives_once(migma_sandbox):
    """A queue that builds the mail anew after a lost answer: the sandbox holds one, and repeats its answer."""
    for _ in range(3):
        message = MigmaMessage(
            "Order 7", to=["a@example.org"], template_id=WELCOME, headers={"Message-ID": "<order-7@example.com>"}
        )
        assert message.send() == 1
    assert accepted(migma_sandbox) == [("a@example.org", "Order 7")]
    assert message.migma_status.recipients["a@example.org"].replayed


def test_one_message_id_for_two_different_mails_is_a_conflict_that_says_so(migma_sandbox):
    headers = {"Message-ID": "<order-7@example.com>"}
    MigmaMessage("Order 7", to=["a@example.org"], template_id=WELCOME, headers=headers).send()
    with pytest.raises(Conflict, match="An explicit Message-ID header is such a key"):
        MigmaMessage("Order 7, shipped", to=["a@example.org"], template_id=WELCOME, headers=headers).send()
    assert accepted(migma_sandbox) == [("a@example.org", "Order 7")]
