"""Changes between opening the page and pressing its button, and databases that fail in between."""

import logging
from urllib.parse import unquote

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection

from django_migma.models import Delivery, StoredEmail

from .conftest import CONVERSATION, RECEIPT, TEST_SEND, error_answer, messages_of
from .test_send_test import TAKEN, ask, confirm, posted

pytestmark = pytest.mark.django_db
LIVE = "https://api.migma.ai/v1"
NOT_NOTED = (
    "Nothing was sent: the database refused to note the tests (OperationalError). Try again. If that does not help, "
    "run manage.py migrate."
)
BEGUN = "Test to ada@example.org: begun, and what became of it was not noted. It may have arrived."


@pytest.fixture
def taken(wire):
    wire.answers(TAKEN, url=TEST_SEND)
    return wire


class Failing:
    """A database that is locked for statements of this kind on this table."""

    def __init__(self, kind, table):
        self.start = f'{kind} "{table}"'

    def __call__(self, execute, sql, params, many, context):
        if sql.replace("`", '"').startswith(self.start):
            raise OperationalError("database is locked: ada@example.org")
        return execute(sql, params, many, context)


@pytest.mark.parametrize("change", [{"email_id": RECEIPT}, {"conversation_id": CONVERSATION}])
def test_an_email_with_changed_ids_is_shown_first(tester, taken, welcome, change):
    page = ask(tester, welcome)
    StoredEmail.objects.update(**change)
    response = confirm(tester, page)
    assert messages_of(response)[0][0] == "warning"
    assert taken.bodies == []
    confirm(tester, response)
    assert len(taken.bodies) == 1


def test_a_changed_destination_is_shown_first(tester, wire, migma, welcome):
    """A confirmation for the sandbox must not send real mail."""
    wire.answers(TAKEN, url=f"{LIVE}/emails/test/send")
    page = ask(tester, welcome)
    migma(API_URL=LIVE)
    response = confirm(tester, page, "bob@example.org")
    assert wire.bodies == []
    assert messages_of(response) == [
        ("warning", "Nothing was sent: the destination has changed since the page was opened. Check it again.")
    ]
    text = response.content.decode()
    assert "Migma, live" in text
    assert "bob@example.org</textarea>" in text
    assert messages_of(confirm(tester, response)) == [
        ("success", "Test of “Welcome” to ada@example.org: Migma accepted it.")
    ]


def test_signing_in_again_leads_back_to_the_page(tester, taken, welcome, receipt):
    page = ask(tester, welcome, receipt)
    tester.logout()
    signing_in = tester.post(page.context["page_url"], posted(page))["Location"]
    tester.force_login(tester.user)
    again = tester.get(unquote(signing_in.partition("next=")[2]))
    assert {row["email"] for row in again.context["emails"]} == {welcome, receipt}
    assert taken.bodies == []


@pytest.mark.parametrize("answer", [error_answer(401), (200, "<h1>Sign in</h1>")], ids=["refused", "in doubt"])
def test_a_test_that_reached_migma_is_recorded(tester, wire, welcome, receipt, answer):
    wire.answers(answer, url=TEST_SEND)
    page = ask(tester, welcome)
    confirm(tester, page)
    welcome.refresh_from_db()
    assert welcome.last_tested_at
    assert messages_of(confirm(tester, page))[0][0] == "warning", "it is claimed all the same"
    assert len(wire.bodies) == 1


def test_a_test_that_was_not_sent_is_not_recorded(tester, wire, welcome, receipt):
    """The first is refused for its key, so that the second is not tried."""
    wire.answers(error_answer(401), url=TEST_SEND)
    confirm(tester, ask(tester, welcome, receipt))
    assert len(wire.bodies) == 1
    assert StoredEmail.objects.filter(last_tested_at=None).count() == 1
    assert StoredEmail.objects.filter(test_claim=1).count() == 2


def test_a_busy_database_sends_nothing_and_says_so(tester, taken, welcome):
    page = ask(tester, welcome)
    with connection.execute_wrapper(Failing("UPDATE", "django_migma_storedemail")):
        response = confirm(tester, page, "bob@example.org")
    assert messages_of(response) == [("error", NOT_NOTED)]
    assert "bob@example.org</textarea>" in response.content.decode()
    assert taken.bodies == []
    confirm(tester, response)
    assert len(taken.bodies) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["django_admin_log", "django_migma_delivery"])
def test_what_cannot_be_noted_is_not_sent(tester, taken, welcome, receipt, table):
    """A killed process would leave a gap, and the limit counts the notes."""
    page = ask(tester, welcome, receipt)
    with connection.execute_wrapper(Failing("INSERT INTO", table)):
        response = confirm(tester, page, remember="on", **{"value.first_name": "Bo"})
    assert messages_of(response) == [("error", NOT_NOTED)]
    assert taken.bodies == []
    assert not LogEntry.objects.exists()
    assert not Delivery.objects.exists()
    assert set(StoredEmail.objects.values_list("test_claim", flat=True)) == {0}
    confirm(tester, response)
    assert len(taken.bodies) == 2


@pytest.mark.django_db(transaction=True)
def test_outcomes_that_cannot_be_noted_stop_no_test_and_stay_in_doubt(tester, taken, welcome, receipt, caplog):
    page = ask(tester, welcome, receipt)
    failing = [Failing("UPDATE", table) for table in ("django_admin_log", "django_migma_delivery")]
    with connection.execute_wrapper(failing[0]), connection.execute_wrapper(failing[1]):
        response = confirm(tester, page)
    assert len(taken.bodies) == 2
    assert [level for level, _text in messages_of(response)] == ["success", "success"]
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == [BEGUN] * 2
    assert list(Delivery.objects.values_list("status", "in_doubt")) == [("unknown", True)] * 2
    assert sorted(record.getMessage() for record in caplog.records if record.name == "django_migma") == sorted(
        text % email.pk
        for email in (welcome, receipt)
        for text in (
            "The outcome of a test of the stored email %s is not in its history: OperationalError.",
            "The row of a test of the stored email %s stays in doubt: OperationalError.",
        )
    )
    assert {record.levelno for record in caplog.records if record.name == "django_migma"} == {logging.WARNING}
    assert "ada@example.org" not in caplog.text
