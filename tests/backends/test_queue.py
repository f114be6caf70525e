"""The queue backend: a row per recipient in the caller's transaction, and nothing on the wire."""

import gc
import json
import logging
import threading
from typing import ClassVar

import django
import pytest
from django.core import mail as django_mail
from django.core.mail import EmailMessage, EmailMultiAlternatives, send_mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError, connection, connections, transaction
from django.http import HttpResponse
from django.test import TestCase, override_settings
from django.urls import path
from django.utils import timezone

from django_migma import signals
from django_migma.backends.queue import EmailBackend
from django_migma.exceptions import (
    APIError,
    ConfigurationError,
    Conflict,
    SendFailed,
    ServerError,
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
    mailer = our_mailer(backend=QUEUE)
    if "MAILERS" in mailer:
        mailer["MAILERS"]["other"] = {"BACKEND": f"{__name__}.Keeping"}
    for name, value in mailer.items():
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


def invoice():
    message = EmailMultiAlternatives("Invoice", "Text", to=["a@example.org"])
    message.attach("invoice.pdf", b"%PDF", "application/pdf")
    return message


class Stop(Exception):
    pass


class Keeping(BaseEmailBackend):
    """Another mailer, which keeps what it gets."""

    sent: ClassVar = []
    error: ClassVar = None

    def send_messages(self, email_messages):
        if self.error:
            raise self.error
        self.sent.extend(email_messages)
        return len(email_messages)


def kept():
    return Keeping.sent


KEEPING_MAILER = "other" if django.VERSION >= (6, 1) else f"{__name__}.Keeping"


ALIVE_ELSEWHERE = 100  # messages that other tests have left


def failing_view(request):
    send_mail("Hello", "Text", None, ["a@example.org"])
    raise Stop


def working_view(request):
    send_mail("Hello", "Text", None, ["a@example.org"])
    return HttpResponse()


urlpatterns = [path("fails/", failing_view), path("works/", working_view)]


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
        with django_assert_max_num_queries(1200 // 30):
            assert send_all(mail() for _ in range(1200)) == 1200
        assert Delivery.objects.filter(priority=1).count() == 1200

    def test_nothing_at_all_is_nothing(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert send_all([]) == 0
            assert send_all([mail(to=[])]) == 0

    def test_what_a_receiver_cancels_has_no_row(self):
        def cancel(message, **_):
            if message.subject == "Unwanted":
                raise signals.CancelSend

        signals.pre_send.connect(cancel)
        try:
            assert send_all([mail(subject="Unwanted"), mail()]) == 1
        finally:
            signals.pre_send.disconnect(cancel)
        assert [row.subject for row in rows()] == ["Hello"]


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

    def test_one_that_was_tried_directly_keeps_its_key(self, wire, migma):
        """Whoever has it already is left out."""
        migma(MAX_RETRIES=0)
        wire.answers((200, {"success": True, "data": {"id": "m1"}}), (500, {"success": False}))
        message = mail("a@example.org", "b@example.org")
        with override_settings(**our_mailer()), pytest.raises(ServerError):
            send_all([message])
        key = message.migma_status.recipients["b@example.org"].idempotency_key
        assert send_all([message]) == 1
        assert [(row.recipient, row.idempotency_key) for row in rows()] == [("b@example.org", key)]
        words = {address: one.status for address, one in message.migma_status.recipients.items()}
        assert words == {"a@example.org": "queued", "b@example.org": "waiting"}
        send_all([message])
        assert len(rows()) == 3
        wire.mock.calls.reset()

    @pytest.mark.parametrize(("answer", "word"), [(400, "failed"), (500, "unknown")])
    def test_the_row_that_the_log_has_of_it_is_queued(self, wire, migma, answer, word):
        """One mail has one row, and what the log says of doubt stays in it."""
        migma(DELIVERY_LOG=True, MAX_RETRIES=0)
        wire.answers((answer, {"success": False}))
        message = mail(idempotency_key="order-17")
        with override_settings(**our_mailer()), pytest.raises(APIError):
            send_all([message])
        [logged] = rows()
        assert (logged.status, logged.payload) == (word, "")
        assert send_all([message]) == 1
        [row] = rows()
        assert (row.pk, row.status, row.finished_at) == (logged.pk, "waiting", None)
        assert json.loads(row.payload)["recipientEmail"] == "a@example.org"
        assert row.due_at <= timezone.now()
        assert row.in_doubt == bool(row.account) == bool(row.first_attempt_at) == (word == "unknown")
        wire.mock.calls.reset()


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

    def test_a_message_id_is_such_a_key(self):
        for _ in range(2):
            EmailMessage("Hello", "Text", to=["a@example.org"], headers={"Message-ID": "<1@shop>"}).send()
        assert [row.caller_key for row in rows()] == ["<1@shop>"]

    def test_twice_in_one_call_is_one_row(self):
        messages = [mail(idempotency_key="k"), mail(), mail(idempotency_key="k")]
        assert send_all(messages) == 3
        assert len(rows()) == 2

    @pytest.mark.parametrize(
        "status", ["accepted", "delivered", "opened", "clicked", "bounced", "complained", "suppressed"]
    )
    def test_what_is_accepted_says_so(self, status):
        """Another body is a conflict then, too, though the row has no request any more."""
        mail(idempotency_key="k").send()
        accepted = {"message_id": "m1", "send_id": "s1", "provider": "ses", "attempts": 2}
        Delivery.objects.update(status=status, due_at=None, payload="", **accepted)
        again = mail(idempotency_key="k")
        assert again.send() == 1
        [recipient] = again.migma_status.recipients.values()
        assert (recipient.status, recipient.accepted) == ("queued", True)
        assert (recipient.message_id, recipient.send_id, recipient.provider) == ("m1", "s1", "ses")
        assert recipient.attempts == 2
        assert again.migma_status.is_complete
        with pytest.raises(Conflict, match="another body"):
            mail(idempotency_key="k", subject="Changed").send()
        assert len(rows()) == 1

    @pytest.mark.parametrize(
        ("status", "word"), [("failed", "failed"), ("cancelled", "failed"), ("unknown", "unknown")]
    )
    def test_what_has_failed_is_not_queued_again(self, status, word):
        """A person can try it again."""
        mail(idempotency_key="k").send()
        Delivery.objects.update(status=status, due_at=None)
        again = mail(idempotency_key="k")
        with pytest.raises(Conflict, match=rf"belongs to delivery \d+, whose status is {status}. Try that") as caught:
            again.send()
        assert again.migma_status.status == {word}
        assert caught.value.may_have_been_accepted == (word == "unknown")
        assert [row.status for row in rows()] == [status]

    @pytest.mark.parametrize("commits", [True, False])
    def test_two_processes_at_once_make_one_row(self, transactional_db, commits):
        """The second waits for the first, and its transaction stays usable."""
        if connection.vendor == "sqlite":
            pytest.skip("one database in memory has one connection")
        is_inserted, goes_on, found = threading.Event(), threading.Event(), []

        def first():
            with transaction.atomic():
                mail(idempotency_key="k").send()
                is_inserted.set()
                goes_on.wait(60)
                transaction.set_rollback(not commits)
            connections.close_all()

        def second():
            with transaction.atomic():
                found.append(mail(idempotency_key="k").send())
                found.append(Delivery.objects.count())
            connections.close_all()

        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        threads[0].start()
        assert is_inserted.wait(60)
        threads[1].start()
        threads[1].join(0.3)
        assert threads[1].is_alive()
        goes_on.set()
        for thread in threads:
            thread.join(60)
        assert found == [1, 1]
        assert [row.status for row in rows()] == ["waiting"]


class TestTransactions:
    def test_what_is_rolled_back_was_never_sent(self, transactional_db):
        for _ in range(200):
            with pytest.raises(Stop), transaction.atomic():
                failing_view(None)
        assert rows() == []

    def test_an_error_within_a_request_takes_its_mail_along(self, transactional_db, client, settings):
        """With ATOMIC_REQUESTS, which wraps each view in a transaction."""
        settings.ROOT_URLCONF = __name__
        client.raise_request_exception = False
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            for _ in range(20):
                assert client.get("/fails/").status_code == 500
            assert rows() == []
            assert client.get("/works/").status_code == 200
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
        assert len(rows()) == 1

    def test_a_large_call_that_stops_breaks_the_transaction_that_holds_its_rows(self, transactional_db):
        """Or half of the list could be committed by mistake."""

        def messages():
            for _ in range(1001):
                yield mail()
            raise Stop

        with transaction.atomic():
            with pytest.raises(Stop):
                send_all(messages())
            with pytest.raises(transaction.TransactionManagementError):
                Delivery.objects.count()
        assert rows() == []

    def test_an_error_of_the_database_reaches_the_caller(self, no_deliveries_table, migma):
        """Also of a quiet mailer: the mail is in no queue."""
        migma(FAIL_SILENTLY=True)
        message = mail()
        with pytest.raises(DatabaseError):
            message.send()
        [recipient] = message.migma_status.recipients.values()
        assert recipient.status == "not_attempted"
        assert isinstance(recipient.error, DatabaseError)

    def test_an_interrupt_leaves_no_row(self, transactional_db):
        def messages():
            yield message
            raise KeyboardInterrupt

        message = mail()
        with pytest.raises(KeyboardInterrupt):
            send_all(messages())
        assert rows() == []
        assert message.migma_status.recipients["a@example.org"].error is None


class TestFallback:
    """What Migma cannot carry goes to another mailer after the commit."""

    @pytest.fixture(autouse=True)
    def _keep(self, migma, transactional_db):
        migma(FALLBACK=KEEPING_MAILER)
        Keeping.sent, Keeping.error = [], None

    def test_after_the_commit(self):
        message = invoice()
        with transaction.atomic():
            assert message.send() == 1
            assert message.migma_status.status == {"waiting"}
            message.subject = "Another one"
            message.to.append("b@example.org")
            assert kept() == []
        assert [(one.subject, one.to) for one in kept()] == [("Invoice", ["a@example.org"])]
        assert message.migma_status.status == {"fallback"}
        assert message.migma_status.is_complete
        assert rows() == []

    def test_without_a_transaction_at_once(self):
        message = invoice()
        assert message.send() == 1
        assert message.migma_status.status == {"fallback"}

    def test_never_after_a_rollback(self):
        with transaction.atomic():
            invoice().send()
            transaction.set_rollback(True)
        assert kept() == []

    def test_its_error_is_logged(self, caplog):
        """Nobody can catch it: the caller has gone on."""
        Keeping.error = OSError("mail.example.org is down")
        message = invoice()
        with transaction.atomic():
            assert message.send() == 1
        assert message.migma_status.status == {"unknown"}
        assert "was not accepted (1 unknown): OSError" in caplog.text
        assert "a@example.org" not in caplog.text

    def test_recipients_in_the_queue_do_not_get_it_twice(self):
        mail(idempotency_key="k").send()
        message = mail("a@example.org", "b@example.org", idempotency_key="k", subject="Changed", body="Text")
        with pytest.raises(Conflict):
            message.send()
        message.attach("invoice.pdf", b"%PDF", "application/pdf")
        message.send()
        assert [one.recipients() for one in kept()] == [["a@example.org"]]
        words = {address: one.status for address, one in message.migma_status.recipients.items()}
        assert words == {"a@example.org": "fallback", "b@example.org": "waiting"}

    def test_signals_tell_of_both_steps(self):
        seen = []

        def receiver(signal, status, **_):
            seen.append(("post_send" if signal is signals.post_send else "post_enqueue", *status.status))

        for signal in (signals.post_send, signals.post_enqueue):
            signal.connect(receiver)
        try:
            send_all([invoice(), mail()])
        finally:
            for signal in (signals.post_send, signals.post_enqueue):
                signal.disconnect(receiver)
        assert seen == [("post_enqueue", "waiting"), ("post_enqueue", "waiting"), ("post_send", "fallback")]


class TestErrorMail:
    """Mail that a log record causes never breaks what it reports."""

    @pytest.fixture
    def log(self):
        class Sending(logging.Handler):
            def emit(self, record):
                mail().send()

        logger = logging.Logger("shop")
        logger.addHandler(Sending())
        return logger.error

    def test_it_is_queued(self, log, capsys):
        log("broken")
        assert len(rows()) == 1
        assert capsys.readouterr().err == ""

    def test_what_cannot_be_written_goes_to_stderr(self, log, capsys, no_deliveries_table):
        with transaction.atomic():
            log("broken")
            assert StoredEmail.objects.count() == 0
        assert "that a log record caused has failed: " in capsys.readouterr().err

    def test_so_does_a_mail_in_a_transaction_that_is_broken(self, log, capsys):
        with transaction.atomic():
            transaction.set_rollback(True)
            log("broken")
        assert "has failed: TransactionManagementError" in capsys.readouterr().err


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

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="without MAILERS there is one mailer, without alias")
    def test_a_mailer_without_alias_is_refused_where_workers_look_for_aliases(self):
        with pytest.raises(ConfigurationError, match=r"it has no alias\. Send through one that MAILERS names"):
            EmailBackend().send_messages([mail()])
        assert not Delivery.objects.exists()

    def test_without_the_app(self):
        from django.apps import apps

        names = [config.name for config in apps.get_app_configs() if config.name != "django_migma"]
        with (
            override_settings(INSTALLED_APPS=names),
            pytest.raises(ConfigurationError, match="'django_migma' is not in INSTALLED_APPS"),
        ):
            mail().send()


class TestATestCase(TestCase):
    """Django's own: everything happens in one transaction that is never committed."""

    def test_rows_are_there_and_gone_afterwards(self):
        send_mail("Hello", "Text", None, ["a@example.org"])
        assert len(rows()) == 1


def test_a_generator_of_many_messages_takes_constant_memory():
    """No more messages are kept than the rows of one insert need."""
    alive = []

    def messages():
        for number in range(3_000):
            yield mail()
            if number % 900 == 899:
                gc.collect()
                alive.append(sum(isinstance(one, MigmaMessage) for one in gc.get_objects()))

    assert send_all(messages()) == 3_000
    assert max(alive) <= 1_001 + ALIVE_ELSEWHERE
