"""``manage.py migma_sync``: a sync from a terminal, from cron, and with something wrong."""

import io
import os
import re
import subprocess
import sys
import textwrap

import django
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_migma.models import StoredEmail
from django_migma.sandbox.account import FERNHILL, LUMEN, WELCOME
from django_migma.sandbox.protocol import KEYS
from tests.conftest import our_mailer
from tests.sync.account import PROJECT, UNREACHABLE, Account, conversation_id, email, email_id, refusal

pytestmark = pytest.mark.django_db
needs_mailers = pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self):
        return True


class Run:
    """One run of the command: what it printed, and the text and status of its error."""

    def __init__(self, *arguments, stderr=None, **options):
        self.stdout, self.stderr = io.StringIO(), stderr or io.StringIO()
        self.error, self.status = "", 0
        try:
            call_command("migma_sync", *arguments, stdout=self.stdout, stderr=self.stderr, **options)
        except CommandError as error:
            self.error, self.status = str(error), error.returncode

    @property
    def out(self):
        return self.stdout.getvalue()

    @property
    def err(self):
        return self.stderr.getvalue()


@pytest.fixture
def account(wire):
    return Account(wire.mock)


def test_without_a_table_it_says_what_to_do(migma_sandbox, no_table):
    run = Run()
    assert run.status == 1
    assert re.fullmatch(
        r"The table of stored emails cannot be used \((Operational|Programming)Error\)\. Check the database, and run "
        r"manage\.py migrate\. Nothing was changed\.",
        run.error,
    )


