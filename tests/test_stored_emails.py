"""Stored emails whose keys are in the settings: what they may hold, and what a message with such a key sends."""

import logging
import subprocess
import sys
import textwrap

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import DatabaseError, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext_lazy

from django_migma.exceptions import ConfigurationError, MissingVariables, StoredEmailNotFound
from django_migma.message import MigmaMessage
from django_migma.models import StoredEmail
from django_migma.models.fields import validate_key
from django_migma.stored_emails import entry_problems
from django_migma.testing import outbox, stored_emails

WELCOME = "665f1c2ab7d3e4f5a6b70001"
RECEIPT = "665f1c2ab7d3e4f5a6b70002"
OTHER = "665f1c2ab7d3e4f5a6b70009"
FULL = {
    "email_id": RECEIPT,
    "subject": "Your receipt",
    "from_email": "Billing <billing@example.com>",
    "default_variables": {"currency": "EUR"},
    "optional_variables": ["first_name"],
    "sample_variables": {"total": "10.00"},
}


def message(template_id="welcome", **fields):
    return MigmaMessage(**{"to": ["ada@example.org"], "template_id": template_id} | fields)


@pytest.fixture
def declare(migma):
    """Set STORED_EMAILS: ``declare(welcome="665f…")``."""

    def change(**declared):
        migma(STORED_EMAILS=declared)

    return change


class TestWithoutADatabase:
    """pytest-django refuses every query here."""

    def test_a_key_selects_its_email(self, accepting, declare):
        declare(welcome=WELCOME.upper())
        assert message().send() == 1
        assert accepting.body["emailId"] == WELCOME

    def test_a_dict_gives_what_a_row_would(self, accepting, declare):
        declare(receipt=FULL)
        message("receipt", merge_global_data={"total": "5.00"}).send()
        body = accepting.body
        assert (body["emailId"], body["subject"]) == (RECEIPT, "Your receipt")
        assert (body["from"], body["fromName"]) == ("billing@example.com", "Billing")
        assert body["variables"] == {"currency": "EUR", "total": "5.00"}

    def test_the_message_wins(self, accepting, declare):
        declare(receipt=FULL)
        own = {"subject": "Mine", "from_email": "Ada <ada@example.com>", "merge_global_data": {"currency": "USD"}}
        message("receipt", **own).send()
        body = accepting.body
        assert (body["subject"], body["from"], body["variables"]) == ("Mine", "ada@example.com", {"currency": "USD"})

    def test_a_translated_subject_is_read_when_it_is_sent(self, accepting, declare):
        declare(welcome={"email_id": WELCOME, "subject": gettext_lazy("Welcome")})
        message().send()
        assert accepting.body["subject"] == "Welcome"

    def test_an_integer_is_looked_up_as_its_string(self, accepting, migma):
        """Code that was written for other providers has their numbers."""
        migma(STORED_EMAILS={"12345": WELCOME})
        message(12345).send()
        assert accepting.body["emailId"] == WELCOME

    def test_nothing_is_logged(self, accepting, declare, caplog):
        declare(welcome=WELCOME)
        message().send()
        assert caplog.messages == []

    def test_another_key_still_asks_the_database(self, accepting, declare):
        declare(welcome=WELCOME)
        with pytest.raises(RuntimeError, match="Database access not allowed"):
            message("receipt").send()

    def test_a_faulty_entry_stops_its_own_mail_only(self, accepting, connection, declare):
        """Also in quiet mode: it is the site's mistake."""
        declare(welcome=WELCOME, receipt={"email_id": RECEIPT, "subjekt": "Hello"})
        with pytest.raises(ConfigurationError) as caught:
            connection(fail_silently=True).send_messages([message("receipt"), message()])
        assert str(caught.value) == (
            "STORED_EMAILS has the unknown field 'subjekt' in 'receipt'. Did you mean 'subject'?"
        )
        assert accepting.body["emailId"] == WELCOME

    def test_a_mailer_may_have_its_own(self, accepting, connection, declare):
        declare(welcome=OTHER)
        connection(stored_emails={"welcome": WELCOME}).send_messages([message()])
        assert accepting.body["emailId"] == WELCOME

    def test_missing_variables_are_those_of_the_subject(self, accepting, declare, migma):
        """What stands in the body is known from rows only."""
        declare(welcome={"email_id": WELCOME, "subject": "Hello {{nick}}"})
        migma(MISSING_VARIABLES="raise")
        with pytest.raises(MissingVariables, match="The stored email 'welcome' uses nick"):
            message().send()


