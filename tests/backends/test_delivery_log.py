"""The rows that DELIVERY_LOG writes of mail that is sent directly. They never cost a mail or a transaction."""

import asyncio
import logging
import re
import subprocess
import sys
import textwrap

import django
import pytest
import requests
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.utils import timezone

from django_migma import signals
from django_migma.api.credentials import account_digest
from django_migma.backends import EmailBackend, base, delivery_log, direct, queue
from django_migma.exceptions import InvalidRequest, MigmaError
from django_migma.message import MessageStatus, MigmaMessage, RecipientStatus
from django_migma.models import Delivery, StoredEmail

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
CONVERSATION_ID = "665f1c2ab7d3e4f5a6b7000c"
LAYOUT_ID = "665f1c2ab7d3e4f5a6b7000f"
OK = (200, {"success": True, "data": {"id": "m1", "status": "queued", "provider": "ses"}})
REFUSED = (400, {"success": False, "error": "Invalid email address: ada@example.org", "code": "BAD"})
NO_TABLE = {"sqlite": "OperationalError", "postgresql": "ProgrammingError"}
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"

pytestmark = pytest.mark.django_db


def message(*to, **options):
    return MigmaMessage("Hi", "", to=list(to) or ["ada@example.org"], **{"template_id": EMAIL_ID, **options})


def invoice(*to):
    one = EmailMessage("Invoice", "attached", to=list(to) or ["ada@example.org"])
    one.attach("invoice.pdf", b"%PDF", "application/pdf")
    return one


def send(*messages, **options):
    backend = EmailBackend(alias="default", **options) if django.VERSION >= (6, 1) else EmailBackend(**options)
    return backend.send_messages(list(messages))


def columns(*names):
    return list(Delivery.objects.order_by("pk").values_list(*names, flat=len(names) == 1))


@pytest.fixture
def logged(migma):
    """The log is on, and requests go out one after the other, without repeats."""
    migma(DELIVERY_LOG=True, MAX_CONCURRENCY=1, MAX_RETRIES=0)


@pytest.fixture
def fallback(migma, settings):
    """The mailer of FALLBACK keeps what it gets in memory."""
    if django.VERSION >= (6, 1):
        settings.MAILERS = {**settings.MAILERS, "other": {"BACKEND": LOCMEM}}
    migma(FALLBACK="other" if django.VERSION >= (6, 1) else LOCMEM)


