"""Where each part of a Django message goes in the request, and what is refused."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import django
import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.translation import gettext_lazy

from django_migma.exceptions import (
    ConfigurationError,
    InvalidAddress,
    SendFailed,
    SerializationError,
    UnsupportedFeature,
)
from django_migma.message import MigmaMessage
from django_migma.models import StoredEmail
from django_migma.payload import unsupported_features
from tests.conftest import BACKEND

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
PROJECT_ID = "665f1c2ab7d3e4f5a6a70001"


def html_mail(**kwargs):
    message = EmailMultiAlternatives(**({"subject": "Hello", "to": ["ada@example.org"]} | kwargs))
    message.attach_alternative("<b>Hi</b>", "text/html")
    return message


def stored_mail(**kwargs):
    return MigmaMessage(**({"subject": "Hello", "to": ["ada@example.org"], "template_id": EMAIL_ID} | kwargs))


def test_the_whole_body_of_an_ordinary_mail(accepting):
    """A plain HTML mail has these fields and no others."""
    assert html_mail().send() == 1
    assert accepting.body == {
        "recipientType": "email",
        "recipientEmail": "ada@example.org",
        "from": "shop@example.com",
        "fromName": "Example Shop",
        "subject": "Hello",
        "template": "<b>Hi</b>",
        "projectId": PROJECT_ID,
    }


def test_the_headers(accepting):
    """The key travels as Bearer, the body as JSON; the idempotency key is a SHA-256 in hex."""
    html_mail().send()
    headers = accepting.mock.calls[0].request.headers
    assert headers["Authorization"] == "Bearer sk_test_of_the_suite"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("django-migma/")
    assert len(headers["Idempotency-Key"]) == 64


def test_text_travels_as_utf_8(accepting):
    """Characters beyond ASCII are not escaped into something longer."""
    html_mail(subject="Grüße 🎉").send()
    assert "Grüße 🎉".encode() in accepting.mock.calls[0].request.body


class TestRecipients:
    def test_each_once_in_order_of_to_cc_bcc(self, accepting):
        message = html_mail(
            to=["Ada <ada@example.org>", "ada@EXAMPLE.org", ""], cc=["c@example.org"], bcc=["b@example.org"]
        )
        message.send()
        assert accepting.bodies[0]["recipientEmail"] == "ada@example.org"
        assert sorted(body["recipientEmail"] for body in accepting.bodies) == [
            "ada@example.org",
            "b@example.org",
            "c@example.org",
        ]
        assert list(message.migma_status.recipients) == ["ada@example.org", "c@example.org", "b@example.org"]

    def test_local_parts_differ_by_case(self, accepting):
        html_mail(to=["Ada@example.org", "ada@example.org"]).send()
        assert len(accepting.bodies) == 2

    def test_domain_travels_in_lower_case(self, accepting):
        """One mailbox, one spelling: an idempotency key and its body stay together."""
        message = html_mail(to=["Ada@EXAMPLE.org"], from_email="Shop@Example.COM", reply_to=["Help@EXAMPLE.com"])
        message.send()
        body = accepting.body
        assert (body["recipientEmail"], body["from"], body["replyTo"]) == (
            "Ada@example.org", "Shop@example.com", "Help@example.com",
        )  # fmt: skip
        assert list(message.migma_status.recipients) == ["Ada@EXAMPLE.org"]

    def test_domain_travels_in_idna_2008(self, accepting):
        message = html_mail(to=["ada@straße.example"])
        message.send()
        assert accepting.body["recipientEmail"] == "ada@xn--strae-oqa.example"
        assert list(message.migma_status.recipients) == ["ada@straße.example"]

    @pytest.mark.parametrize(
        ("address", "text"),
        [
            ("nobody", "is not an address"),
            ("a@example.org, b@example.org", "holds several addresses"),
            ("a@example.org\nBcc: b@example.org", "contains a line break"),
        ],
    )
    def test_malformed_address_stops_the_whole_message(self, accepting, address, text):
        message = html_mail(to=["ada@example.org"], bcc=[address])
        with pytest.raises(InvalidAddress, match=f"Address 1 in 'bcc' {text}") as caught:
            message.send()
        assert address not in str(caught.value)
        assert accepting.bodies == []
        assert message.migma_status.status == {"not_attempted"}
        assert message.migma_status.recipients[address].error is caught.value

    def test_recipients_of_a_subclass_count(self, accepting):
        """Django's documentation lets a subclass return more from recipients()."""

        class Copied(EmailMessage):
            def recipients(self):
                return [*super().recipients(), "archive@example.org"]

        message = Copied("Hello", "text", None, ["ada@example.org"])
        message.send()
        assert sorted(message.migma_status.recipients) == ["ada@example.org", "archive@example.org"]
        assert len(accepting.bodies) == 2

    def test_a_malformed_one_of_a_subclass_is_refused(self, accepting):
        class Copied(EmailMessage):
            def recipients(self):
                return ["nobody"]

        with pytest.raises(InvalidAddress, match=r"An address of recipients\(\) is not an address"):
            Copied("Hello", "text").send()

    def test_a_message_without_recipients_is_not_sent(self, accepting, connection):
        message = html_mail(to=[])
        assert connection().send_messages([message]) == 0
        assert message.migma_status.recipients == {}
        assert accepting.bodies == []


