"""What becomes of the emails of a conversation: which row each gets, and what a row keeps."""

import datetime as dt
import time

import pytest
from django.db import connection
from django.db.models.signals import pre_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_migma.models import StoredEmail
from tests.sync.account import PROJECT, conversation_id, email, email_id

LONG_AGO = timezone.make_aware(dt.datetime(2026, 1, 1))


def row(**fields):
    """A row that was here long before."""
    made = StoredEmail.objects.create(**fields)
    StoredEmail.objects.filter(pk=made.pk).update(created_at=LONG_AGO, updated_at=LONG_AGO)
    return made


def counts(result):
    return result.created, result.updated, result.unchanged, result.gone


class TestRow:
    def test_has_all_that_migma_sends(self, account, sync):
        account.add(
            1, email(1, subject="Hi {{name}}", preheader="Soon", html="<b>", thumbnailUrl="https://x.example/1")
        )
        before = timezone.now()
        assert counts(sync()) == (1, 0, 0, 0)
        made = StoredEmail.objects.get()
        assert (made.email_id, made.conversation_id, made.project_id) == (email_id(1), conversation_id(1), PROJECT)
        assert (made.title, made.subject, made.preheader, made.html) == ("Title 1", "Hi {{name}}", "Soon", "<b>")
        assert (made.variable_names, made.status, made.thumbnail_url) == (["name"], "ready", "https://x.example/1")
        assert before <= made.synced_at <= timezone.now()

    def test_keeps_what_was_given_by_hand(self, account, sync):
        given = {
            "key": "welcome",
            "optional_variables": ["a"],
            "default_variables": {"b": "c"},
            "from_email": "a@example.com",
            "from_name": "A",
            "provider_type": "ses",
        }
        row(email_id=email_id(1), subject="old", **given)
        account.add(1)
        result = sync()
        assert counts(result) == (0, 1, 0, 0)
        kept = StoredEmail.objects.get()
        assert {name: getattr(kept, name) for name in given} == given
        assert kept.subject == "Subject 1"
        [change] = result.changes
        assert change.what == "updated"
        assert change.name == "welcome (Title 1)"
        assert change.fields == ("conversation_id", "project_id", "title", "subject", "html", "status")

    def test_that_is_unchanged_changes_its_last_sync_only(self, account, sync):
        account.add(1)
        sync()
        StoredEmail.objects.update(updated_at=LONG_AGO, synced_at=LONG_AGO)
        result = sync()
        assert counts(result) == (0, 0, 1, 0)
        assert result.changes == []
        kept = StoredEmail.objects.get()
        assert kept.updated_at == LONG_AGO
        assert kept.synced_at > LONG_AGO

    def test_that_changes_gets_a_new_date_and_new_variables(self, account, sync):
        account.add(1)
        sync()
        StoredEmail.objects.update(updated_at=LONG_AGO)
        account.holds(1, email(1, html="{{color}}"))
        sync()
        kept = StoredEmail.objects.get()
        assert kept.updated_at > LONG_AGO
        assert kept.variable_names == ["color"]

    def test_of_another_project_moves(self, account, sync):
        row(email_id=email_id(1), project_id="another")
        account.add(1)
        sync()
        assert StoredEmail.objects.get().project_id == PROJECT

    def test_ids_are_compared_in_lower_case(self, account, sync):
        row(email_id=email_id(1))
        account.add(1, email(1, emailId=email_id(1).upper()), conversationId=conversation_id(1).upper())
        account.conversations[conversation_id(1).upper()] = account.conversations[conversation_id(1)]
        assert counts(sync()) == (0, 1, 0, 0)
        assert counts(sync()) == (0, 0, 1, 0)

    def test_nulls_become_empty_texts(self, account, sync):
        nothing = {"subject": None, "preheader": None, "html": None, "status": None}
        account.add(1, email(1, **nothing), title=None)
        sync()
        made = StoredEmail.objects.get()
        assert (made.title, made.subject, made.preheader, made.html, made.status) == ("", "", "", "", "")

    def test_a_title_of_any_length_is_kept_whole(self, account, sync):
        account.add(1, title="x" * 10_000)
        sync()
        assert StoredEmail.objects.get().title == "x" * 10_000

    def test_a_title_is_cut_before_it_is_worked_on(self, account, sync):
        """Unicode's normal form takes quadratic time for a run of combining marks: 260 kB of them took 15 s."""
        title = "a" + "\u0301\u0316" * 65_000
        account.add(1, title=title)
        account.add(2, email(2, emailId=None), email(3), title=title)
        began = time.process_time()
        result = sync()
        assert all(len(change.name) <= 80 for change in result.changes)
        assert len(str(result.failures[0])) < 400
        assert time.process_time() - began < 3
        assert StoredEmail.objects.filter(title=title).exists()

    def test_a_status_beyond_the_column_is_cut(self, account, sync):
        account.add(1, email(1, status="x" * 51))
        sync()
        assert StoredEmail.objects.get().status == "x" * 50