@pytest.mark.django_db
class TestWithARow:
    """A row of the same key adds what the settings leave out."""

    @pytest.fixture
    def row(self):
        return StoredEmail.objects.create(
            key="receipt",
            email_id=RECEIPT,
            subject="The row's",
            html="{{total}} {{tax}} {{nick}}",
            from_email="row@example.com",
            from_name="The row",
            provider_type="ses",
            default_variables={"currency": "USD", "tax": "0"},
            optional_variables=["nick"],
        )

    def test_it_adds_what_is_left_out(self, accepting, declare, row):
        declare(receipt=RECEIPT)
        message("receipt", merge_global_data={"total": "1"}).send()
        body = accepting.body
        assert (body["subject"], body["from"], body["fromName"]) == ("The row's", "row@example.com", "The row")
        assert (body["providerType"], body["variables"]["tax"]) == ("ses", "0")

    def test_the_settings_win(self, accepting, declare, row):
        declare(receipt=FULL)
        StoredEmail.objects.update(email_id=OTHER)
        message("receipt", merge_global_data={"total": "1"}).send()
        body = accepting.body
        assert (body["emailId"], body["subject"]) == (RECEIPT, "Your receipt")
        assert (body["from"], body["fromName"]) == ("billing@example.com", "Billing")
        assert body["variables"] == {"currency": "EUR", "tax": "0", "total": "1"}

    @pytest.mark.parametrize(("email_id", "missing"), [(RECEIPT, {"total"}), (OTHER, set())])
    def test_its_variables_count_where_it_is_the_same_email(self, accepting, declare, row, email_id, missing):
        declare(receipt=RECEIPT)
        StoredEmail.objects.update(email_id=email_id)
        sent = message("receipt")
        sent.send()
        assert sent.migma_status.missing_variables == missing

    def test_any_number_of_keys_takes_one_query(self, accepting, connection, declare, row, django_assert_num_queries):
        declare(welcome=WELCOME, receipt=RECEIPT)
        StoredEmail.objects.create(key="other", email_id=OTHER)
        with django_assert_num_queries(1):
            messages = [message(key) for key in ("welcome", "receipt", "other", "receipt")]
            assert connection().send_messages(messages) == 4
        assert {body["emailId"] for body in accepting.bodies} == {WELCOME, RECEIPT, OTHER}

    def test_an_unknown_key_names_near_ones_of_both_kinds(self, accepting, declare, row):
        declare(recept=WELCOME)
        with pytest.raises(StoredEmailNotFound, match="Did you mean 'receipt' or 'recept'"):
            message("receip").send()


