"""``manage.py migma_send_batch``: what it shows, what it asks, and how it ends."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_migma.batches import find_batch, prepare_batch
from django_migma.models import Newsletter, StoredEmail
from django_migma.sandbox import account

from .conftest import let_only_sends_take_time

pytestmark = pytest.mark.django_db
YES = ("--yes", "--key", "letter-5")


class Terminal(io.StringIO):
    """Standard output, or input with answers; a terminal unless told otherwise."""

    def __init__(self, text="", *, is_terminal=True):
        super().__init__(text)
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def run(monkeypatch):
    """Runs the command for the letter to the tag; returns its exit status, its output and its error text."""

    def run(*arguments, to=("--tag", "Coffee letter"), answers=None, is_terminal=False):
        monkeypatch.setattr(sys, "stdin", Terminal(answers or "", is_terminal=answers is not None))
        out, status, error = Terminal(is_terminal=is_terminal), 0, ""
        try:
            call_command("migma_send_batch", "letter", *to, *arguments, stdout=out)
        except SystemExit as ended:
            status = ended.code or 0
        except CommandError as raised:
            status, error = raised.returncode, str(raised)
        return status, out.getvalue(), error

    return run


def test_it_shows_what_will_happen_asks_and_follows(run, sandbox):
    status, out, error = run(answers="248\n")
    assert (status, error) == (0, "")
    [message] = sandbox.store.messages()
    for line in (
        "Email    letter: A better cup",
        "From     Fernhill Coffee <hello@fernhill.example>, a verified domain",
        "To       tag 'Coffee letter': 248 people",
        "Kind     marketing: not to the unsubscribed, and with a link to unsubscribe",
        "When     now",
        "Where    a sandbox on this machine",
        f"Migma has taken it: batch {message.id}.",
        f"See it at {sandbox.url}/mail/{message.id}",
        "248 of 248 sent: completed",
    ):
        assert line in out.splitlines()


@pytest.mark.parametrize(("answers", "status"), [("247\n", 1), ("\n", 1), ("", 130)])
def test_another_answer_sends_nothing(run, sandbox, answers, status):
    assert run(answers=answers)[0] == status
    assert sandbox.store.messages() == []


def test_ctrl_c_at_the_question_sends_nothing(run, sandbox, monkeypatch):
    def interrupt(terminal, *size):
        raise KeyboardInterrupt

    monkeypatch.setattr(Terminal, "readline", interrupt)
    assert run(answers="248\n")[::2] == (130, "Nothing was sent.")
    assert sandbox.store.messages() == []


def test_without_a_terminal_it_needs_yes(run, sandbox):
    status, _, error = run()
    assert (status, error) == (
        1,
        "This is no terminal, so nobody can be asked. Add --yes and --key to send it.",
    )
    assert sandbox.store.messages() == []


def test_a_dry_run_sends_nothing(run, sandbox):
    status, out, _ = run("--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "Nothing was sent: this was a dry run.")
    assert sandbox.store.messages() == []


def test_transactional_asks_again_with_the_rule(run, sandbox):
    status, out, _ = run("--transactional", answers="248\nyes\n")
    assert status == 1
    assert "Promotional content under it breaks the law of many countries" in out
    assert sandbox.store.messages() == []
    assert run("--transactional", answers="248\ntransactional\n")[0] == 0
    [message] = sandbox.store.messages()
    assert message.body["transactional"] is True


def test_a_second_run_sends_nothing_and_asks_nothing(run, sandbox):
    run(answers="248\n")
    status, out, _ = run()
    assert status == 0
    assert "under this key, and it is completed. It goes out once" in out
    assert "It goes out once: give another --key for a second time." in out
    assert "Migma has it from before" in out
    assert len(sandbox.store.messages()) == 1
    assert run("--yes", "--key", "a second time")[0] == 0
    assert len(sandbox.store.messages()) == 2


def test_what_another_terminal_sent_before_the_answer_is_the_same_batch(run, sandbox, monkeypatch):
    def send_from_another_terminal(terminal, *size):
        prepare_batch("letter", tag="Coffee letter").send("the key of the day before")
        return "248\n"

    monkeypatch.setattr(Terminal, "readline", send_from_another_terminal)
    status, out, _ = run(answers="248\n")
    assert status == 0
    assert "Migma has it from before" in out
    assert len(sandbox.store.messages()) == 1


def test_a_lost_answer_says_what_to_do(run, make_sandbox):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("lost")
    status, _, error = run("--yes", "--key", "letter 5")
    assert status == 1
    assert "It may be on its way. Run the command again with --key 'letter 5' to find out" in error
    assert run("--yes", "--key", "letter 5")[0] == 0
    assert len(sandbox.store.messages()) == 1


def test_a_refusal_says_that_nothing_was_sent(run, make_sandbox):
    make_sandbox(verified_domains=())
    status, out, error = run(*YES, "--from", "a@nowhere.example")
    assert "a domain that is NOT VERIFIED: Migma may refuse it" in out
    text = "for a day: once it is put right, give a new idempotency key. Nothing was sent."
    assert (status, error.endswith(text)) == (1, True)
    assert "under this key, so nothing was sent." in run("--dry-run", "--from", "a@nowhere.example")[1]
    assert "Earlier" not in run("--dry-run", "--key", "letter-6")[1]


def test_a_failure_for_sure_says_that_nothing_was_sent(run, make_sandbox):
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("503")
    assert run(*YES)[2].endswith("Nothing was sent.")


def test_the_same_newsletter_of_another_process_is_named(run, sandbox):
    run("--yes", "--no-wait", "--key", "letter-5")
    until = timezone.now() + timedelta(hours=1)
    Newsletter.objects.update(migma_id="", status="unknown", claimed_until=until)
    assert "Earlier  Another process sends it at this moment, or was killed." in run("--dry-run")[1]


def test_a_changed_newsletter_does_not_leave_the_first_in_doubt(run, make_sandbox):
    """Without --key it would be another one, and the first may have gone out."""
    sandbox = make_sandbox(migma={"MAX_RETRIES": 0})
    sandbox.faults.script("lost")
    run(*YES)
    status, _, error = run("--subject", "A correction")
    assert (status, "Whether that one went out is unknown: send it unchanged to find out" in error) == (1, True)
    assert len(sandbox.store.messages()) == 1


def test_a_dry_run_says_that_the_key_was_used_for_another_newsletter(run, sandbox):
    run(*YES)
    status, _, error = run("--dry-run", "--key", "letter-5", "--subject", "Another")
    assert (status, "This idempotency key was used for another newsletter" in error) == (1, True)


def test_another_newsletter_of_the_same_email_to_the_same_people_is_shown(run, sandbox):
    """Somebody who forgot --at would send it today, and again when its time has come."""
    moment = timezone.localtime(timezone.now() + timedelta(hours=1))
    assert "Earlier" not in run("--yes", "--key", "letter-5", "--at", moment.isoformat())[1]
    out = run("--dry-run")[1]
    assert "Earlier  Another one of this email to this tag, at 20" in out
    assert f" for {moment:%Y-%m-%d %H:%M:%S %Z}: scheduled, key letter-5. This one goes out as well." in out
    run("--yes", "--no-wait", "--key", "letter-6")
    assert ": queued, key letter-6" in run("--dry-run", "--subject", "Another")[1]


def test_a_scheduled_newsletter_is_found_again_after_its_time(run, sandbox):
    moment = timezone.now() + timedelta(hours=1)
    run("--yes", "--key", "letter-5", "--at", moment.isoformat())
    past = moment - timedelta(days=1)
    digest = prepare_batch("letter", tag="Coffee letter", scheduled_at=past).digest
    Newsletter.objects.update(digest=digest)
    assert "Migma has it from before" in run("--yes", "--key", "letter-5", "--at", past.isoformat())[1]


@pytest.mark.parametrize(
    ("tag", "status", "line"),
    [
        ("sandbox partial", 3, "36 of 40 sent, 4 failed: partial; 4 mails were refused"),
        ("sandbox failed", 1, "0 of 40 sent, 40 failed: failed; The batch could not be sent"),
    ],
)
def test_the_exit_status_says_how_it_ended(run, sandbox, tag, status, line):
    ended, out, _ = run(*YES, to=("--tag", tag))
    assert (ended, out.splitlines()[-1]) == (status, line)


def test_a_throttled_batch_says_why_and_when_it_goes_on(run, make_sandbox):
    let_only_sends_take_time(make_sandbox(batch_step=1), 2)
    status, out, _ = run(*YES, "--timeout", "2", to=("--tag", "sandbox throttled"))
    assert status == 3
    assert "20 of 40 sent: throttled; The sending limit of this hour is reached; goes on at 20" in out
    assert "It is not at its end after 2 s, and goes on. Look at it with manage.py migma_batches" in out


def test_a_batch_that_never_ends_is_left(run, sandbox):
    assert run(*YES, "--timeout", "1", to=("--tag", "sandbox endless"))[0] == 3


def test_a_batch_that_a_restarted_sandbox_has_forgotten_is_named_at_once(run, sandbox):
    """Not after the two minutes for which Migma may not know a new batch."""
    run(*YES, "--no-wait")
    Newsletter.objects.update(migma_id="gone")
    status, out, _ = run(*YES, "--timeout", "0")
    assert status == 3
    assert out.splitlines()[-3] == (
        "Migma answered 404: Batch not found: gone. It is asked again for two minutes at most. A sandbox that was "
        "restarted has forgotten it."
    )


def test_it_need_not_be_followed(run, sandbox):
    status, out, _ = run(*YES, "--no-wait")
    assert status == 0
    look = f"Look at it with manage.py migma_batches {sandbox.store.messages()[0].id}."
    assert out.splitlines()[-1] == f"It is queued. {look}"


def test_a_time_makes_a_campaign_that_can_be_cancelled(run, sandbox):
    moment = (timezone.now() + timedelta(hours=1)).isoformat()
    status, out, _ = run(*YES, "--at", moment)
    [campaign] = sandbox.store.campaigns()
    assert (status, f"When     {moment}, by a campaign" in out) == (0, True)
    [address] = re.findall("See it at (.*)", out)
    assert sandbox.store.inbox.mail(address.removeprefix(f"{sandbox.url}/mail/"))
    look = f"It is scheduled. Look at it with manage.py migma_batches {campaign.id}"
    assert out.splitlines()[-1] == f"{look}, cancel it with --cancel."
    find_batch(campaign.id).cancel()
    status, out, _ = run(*YES, "--at", moment)
    assert (status, "under this key, and it is cancelled. It goes out once" in out) == (1, True)
    assert out.splitlines()[-1] == f"{look}.".replace("scheduled", "cancelled")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--at", "tomorrow"), "invalid time 'tomorrow': give it with its offset, such as 2030-05-01T09:00+02:00"),
        (("--at", "2030-99-01T09:00+02:00"), "invalid time '2030-99-01T09:00+02:00'"),
        (("--at", "2030-05-01 09:00"), "invalid time '2030-05-01 09:00': give it with its offset"),
        (("--at", "2020-05-01T09:00+02:00"), "scheduled_at must be at least a minute ahead"),
        (("--var", "month"), "Give --var as name=value, such as --var month=May."),
        (("--yes", "--key", " "), "idempotency_key must be a text"),
        (("--json",), "asks no questions: add --yes, not --dry-run."),
        (("--json", "--dry-run", *YES), "asks no questions: add --yes, not --dry-run."),
        (("--yes",), "Where nobody is asked, only a key tells a repeat from the next newsletter. Add --key"),
        (("--timeout", "nan"), "invalid time 'nan': give seconds"),
        (("--timeout", "soon"), "invalid time 'soon': give seconds"),
        (("--subject", "a\nb"), "The subject contains a line break"),
    ],
)
def test_a_faulty_argument_is_named(run, sandbox, arguments, error):
    status, _, text = run(*arguments)
    assert (status, error in text) == (1, True), text


def test_one_json_document(run, sandbox):
    status, out, _ = run("--yes", "--json", "--var", "month=May", "--key", "letter-5")
    found = json.loads(out)
    assert (status, found["status"], found["sent"], found["key"]) == (0, "completed", 248, "letter-5")
    assert sandbox.store.messages()[0].body["variables"] == {"month": "May"}


def test_missing_variables_are_shown(run, sandbox):
    StoredEmail.objects.create(key="letter", email_id=account.SERIES_1, html="{{month}}")
    assert "Missing  month: Migma may know them of each contact. Else give them with --var." in run("--dry-run")[1]


def test_a_narrow_terminal_shows_what_fits(run, sandbox, monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    assert "\r248 of 248 sent: comple\x1b[K" in run(*YES, is_terminal=True)[1]


def test_elsewhere_a_line_is_written_where_something_has_changed(run, sandbox):
    out = run(*YES, "--timeout", "4", to=("--tag", "sandbox endless"))[1]
    assert out.count("20 of 40 sent: processing") == 1


@pytest.fixture
def domains(wire, settings):
    """The address of the domains of a faked wire, which the command asks before it sends."""
    letter = {"letter": {"email_id": account.SERIES_1, "subject": "A better cup"}}
    settings.MIGMA = {**settings.MIGMA, "PROJECT_ID": None, "MAX_RETRIES": 0, "STORED_EMAILS": letter}
    return "http://127.0.0.1:9/v1/domains"


@pytest.mark.parametrize(
    ("status", "text"), [(500, "a domain that could not be looked up"), (403, "this API key may not look up")]
)
def test_a_failed_look_at_the_domains_is_no_reason_to_stop(run, wire, domains, status, text):
    wire.get(domains, status=status)
    ended, out, _ = run("--dry-run", to=("--tag", account.CUSTOMERS_TAG))
    assert (ended, text in out) == (0, True)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            (200, {"success": True, "data": {"status": "throttled", "throttle": {}}}),
            "throttled; Migma does not say why",
        ),
        (
            (401, {"success": False, "error": "no"}),
            "Migma has taken the batch. Look at it with manage.py migma_batches b1.",
        ),
    ],
    ids=["throttled", "refused"],
)
def test_a_batch_whose_end_is_not_seen_goes_on(run, wire, domains, answer, text):
    status, body = answer
    wire.get(domains, status=403)
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": {"id": "b1", "status": "queued"}})
    wire.get("http://127.0.0.1:9/v1/sending/batches/b1", status=status, json=body)
    ended, out, error = run(*YES, "--timeout", "0.01", to=("--tag", account.CUSTOMERS_TAG))
    assert (ended, text in out + error) == (3, True), out + error


def test_a_terminal_shows_a_bar(run, wire, domains):
    wire.get(domains, status=403)
    wire.post("http://127.0.0.1:9/v1/sending", json={"success": True, "data": {"id": "b1", "status": "queued"}})
    for word, sent in (("queued", 0), ("completed", 248)):
        data = {"status": word, "totalCount": 248, "queuedCount": 248 - sent, "sentCount": sent, "failedCount": 0}
        wire.get("http://127.0.0.1:9/v1/sending/batches/b1", json={"success": True, "data": data})
    out = run(*YES, to=("--tag", account.CUSTOMERS_TAG), is_terminal=True)[1]
    assert "[........................] 0 of 248 sent: queued" in out
    assert "[########################] 248 of 248 sent: completed" in out


def test_of_migma_itself_there_is_no_inbox_to_look_into(run, wire, domains, settings):
    settings.MIGMA = {**settings.MIGMA, "API_URL": "https://api.example.org/v1"}
    wire.get("https://api.example.org/v1/domains", status=403)
    answer = {"success": True, "data": {"id": "b1", "status": "queued"}}
    wire.post("https://api.example.org/v1/sending", json=answer)
    status, out, _ = run(*YES, "--no-wait", to=("--tag", account.CUSTOMERS_TAG))
    assert (status, "See it" in out) == (0, False)
    assert "Migma has taken it: batch b1." in out


def test_ctrl_c_before_the_question_sends_nothing(run, wire, domains):
    def interrupt(request):
        raise KeyboardInterrupt

    wire.add_callback("GET", domains, interrupt)
    status, _, error = run(*YES, to=("--tag", account.CUSTOMERS_TAG))
    assert (status, error) == (130, "Interrupted. Nothing was sent.")


def test_an_audience_whose_size_is_unknown_is_confirmed_by_its_id(run, make_sandbox):
    sandbox = make_sandbox(migma={"PROJECT_ID": None})
    to = ("--tag", account.COFFEE_LETTER_TAG)
    status, out, _ = run(to=to, answers=f"{account.COFFEE_LETTER_TAG}\n")
    assert (status, f"To       tag {account.COFFEE_LETTER_TAG}: an unknown number of people" in out) == (0, True)
    assert len(sandbox.store.messages()) == 1


ERROR = r"\((OperationalError|ProgrammingError)\)"  # SQLite's word, and PostgreSQL's


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("model", "error"),
    [
        (StoredEmail, rf"The table of stored emails cannot be read {ERROR}\. Check the database"),
        (Newsletter, rf"The table of newsletters cannot be read {ERROR}, and it keeps one from going out twice"),
    ],
)
def test_an_unreadable_table_is_named(run, make_sandbox, model, error):
    make_sandbox(migma={"STORED_EMAILS": {}})
    StoredEmail.objects.create(key="letter", email_id=account.SERIES_1, subject="Hi")
    with connection.schema_editor() as editor:
        editor.delete_model(model)
    try:
        status, _, text = run(*YES)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(model)
    assert (status, bool(re.match(error, text))) == (1, True), text