@pytest.mark.parametrize(
    ("thumbnail", "screenshot", "of_the_list", "shown"),
    [
        ("https://x.example/a", "https://x.example/b", "https://x.example/c", "https://x.example/a"),
        ("javascript:alert(1)", "https://x.example/b", "https://x.example/c", "https://x.example/b"),
        (None, "data:image/png;base64,AA", "http://x.example/c", "http://x.example/c"),
        ("https://x.example/" + "a" * 1990, None, "https://x.example/c", "https://x.example/c"),
        ("ftp://x.example/a", "/b", "//x.example/c", ""),
        (["https://x.example/a"], None, None, ""),
    ],
)
def test_a_picture_is_a_web_address_that_fits(account, sync, thumbnail, screenshot, of_the_list, shown):
    """No scripts and no data reach the admin's page; the screenshot of the conversation is the last resort."""
    account.add(1, email(1, thumbnailUrl=thumbnail, screenshotUrl=screenshot), screenshotUrl=of_the_list)
    sync()
    assert StoredEmail.objects.get().thumbnail_url == shown


class TestSeries:
    def test_titles_number_the_emails(self, account, sync):
        account.add(1, email(1), email(2))
        account.add(2, email(3, subject="Hi"), email(4, subject="Ho"), title=None)
        assert counts(sync()) == (4, 0, 0, 0)
        titles = StoredEmail.objects.order_by("email_id").values_list("title", flat=True)
        assert list(titles) == ["Title 1 (1/2)", "Title 1 (2/2)", "Hi (1/2)", "Ho (2/2)"]

    def test_an_email_without_id_is_reported_and_the_others_are_written(self, account, sync):
        account.add(1, email(1), email(2, emailId=None), email(3, emailId="7"))
        result = sync()
        assert [made.email_id for made in StoredEmail.objects.all()] == [email_id(1)]
        [failure] = result.failures
        assert str(failure) == (
            f"Title 1 ({conversation_id(1)}): 2 of the 3 emails of this series have no id. "
            "Sync again later; if it stays so, open it at Migma."
        )

    def test_an_email_that_lost_its_id_is_not_taken_for_gone(self, account, sync):
        account.add(1, email(1), email(2))
        sync()
        account.holds(1, email(1), email(2, emailId=None))
        assert counts(sync()) == (0, 0, 1, 0)

    def test_one_id_twice_is_one_row(self, account, sync):
        account.add(1, email(1), email(1))
        sync()
        assert StoredEmail.objects.count() == 1

    def test_a_row_made_by_hand_for_the_conversation_is_left_alone(self, account, sync):
        """Which email of the series it means is open, and a wrong one would reach customers."""
        mine = row(key="tips", conversation_id=conversation_id(1), project_id=PROJECT)
        account.add(1, email(1), email(2))
        assert counts(sync()) == (2, 0, 0, 0)
        mine.refresh_from_db()
        assert (mine.email_id, mine.status, mine.synced_at) == (None, "", None)


class TestSingleEmail:
    def test_adopts_a_row_made_by_hand(self, account, sync):
        row(key="welcome", conversation_id=conversation_id(1))
        account.add(1)
        assert counts(sync()) == (0, 1, 0, 0)
        kept = StoredEmail.objects.get()
        assert (kept.key, kept.email_id, kept.subject) == ("welcome", email_id(1), "Subject 1")

    def test_prefers_the_row_with_its_id_and_gives_the_others_its_texts(self, account, sync):
        row(key="early", conversation_id=conversation_id(1))
        exact = row(email_id=email_id(1))
        account.add(1)
        assert counts(sync()) == (0, 2, 0, 0)
        exact.refresh_from_db()
        assert exact.conversation_id == conversation_id(1)
        early = StoredEmail.objects.get(key="early")
        assert (early.email_id, early.subject) == (None, "Subject 1")

    def test_prefers_the_row_with_a_key(self, account, sync):
        row(conversation_id=conversation_id(1))
        row(key="welcome", conversation_id=conversation_id(1))
        account.add(1)
        sync()
        assert StoredEmail.objects.get(email_id=email_id(1)).key == "welcome"

    def test_without_an_id_is_kept_by_its_conversation_until_it_has_one(self, account, sync):
        account.add(1, email(1, emailId=None))
        assert counts(sync()) == (1, 0, 0, 0)
        assert counts(sync()) == (0, 0, 1, 0)
        assert StoredEmail.objects.get().email_id is None
        account.holds(1, email(1))
        assert counts(sync()) == (0, 1, 0, 0)
        assert StoredEmail.objects.get().email_id == email_id(1)

    def test_that_took_the_place_of_another_leaves_that_ones_row_alone(self, account, sync):
        row(key="before", email_id=email_id(9), conversation_id=conversation_id(1), project_id=PROJECT, subject="old")
        account.add(1)
        assert counts(sync()) == (1, 0, 0, 1)
        before = StoredEmail.objects.get(key="before")
        assert (before.email_id, before.subject, before.status) == (email_id(9), "old", "gone")

    def test_that_shows_its_id_no_more_keeps_it(self, account, sync):
        account.add(1)
        sync()
        account.holds(1, email(1, emailId=None, subject="new"))
        assert counts(sync()) == (0, 1, 0, 0)
        kept = StoredEmail.objects.get()
        assert (kept.email_id, kept.subject) == (email_id(1), "new")


