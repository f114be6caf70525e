"""A sync for a user who may not see all rows: those outside of the queryset stay as they are."""

import pytest

from django_migma.models import StoredEmail
from tests.sync.account import PROJECT, conversation_id, email, email_id
from tests.sync.test_rows import row


@pytest.fixture
def visible(db):
    """The rows that the user may see: those without ``hidden`` in their key."""
    return StoredEmail.objects.exclude(pk__in=StoredEmail.objects.filter(key__startswith="hidden").values("pk"))


@pytest.fixture
def hidden(db):
    """Make a row that the user may not see; check in the end that it is as it was."""
    made = []

    def make(**fields):
        made.append(row(key=f"hidden-{len(made)}", **fields))
        return made[-1]

    yield make
    for before in made:
        now = StoredEmail.objects.filter(pk=before.pk).values().get()
        assert now == {**now, "title": "", "subject": "", "html": "", "status": "", "synced_at": None}
        assert (now["email_id"], now["conversation_id"]) == (before.email_id, before.conversation_id)


def counts(result):
    return {name: getattr(result, name) for name in ("created", "updated", "unchanged", "gone", "skipped")}


def only(**expected):
    return dict.fromkeys(("created", "updated", "unchanged", "gone", "skipped"), 0) | expected


def test_a_hidden_row_is_skipped_and_the_others_are_synced(account, sync, visible, hidden):
    hidden(email_id=email_id(1), project_id=PROJECT)
    row(email_id=email_id(2), project_id=PROJECT)
    for number in (1, 2, 3):
        account.add(number)
    result = sync(queryset=visible)
    assert counts(result) == only(created=1, updated=1, skipped=1)
    assert not any("hidden" in change.name for change in result.changes)
    assert StoredEmail.objects.get(email_id=email_id(2)).title == "Title 2"


def test_a_hidden_row_is_not_marked_as_gone(account, sync, visible, hidden):
    hidden(email_id=email_id(1), project_id=PROJECT)
    row(email_id=email_id(2), project_id=PROJECT)
    assert counts(sync(queryset=visible)) == only(gone=1)


def test_a_hidden_row_of_a_conversation_keeps_a_second_row_from_being_made(account, sync, visible, hidden):
    hidden(conversation_id=conversation_id(1))
    account.add(1)
    assert counts(sync(queryset=visible)) == only(skipped=1)
    assert StoredEmail.objects.count() == 1


def test_an_id_that_a_hidden_row_has_is_not_given_to_a_visible_one(account, sync, visible, hidden):
    hidden(email_id=email_id(1))
    mine = row(conversation_id=conversation_id(1))
    account.add(1)
    assert counts(sync(queryset=visible)) == only(updated=1, skipped=1)
    mine.refresh_from_db()
    assert (mine.email_id, mine.title) == (None, "Title 1")


def test_hidden_emails_of_a_series_are_skipped(account, sync, visible, hidden):
    hidden(email_id=email_id(1))
    account.add(1, email(1), email(2))
    assert counts(sync(queryset=visible)) == only(created=1, skipped=1)


def test_a_dry_run_counts_the_same_and_changes_nothing(account, sync, visible, hidden):
    hidden(email_id=email_id(1), project_id=PROJECT)
    account.add(1)
    account.add(2)
    assert counts(sync(queryset=visible, dry_run=True)) == only(created=1, skipped=1)
    assert StoredEmail.objects.count() == 1


def test_conversations_of_hidden_rows_come_last(account, sync, visible, hidden):
    """They would take all the time of each sync otherwise, since no sync writes its time into their rows."""
    hidden(email_id=email_id(1), conversation_id=conversation_id(1))
    for number in (1, 2, 3):
        account.add(number)
    sync(queryset=visible)
    assert account.read == [2, 3, 1]


def test_all_rows_are_in_the_queryset_by_default(account, sync):
    row(key="hidden", email_id=email_id(1), project_id=PROJECT)
    account.add(1)
    assert counts(sync()) == only(updated=1)