class TestSender:
    def test_explicit_from_wins(self, accepting, migma):
        migma(FROM_EMAIL="Migma Shop <migma@example.com>")
        html_mail(from_email="Sales <sales@example.com>").send()
        assert (accepting.body["from"], accepting.body["fromName"]) == ("sales@example.com", "Sales")

    @pytest.mark.parametrize("default", ["Example Shop <shop@example.com>", "server@example.com"])
    def test_from_email_setting_stands_in_for_djangos_defaults(self, accepting, migma, default):
        migma(FROM_EMAIL="Migma Shop <migma@example.com>")
        html_mail(from_email=default).send()
        assert (accepting.body["from"], accepting.body["fromName"]) == ("migma@example.com", "Migma Shop")

    def test_from_header_wins(self, accepting, migma):
        migma(FROM_EMAIL="migma@example.com")
        html_mail(headers={"from": "Head <head@example.com>"}).send()
        assert (accepting.body["from"], accepting.body["fromName"]) == ("head@example.com", "Head")

    def test_from_header_beside_another_from_is_an_envelope_sender(self, accepting):
        message = html_mail(from_email="bounce@example.com", headers={"From": "head@example.com"})
        with pytest.raises(UnsupportedFeature, match="envelope_sender: Migma chooses"):
            message.send()

    def test_from_name_setting_where_the_from_has_none(self, accepting, migma):
        migma(FROM_NAME="The Shop")
        html_mail(from_email="sales@example.com").send()
        assert accepting.body["fromName"] == "The Shop"

    @pytest.mark.parametrize(
        ("setting", "name"),
        [("DEFAULT_FROM_EMAIL", "Example Shop"), ("SERVER_EMAIL", "The server"), ("FROM_EMAIL", "Migma Shop")],
    )
    @pytest.mark.parametrize("given", [{"from_email": "shop@Example.com"}, {"headers": {"From": "shop@example.com"}}])
    def test_a_bare_address_takes_the_name_that_a_setting_gives_it(
        self, accepting, migma, settings, setting, name, given
    ):
        """Shop and form packages pass the address alone; readers should see the site's name all the same."""
        settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL = "webmaster@localhost", "root@localhost"
        migma(FROM_NAME="The last resort")
        if setting == "FROM_EMAIL":
            migma(FROM_EMAIL=f"{name} <shop@example.com>")
        else:
            setattr(settings, setting, f"{name} <shop@example.com>")
        html_mail(**given).send()
        assert (accepting.body["from"], accepting.body["fromName"]) == ("shop@example.com", name)

    @pytest.mark.parametrize("sender", [None, "shop@example.com"])
    def test_a_bare_default_takes_the_name_of_another_setting(self, accepting, migma, settings, sender):
        settings.DEFAULT_FROM_EMAIL, settings.SERVER_EMAIL = "shop@example.com", "The server <shop@EXAMPLE.com>"
        html_mail(from_email=sender).send()
        assert accepting.body["fromName"] == "The server"

    def test_another_address_takes_no_name_from_the_settings(self, accepting):
        """Not even one that differs in the case of its local part, which may be another mailbox."""
        html_mail(from_email="Shop@example.com").send()
        assert accepting.body["fromName"] == "Shop@example.com"

    @pytest.mark.django_db
    def test_a_stored_emails_name_wins_over_the_one_of_a_setting(self, accepting):
        """It was written for that email; and its bare address is named like any other."""
        StoredEmail.objects.create(
            key="a", email_id=EMAIL_ID, from_email="shop@example.com", from_name="Welcome Team"
        )
        StoredEmail.objects.create(key="b", email_id=EMAIL_ID[:-1] + "2", from_email="shop@example.com")
        stored_mail(template_id="a").send()
        stored_mail(template_id="a", from_email="shop@example.com").send()
        stored_mail(template_id="b").send()
        assert [body["fromName"] for body in accepting.bodies] == ["Welcome Team", "Welcome Team", "Example Shop"]

    def test_an_unusable_default_does_not_stop_mail_from_another_sender(self, accepting, settings):
        settings.DEFAULT_FROM_EMAIL = settings.SERVER_EMAIL = "nobody"
        html_mail(from_email="sales@example.com").send()
        assert accepting.body["fromName"] == "sales@example.com"

    def test_the_address_is_the_last_resort_for_the_name(self, accepting):
        html_mail(from_email="sales@example.com").send()
        assert accepting.body["fromName"] == "sales@example.com"

    @pytest.mark.django_db
    @pytest.mark.parametrize("name", ["Shop\nBcc: x@example.org", "Shop\r"])
    def test_a_line_break_in_a_stored_emails_name_is_refused(self, accepting, name):
        """A form refuses it; a row may also be written by code."""
        StoredEmail.objects.create(key="welcome", email_id=EMAIL_ID, from_name=name)
        with pytest.raises(ValueError, match="The from_name of the stored email 'welcome' contains a line break"):
            stored_mail(template_id="welcome").send()
        assert accepting.bodies == []

    @pytest.mark.parametrize("unset", [None, ""])
    def test_none_means_the_default(self, accepting, unset):
        """django-anymail uses None to let the template's sender through."""
        message = html_mail()
        message.from_email = unset
        message.send()
        assert accepting.body["from"] == "shop@example.com"

    def test_several_are_refused(self, accepting):
        with pytest.raises(InvalidAddress, match="from_email holds several addresses"):
            html_mail(from_email="a@example.com, b@example.com").send()