class TestGone:
    def test_a_row_that_migma_does_not_list_is_marked_and_kept(self, account, sync):
        account.add(1)
        mine = row(key="mine", email_id=email_id(9), project_id=PROJECT, html="kept")
        result = sync()
        assert counts(result) == (1, 0, 0, 1)
        mine.refresh_from_db()
        assert (mine.status, mine.html) == ("gone", "kept")
        assert mine.updated_at > LONG_AGO
        assert [change.name for change in result.changes if change.what == "gone"] == [f"mine ({email_id(9)})"]
        assert counts(sync()) == (0, 0, 1, 0)

    def test_reads_no_html(self, account, sync):
        for number in range(1, 4):
            row(email_id=email_id(number), project_id=PROJECT, html="<p>long</p>")
        with CaptureQueriesContext(connection) as queries:
            assert counts(sync()) == (0, 0, 0, 3)
        assert not any("html" in query["sql"] for query in queries)

    def test_one_that_returns_gets_its_status_back(self, account, sync):
        row(email_id=email_id(1), project_id=PROJECT, status="gone")
        account.add(1)
        sync()
        assert StoredEmail.objects.get().status == "ready"

    def test_an_empty_list_empties_the_project(self, account, sync):
        row(email_id=email_id(1), project_id=PROJECT)
        assert counts(sync()) == (0, 0, 0, 1)

    def test_rows_of_other_projects_and_of_none_stay(self, account, sync):
        row(email_id=email_id(1), project_id="another")
        row(email_id=email_id(2))
        assert counts(sync()) == (0, 0, 0, 0)

    def test_a_row_made_during_the_sync_is_not_marked(self, account, sync):
        """It may be of an email that was finished after the list was read."""

        def make_a_row():
            StoredEmail.objects.create(email_id=email_id(2), project_id=PROJECT)
            return {"result": {"emails": [email(1)]}}

        account.breaks(1, make_a_row)
        assert counts(sync()) == (1, 0, 0, 0)

    def test_a_row_that_another_sync_writes_meanwhile_is_not_marked(self, account, sync):
        row(email_id=email_id(2), project_id=PROJECT)

        def another_sync():
            StoredEmail.objects.update(synced_at=timezone.now())
            return {"result": {"emails": [email(1)]}}

        account.breaks(1, another_sync)
        assert counts(sync()) == (1, 0, 0, 0)

    def test_rows_of_a_failed_conversation_and_those_without_one_are_not_marked(self, account, sync):
        row(email_id=email_id(1), conversation_id=conversation_id(1), project_id=PROJECT)
        row(email_id=email_id(2), project_id=PROJECT)
        lost = row(email_id=email_id(3), conversation_id=conversation_id(3), project_id=PROJECT)
        account.fails(1, 404)
        assert counts(sync()) == (0, 0, 0, 1)
        lost.refresh_from_db()
        assert lost.status == "gone"


class TestDryRun:
    def test_counts_changes_and_makes_none(self, account, sync):
        row(email_id=email_id(1), subject="old")
        row(email_id=email_id(9), project_id=PROJECT)
        before = list(StoredEmail.objects.values())
        account.add(1)
        account.add(2)
        result = sync(dry_run=True)
        assert result.dry_run
        assert counts(result) == (1, 1, 0, 1)
        assert [change.what for change in result.changes] == ["updated", "created", "gone"]
        assert list(StoredEmail.objects.values()) == before

    def test_counts_unchanged_rows(self, account, sync):
        account.add(1)
        sync()
        StoredEmail.objects.update(created_at=LONG_AGO, synced_at=LONG_AGO)
        assert counts(sync(dry_run=True)) == (0, 0, 1, 0)


def test_a_row_that_another_process_makes_at_the_same_moment_is_found(account, sync):
    """Between our look and our write: the database refuses the second row, and the first is found then."""
    made = []

    def faster(instance, **_):
        if not made:
            made.append(instance)
            StoredEmail.objects.create(email_id=instance.email_id)

    account.add(1)
    pre_save.connect(faster, sender=StoredEmail)
    try:
        result = sync()
    finally:
        pre_save.disconnect(faster, sender=StoredEmail)
    assert made
    assert result.created + result.updated == 1
    assert StoredEmail.objects.get().title == "Title 1"


def test_no_transaction_is_open_while_migma_is_asked(transactional_db, account, sync):
    """A row lock held over HTTP would stop the site."""
    from django.db import connection

    account.breaks(1, lambda: {"result": {"emails": [email(1, subject=str(connection.in_atomic_block))]}})
    sync()
    assert StoredEmail.objects.get().subject == "False"


def test_a_conversation_takes_the_same_few_queries_however_many_emails_it_has(
    account, sync, django_assert_max_num_queries
):
    account.add(1, *[email(number) for number in range(1, 13)])
    sync()
    with django_assert_max_num_queries(8):
        sync()
