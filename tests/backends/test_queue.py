"""The queue backend: a row per recipient in the caller's transaction, and nothing on the wire."""

import gc
import json

import django
import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage, send_mail
from django.db import transaction
from django.test import override_settings

from django_migma import signals
from django_migma.exceptions import (
    ConfigurationError,
    Conflict,
    SendFailed,
    UnsupportedFeature,
)
from django_migma.message import MigmaMessage
from django_migma.models import Delivery, StoredEmail
from tests.conftest import QUEUE, our_mailer

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def queue(wire, settings):
    """The queue backend as the default mailer; a request would fail, since the wire has no answer."""
    for name, value in our_mailer(backend=QUEUE).items():
        setattr(settings, name, value)
    yield
    assert list(wire.mock.calls) == []


def mail(*to, **kwargs):
    return MigmaMessage(
        **({"subject": "Hello", "to": list(to) or ["a@example.org"], "template_id": EMAIL_ID} | kwargs)
    )


def send_all(messages):
    mailer = django_mail.mailers.default if django.VERSION >= (6, 1) else django_mail.get_connection()
    return mailer.send_messages(messages)


def rows(**wanted):
    return list(Delivery.objects.filter(**wanted).order_by("pk"))


class Stop(Exception):
    pass


class TestRows:
    def test_a_message_is_a_row_for_each_recipient(self):
        message = mail("Ann <Ann@Example.org>", "b@example.org", subject="Grüße 🎉")
        assert message.send() == 1
        first, second = rows()
        assert (first.recipient, second.recipient) == ("ann@example.org", "b@example.org")
        assert json.loads(first.payload)["recipientEmail"] == "Ann@example.org"
        assert json.loads(first.payload)["subject"] == first.subject == "Grüße 🎉"
        assert first.from_email == "shop@example.com"
        assert first.email_id == EMAIL_ID
        assert (first.status, first.attempts, first.in_doubt, first.account) == ("waiting", 0, False, "")
        assert first.due_at == second.due_at == first.created_at
        assert first.idempotency_key != second.idempotency_key
        assert first.alias == ("default" if django.VERSION >= (6, 1) else "")

    def test_the_status_says_waiting_which_is_not_accepted(self):
        message = mail()
        message.send()
        [recipient] = message.migma_status.recipients.values()
        assert recipient.status == "waiting"
        assert not recipient.accepted
        assert not recipient.in_doubt
        assert recipient.idempotency_key == rows()[0].idempotency_key
        assert not message.migma_status.is_complete

    def test_ordinary_mail_is_queued_too(self):
        assert send_mail("Hello", "Text", None, ["a@example.org"]) == 1
        [row] = rows()
        assert "Text" in json.loads(row.payload)["template"]
        assert row.email_id == ""

    def test_a_row_names_the_stored_email_that_the_message_names(self, django_assert_num_queries):
        by_key = StoredEmail.objects.create(key="welcome", email_id=EMAIL_ID)
        by_conversation = StoredEmail.objects.create(conversation_id=EMAIL_ID[::-1])
        messages = [
            mail(template_id="welcome"),
            mail(template_id=EMAIL_ID.upper()),
            mail(template_id=None, conversation_id=EMAIL_ID[::-1]),
            mail(template_id="0" * 24),
            EmailMessage("Hello", "Text", to=["a@example.org"]),
        ]
        with django_assert_num_queries(3):  # the stored email's key, the ids of all, one insert
            send_all(messages)
        assert [row.stored_email for row in rows()] == [by_key, by_key, by_conversation, None, None]

    def test_a_long_subject_is_cut_in_its_column_only(self):
        mail(subject="é" * 300).send()
        [row] = rows()
        assert row.subject == "é" * 255
        assert json.loads(row.payload)["subject"] == "é" * 300

    def test_a_null_character_goes_out_and_is_no_danger_to_the_database(self):
        """PostgreSQL stores none in a text; in the request it is escaped."""
        mail(subject="a\0b", merge_global_data={"name": "\0"}, idempotency_key="k\0").send()
        [row] = rows()
        assert "\0" not in row.payload + row.subject + row.caller_key
        assert json.loads(row.payload)["subject"] == "a\0b"
        assert json.loads(row.payload)["variables"] == {"name": "\0"}

    def test_a_small_call_goes_before_a_large_one(self):
        send_all([mail() for _ in range(20)])
        send_all([mail() for _ in range(21)])
        assert [row.priority for row in rows()] == [0] * 20 + [1] * 21

    def test_many_rows_are_inserted_in_chunks_of_one_transaction(self, django_assert_max_num_queries):
        with django_assert_max_num_queries(2500 // 30):
            assert send_all(mail() for _ in range(2500)) == 2500
        assert Delivery.objects.filter(priority=1).count() == 2500

    def test_nothing_at_all_is_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert send_all([]) == 0
            assert mail(to=[]).send() == 0


class TestSendingAgain:
    def test_a_message_that_waits_is_a_new_mail(self):
        message = mail("a@example.org", "b@example.org")
        message.send()
        message.send()
        assert len({row.idempotency_key for row in rows()}) == 4

    def test_the_same_object_twice_in_a_call_is_two_mails(self):
        message = mail()
        assert send_all([message, message]) == 2
        assert len({row.idempotency_key for row in rows()}) == 2


class TestRefusals:
    def test_a_refused_message_has_no_row_and_the_others_have_one(self):
        refused = mail("b@example.org", tags=["x"])
        messages = [mail("a@example.org"), refused, mail("c@example.org")]
        with pytest.raises(UnsupportedFeature):
            send_all(messages)
        assert [row.recipient for row in rows()] == ["a@example.org", "c@example.org"]
        assert refused.migma_status.status == {"not_attempted"}

    def test_several_refusals_are_one_error(self):
        with pytest.raises(SendFailed) as caught:
            send_all([mail(tags=["x"]), mail(), mail(tags=["x"])])
        assert (caught.value.sent_count, caught.value.failed_count) == (1, 2)

    def test_a_quiet_mailer_swallows_them(self, migma, caplog):
        migma(FAIL_SILENTLY=True)
        assert send_all([mail(tags=["x"]), mail()]) == 1
        assert "was not accepted (1 not_attempted): This message uses tags" in caplog.text
        assert len(rows()) == 1


class TestCallersKeys:
    def test_the_same_mail_has_one_row(self):
        mail(idempotency_key="order-17").send()
        again = mail(idempotency_key="order-17")
        assert again.send() == 1
        [row] = rows()
        assert row.caller_key == "order-17"
        assert again.migma_status.status == {"waiting"}

    def test_another_body_is_a_conflict(self):
        mail(idempotency_key="order-17").send()
        changed = mail("a@example.org", "b@example.org", subject="Changed", idempotency_key="order-17")
        with pytest.raises(Conflict, match="another body"):
            changed.send()
        assert [row.recipient for row in rows()] == ["a@example.org", "b@example.org"]
        words = {address: one.status for address, one in changed.migma_status.recipients.items()}
        assert words == {"a@example.org": "failed", "b@example.org": "waiting"}


class TestStops:
    @pytest.mark.parametrize("count", [3, 1500])
    def test_an_iterable_that_raises_leaves_no_row(self, count, transactional_db):
        kept = []

        def messages():
            for _ in range(count):
                kept.append(mail())
                yield kept[-1]
            raise Stop

        with pytest.raises(Stop):
            send_all(messages())
        assert not Delivery.objects.exists()
        assert {word for message in kept for word in message.migma_status.status} == {"not_attempted"}
        assert isinstance(kept[0].migma_status.recipients["a@example.org"].error, Stop)

    def test_the_transaction_of_the_caller_survives_a_receiver_that_raises(self):
        def refuse(**_):
            raise Stop

        signals.pre_send.connect(refuse)
        try:
            with transaction.atomic():
                with pytest.raises(Stop):
                    mail().send()
                assert not Delivery.objects.exists()
        finally:
            signals.pre_send.disconnect(refuse)


class TestSettings:
    @pytest.mark.skipif(django.VERSION < (6, 1), reason="there are no aliases")
    def test_an_alias_that_the_column_cannot_take(self):
        alias = "a" * 65
        with (
            override_settings(MAILERS={alias: {"BACKEND": QUEUE}}),
            pytest.raises(ConfigurationError, match="64 characters at most"),
        ):
            mail().send(using=alias)

    def test_without_the_app(self):
        from django.apps import apps

        names = [config.name for config in apps.get_app_configs() if config.name != "django_migma"]
        with (
            override_settings(INSTALLED_APPS=names),
            pytest.raises(ConfigurationError, match="'django_migma' is not in INSTALLED_APPS"),
        ):
            mail().send()


def test_a_generator_of_many_messages_takes_constant_memory():
    alive = []

    def messages():
        for number in range(20_000):
            yield mail()
            if number % 5_000 == 4_999:
                gc.collect()
                alive.append(sum(isinstance(one, MigmaMessage) for one in gc.get_objects()))

    assert send_all(messages()) == 20_000
    assert max(alive) <= 1_100