class TestReplyTo:
    def test_argument(self, accepting):
        html_mail(reply_to=["Help <help@example.com>"]).send()
        assert accepting.body["replyTo"] == "help@example.com"

    def test_header_wins_over_argument(self, accepting):
        html_mail(reply_to=["a@example.com"], headers={"Reply-To": "help@example.com"}).send()
        assert accepting.body["replyTo"] == "help@example.com"

    def test_setting_where_the_message_names_none(self, accepting, migma):
        migma(REPLY_TO="help@example.com")
        html_mail().send()
        assert accepting.body["replyTo"] == "help@example.com"

    def test_more_than_one_is_refused(self, accepting):
        with pytest.raises(UnsupportedFeature, match="Migma takes one address to reply to") as caught:
            html_mail(reply_to=["a@example.com", "b@example.com"]).send()
        assert caught.value.feature == "multiple_reply_to"

    @pytest.mark.parametrize(
        "given",
        [
            {"reply_to": ["a@example.com, b@example.com"]},
            {"headers": {"Reply-To": "A <a@example.com>, b@example.com"}},
        ],
    )
    def test_more_than_one_in_a_string_is_the_same_feature(self, accepting, migma, given):
        with pytest.raises(UnsupportedFeature, match="multiple_reply_to"):
            html_mail(**given).send()
        migma(IGNORE_UNSUPPORTED_FEATURES=["multiple_reply_to"])
        html_mail(**given).send()
        assert accepting.body["replyTo"] == "a@example.com"

    def test_malformed_is_refused(self, accepting):
        with pytest.raises(InvalidAddress, match="reply_to contains a line break"):
            html_mail(reply_to=["a@example.com,\n"]).send()

    def test_more_than_one_where_dropped(self, accepting, migma):
        migma(IGNORE_UNSUPPORTED_FEATURES=["multiple_reply_to"])
        html_mail(reply_to=["a@example.com", "b@example.com"]).send()
        assert accepting.body["replyTo"] == "a@example.com"