class TestWithoutATable:
    @pytest.fixture(autouse=True)
    def welcome(self, no_table, declare):
        declare(welcome=WELCOME)

    def test_the_settings_serve_alone_with_a_warning(self, accepting, connection, caplog, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert connection().send_messages([message(), message()]) == 2
        assert caplog.messages == [
            (
                "The table of stored emails cannot be read (OperationalError), so mail is sent with STORED_EMAILS "
                "alone. Check the database, and run manage.py migrate."
            )
        ]

    @pytest.mark.parametrize(
        ("vendor", "statements"),
        [("sqlite", ["SELECT", "SELECT"]), ("postgresql", ["SAVEPOINT", "SELECT", "ROLLBACK", "RELEASE", "SELECT"])],
    )
    def test_the_sites_transaction_survives(self, accepting, monkeypatch, vendor, statements):
        """PostgreSQL refuses every statement after one that failed, unless a savepoint was set before it."""
        database = connections["default"]
        monkeypatch.setattr(database, "vendor", vendor)
        with transaction.atomic(), CaptureQueriesContext(database) as queries:
            message().send()
            User.objects.count()
        assert [query["sql"].partition(" ")[0] for query in queries] == statements
        assert accepting.body["emailId"] == WELCOME

    def test_other_keys_fail_as_ever(self, accepting, connection):
        with pytest.raises(DatabaseError, match="django_migma_storedemail"):
            connection().send_messages([message(), message("other")])
        assert accepting.body["emailId"] == WELCOME

    def test_a_mail_that_logging_sends_logs_nothing(self, accepting, caplog):
        class Mails(logging.Handler):
            def emit(self, record):
                message().send()

        logger = logging.getLogger("tests.mails")
        handler = Mails()
        logger.addHandler(handler)
        try:
            logger.warning("Trouble")
        finally:
            logger.removeHandler(handler)
        assert caplog.messages == ["Trouble"]
        assert accepting.body["emailId"] == WELCOME


def test_without_the_app_keys_of_the_settings_work():
    script = """
        from django.conf import settings
        settings.configure(DEFAULT_FROM_EMAIL="Shop <a@b.example>", INSTALLED_APPS=[],
            MIGMA={"API_KEY": "sk_test", "STORED_EMAILS": {"welcome": "665f1c2ab7d3e4f5a6b70001"}})
        from django_migma.conf import load_config
        from django_migma.message import MigmaMessage
        from django_migma.payload import build_payloads
        from django_migma.backends.direct import stored_email_resolver
        config = load_config({})
        for key in ("welcome", "welcom"):
            try:
                for resolver in (None, stored_email_resolver(config)):
                    [made] = build_payloads(MigmaMessage(to=["ada@example.org"], template_id=key), config, resolver)
                    print(made.request.email_id)
            except LookupError as error:
                print(error)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        WELCOME,
        WELCOME,
        (
            "No stored email is known by the key 'welcom': MIGMA['STORED_EMAILS'] does not have it, and other keys "
            "need the app, but 'django_migma' is not in INSTALLED_APPS. Did you mean 'welcome'? Or give Migma's id "
            "of the email as template_id, 24 hex digits."
        ),
    ]


ID_TEXT = "Migma's id of an email, 24 hex digits"
JSON_TEXT = "a dict of values that JSON can carry"
FIELD_HINT = "Correct it, or leave it out."
KEY_TEXT = "which must be a string of letters, digits, - and _, and no id"
WORD_HINT = "Choose a word, such as welcome or order-receipt."


@pytest.mark.parametrize(
    ("key", "entry", "problem", "hint"),
    [
        (7, WELCOME, f"has the key 7, {KEY_TEXT}", "Write '7'."),
        (None, WELCOME, f"has the key None, {KEY_TEXT}", WORD_HINT),
        ("two words", WELCOME, f"has the key 'two words', {KEY_TEXT}", WORD_HINT),
        (WELCOME, RECEIPT, f"has the key '{WELCOME}', {KEY_TEXT}", WORD_HINT),
        ("k" * 101, WELCOME, f"has the key '{'k' * 79}, {KEY_TEXT}", WORD_HINT),
        ("a", None, f"must give 'a' {ID_TEXT}, or a dict with email_id, not None", "Copy the id from Migma."),
        ("a", [WELCOME], f"must give 'a' {ID_TEXT}, or a dict with email_id, not list", "Copy the id from Migma."),
        ("a", {}, f"must give 'a' {ID_TEXT} as 'email_id', not None", "Copy the id from Migma."),
        ("a", {"email_id": ""}, f"must give 'a' {ID_TEXT} as 'email_id', not ''", "Copy the id from Migma."),
        (
            "a",
            {"email_id": "x" * 500},
            f"must give 'a' {ID_TEXT} as 'email_id', not '{'x' * 79}",
            "Copy the id from Migma.",
        ),
        ("a", FULL | {"e-mail": 1}, "has the unknown field 'e-mail' in 'a'", "Did you mean 'email_id'?"),
        (
            "a",
            FULL | {7: 1},
            "has the unknown field 7 in 'a'",
            "Known are default_variables, email_id, from_email, optional_variables, sample_variables, subject.",
        ),
        ("a", FULL | {"subject": "x\ny"}, "must give 'a' one line of text as 'subject', not 'x\\ny'", FIELD_HINT),
        ("a", FULL | {"subject": 7}, "must give 'a' one line of text as 'subject', not 7", FIELD_HINT),
        (
            "a",
            FULL | {"from_email": "a@b.example, c@d.example"},
            (
                "must give 'a' one address, such as Example <hello@example.com> as 'from_email', "
                "not 'a@b.example, c@d.example'"
            ),
            FIELD_HINT,
        ),
        (
            "a",
            FULL | {"default_variables": ["x"]},
            f"must give 'a' {JSON_TEXT} as 'default_variables', not list",
            FIELD_HINT,
        ),
        (
            "a",
            FULL | {"sample_variables": {"x": float("nan")}},
            f"must give 'a' {JSON_TEXT} as 'sample_variables', not dict",
            FIELD_HINT,
        ),
        (
            "a",
            FULL | {"optional_variables": "first_name"},
            "must give 'a' a list of names as 'optional_variables', not 'first_name'",
            FIELD_HINT,
        ),
        (
            "a",
            FULL | {"optional_variables": [1]},
            "must give 'a' a list of names as 'optional_variables', not list",
            FIELD_HINT,
        ),
    ],
)
def test_what_could_not_be_used_is_named(key, entry, problem, hint):
    assert list(entry_problems(key, entry)) == [(problem, hint)]


@pytest.mark.parametrize(
    "entry",
    [WELCOME, FULL, {"email_id": WELCOME}, FULL | {"subject": None, "from_email": ""}, FULL | {"subject": ""}],
)
def test_what_can_be_used_is_accepted(entry):
    """None and an empty string count as left out."""
    assert list(entry_problems("order-receipt_2", entry)) == []


@pytest.mark.parametrize("key", ["welcome", "Order-receipt_2", "two words", "ümlaut", "a.b", "", WELCOME])
def test_settings_and_rows_take_the_same_keys(key):
    try:
        validate_key(key)
    except ValidationError:
        assert list(entry_problems(key, WELCOME))
    else:
        assert not list(entry_problems(key, WELCOME))


class TestInTests:
    """``testing.stored_emails`` and the fixture ``migma_stored_emails``."""

    def test_a_key_is_enough(self, migma_outbox):
        with stored_emails("welcome"):
            message().send()
            first = migma_outbox[0].migma_payloads[0]["emailId"]
        with stored_emails("welcome") as declared:
            assert declared["welcome"]["email_id"] == first
        assert len(first) == 24

    def test_they_are_beside_those_of_the_settings(self, migma_outbox, declare):
        declare(welcome=WELCOME)
        with stored_emails(receipt={"subject": "Your receipt"}, other=OTHER):
            for key in ("welcome", "receipt", "other"):
                message(key).send()
        payloads = [kept.migma_payloads[0] for kept in migma_outbox]
        assert [payload["emailId"] for payload in payloads][::2] == [WELCOME, OTHER]
        assert payloads[1]["subject"] == "Your receipt"

    def test_they_end_with_the_block(self, migma_outbox, declare):
        declare()
        with stored_emails("welcome"):
            pass
        with pytest.raises(RuntimeError, match="Database access not allowed"):
            message().send()

    def test_the_fixture_declares_until_the_test_ends(self, migma_outbox, migma_stored_emails):
        migma_stored_emails("welcome")
        assert "receipt" in migma_stored_emails(receipt=RECEIPT)
        assert message().send() + message("receipt").send() == 2

    def test_they_reach_the_sandbox(self, migma_sandbox, migma_stored_emails):
        migma_stored_emails("welcome")
        assert message().send() == 1

    @pytest.mark.django_db
    def test_the_outbox_makes_no_query_for_them(self, migma_outbox, migma_stored_emails, django_assert_num_queries):
        migma_stored_emails("welcome")
        with django_assert_num_queries(0):
            message().send()

    @pytest.mark.django_db
    def test_the_outbox_finds_rows_all_the_same(self, migma_outbox, migma_stored_emails):
        StoredEmail.objects.create(key="receipt", email_id=RECEIPT)
        migma_stored_emails("welcome")
        assert message("receipt").send() == 1


class TestSharedOutbox:
    """pytest-django's ``mailoutbox`` and our outbox are one list, whichever came first."""

    def test_mailoutbox_first(self, mailoutbox, migma_outbox):
        send_mail("Hello", "text", None, ["a@example.org"])
        assert mailoutbox is migma_outbox is mail.outbox
        assert [kept.subject for kept in mailoutbox] == ["Hello"]

    def test_migma_outbox_first(self, migma_outbox, mailoutbox):
        send_mail("Hello", "text", None, ["a@example.org"])
        assert [kept.subject for kept in mailoutbox] == ["Hello"]

    def test_mail_before_and_after_the_block(self, mailoutbox):
        for subject in ("before", "within", "after"):
            if subject == "within":
                with outbox() as box:
                    send_mail(subject, "text", None, ["a@example.org"])
                    assert [kept.subject for kept in box] == ["within"]
            else:
                send_mail(subject, "text", None, ["a@example.org"])
        assert [kept.subject for kept in mailoutbox] == ["before", "within", "after"]