class TestSandbox:
    def test_the_project_of_the_settings_is_synced(self, migma_sandbox):
        run = Run()
        assert (run.status, run.err) == (0, "")
        assert run.out == f"Project {FERNHILL}: 6 created, 0 updated, 0 unchanged, 0 gone.\n"
        assert StoredEmail.objects.count() == 6

    def test_another_project_can_be_named(self, migma_sandbox):
        assert Run("--project", LUMEN).out.startswith(f"Project {LUMEN}: 0 created")

    def test_a_dry_run_prints_each_change_and_makes_none(self, migma_sandbox):
        StoredEmail.objects.create(key="welcome", email_id=WELCOME)
        gone = StoredEmail.objects.create(title="Old", email_id=email_id(999), project_id=FERNHILL)
        run = Run("--dry-run")
        *changes, counts = run.out.splitlines()
        assert changes == [
            "Create Coffee at home (1/2)",
            "Create Coffee at home (2/2)",
            "Create Layout for all other mail",
            "Create Password reset",
            "Create Order receipt",
            (
                "Update welcome (Welcome): conversation_id, project_id, title, subject, preheader, html, "
                "thumbnail_url, status"
            ),
            "Mark as gone Old",
        ]
        assert counts == (
            f"Project {FERNHILL}, dry run: 5 created, 1 updated, 0 unchanged, 1 gone. Nothing was changed."
        )
        gone.refresh_from_db()
        assert (StoredEmail.objects.count(), gone.status) == (2, "")

    def test_verbosity_2_prints_each_change_too_and_0_nothing(self, migma_sandbox):
        assert Run(verbosity=2).out.startswith("Create Coffee at home (1/2)\n")
        assert Run(verbosity=0).out == ""

    def test_without_a_project_the_accounts_projects_are_listed(self, migma_sandbox, migma):
        migma(PROJECT_ID=None)
        assert Run().error.splitlines() == [
            "No project is given. Pass --project ID, or set MIGMA['PROJECT_ID'].",
            "The projects of this account are:",
            f"  {FERNHILL}  Fernhill Coffee",
            f"  {LUMEN}  Lumen Bikes",
        ]

    def test_an_unknown_project_is_an_error(self, migma_sandbox):
        run = Run("--project", "nobody")
        assert run.status == 1
        assert run.error == (
            "Migma answered 404: Project not found: projectId nobody. Check the id, and that it belongs to the "
            "workspace of this API key. Nothing was changed."
        )

    def test_a_revoked_key_is_an_error_that_does_not_show_it(self, migma_sandbox, migma):
        migma(API_KEY=KEYS.revoked)
        run = Run()
        assert run.error.startswith("Migma answered 401: This API key was revoked. Check the API key")
        assert KEYS.revoked not in run.error

    @needs_mailers
    def test_the_mailer_can_be_chosen(self, migma_sandbox):
        other = {"BACKEND": "django_migma.backends.EmailBackend", "OPTIONS": {"project_id": LUMEN}}
        with override_settings(MAILERS={**our_mailer()["MAILERS"], "bikes": other}):
            assert LUMEN in Run("--using", "bikes").out
            assert FERNHILL in Run().out

    def test_two_syncs_at_once_make_each_row_once(self, migma_sandbox, tmp_path):
        """In processes of their own, on one database file."""
        settings = tmp_path / "of_two_syncs.py"
        settings.write_text(
            textwrap.dedent(f"""
            from tests.settings import *
            DATABASES["default"] |= {{"NAME": {str(tmp_path / "db.sqlite3")!r}, "OPTIONS": {{"timeout": 60}}}}
            MIGMA |= {{"API_URL": {migma_sandbox.api_url!r}, "API_KEY": {KEYS.full!r}}}
            """)
        )
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "of_two_syncs", "PYTHONPATH": path}
        manage = [sys.executable, "-m", "django"]
        subprocess.run([*manage, "migrate", "--verbosity=0"], env=environment, check=True)
        syncs = [
            subprocess.Popen(
                [*manage, "migma_sync"], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(2)
        ]
        ended = [(*sync.communicate(timeout=300), sync.returncode) for sync in syncs]
        assert [(err, status) for _, err, status in ended] == [("", 0)] * 2
        created = [int(out.split()[2]) for out, _, _ in ended]
        assert sum(created) == 6
        assert (
            "6 unchanged"
            in subprocess.run(
                [*manage, "migma_sync"], env=environment, check=True, text=True, capture_output=True
            ).stdout
        )


class TestProblems:
    def test_a_broken_conversation_has_a_line_and_the_status_says_so(self, account):
        account.add(1)
        account.breaks(2, refusal(404))
        run = Run()
        assert run.out == f"Project {PROJECT}: 1 created, 0 updated, 0 unchanged, 0 gone.\n"
        assert run.err == (
            f"Title 2 ({conversation_id(2)}): Migma answered 404: No. "
            "Sync again later; if it stays so, open it at Migma.\n"
        )
        assert run.error == "Conversations that could not be read, or only in part: 1, named above."
        assert run.status == 1

    def test_a_title_cannot_move_the_cursor(self, account):
        account.add(1, title="a\x1b[2J\nb")
        assert Run("--dry-run").out.startswith("Create a [2J b\n")

    def test_no_text_of_the_api_can_move_the_cursor(self, account, wire, migma):
        account.breaks(1, refusal(404))
        account.items[0]["title"] = "a\x1b[2J\nb"
        assert Run().err.startswith(f"a [2J b ({conversation_id(1)}): ")
        migma(PROJECT_ID=None)
        projects = [{"_id": "p1", "name": "a\x1b]0;b\r\x9b2J"}]
        wire.mock.get("http://127.0.0.1:9/v1/projects", json={"success": True, "data": {"projects": projects}})
        assert Run().error.endswith("\n  p1  a ]0;b  2J")

    def test_a_title_beyond_the_streams_encoding_is_no_crash(self, account):
        account.add(1, title="Café")
        narrow = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
        call_command("migma_sync", dry_run=True, stdout=narrow)
        assert narrow.buffer.getvalue().startswith(b"Create Caf?\n")

    def test_conversations_left_by_a_rate_limit_are_counted(self, account, migma):
        migma(RATE_LIMIT_WAIT=0)
        account.add(1)
        account.breaks(2, refusal(429, Retry_After="50"))
        account.add(3)
        assert Run().error == (
            "Conversations not read because of the rate limit: 2. Wait a minute, then run this again."
        )

    def test_a_list_without_an_end_is_an_error(self, account):
        account.add(1)
        account.pages = lambda page: {"emails": account.items, "pagination": {"hasMore": True}}
        assert Run().error == (
            "The list of emails did not end, or changed meanwhile, so nothing was marked as gone. Run this again."
        )

    def test_an_unreachable_migma_is_an_error_that_says_what_was_done(self, account, migma):
        migma(MAX_RETRIES=0)
        account.add(1)
        account.breaks(2, UNREACHABLE)
        assert Run().error == (
            "The connection to Migma failed (OSError). Check API_URL, DNS, proxy and firewall, and try again. "
            "1 of 2 conversations are done; run this again to continue."
        )

    def test_ctrl_c_says_what_was_done(self, account):
        account.add(1)
        account.breaks(2, KeyboardInterrupt())
        run = Run()
        assert run.error == "Interrupted. 1 of 2 conversations are done; run this again to continue."
        assert run.status == 130
        assert StoredEmail.objects.count() == 1

    def test_ctrl_c_in_a_dry_run_has_changed_nothing(self, account):
        account.add(1)
        account.breaks(2, KeyboardInterrupt())
        assert Run("--dry-run").error == "Interrupted. Nothing was changed."

    def test_a_project_that_cannot_be_one_is_refused(self, account):
        assert Run("--project", "../x").error == (
            "--project must be the id of a Migma project (letters and digits, 100 at most), not '../x'."
        )
        assert account.asked == []

    def test_a_project_that_no_column_could_hold_is_refused(self, account, migma):
        text = f"must be the id of a Migma project (letters and digits, 100 at most), not {'a' * 101!r}."
        assert Run("--project", "a" * 100).error == ""
        account.asked.clear()
        assert Run("--project", "a" * 101).error == f"--project {text}"
        migma(PROJECT_ID="a" * 101)
        assert Run().error.endswith(f"MIGMA['PROJECT_ID'] {text}")
        assert account.asked == []

    def test_a_callable_key_that_fails_is_named_without_its_text(self, mailer, migma):
        def broken():
            raise OSError("vault says sk_live_123")

        migma(API_KEY=broken)
        run = Run()
        assert run.error.endswith("MIGMA['API_KEY'] is a callable, and it raised OSError. Try it in manage.py shell.")
        assert "sk_live" not in run.error

    def test_an_account_without_projects_says_so(self, wire, migma):
        migma(PROJECT_ID=None)
        wire.mock.get("http://127.0.0.1:9/v1/projects", json={"success": True, "data": {"projects": []}})
        assert Run().error.endswith("or set MIGMA['PROJECT_ID'].\nThis account has no projects yet.")

    def test_a_missing_key_is_named_as_a_setting(self, mailer, migma):
        migma(API_KEY=None)
        assert "MIGMA['API_KEY'] is not set" in Run().error

    @needs_mailers
    def test_an_unknown_mailer_is_an_error(self, mailer):
        assert Run("--using", "nobody").error == (
            "There is no mailer 'nobody' that uses Migma in MAILERS. Those that do: 'default'."
        )


class TestProgress:
    def test_is_shown_on_a_terminal(self, account):
        for number in (1, 2):
            account.add(number)
        run = Run(stderr=Terminal(), no_color=True)
        assert run.err == "\r0 of 2 conversations\r1 of 2 conversations\r2 of 2 conversations\n"
        assert "2 created" in run.out

    def test_is_not_shown_without_conversations(self, account):
        assert Run(stderr=Terminal()).err == ""

    def test_ends_its_line_before_an_error(self, account):
        account.add(1)
        account.breaks(2, refusal(401))
        assert Run(stderr=Terminal()).err.endswith("1 of 2 conversations\n")

    def test_is_not_shown_in_a_pipe(self, account):
        account.add(1, email(1))
        assert Run().err == ""