class TestSubject:
    @pytest.mark.parametrize("subject", ["", None])
    def test_an_empty_one_is_sent(self, accepting, subject):
        message = html_mail()
        message.subject = subject
        message.send()
        assert accepting.body["subject"] == ""

    def test_a_lazy_one_is_sent_as_text(self, accepting):
        html_mail(subject=gettext_lazy("Hello")).send()
        assert accepting.body["subject"] == "Hello"

    @pytest.mark.parametrize("subject", ["Hello\nBcc: x@example.org", "Hello\r"])
    def test_a_line_break_is_refused_as_by_django(self, accepting, subject):
        with pytest.raises(ValueError, match="The subject contains a line break"):
            html_mail(subject=subject).send()
        assert accepting.bodies == []

    @pytest.mark.parametrize("subject", ["Hello {{name}}", "Hello {{ name }}", "Hello %7B%7Bname%7d%7d"])
    @pytest.mark.parametrize("value", ["Ada\r\nBcc: x@example.org", "Ada\n", "\rAda"])
    def test_a_value_that_the_subject_names_has_no_line_break(self, accepting, subject, value):
        """It would come into the header; the error names the variable and not the value."""
        message = stored_mail(subject=subject, to=["a@example.org", "b@example.org"])
        message.merge_data = {"a@example.org": {"name": "Bo"}, "b@example.org": {"name": value}}
        with pytest.raises(
            ValueError, match="The subject uses the variable 'name', whose value contains a"
        ) as caught:
            message.send()
        assert "Ada" not in str(caught.value)
        assert accepting.bodies == []

    def test_a_value_that_the_subject_does_not_name_may_have_line_breaks(self, accepting):
        stored_mail(subject="Hello {{name}}", merge_global_data={"name": 7, "note": "one\ntwo"}).send()
        assert accepting.body["variables"] == {"name": 7, "note": "one\ntwo"}

    def test_a_lone_surrogate_is_refused(self, accepting):
        with pytest.raises(SerializationError, match="subject cannot be sent: it holds a lone surrogate"):
            html_mail(subject="\ud800").send()


UNSUPPORTED = {
    "tags": ["welcome"],
    "metadata": {"order": 1},
    "send_at": datetime(2026, 1, 1, tzinfo=UTC),
    "track_opens": False,
    "track_clicks": True,
    "envelope_sender": "bounce@example.com",
    "merge_headers": {"ada@example.org": {"X": "1"}},
    "merge_metadata": {"ada@example.org": {"order": 1}},
}


