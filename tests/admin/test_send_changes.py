"""Changes between opening the page and pressing its button, and databases that fail in between."""

import logging
from urllib.parse import unquote

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection

from django_migma.models import StoredEmail

from .conftest import CONVERSATION, RECEIPT, TEST_SEND, error_answer, messages_of
from .test_send_test import TAKEN, ask, confirm, posted

pytestmark = pytest.mark.django_db
LIVE = "https://api.migma.ai/v1"


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
    assert {email for email, _title, _token in again.context["emails"]} == {welcome, receipt}
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
    assert messages_of(response) == [("error", "Nothing was sent: the database is busy. Try again.")]
    assert "bob@example.org</textarea>" in response.content.decode()
    assert taken.bodies == []
    confirm(tester, response)
    assert len(taken.bodies) == 1


@pytest.mark.django_db(transaction=True)
def test_a_history_that_cannot_be_written_does_not_stop_the_tests(tester, taken, welcome, receipt, caplog):
    page = ask(tester, welcome, receipt)
    with connection.execute_wrapper(Failing("INSERT INTO", "django_admin_log")):
        response = confirm(tester, page)
    assert len(taken.bodies) == 2
    assert [level for level, _text in messages_of(response)] == ["success", "success", "success", "info"]
    assert not LogEntry.objects.exists()
    assert sorted(record.getMessage() for record in caplog.records if record.name == "django_migma") == [
        f"A test of the stored email {email.pk} is not in its history: OperationalError."
        for email in (welcome, receipt)
    ]
    assert {record.levelno for record in caplog.records if record.name == "django_migma"} == {logging.WARNING}
    assert "ada@example.org" not in caplog.text
