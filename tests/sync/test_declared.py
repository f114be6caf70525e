"""Emails that the settings declare: they get rows with texts and keys, also if no list of the project holds them."""

import pytest

from django_migma.exceptions import AuthenticationError
from django_migma.models import StoredEmail
from tests.sync.account import PROJECT, UNREACHABLE, email, email_id, refusal
from tests.sync.test_rows import counts, row


@pytest.fixture
def declare(migma):
    """Set STORED_EMAILS: ``declare(welcome=1)`` gives the key the id of the email with that number."""

    def change(**declared):
        migma(STORED_EMAILS={key: email_id(number) for key, number in declared.items()})

    return change


def test_one_that_the_project_lists_gets_its_key(account, sync, declare):
    declare(welcome=1)
    account.add(1)
    assert counts(sync()) == (1, 0, 0, 0)
    assert StoredEmail.objects.get().key == "welcome"
    assert account.read == [1]


def test_one_of_a_series_gets_its_key(account, sync, declare):
    declare(second=2)
    account.add(1, email(1), email(2))
    sync()
    assert StoredEmail.objects.get(key="second").email_id == email_id(2)


def test_a_row_from_an_earlier_sync_gets_its_key(account, sync, declare):
    account.add(1)
    sync()
    declare(welcome=1)
    result = sync()
    assert counts(result) == (0, 1, 0, 0)
    assert result.changes[0].fields == ("key",)


def test_one_that_no_list_holds_is_read_by_its_id(account, sync, declare):
    declare(welcome=7)
    account.shows(7, subject="Hello {{name}}", thumbnailUrl="https://x.example/7")
    assert counts(sync()) == (1, 0, 0, 0)
    made = StoredEmail.objects.get()
    assert (made.key, made.email_id, made.subject) == ("welcome", email_id(7), "Hello {{name}}")
    assert (made.variable_names, made.status, made.project_id) == (["name"], "ready", "")
    assert (made.html, made.thumbnail_url, made.conversation_id) == ("<p>7</p>", "https://x.example/7", None)
    assert made.synced_at
    assert counts(sync()) == (0, 0, 1, 0)


def test_its_row_keeps_project_conversation_and_title(account, sync, declare):
    declare(welcome=7)
    account.shows(7)
    kept = {"project_id": "another", "conversation_id": "665f1c2ab7d3e4f5a6c70007", "title": "Mine"}
    row(email_id=email_id(7), **kept)
    assert counts(sync()) == (0, 1, 0, 0)
    found = StoredEmail.objects.get()
    assert {name: getattr(found, name) for name in kept} == kept
    assert (found.key, found.subject) == ("welcome", "Subject 7")


def test_a_row_that_the_project_lists_no_more_is_not_gone_if_its_id_is_known(account, sync, declare):
    declare(welcome=7)
    account.shows(7)
    row(email_id=email_id(7), project_id=PROJECT)
    assert counts(sync()) == (0, 1, 0, 0)


def test_a_key_that_another_row_has_stays_there(account, sync, declare):
    """Keys of rows are the site's own; the settings win when mail is sent."""
    declare(welcome=1)
    row(email_id=email_id(9), key="welcome")
    account.add(1)
    sync()
    assert StoredEmail.objects.get(key="welcome").email_id == email_id(9)
    assert StoredEmail.objects.get(email_id=email_id(1)).key is None


def test_a_row_keeps_the_key_that_it_has(account, sync, declare):
    declare(welcome=1)
    row(email_id=email_id(1), key="hello")
    account.add(1)
    sync()
    assert StoredEmail.objects.get().key == "hello"


def test_of_two_keys_for_one_email_the_row_gets_the_first(account, sync, declare):
    declare(welcome=7, hello=7)
    account.shows(7)
    sync()
    assert StoredEmail.objects.get().key == "welcome"
    assert account.read == [7]


def test_an_id_that_migma_does_not_know_is_a_failure(account, sync, declare):
    declare(welcome=7, receipt=8)
    account.shows(7, refusal(404))
    account.shows(8)
    result = sync()
    assert counts(result) == (1, 0, 0, 0)
    [failure] = result.failures
    assert str(failure) == (
        f"STORED_EMAILS 'welcome' ({email_id(7)}): Migma answered 404: No. Check its id in STORED_EMAILS."
    )


def test_an_answer_without_texts_is_a_failure_and_leaves_the_row(account, sync, declare):
    declare(welcome=7)
    row(email_id=email_id(7), subject="Kept")
    account.shows(7, subject="", html="")
    assert "Migma shows no subject and no HTML of it" in str(sync().failures[0])
    assert StoredEmail.objects.get().subject == "Kept"


@pytest.mark.parametrize("answer", [refusal(401), UNREACHABLE])
def test_what_the_next_request_would_meet_too_stops_the_sync(account, sync, declare, answer):
    declare(welcome=7)
    account.shows(7, answer)
    with pytest.raises((AuthenticationError, ConnectionError)):
        sync()


def test_what_the_time_does_not_allow_is_left(account, sync, declare):
    declare(welcome=7, receipt=8)
    lost = row(email_id=email_id(9), project_id=PROJECT)
    account.shows(7)
    account.shows(8, refusal(429, Retry_After="3600"))
    result = sync()
    assert (counts(result), result.left) == ((1, 0, 0, 0), 1)
    lost.refresh_from_db()
    assert lost.status == ""


def test_a_dry_run_names_the_row_and_makes_none(account, sync, declare):
    declare(welcome=7, receipt=1)
    account.add(1)
    account.shows(7)
    result = sync(dry_run=True)
    assert [change.name for change in result.changes] == ["receipt (Title 1)", "welcome (Subject 7)"]
    assert not StoredEmail.objects.exists()


def test_a_row_that_may_not_be_changed_is_skipped(account, sync, declare):
    declare(welcome=7)
    account.shows(7)
    row(email_id=email_id(7))
    result = sync(queryset=StoredEmail.objects.none())
    assert (result.skipped, StoredEmail.objects.get().key) == (1, None)


def test_faulty_entries_are_left_to_the_system_checks(account, sync, migma):
    migma(STORED_EMAILS={"welcome": "nonsense"})
    assert counts(sync()) == (0, 0, 0, 0)