class TestFeatures:
    @pytest.mark.parametrize("name", UNSUPPORTED)
    def test_attribute_is_refused_by_name(self, accepting, name):
        with pytest.raises(
            UnsupportedFeature, match=f"This message uses {name}: Migma.* put '{name}' into"
        ) as caught:
            stored_mail(**{name: UNSUPPORTED[name]}).send()
        assert caught.value.feature == name
        assert accepting.bodies == []

    @pytest.mark.parametrize("name", UNSUPPORTED)
    def test_attribute_is_dropped_where_the_settings_say_so(self, accepting, migma, name):
        migma(IGNORE_UNSUPPORTED_FEATURES=[name])
        assert stored_mail(**{name: UNSUPPORTED[name]}).send() == 1
        assert set(accepting.body) == {"recipientType", "recipientEmail", "from", "fromName", "subject", "emailId"}

    def test_attachment(self, accepting, migma):
        message = html_mail(attachments=[("a.txt", "text", "text/plain")])
        with pytest.raises(UnsupportedFeature, match="attachments: Migma's API takes no attachments; link"):
            message.send()
        migma(IGNORE_UNSUPPORTED_FEATURES=True)
        assert message.send() == 1

    def test_other_alternatives(self, accepting, migma):
        message = html_mail()
        message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
        with pytest.raises(UnsupportedFeature, match="alternatives: Migma sends one HTML part"):
            message.send()
        migma(IGNORE_UNSUPPORTED_FEATURES=["alternatives"])
        message.send()
        assert accepting.body["template"] == "<b>Hi</b>"

    def test_a_second_html_part(self, accepting):
        message = html_mail()
        message.attach_alternative("<i>Hi</i>", "text/html")
        with pytest.raises(UnsupportedFeature, match="alternatives"):
            message.send()

    def test_all_of_them_are_named(self, accepting, migma):
        """What the message uses comes first, then each way out."""
        migma(PROJECT_ID=None)
        message = html_mail(headers={"X-Foo": "1"}, reply_to=["a@b.example", "c@d.example"])
        message.attach("a.txt", "text", "text/plain")
        message.tags = ["orders"]
        with pytest.raises(UnsupportedFeature) as caught:
            message.send()
        names = ("tags", "attachments", "headers", "body", "multiple_reply_to")
        assert (caught.value.features, caught.value.feature) == (names, "tags")
        assert str(caught.value) == (
            "This message uses tags: Migma's send endpoint has no field for tags. It also uses attachments: Migma's "
            "API takes no attachments; link to the file instead. It also uses headers (X-Foo): Migma's API takes no "
            "headers of your own. Migma sends stored emails, and this message has only a body of its own. It also "
            "uses multiple_reply_to: Migma takes one address to reply to. Set MIGMA['LAYOUT_EMAIL_ID'] to a stored "
            "email that wraps such mail, or MIGMA['PROJECT_ID'] to send it as raw HTML, or give the message a "
            "template_id (in a pre_send receiver, for mail of other packages). To drop the rest instead, put 'tags', "
            "'attachments', 'headers' (or 'headers:X-Foo' for one), 'multiple_reply_to' into "
            "MIGMA['IGNORE_UNSUPPORTED_FEATURES']. To send such mail through another mailer, name that in "
            "MIGMA['FALLBACK']."
        )

    def test_several_can_be_dropped_together(self, accepting):
        with pytest.raises(UnsupportedFeature, match="To drop them instead, put 'tags', 'attachments' into MIGMA"):
            stored_mail(tags=["orders"], attachments=[("a.txt", "text", "text/plain")]).send()

    def test_another_mailer_is_no_way_out_for_a_stored_email(self, accepting):
        with pytest.raises(UnsupportedFeature, match=r"into MIGMA\['IGNORE_UNSUPPORTED_FEATURES'\]\.$"):
            stored_mail(tags=["orders"]).send()

    def test_the_other_way_out_is_named_where_it_is_one(self, accepting):
        with pytest.raises(UnsupportedFeature, match=r"through another mailer, name that in MIGMA\['FALLBACK'\]\.$"):
            html_mail(attachments=[("a.txt", "text", "text/plain")]).send()

    @pytest.mark.parametrize("spelling", ["attachments", "Attachments"])
    def test_what_is_dropped_stands_in_the_status(self, accepting, migma, spelling):
        migma(IGNORE_UNSUPPORTED_FEATURES=[spelling, "headers:x-foo"])
        message = html_mail(attachments=[("a.txt", "text", "text/plain")], headers={"X-Foo": "1"})
        message.send()
        assert message.migma_status.dropped_features == {"attachments", "headers:X-Foo"}

    def test_nothing_is_dropped_of_a_message_without_features(self, accepting, migma):
        migma(IGNORE_UNSUPPORTED_FEATURES=True)
        message = html_mail()
        message.send()
        assert message.migma_status.dropped_features == frozenset()

    @pytest.mark.parametrize(
        "header",
        [
            "Auto-Submitted",
            "Precedence",
            "X-Auto-Response-Suppress",
            "X-Priority",
            "Importance",
            "X-MSMail-Priority",
            "X-Mailer",
            "MIME-Version",
            "content-language",
        ],
    )
    def test_a_header_that_is_no_content_stays_behind(self, accepting, header):
        """Without a refusal, and named in the status."""
        message = html_mail(headers={header: "x", "Date": "now"})
        assert message.send() == 1
        assert message.migma_status.dropped_features == {f"headers:{header}"}

    def test_a_header_that_is_no_content_is_not_among_the_refused(self, accepting):
        with pytest.raises(UnsupportedFeature, match=r"headers \(List-Unsubscribe\): Migma's"):
            html_mail(headers={"Precedence": "bulk", "List-Unsubscribe": "<y>"}).send()

    def test_headers_are_named(self, accepting):
        message = html_mail(headers={"X-Foo": "1", "Date": "now", "Message-ID": "<x>", "List-Unsubscribe": "<y>"})
        with pytest.raises(UnsupportedFeature, match=r"headers \(X-Foo, List-Unsubscribe\): Migma's API takes no"):
            message.send()

    @pytest.mark.parametrize("ignored", [["headers"], ["headers:x-foo", "headers:X-Bar"], True])
    def test_headers_dropped_all_or_by_name(self, accepting, migma, ignored):
        migma(IGNORE_UNSUPPORTED_FEATURES=ignored)
        assert html_mail(headers={"X-Foo": "1", "X-Bar": "2"}).send() == 1

    def test_headers_dropped_in_part(self, accepting, migma):
        migma(IGNORE_UNSUPPORTED_FEATURES=["headers:X-Foo"])
        with pytest.raises(UnsupportedFeature, match=r"headers \(X-Bar\)"):
            html_mail(headers={"X-Foo": "1", "X-Bar": "2"}).send()

    def test_date_and_message_id_are_left_to_migma(self, accepting):
        assert html_mail(headers={"Date": "now", "message-id": "<x>"}).send() == 1

    def test_ignoring_nothing_is_the_same_as_the_default(self, accepting, migma):
        migma(IGNORE_UNSUPPORTED_FEATURES=False)
        with pytest.raises(UnsupportedFeature, match="tags"):
            stored_mail(tags=["a"]).send()