class TestSwitch:
    def test_off_by_default_and_then_no_query_is_made(self, accepting, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert send(message()) == 1
        assert not Delivery.objects.exists()

    def test_on_for_a_mailer_by_its_option(self, accepting):
        send(message(), delivery_log=True)
        assert columns("recipient") == ["ada@example.org"]

    def test_off_for_a_mailer_by_its_option(self, accepting, logged):
        send(message(), delivery_log=False)
        assert columns("recipient") == []

    def test_without_the_app_the_setting_does_nothing(self):
        """Mail goes out as ever, and no model is imported."""
        script = """
            import sys, django
            from django.conf import settings
            from django.core.mail import EmailMessage

            has_mailers, our = django.VERSION >= (6, 1), "django_migma.backends.EmailBackend"
            mailer = {"MAILERS": {"default": {"BACKEND": our}}} if has_mailers else {"EMAIL_BACKEND": our}
            settings.configure(
                MIGMA={"API_KEY": "sk_test_x", "API_URL": "http://127.0.0.1:9/v1", "DELIVERY_LOG": True,
                       "MAX_RETRIES": 0, "FAIL_SILENTLY": True, "PROJECT_ID": "665f1c2ab7d3e4f5a6a70001"},
                INSTALLED_APPS=[], **mailer)
            django.setup()
            one = EmailMessage("Hi", "x", "a@example.com", ["b@example.com"])
            one.send()
            print(one.migma_status.status, "django_migma.models" in sys.modules)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=300
        )
        assert done.stdout == "{'failed'} False\n"


@pytest.mark.usefixtures("logged")
class TestRows:
    def test_a_row_for_each_recipient_says_what_became_of_the_mail(self, accepting):
        stored = StoredEmail.objects.create(email_id=EMAIL_ID)
        send(message("Ada@Example.org", "Bob <bob@example.org>", idempotency_key="order-3-receipt"))
        ada, bob = Delivery.objects.order_by("pk")
        assert (ada.recipient, bob.recipient) == ("ada@example.org", "bob@example.org")
        assert (ada.subject, ada.from_email, ada.alias) == ("Hi", "shop@example.com", _alias())
        assert (ada.status, ada.due_at, ada.priority, ada.payload) == ("accepted", None, 0, "")
        assert (ada.message_id, ada.provider, ada.attempts, ada.errors) == ("m1", "migma", 1, [])
        assert (ada.stored_email, ada.email_id, ada.caller_key) == (stored, EMAIL_ID, "order-3-receipt")
        assert [ada.idempotency_key, bob.idempotency_key] == accepting.keys
        assert ada.created_at == ada.finished_at

    @pytest.mark.parametrize("word", ["queued", "sent", "processing"])
    def test_each_word_by_which_migma_accepts_is_accepted(self, wire, word):
        wire.accepts(status=word, sendId="s1")
        send(message())
        assert columns("status", "send_id") == [("accepted", "s1")]

    def test_a_replay_is_marked(self, wire):
        wire.answers((*OK, {"Idempotent-Replayed": "true"}))
        send(message())
        assert columns("replayed") == [True]

    def test_a_refusal_is_failed_and_its_text_names_no_recipient(self, wire):
        wire.answers(REFUSED)
        with pytest.raises(MigmaError):
            send(message())
        [row] = Delivery.objects.all()
        [error] = row.errors
        assert (row.status, row.attempts, row.in_doubt) == ("failed", 1, False)
        assert (error["status"], error["code"], error["time"]) == (400, "BAD", row.created_at.isoformat())
        assert error["text"] == "Migma answered 400 BAD: Invalid email address: <address>"

    def test_no_answer_is_unknown(self, wire):
        wire.answers(requests.ReadTimeout())
        with pytest.raises(MigmaError):
            send(message())
        [row] = Delivery.objects.all()
        assert (row.status, row.in_doubt, row.first_attempt_at) == ("unknown", True, row.created_at)
        assert row.account == account_digest("http://127.0.0.1:9/v1", "sk_test_of_the_suite")

    def test_of_an_error_that_is_not_ours_only_the_type_is_kept(self, wire):
        wire.answers(ZeroDivisionError("ada@example.org"))
        with pytest.raises(ZeroDivisionError):
            send(message())
        [[error]] = columns("errors")
        assert error["text"] == "ZeroDivisionError"

    def test_what_a_wrong_key_stopped_is_not_attempted(self, wire):
        """The other recipient of the message; messages that were not read have no rows, as they have no signal."""
        wire.answers((401, {"success": False, "error": "no"}))
        with pytest.raises(MigmaError):
            send(message("ada@example.org", "bob@example.org"), message("eve@example.org"))
        assert columns("recipient", "status", "idempotency_key")[1:] == [("bob@example.org", "not_attempted", None)]

    def test_a_refused_message_is_not_attempted_and_says_why(self, accepting):
        with pytest.raises(MigmaError):
            send(invoice("ada@example.org", "bob@example.org"))
        assert columns("recipient", "status", "subject", "idempotency_key") == [
            ("ada@example.org", "not_attempted", "Invoice", None),
            ("bob@example.org", "not_attempted", "Invoice", None),
        ]
        assert "attachments" in columns("errors")[0][0]["text"]

    def test_a_message_that_is_broken_in_every_part_has_a_row_too(self, accepting):
        class Unreadable:
            def __str__(self):
                raise LookupError

        broken = message("ada\0\ud800@example.org", idempotency_key=7)
        broken.subject = Unreadable()
        with pytest.raises(MigmaError):
            send(broken)
        assert columns("recipient", "subject", "caller_key") == [("ada\ufffd?@example.org", "", "")]

    def test_what_the_other_mailer_takes_is_fallback_without_a_key(self, wire, fallback, mailoutbox):
        send(invoice("Ada@example.org", "bob@example.org"))
        assert columns("recipient", "status", "idempotency_key", "subject", "from_email") == [
            ("ada@example.org", "fallback", None, "Invoice", "Example Shop <shop@example.com>"),
            ("bob@example.org", "fallback", None, "Invoice", "Example Shop <shop@example.com>"),
        ]

    @pytest.mark.parametrize("is_on", [True, False])
    def test_what_the_queue_hands_to_the_other_mailer_is_a_row_too(
        self, fallback, mailoutbox, migma, django_capture_on_commit_callbacks, is_on
    ):
        migma(DELIVERY_LOG=is_on)
        backend = queue.EmailBackend(**({"alias": "default"} if django.VERSION >= (6, 1) else {}))
        with django_capture_on_commit_callbacks(execute=True):
            backend.send_messages([invoice("ada@example.org"), message("bob@example.org")])
        expected = [("ada@example.org", "fallback")] * is_on + [("bob@example.org", "waiting")]
        assert sorted(columns("recipient", "status")) == expected
        assert len(mailoutbox) == 1

    def test_redirected_mail_is_a_row_of_the_address_that_gets_it(self, accepting, migma):
        migma(REDIRECT_TO="Test@example.net")
        send(message("ada@example.org", "bob@example.org"))
        assert columns("recipient", "subject") == [("test@example.net", "[to ada@example.org, bob@example.org] Hi")]

    def test_long_and_unusual_texts_are_cut_and_kept(self, accepting):
        long = message(f"{'a' * 400}@example.org", idempotency_key="k" * 300)
        long.subject = "\U0001f375\0" * 200
        send(long)
        [(recipient, subject, key)] = columns("recipient", "subject", "caller_key")
        assert recipient == "a" * 320
        assert subject == ("\U0001f375\ufffd" * 200)[:255]
        assert key == "k" * 255

    def test_a_message_id_is_a_key_of_the_caller_too(self, accepting):
        send(message(headers={"Message-ID": "<1@shop.example>"}))
        assert columns("caller_key") == ["<1@shop.example>"]


@pytest.mark.usefixtures("logged")
class TestStoredEmails:
    def test_one_query_finds_those_of_all_messages(self, accepting, django_assert_num_queries):
        other_id = EMAIL_ID[:-1] + "9"
        first, other = (StoredEmail.objects.create(email_id=one) for one in (EMAIL_ID, other_id))
        conversation = StoredEmail.objects.create(conversation_id=CONVERSATION_ID)
        of_conversation = message(template_id=None, conversation_id=CONVERSATION_ID)
        messages = [message(), message(template_id=other_id), message(template_id="6" * 24), of_conversation]
        with django_assert_num_queries(4) as queries:  # a savepoint, this one, and the rows
            send(*messages)
        assert sum('FROM "django_migma_storedemail"' in query["sql"] for query in queries.captured_queries) == 1
        assert columns("stored_email") == [first.pk, other.pk, None, conversation.pk]

    def test_mail_by_a_conversation_has_the_id_of_the_email_that_migma_tells(self, wire):
        wire.accepts(emailId=EMAIL_ID.upper())
        send(message(template_id=None, conversation_id=CONVERSATION_ID))
        assert columns("email_id") == [EMAIL_ID]

    def test_mail_by_a_conversation_that_failed_at_first_gets_that_id_too(self, wire):
        mail = message(template_id=None, conversation_id=CONVERSATION_ID)
        wire.answers((400, {"error": "no"}))
        with pytest.raises(InvalidRequest):
            mail.send()
        assert columns("email_id") == [""]
        wire.accepts(emailId=EMAIL_ID)
        mail.send()
        assert columns("email_id", "status") == [(EMAIL_ID, "accepted")]

    def test_errors_that_another_release_has_left_are_replaced(self, wire):
        mail = message()
        wire.answers((400, {"error": "no"}))
        with pytest.raises(InvalidRequest):
            mail.send()
        Delivery.objects.update(errors=7)
        wire.accepts()
        mail.send()
        assert columns("errors", "status") == [([], "accepted")]

    def test_mail_in_a_layout_has_the_id_of_the_layout_and_names_no_stored_email(
        self, accepting, migma, django_assert_num_queries
    ):
        StoredEmail.objects.create(email_id=LAYOUT_ID)
        migma(LAYOUT_EMAIL_ID=LAYOUT_ID)
        with django_assert_num_queries(3):  # a savepoint and the row
            send(EmailMessage("Hi", "a body of its own", to=["ada@example.org"]))
        assert columns("stored_email", "email_id") == [(None, LAYOUT_ID)]


@pytest.mark.usefixtures("logged")
class TestMailThatIsSentAgain:
    def test_a_failure_becomes_an_acceptance_in_the_same_row(self, wire):
        wire.answers(REFUSED, OK)
        one = message()
        with pytest.raises(MigmaError):
            send(one)
        send(one)
        [row] = Delivery.objects.all()
        assert (row.status, row.attempts, row.message_id, len(row.errors)) == ("accepted", 2, "m1", 1)

    def test_doubt_is_resolved(self, wire):
        wire.answers(requests.ReadTimeout(), OK)
        with pytest.raises(MigmaError):
            send(message(idempotency_key="k"))
        send(message(idempotency_key="k"))
        assert columns("status", "in_doubt", "attempts") == [("accepted", False, 2)]

    def test_the_account_of_the_first_doubt_is_kept(self, wire, migma):
        """A repeat with the key of another account is no repeat."""
        wire.answers(requests.ReadTimeout())
        for api_key in ("sk_test_first", "sk_test_other"):
            migma(API_KEY=api_key)
            with pytest.raises(MigmaError):
                send(message(idempotency_key="k"))
        assert columns("status", "attempts", "account") == [
            ("unknown", 2, account_digest("http://127.0.0.1:9/v1", "sk_test_first"))
        ]

    @pytest.mark.parametrize("answer", [REFUSED, requests.ReadTimeout()])
    def test_what_is_accepted_stays_accepted(self, wire, answer):
        """Whatever a repeat with the same key meets."""
        wire.answers(OK, answer)
        send(message(idempotency_key="k"))
        with pytest.raises(MigmaError):
            send(message(idempotency_key="k"))
        assert columns("status", "attempts", "errors") == [("accepted", 1, [])]

    def test_new_mail_beside_it_gets_its_rows(self, wire):
        wire.accepts()
        send(message("ada@example.org", idempotency_key="k"))
        send(*(message(to, idempotency_key="k") for to in ("ada@example.org", "bob@example.org", "eve@example.org")))
        assert columns("recipient") == ["ada@example.org", "bob@example.org", "eve@example.org"]

    def test_twice_in_one_call_is_one_row(self, wire):
        wire.answers(REFUSED, OK)
        with pytest.raises(MigmaError):
            send(message(idempotency_key="k"), message(idempotency_key="k"))
        assert columns("status", "attempts") == [("accepted", 2)]

    def test_only_recipients_that_are_sent_to_again_are_noted(self, wire, fallback, monkeypatch):
        """Those whom the other mailer has reached have no key by which a row could be found."""
        from django.core.mail.backends import locmem

        monkeypatch.setattr(locmem.EmailBackend, "send_messages", lambda self, messages: 0)
        one = invoice("ada@example.org", "bob@example.org")
        with pytest.raises(MigmaError):
            send(one)
        monkeypatch.undo()
        one.migma_status.recipients["ada@example.org"] = _FALLBACK
        send(one)
        assert columns("recipient", "status") == [
            ("ada@example.org", "failed"),
            ("bob@example.org", "failed"),
            ("bob@example.org", "fallback"),
        ]

    def test_a_refusal_says_nothing_of_recipients_that_have_the_mail(self, wire):
        wire.answers(OK, REFUSED)
        one = message("ada@example.org", "bob@example.org")
        with pytest.raises(MigmaError):
            send(one)
        one.attach("invoice.pdf", b"%PDF", "application/pdf")
        with pytest.raises(MigmaError):
            send(one)
        assert columns("recipient", "status") == [
            ("ada@example.org", "accepted"),
            ("bob@example.org", "failed"),
            ("bob@example.org", "not_attempted"),
        ]

    def test_a_refusal_says_nothing_of_recipients_that_another_mailer_has_reached(self, accepting):
        one = invoice("ada@example.org", "bob@example.org")
        one.migma_status = MessageStatus()
        one.migma_status.recipients = {
            "ada@example.org": _FALLBACK,
            "bob@example.org": RecipientStatus(status="failed"),
        }
        with pytest.raises(MigmaError):
            send(one)
        assert columns("recipient", "status") == [("bob@example.org", "not_attempted")]

    def test_a_row_that_another_process_writes_at_the_same_moment_costs_no_other(self, accepting):
        ada, bob = (message(to, idempotency_key="k") for to in ("ada@example.org", "bob@example.org"))
        send(ada, bob)
        _, key = columns("idempotency_key")
        Delivery.objects.filter(idempotency_key=key).delete()

        def overtake(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith("SELECT") and key in params:
                Delivery.objects.create(idempotency_key=key, recipient="bob@example.org", status="unknown")
            return result

        with connection.execute_wrapper(overtake):
            send(*(message(f"{to}@example.org", idempotency_key="k") for to in ("ada", "bob", "eve")))
        assert columns("recipient", "status") == [
            ("ada@example.org", "accepted"),
            ("bob@example.org", "unknown"),
            ("eve@example.org", "accepted"),
        ]

    def test_a_row_of_the_queue_is_accepted_and_let_go(self, accepting):
        """Its worker can no longer change it, and its request is not kept."""
        send(message(idempotency_key="k"))
        claimed = {"status": "sending", "claimed_by": "w", "payload": "{}", "due_at": timezone.now()}
        Delivery.objects.update(**claimed)
        send(message(idempotency_key="k"))
        assert columns("status", "due_at", "claimed_by", "payload") == [("accepted", None, "", "")]


class TestFailure:
    """A log that cannot be written costs neither the mail nor the caller's transaction."""

    def test_one_warning_and_the_mail_is_sent(self, accepting, logged, no_deliveries_table, caplog, migma):
        assert send(message(), message("bob@example.org")) == 2
        [record] = caplog.records
        assert re.fullmatch(
            r"The table of deliveries lacks 2 rows of mail that was sent, and the rest of this call \(\w+Error\)\. "
            r"Check the database, and run manage\.py migrate\.",
            record.getMessage(),
        )

    def test_the_callers_transaction_goes_on(self, accepting, logged, no_deliveries_table):
        with transaction.atomic():
            before = StoredEmail.objects.create(email_id=EMAIL_ID)
            send(message())
            StoredEmail.objects.create(email_id=LAYOUT_ID)
        assert StoredEmail.objects.filter(pk=before.pk).exists()
        assert StoredEmail.objects.count() == 2

    def test_it_is_not_tried_again_in_the_same_call(
        self, accepting, logged, no_deliveries_table, caplog, monkeypatch
    ):
        monkeypatch.setattr(delivery_log, "ROWS_PER_WRITE", 1)
        assert send(*map(message, ("a@example.org", "b@example.org", "c@example.org"))) == 3
        assert len(caplog.records) == 1

    def test_in_a_broken_transaction(self, accepting, logged, caplog):
        with transaction.atomic():
            transaction.set_rollback(True)
            assert send(message()) == 1
        assert "TransactionManagementError" in caplog.records[0].getMessage()

    def test_in_a_coroutine(self, accepting, logged, caplog):
        """Where Django allows no query."""

        async def view():
            return send(message())

        assert asyncio.run(view()) == 1
        assert "SynchronousOnlyOperation" in caplog.records[0].getMessage()


@pytest.mark.usefixtures("logged")
class TestGroups:
    def test_rows_are_written_as_they_become_many(self, accepting, monkeypatch):
        """So a generator of a million messages takes constant memory."""
        monkeypatch.setattr(delivery_log, "ROWS_PER_WRITE", 2)
        found = []

        def messages():
            for number in range(5):
                yield message(f"r{number}@example.org")
                found.append(Delivery.objects.count())

        get = EmailBackend(alias="default") if django.VERSION >= (6, 1) else EmailBackend()
        get.send_messages(messages())
        assert found == [0, 2, 2, 4, 4]
        assert Delivery.objects.count() == 5

    def test_a_rolled_back_transaction_takes_its_rows_along(self, accepting):
        with transaction.atomic():
            send(message())
            assert Delivery.objects.count() == 1
            transaction.set_rollback(True)
        assert not Delivery.objects.exists()

    def test_an_interrupt_leaves_its_own_rows_and_nothing_to_the_next_call(self, accepting):
        def messages():
            yield message("ada@example.org")
            raise KeyboardInterrupt

        backend = EmailBackend(alias="default") if django.VERSION >= (6, 1) else EmailBackend()
        with pytest.raises(KeyboardInterrupt):
            backend.send_messages(messages())
        assert columns("recipient") == ["ada@example.org"]
        backend.send_messages([message("bob@example.org")])
        assert columns("recipient") == ["ada@example.org", "bob@example.org"]

    def test_mail_that_a_receiver_sends_meanwhile_is_of_a_call_of_its_own(self, accepting):
        def copy(sender, message, **kwargs):
            if message.to != ["archive@example.org"]:
                send(_to_archive())

        signals.post_send.connect(copy)
        try:
            send(message("ada@example.org"), message("bob@example.org"))
        finally:
            signals.post_send.disconnect(copy)
        assert sorted(columns("recipient")) == ["ada@example.org", *["archive@example.org"] * 2, "bob@example.org"]

    def test_rows_are_there_when_batch_finished_is_sent(self, accepting):
        found = []

        def count(sender, **kwargs):
            found.append(Delivery.objects.count())

        signals.batch_finished.connect(count)
        try:
            send(message())
        finally:
            signals.batch_finished.disconnect(count)
        assert found == [1]

    def test_mail_that_a_log_record_causes_touches_no_database(
        self, accepting, django_assert_num_queries, monkeypatch
    ):
        """It may be the database that is broken."""
        monkeypatch.setattr(direct, "LOGGING_SECONDS", 60)
        monkeypatch.setattr(base, "LOGGING_REQUEST_SECONDS", 60)

        class Mailing(logging.Handler):
            def emit(self, record):
                send(message("root@example.org"))

        logger = logging.Logger("shop")
        logger.addHandler(Mailing())
        with django_assert_num_queries(0):
            logger.error("It broke")
        assert [body["recipientEmail"] for body in accepting.bodies] == ["root@example.org"]


_FALLBACK = RecipientStatus(status="fallback", mailer="other")


def _to_archive():
    return message("archive@example.org")


def _alias():
    return "default" if django.VERSION >= (6, 1) else ""
