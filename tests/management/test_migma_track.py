"""``manage.py migma_track``: a run from a terminal or from cron, and with something wrong."""

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database

from django_migma.models import Delivery
from tests.test_tracking import LOGS, RECEIPT, WELCOME, Logs, ago, new_row, refusal, row, status_of

pytestmark = pytest.mark.django_db


class Run:
    """One run of the command: what it printed, and the text and status of its error."""

    def __init__(self, *arguments, **options):
        stdout, stderr = io.StringIO(), io.StringIO()
        self.error, self.status = "", 0
        try:
            call_command("migma_track", *arguments, stdout=stdout, stderr=stderr, **options)
        except CommandError as error:
            self.error, self.status = str(error), error.returncode
        self.out, self.err = stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def logs(wire):
    return Logs(wire.mock)


def test_without_rows_it_asks_nobody(wire):
    run = Run()
    assert (run.status, run.err, run.out) == (0, "", "Stored emails: 0; requests: 0; changes: none.\n")
    assert not wire.mock.calls


def test_it_says_what_has_changed_and_what_has_not(logs):
    deliveries = [row() for _ in range(4)]
    for delivery, word in zip(deliveries, ["delivered", "bounced", "delivered", "de\x1bferred"], strict=True):
        logs.says(delivery, word)
    row()
    row(email_id="")
    run = Run()
    assert (run.status, run.err) == (0, "")
    assert run.out.splitlines() == [
        "Stored emails: 1; requests: 1; changes: 1 bounced, 2 delivered.",
        "Not in Migma's logs, or not yet: 1.",
        "Mail that no log tells about, such as raw HTML: 1.",
        "Statuses of Migma's that are not known here, and change nothing: de ferred.",
    ]


def test_cron_can_have_it_quiet(logs):
    logs.says(row(), "delivered")
    assert Run(verbosity=0).out == ""


def test_a_rate_limit_is_status_3(logs):
    row()
    logs.fails(WELCOME, refusal(429, Retry_After="60"))
    run = Run()
    assert run.status == 3
    assert run.err.endswith("Migma answered 429: No. Wait 60 s, then try again.\n")
    assert run.error == "Not everything was looked at; stored emails left: 1. See the lines above."


def test_the_most_requests_of_a_run_can_be_set(logs):
    row(send_id="lost")
    for _ in range(3):
        logs.says(new_row(), "delivered")
    logs.size = 1
    run = Run("--max", "2")
    assert (run.status, len(logs.asked)) == (3, 2)
    assert run.error == (
        "Not everything was looked at; stored emails left: 1. --max 2 is used up. Raise it, or run this more often."
    )
    assert Run("--max", "3").status == 0


def test_a_mailer_that_is_gone_is_status_3_and_a_bad_setting_1(mailer, migma):
    row(alias="gone")
    assert Run().status == 3
    row()
    migma(API_KEY="two words")
    run = Run()
    assert run.status == 1
    assert len(run.err.splitlines()) == 2
    assert run.error == "Not everything was looked at; stored emails left: 2. See the lines above."


def test_an_interrupt_keeps_what_was_read(logs):
    delivery = row(created_at=ago(minutes=9))
    logs.says(delivery, "delivered")
    row(email_id=RECEIPT)
    logs.mock.add_callback("GET", LOGS.format(RECEIPT), interrupt)
    run = Run()
    assert (run.status, run.error) == (130, "Interrupted. What Migma has said so far is written.")
    assert status_of(delivery) == "delivered"


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_no_requests_at_all_is_a_mistake(number):
    error = f"Error: argument --max: invalid number '{number}': give a whole number above 0"
    assert Run(f"--max={number}").error == error


@pytest.mark.django_db(transaction=True)
def test_without_a_table_it_says_what_to_do(mailer):
    with database.schema_editor() as editor:
        editor.delete_model(Delivery)
    try:
        run = Run()
    finally:
        with database.schema_editor() as editor:
            editor.create_model(Delivery)
    assert run.status == 1
    assert re.fullmatch(
        r"The table of deliveries cannot be used \((Operational|Programming)Error\)\. Check the database, and run "
        r"manage\.py migrate\.",
        run.error,
    )