class TestBeforehand:
    """``unsupported_features`` tells what sending would refuse."""

    def test_names_what_sending_would_refuse(self, accepting, migma):
        message = html_mail(attachments=[("a.txt", "text", "text/plain")], headers={"X-Foo": "1"})
        names = unsupported_features(message)
        with pytest.raises(UnsupportedFeature) as caught:
            message.send()
        assert names == caught.value.features == ("attachments", "headers")
        migma(IGNORE_UNSUPPORTED_FEATURES=["attachments", "headers:X-Foo"])
        assert unsupported_features(message) == ()
        assert message.migma_status.status == {"not_attempted"}
        assert accepting.bodies == []

    def test_needs_no_key(self, migma):
        migma(API_KEY=None)
        assert unsupported_features(html_mail()) == ()

    def test_knows_the_ways_for_a_body(self, migma):
        migma(PROJECT_ID=None)
        assert unsupported_features(html_mail()) == ("body",)
        assert unsupported_features(stored_mail(body="a" * 5_000_001)) == ()
        migma(LAYOUT_EMAIL_ID=EMAIL_ID)
        assert unsupported_features(html_mail()) == ()
        assert unsupported_features(html_mail(body="a" * 5_000_001)) == ("body_size",)

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
    def test_by_the_options_of_a_mailer(self, settings):
        options = {"ignore_unsupported_features": ["attachments"]}
        settings.MAILERS = {"default": {"BACKEND": BACKEND}, "news": {"BACKEND": BACKEND, "OPTIONS": options}}
        message = html_mail(attachments=[("a.txt", "text", "text/plain")])
        assert unsupported_features(message) == ("attachments",)
        assert unsupported_features(message, using="news") == ()
        settings.MAILERS = None
        assert unsupported_features(message) == ("attachments",)

    def test_an_unknown_mailer(self):
        known = "'default'" if django.VERSION >= (6, 1) else "none"
        with pytest.raises(ConfigurationError, match=rf"MAILERS has no mailer 'nwes'\. Those that it has: {known}"):
            unsupported_features(html_mail(), using="nwes")


class TestStored:
    def test_template_id_leaves_the_body_behind(self, accepting):
        stored_mail(body="not sent").send()
        assert accepting.body == {
            "recipientType": "email",
            "recipientEmail": "ada@example.org",
            "from": "shop@example.com",
            "fromName": "Example Shop",
            "subject": "Hello",
            "emailId": EMAIL_ID,
        }

    def test_a_lazy_template_id(self, accepting):
        stored_mail(template_id=gettext_lazy(EMAIL_ID)).send()
        assert accepting.body["emailId"] == EMAIL_ID

    def test_template_id_on_any_message(self, accepting):
        message = EmailMessage("Hello", "not sent", None, ["ada@example.org"])
        message.template_id = EMAIL_ID
        message.send()
        assert accepting.body["emailId"] == EMAIL_ID

    def test_conversation_id(self, accepting):
        stored_mail(template_id=None, conversation_id=EMAIL_ID).send()
        assert accepting.body["conversationId"] == EMAIL_ID
        assert "emailId" not in accepting.body

    def test_both_are_refused(self, accepting):
        with pytest.raises(ValueError, match="Give template_id or conversation_id, not both"):
            stored_mail(conversation_id=EMAIL_ID).send()

    @pytest.mark.parametrize("conversation_id", ["welcome", 7])
    def test_a_malformed_conversation_id_is_refused(self, accepting, conversation_id):
        with pytest.raises(ValueError, match="conversation_id must be 24 hex digits"):
            stored_mail(template_id=None, conversation_id=conversation_id).send()


