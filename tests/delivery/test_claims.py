"""Claiming and marking rows, in the ways of different databases."""

import pytest
from django.db import DatabaseError, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_migma.conf import has_mailers
from django_migma.delivery import outcomes
from django_migma.delivery.claims import Claims, moment, worker_name
from django_migma.models import Delivery
from django_migma.signals import delivery_updated
from tests.delivery.rows import waiting

pytestmark = pytest.mark.django_db
ALIAS = "default" if has_mailers() else ""


@pytest.fixture(params=["one statement", "skip locked", "no slices"])
def way(request, monkeypatch):
    """Claim as on SQLite, on PostgreSQL and MySQL, on an old MariaDB; all three work on SQLite."""
    monkeypatch.setattr(connection.features, "has_select_for_update_skip_locked", request.param == "skip locked")
    monkeypatch.setattr(connection.features, "allow_sliced_subqueries_with_in", request.param != "no slices")


@pytest.fixture
def claims():
    return Claims("worker")


@pytest.fixture
def claim(claims, now):
    """Claim rows of the default mailer at the moment of the clock."""

    def take(count=10, **options):
        defaults = {"account": "account", "count": count, "now": now(), "lease": 60}
        return claims.claim(ALIAS, **defaults | options)

    return take


def test_a_claim_takes_due_rows_and_their_attempt_begins(way, claim, now):
    """The lease is when others may have them."""
    waiting(3)
    rows = claim(2)
    assert [(row.attempts, row.in_doubt, row.account, row.first_attempt_at) for row in rows] == [
        (1, False, "account", now())
    ] * 2
    stored = Delivery.objects.get(pk=rows[0].pk)
    assert (stored.status, stored.due_at, stored.claimed_by) == ("sending", now(60), "worker/1")
    assert len(claim()) == 1
    assert claim() == []


def test_urgent_rows_go_first_then_those_that_wait_longest(way, claim, now):
    """Whenever they were inserted."""
    [bulk] = waiting(priority=1, due_at=now(-900))
    [late] = waiting(due_at=now(-1))
    [early] = waiting(due_at=now(-2))
    waiting(due_at=now(1))
    waiting(alias="other")
    assert [claim(1)[0].pk for _ in range(3)] == [early.pk, late.pk, bulk.pk]


def test_a_lease_that_ran_out_leaves_doubt_and_keeps_what_the_first_attempt_was(way, claim, clock, now):
    """Nobody knows whether the request was made, so the account and the beginning of the 23 hours stay."""
    waiting()
    [first] = claim()
    began = now()
    clock.now += 61
    [second] = claim(account="another")
    assert (second.in_doubt, second.account, second.first_attempt_at, second.attempts) == (True, "account", began, 2)
    assert second.claim != first.claim


def test_the_account_is_that_of_the_latest_claim_without_doubt(way, claim):
    """A row that waits without doubt goes out under any key."""
    waiting(account="old")
    waiting(account="old", in_doubt=True)
    assert [row.account for row in claim()] == ["account", "old"]


def test_a_claim_may_ask_for_rows_in_doubt_only(way, claim):
    """For the question whether Migma answers clearly again."""
    waiting(2)
    [doubtful] = waiting(in_doubt=True)
    assert [row.pk for row in claim(only_doubtful=True)] == [doubtful.pk]


def test_nothing_due_takes_no_write_lock(claim):
    """SQLite locks the database for an UPDATE that finds nothing."""
    with CaptureQueriesContext(connection) as queries:
        assert claim() == []
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]


def test_a_mark_is_one_statement_for_each_kind(claim, claims, now):
    """Many rows of one kind are one ``executemany``."""
    waiting(30)
    marks = [outcomes.give_back(row, now()) for row in claim(30)]
    with CaptureQueriesContext(connection) as queries:
        claims.mark(marks)
    assert len([query for query in queries if "UPDATE" in query["sql"]]) == 1
    assert set(Delivery.objects.values_list("status", "attempts", "first_attempt_at")) == {("waiting", 0, None)}


def accepted(row, now, **words):
    from django_migma.api import SendResult

    return outcomes.accept(row, SendResult(**{"id": "m1", "status": "queued"} | words), now)


