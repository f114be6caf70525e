"""Rows of tests: in doubt before the call, completed after, and counted for a person's limit."""

import datetime as dt

import pytest
from django.utils import timezone

from django_migma.api.errors import (
    Forbidden,
    InvalidAddress,
    InvalidRequest,
    NoResponse,
    RateLimited,
    StoredEmailNotFound,
    Timeout,
)
from django_migma.mailers import mailer
from django_migma.models import Delivery, StoredEmail
from django_migma.sandbox import account
from django_migma.stored_emails import StoredEmailData
from django_migma.testsends.limit import allowance
from django_migma.testsends.outcomes import TestOutcome
from django_migma.testsends.rows import Confirmation, begin, finish, log_test, record_test, withdraw
from django_migma.testsends.sending import TestSend, send_tests

WELCOME = StoredEmailData(name="welcome", email_id=account.WELCOME)


@pytest.mark.django_db
class TestRecordTest:
    @pytest.fixture(autouse=True)
    def rows(self):
        StoredEmail.objects.create(
            key="welcome", email_id=account.WELCOME, conversation_id=account.WELCOME_CONVERSATION
        )
        StoredEmail.objects.create(key="receipt", email_id=account.RECEIPT)
        StoredEmail.objects.create(key="layout", conversation_id=account.LAYOUT_CONVERSATION)

    def marked(self):
        return list(StoredEmail.objects.exclude(last_tested_at=None).order_by("key").values_list("key", flat=True))

    def record(self, status="accepted", error=None, **stored):
        outcome = TestOutcome(to="a@b.example", status=status, text="", error=error)
        return record_test(StoredEmailData(name="x", **stored), outcome)

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            ("accepted", None),
            ("unknown", Timeout("late", attempts=1, may_have_been_accepted=True)),
            ("failed", InvalidRequest("refused", attempts=1, status_code=400)),
        ],
    )
    def test_a_row_whose_test_reached_migma_or_may_have_is_marked(self, status, error):
        assert self.record(status, error, email_id=account.WELCOME.upper()) == 1
        assert self.marked() == ["welcome"]

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            ("not_attempted", None),
            ("not_attempted", Forbidden("an earlier one", attempts=1, status_code=403)),
            ("failed", NoResponse("no connection", attempts=1)),
            ("failed", InvalidAddress("not one")),
            ("failed", StoredEmailNotFound("no id")),
            ("failed", RateLimited("not made", attempts=0, status_code=429)),
        ],
    )
    def test_a_row_whose_test_never_reached_migma_keeps_its_time(self, status, error, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert self.record(status, error, email_id=account.WELCOME) == 0
        assert self.marked() == []

    def test_a_row_that_has_a_conversation_only_is_found_by_it(self):
        assert self.record(conversation_id=account.LAYOUT_CONVERSATION) == 1
        assert self.marked() == ["layout"]

    def test_the_email_that_migma_names_is_recorded_for_a_conversation(self, migma_sandbox):
        stored = StoredEmailData(name="c", conversation_id=account.WELCOME_CONVERSATION)
        [outcome] = send_tests(mailer().config(), [TestSend(stored=stored, to="ada@example.org")])
        assert record_test(stored, outcome) == 1
        assert self.marked() == ["welcome"]


@pytest.mark.django_db
class TestLogTest:
    def log(self, outcome, stored=WELCOME, redirect_to=""):
        log_test(stored, outcome, alias="news", redirect_to=redirect_to, batch="b1")
        return Delivery.objects.get()

    def test_a_sent_test_is_an_accepted_row(self):
        stored = StoredEmailData(name="w", email_id=account.WELCOME, subject="Welcome", from_email="a@b.example")
        email = StoredEmail.objects.create(email_id=account.WELCOME)
        row = self.log(TestOutcome(to="Ada@example.org", status="accepted", text="", message_id="m1"), stored)
        assert (row.status, row.attempts, row.message_id, row.errors) == ("accepted", 1, "m1", [])
        assert (row.recipient, row.subject, row.from_email) == ("ada@example.org", "Welcome", "a@b.example")
        assert (row.stored_email, row.email_id) == (email, account.WELCOME)
        assert (row.alias, row.batch, row.is_test, row.due_at) == ("news", "b1", True, None)

    @pytest.mark.parametrize(
        ("status", "error", "expected"),
        [
            ("failed", InvalidRequest("refused", attempts=1, status_code=400), ("failed", 1, 400, "refused")),
            ("unknown", Timeout("late", attempts=2, may_have_been_accepted=True), ("unknown", 2, 0, "late")),
            ("not_attempted", None, ("not_attempted", 0, 0, "Not sent: no time")),
            (
                "not_attempted",
                Forbidden("an earlier one's", attempts=1),
                ("not_attempted", 0, 0, "Not sent: no time"),
            ),
        ],
    )
    def test_any_other_row_says_why(self, status, error, expected):
        row = self.log(TestOutcome(to="a@example.org", status=status, text="Not sent: no time.", error=error))
        [entry] = row.errors
        assert (row.status, row.attempts, entry["status"], entry["text"]) == expected
        assert row.in_doubt == (status == "unknown")

    def test_a_redirected_test_is_a_row_of_the_address_that_got_it(self):
        outcome = TestOutcome(to="ada@example.org", status="accepted", text="")
        assert self.log(outcome, redirect_to="Staging <staging@example.net>").recipient == "staging@example.net"

    def test_the_email_of_a_conversation_is_the_one_that_migma_names(self):
        outcome = TestOutcome(to="ada@example.org", status="accepted", text="", email_id=account.WELCOME)
        row = self.log(outcome, StoredEmailData(name="c", conversation_id=account.WELCOME_CONVERSATION))
        assert row.email_id == account.WELCOME


@pytest.mark.django_db
class TestBegun:
    """Rows that are written before the calls."""

    @pytest.fixture
    def email(self):
        return StoredEmail.objects.create(email_id=account.WELCOME, subject="Welcome", from_email="a@b.example")

    def begin(self, email, *addresses, person="7", **options):
        confirmation = Confirmation(person=person, batch="b" * 32, alias="news", **options)
        return begin([(email, email.as_stored(), to) for to in addresses], confirmation)

    def test_it_says_that_the_test_may_have_arrived(self, email):
        [send] = self.begin(email, "Ada@example.org")
        row = Delivery.objects.get()
        assert (send.row, send.to, send.stored.email_id) == (row.pk, "Ada@example.org", account.WELCOME)
        assert (row.status, row.in_doubt, row.finished_at, row.due_at) == ("unknown", True, None, None)
        assert (row.recipient, row.subject, row.from_email) == ("ada@example.org", "Welcome", "a@b.example")
        assert (row.stored_email, row.email_id, row.alias) == (email, account.WELCOME, "news")
        assert (row.is_test, row.batch, row.caller_key) == (True, "b" * 32, f"admin-test/7/{'b' * 32}/0")
        assert row.errors[0]["text"] == "The test was begun, and the process ended before its outcome was known"

    def test_a_redirected_test_is_a_row_of_the_address_that_gets_it(self, email):
        self.begin(email, "ada@example.org", redirect_to="Staging <staging@example.net>")
        assert Delivery.objects.get().recipient == "staging@example.net"

    @pytest.mark.parametrize(
        ("status", "error", "expected"),
        [
            ("accepted", None, ("accepted", False, "m1")),
            ("failed", InvalidRequest("refused", attempts=1, status_code=400), ("failed", False, "m1")),
            ("unknown", Timeout("late", attempts=1, may_have_been_accepted=True), ("unknown", True, "m1")),
            ("not_attempted", None, ("not_attempted", False, "m1")),
        ],
    )
    def test_its_end_replaces_the_doubt(self, email, status, error, expected):
        [send] = self.begin(email, "ada@example.org")
        finish(send, TestOutcome(to=send.to, status=status, text="Why.", message_id="m1", error=error))
        row = Delivery.objects.get()
        assert (row.status, row.in_doubt, row.message_id) == expected
        assert row.finished_at is not None
        assert bool(row.errors) == (status != "accepted")

    def test_a_row_that_the_mailer_has_completed_stays(self, email):
        [send] = self.begin(email, "ada@example.org")
        Delivery.objects.update(status="delivered", in_doubt=False, finished_at=timezone.now())
        finish(send, TestOutcome(to=send.to, status="failed", text="Why."))
        assert Delivery.objects.get().status == "delivered"

    def test_what_is_withdrawn_is_gone(self, email):
        sends = self.begin(email, "ada@example.org", "bob@example.org")
        withdraw(sends[:1])
        assert Delivery.objects.get().recipient == "bob@example.org"

    def test_a_persons_tests_of_the_last_hour_are_counted(self, email):
        first, _second, third, fourth = self.begin(email, *(f"{name}@example.org" for name in "abcd"))
        self.begin(email, "a@example.org", person="71")
        old = timezone.now() - dt.timedelta(hours=1)
        early = timezone.now() - dt.timedelta(minutes=59)
        Delivery.objects.filter(pk=first.row).update(created_at=old)
        Delivery.objects.filter(pk=third.row).update(created_at=early)
        Delivery.objects.filter(pk=fourth.row).update(status="not_attempted")
        found = allowance("7", 100)
        assert (found.used, found.left, found.more_at) == (2, 98, early + dt.timedelta(hours=1))
        assert allowance("7", 1).left == 0
        nobody = allowance("8", 100)
        assert (nobody.left, nobody.more_at) == (100, None)