class TestMergeData:
    def test_global_and_own_variables(self, accepting):
        stored_mail(
            to=["a@example.org", "B <b@example.org>"],
            merge_global_data={"shop": "Example", "name": "friend"},
            merge_data={"Ada <a@EXAMPLE.org>": {"name": "Ada"}, "b@example.org": None},
        ).send()
        variables = {body["recipientEmail"]: body["variables"] for body in accepting.bodies}
        assert variables == {
            "a@example.org": {"shop": "Example", "name": "Ada"},
            "b@example.org": {"shop": "Example", "name": "friend"},
        }

    def test_values_as_djangos_encoder_writes_them(self, accepting):
        data = {
            "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "total": Decimal("9.90"),
            "id": UUID(int=1),
            "lazy": gettext_lazy("Hello"),
            "list": [1, 2.5, None, True, {"deep": ("a",)}],
        }
        stored_mail(merge_global_data=data).send()
        assert accepting.body["variables"] == {
            "when": "2026-01-02T03:04:05Z",
            "total": "9.90",
            "id": "00000000-0000-0000-0000-000000000001",
            "lazy": "Hello",
            "list": [1, 2.5, None, True, {"deep": ["a"]}],
        }

    def test_what_cannot_be_encoded_is_named_by_its_path(self, accepting):
        with pytest.raises(SerializationError, match=r"merge_global_data\['order'\]\['lines'\]\[1\] cannot be sent"):
            stored_mail(merge_global_data={"order": {"lines": [1, object()]}}).send()
        assert accepting.bodies == []

    def test_the_path_into_merge_data_does_not_show_the_address(self, accepting):
        with pytest.raises(SerializationError, match=r"^merge_data\[0\]\['x'\] cannot be sent") as caught:
            stored_mail(merge_data={"ada@example.org": {"x": {1, 2}}}).send()
        assert "ada@" not in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("merge_global_data", "merge_global_data must be a dict, not list"),
            ("merge_data", "merge_data must be a dict of dicts by address, not list"),
        ],
    )
    def test_must_be_dicts(self, accepting, name, text):
        with pytest.raises(TypeError, match=text):
            stored_mail(**{name: [1]}).send()

    def test_values_must_be_dicts(self, accepting):
        with pytest.raises(TypeError, match=r"merge_data\[0\] must be a dict, not str"):
            stored_mail(merge_data={"ada@example.org": "Ada"}).send()

    def test_keys_that_are_numbers_become_text(self, accepting):
        stored_mail(merge_global_data={1: "a", None: {True: 2.5}}).send()
        assert accepting.body["variables"] == {"1": "a", "null": {"true": 2.5}}

    def test_what_anymail_leaves_unset_counts_as_not_set(self, accepting):
        message = stored_mail()
        message.merge_data, message.tags, message.metadata = type("UNSET", (), {}), [], {}
        assert message.send() == 1


class TestExtra:
    def test_is_merged_last(self, accepting, migma):
        migma(PROVIDER_TYPE="ses")
        stored_mail(esp_extra={"providerType": "migma", "topicId": "t1", "transactional": False}).send()
        assert accepting.body["providerType"] == "migma"
        assert accepting.body["topicId"] == "t1"
        assert accepting.body["transactional"] is False

    @pytest.mark.parametrize(
        "name",
        ["recipientType", "recipientEmail", "recipientId", "bcc", "from", "fromName", "subject", "variables"],
    )
    def test_may_not_set_what_the_message_sets(self, accepting, name):
        with pytest.raises(ValueError, match=f"esp_extra may not set {name}: use the message's own"):
            stored_mail(esp_extra={name: "x"}).send()

    def test_must_be_a_dict(self, accepting):
        with pytest.raises(TypeError, match="esp_extra must be a dict, not list"):
            stored_mail(esp_extra=["x"]).send()