def test_a_mark_fits_its_own_claim_only(claim, claims, clock, now):
    """A worker that stalled cannot undo what the next one does; that Migma has accepted is true all the same."""
    waiting(2)
    old = claim()
    clock.now += 61
    new = claim()
    claims.mark([outcomes.give_back(row, now()) for row in old])
    assert set(Delivery.objects.values_list("status", "claimed_by")) == {("sending", new[0].claim)}
    claims.mark([accepted(old[0], now())])
    claims.mark([outcomes.give_back(row, now()) for row in new])
    assert list(Delivery.objects.order_by("pk").values_list("status", flat=True)) == ["accepted", "waiting"]


def test_nothing_undoes_what_tracking_or_a_person_has_written(claim, claims, now):
    """Accepted does not overwrite delivered, nor a row that was given up."""
    waiting(2)
    rows = claim()
    for row, status in zip(rows, ["delivered", "cancelled"], strict=True):
        Delivery.objects.filter(pk=row.pk).update(status=status, due_at=None)
    claims.mark([accepted(row, now()) for row in rows])
    assert list(Delivery.objects.order_by("pk").values_list("status", flat=True)) == ["delivered", "cancelled"]


def test_words_of_migmas_fit_their_columns(claim, claims, now):
    """A long word, a NUL or half a character would fail on some databases, and hold up every mark."""
    waiting()
    [row] = claim()
    claims.mark([accepted(row, now(), provider="p" * 99, id="m\0\ud8001", send_id="s" * 99)])
    delivery = Delivery.objects.get()
    assert (delivery.provider, delivery.message_id, delivery.send_id) == ("p" * 16, "m\ufffd?1", "s" * 64)


@pytest.mark.parametrize(
    ("answered", "known", "stored"),
    [("665F1C2AB7D3E4F5A6B70002", "", "665f1c2ab7d3e4f5a6b70002"), ("\0", "", ""), ("", "a" * 24, "a" * 24)],
)
def test_mail_by_a_conversation_gets_the_id_of_its_email(claim, claims, now, answered, known, stored):
    """Only Migma knows it then, and without it no log tells what became of the mail."""
    waiting(email_id=known)
    [row] = claim()
    claims.mark([accepted(row, now(), email_id=answered)])
    assert Delivery.objects.get().email_id == stored


def test_results_are_announced_after_the_commit(claim, claims, now):
    """Once each, without the request; a row that goes back into the line is no result."""
    heard = []

    def listen(sender, delivery, previous, **_):
        heard.append((delivery.pk, previous, delivery.status, "payload" in delivery.__dict__))
        raise ValueError

    waiting(3)
    first, second, third = claim()
    Delivery.objects.filter(pk=third.pk).update(status="delivered", due_at=None)
    delivery_updated.connect(listen)
    try:
        claims.mark([accepted(first, now()), outcomes.give_back(second, now()), accepted(third, now())])
    finally:
        delivery_updated.disconnect(listen)
    assert heard == [(first.pk, "sending", "accepted", False)]


def test_unknown_mailers_are_those_of_rows_on_their_way(claims):
    """Rows that are finished need no mailer."""
    waiting(2, alias="gone")
    waiting(alias="older", status="accepted", due_at=None)
    waiting()
    assert claims.unknown_aliases([ALIAS]) == ["gone"]


def test_a_worker_has_a_name_of_its_own():
    """Short enough for its claims."""
    assert worker_name() != worker_name()
    assert len(worker_name()) <= 25


@pytest.mark.parametrize("use_tz", [True, False])
def test_moments_are_as_the_columns_have_them(use_tz):
    """Aware, or local."""
    with override_settings(USE_TZ=use_tz, TIME_ZONE="Europe/Berlin"):
        found = moment(0)
    assert (found.tzinfo is not None, found.hour) == ((True, 0) if use_tz else (False, 1))


def test_a_failed_mark_changes_nothing(claim, claims, now):
    """All marks of a call are one transaction."""
    waiting(2)
    first, second = claim()
    impossible = outcomes.Mark(row=second, word="x", fields={"status": "waiting", "due_at": None})
    with pytest.raises(DatabaseError):
        claims.mark([outcomes.give_back(first, now()), impossible])
    assert set(Delivery.objects.values_list("status", flat=True)) == {"sending"}
