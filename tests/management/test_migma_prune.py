"""``manage.py migma_prune``: what it deletes, what it leaves, and what it says."""

import datetime as dt
import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_migma.management.commands import migma_prune
from django_migma.models import Delivery

Status = Delivery.Status
KEPT = {Status.WAITING, Status.SENDING, Status.UNKNOWN}

pytestmark = pytest.mark.django_db


def row(days_ago=0, status=Status.ACCEPTED, **fields):
    created_at = timezone.now() - dt.timedelta(days=days_ago)
    due_at = created_at if status in Delivery.UNFINISHED else None
    values = {"status": status, "due_at": due_at, "created_at": created_at, "recipient": "ada@example.org"}
    return Delivery.objects.create(**values, **fields)


def prune(**options):
    stdout = io.StringIO()
    call_command("migma_prune", stdout=stdout, **options)
    return stdout.getvalue()


def test_old_rows_that_are_done_are_deleted_and_others_stay():
    old = {status: row(31, status) for status in Status}
    new = [row(29, status) for status in Status]
    assert prune(days=30) == f"{len(Status) - 3} rows deleted.\n"
    left = {old[status] for status in KEPT} | set(new)
    assert set(Delivery.objects.all()) == left


def test_0_days_deletes_all_that_are_done():
    row()
    waiting = row(status=Status.WAITING)
    assert prune(days=0) == "1 row deleted.\n"
    assert list(Delivery.objects.all()) == [waiting]


def test_an_empty_table_is_no_error():
    assert prune(days=30) == "0 rows deleted.\n"


def test_a_dry_run_only_counts():
    row(31), row(29)
    assert prune(days=30, dry_run=True) == "1 row would be deleted.\n"
    assert Delivery.objects.count() == 2


def test_it_says_nothing_where_nothing_is_to_be_said():
    row(31)
    assert prune(days=30, verbosity=0) == ""


def test_many_rows_are_deleted_in_steps(monkeypatch):
    """So that no transaction is long, and a worker beside it can go on."""
    monkeypatch.setattr(migma_prune, "ROWS_PER_TRANSACTION", 2)
    for number in range(5):
        row(31, Status.UNKNOWN if number == 2 else Status.FAILED)
    assert prune(days=30) == "4 rows deleted.\n"
    assert Delivery.objects.count() == 1


def test_a_row_that_repeats_a_deleted_one_stays():
    failed, unknown = row(31, Status.FAILED), row(31, Status.UNKNOWN)
    row(31, Status.FAILED)
    of_failed, of_unknown = row(resent_from=failed), row(resent_from=unknown)
    assert prune(days=30) == "2 rows deleted.\n"
    for repeat in (of_failed, of_unknown):
        repeat.refresh_from_db()
    assert (of_failed.resent_from, of_unknown.resent_from) == (None, unknown)


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal(monkeypatch):
    monkeypatch.setattr(migma_prune, "ROWS_PER_TRANSACTION", 1)
    row(31), row(31)
    terminal = Terminal()
    prune(days=30, stderr=terminal)
    assert terminal.getvalue() == "\r1 row deleted.\r2 rows deleted.\n"


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (-1, "--days must be 0 or more, not -1. 0 deletes all rows that are done."),
        (10**6, "--days 1000000 lies before the first year. Give a smaller number."),
        (10**12, "--days 1000000000000 lies before the first year. Give a smaller number."),
    ],
)
def test_days_that_make_no_sense_are_refused(days, text):
    row(31)
    with pytest.raises(CommandError) as raised:
        prune(days=days)
    assert str(raised.value) == text
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("arguments", [[], ["--days", "many"]])
def test_days_are_required(arguments):
    with pytest.raises(CommandError, match="--days"):
        call_command("migma_prune", *arguments)


def test_without_a_table_it_says_what_to_do(transactional_db):
    with connection.schema_editor() as editor:
        editor.delete_model(Delivery)
    try:
        with pytest.raises(CommandError) as raised:
            prune(days=30)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Delivery)
    assert str(raised.value).startswith("The table of deliveries cannot be used (")
    assert str(raised.value).endswith("Check the database, and run manage.py migrate. 0 rows deleted.")


def test_what_was_deleted_before_an_interrupt_stays_deleted(monkeypatch):
    class Interrupted(Terminal):
        def flush(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(migma_prune, "ROWS_PER_TRANSACTION", 1)
    row(31), row(31)
    with pytest.raises(CommandError, match="Interrupted") as raised:
        prune(days=30, stderr=Interrupted())
    assert str(raised.value) == "Interrupted. 1 row deleted."
    assert raised.value.returncode == 130
    assert Delivery.objects.count() == 1


def test_a_row_that_a_person_tries_again_meanwhile_is_not_deleted():
    """Between the look at its status and its end."""
    failed = row(31, Status.FAILED, payload="{}")

    def retry(execute, sql, params, many, context):
        if sql.startswith("SELECT") and "resent_from" in sql:
            Delivery.objects.filter(pk=failed.pk).update(status=Status.WAITING, due_at=timezone.now())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(retry):
        assert prune(days=30) == "0 rows deleted.\n"
    assert Delivery.objects.get() == failed