class TestIdempotencyKey:
    def test_is_made_of_the_callers_key_and_the_address(self, accepting):
        stored_mail(idempotency_key="order-7").send()
        assert accepting.keys == [hashlib.sha256(b"order-7\0ada@example.org").hexdigest()]

    def test_is_the_same_for_another_case_of_the_domain(self, accepting):
        """It is the same mailbox: another key would be another mail, another body a conflict."""
        for address in ("ada@example.org", "ada@Example.ORG"):
            stored_mail(to=[address], idempotency_key="order-7").send()
        assert len(set(accepting.keys)) == 1
        assert accepting.bodies[0] == accepting.bodies[1]

    def test_differs_between_recipients(self, accepting):
        stored_mail(to=["a@example.org", "b@example.org"], idempotency_key="order-7").send()
        assert len(set(accepting.keys)) == 2

    def test_of_two_equal_messages_differs(self, accepting):
        stored_mail().send()
        stored_mail().send()
        assert len(set(accepting.keys)) == 2

    def test_must_be_a_string(self, accepting):
        with pytest.raises(TypeError, match="idempotency_key must be a string, not int"):
            stored_mail(idempotency_key=7).send()
        with pytest.raises(SerializationError, match="idempotency_key cannot be sent: it holds a lone surrogate"):
            stored_mail(idempotency_key="\ud800").send()

    @pytest.mark.parametrize("name", ["Message-ID", "Message-Id", "message-id"])
    def test_a_mail_that_is_built_anew_with_its_message_id_repeats_the_key(self, accepting, name):
        """What post_office and tasks do when they try again: another object, the same mail."""
        for _ in range(3):
            stored_mail(headers={name: "<order-7@example.com>"}).send()
        assert len(set(accepting.keys)) == 1

    def test_a_message_id_belongs_to_one_mailbox(self, accepting):
        stored_mail(to=["a@example.org", "b@example.org"], headers={"Message-ID": "<order-7@example.com>"}).send()
        assert len(set(accepting.keys)) == 2

    def test_a_message_id_is_never_taken_for_a_key_of_the_caller(self, accepting):
        """Whatever the caller's key contains."""
        stored_mail(headers={"Message-ID": "order-7"}).send()
        for own in (
            "order-7",
            "order-7\0ada@example.org",
            "order-7\0ada@example.org\0Message-ID",
            "Message-ID\0order-7",
        ):
            stored_mail(idempotency_key=own).send()
        assert len(set(accepting.keys)) == 5

    def test_the_callers_key_wins_over_a_message_id(self, accepting):
        for number in range(2):
            stored_mail(idempotency_key="order-7", headers={"Message-ID": f"<{number}@example.com>"}).send()
        assert accepting.keys == [hashlib.sha256(b"order-7\0ada@example.org").hexdigest()] * 2

    def test_a_long_message_id_is_hashed_like_any_other(self, accepting):
        """Migma takes keys of 100 characters, packages make message ids of 900."""
        for last in "aab":
            stored_mail(headers={"Message-ID": f"<{'x' * 900}{last}@example.com>"}).send()
        assert accepting.keys[0] == accepting.keys[1] != accepting.keys[2]
        assert {len(key) for key in accepting.keys} == {64}

    @pytest.mark.parametrize("empty", ["", " ", None])
    def test_an_empty_message_id_is_none(self, accepting, empty):
        """Not a key that all such mail would share."""
        for _ in range(2):
            stored_mail(headers={"Message-ID": empty}).send()
        assert len(set(accepting.keys)) == 2

    @pytest.mark.parametrize("break_", ["\n", "\r\n ", "\r"])
    def test_a_message_id_with_a_line_break_is_refused_as_by_django(self, accepting, break_):
        message = stored_mail(headers={"Message-ID": f"<a@example.com>{break_}Bcc: x@example.org"})
        with pytest.raises(ValueError, match="The Message-ID header contains a line break") as caught:
            message.send()
        assert "example" not in str(caught.value)
        assert accepting.bodies == []
        assert message.migma_status.status == {"not_attempted"}

    def test_a_message_id_that_is_no_text_is_refused(self, accepting):
        with pytest.raises(SerializationError, match="Message-ID header cannot be sent: it holds a lone surrogate"):
            stored_mail(headers={"Message-ID": "<\ud800@example.com>"}).send()


def test_a_refused_message_does_not_keep_others_from_going_out(accepting, connection):
    """Of three messages the second is refused; the first and the third go out, and the error is the one of it."""
    messages = [html_mail(), stored_mail(tags=["a"]), html_mail(to=["b@example.org"])]
    with pytest.raises(UnsupportedFeature, match="tags"):
        connection().send_messages(messages)
    assert [body["recipientEmail"] for body in accepting.bodies] == ["ada@example.org", "b@example.org"]
    assert [message.migma_status.status for message in messages] == [{"queued"}, {"not_attempted"}, {"queued"}]


class Broken(EmailMessage):
    """A subclass with a bug."""

    def recipients(self):
        raise LookupError("a bug of the site")


def test_a_broken_message_does_not_keep_others_from_going_out(accepting, connection):
    """Whatever is wrong with a message, it concerns that one alone; its error is raised as it is."""
    messages = [html_mail(), Broken("Hello", "text"), html_mail(to=["b@example.org"])]
    with pytest.raises(LookupError, match="a bug of the site"):
        connection(fail_silently=True).send_messages(messages)
    assert len(accepting.bodies) == 2
    assert messages[1].migma_status.recipients == {}


def test_several_broken_messages_are_named_without_their_text(accepting, connection):
    """The text of an error that is not ours may hold a body."""
    with pytest.raises(SendFailed, match=r"2 failures in one call, and 0 messages sent\. First: LookupError See"):
        connection().send_messages([Broken("Hello", "text"), Broken("Hello", "text")])


def test_several_refused_messages_raise_one_error(accepting, connection):
    messages = [stored_mail(tags=["a"]), html_mail(), stored_mail(subject="a\nb")]
    with pytest.raises(SendFailed, match=r"2 failures in one call, and 1 messages sent\. First: .*tags") as caught:
        connection().send_messages(messages)
    assert caught.value.sent_count == 1
    assert caught.value.failed_count == 2
    assert [message for message, _ in caught.value.failures] == [messages[0], messages[2]]
    assert caught.value.__cause__ is caught.value.failures[0][1]
