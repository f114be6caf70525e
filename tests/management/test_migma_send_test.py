"""``manage.py migma_send_test``: sends stored emails to a few addresses from a terminal."""

import io
import json
import re

import django
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import ConnectTimeoutError

from django_migma import signals
from django_migma.models import Delivery, StoredEmail
from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS
from tests.conftest import BACKEND

ADA = "ada@example.org"
REVOKED = (
    "Migma answered 401: This API key was revoked. "
    "Check the API key (MIGMA['API_KEY']): it is mistyped, revoked, or belongs to another environment."
)
MAY_NOT_SEND = (
    "Migma answered 403: This API key lacks the permission email:send. "
    "Give the API key the permission email:send in Migma's dashboard."
)
UNKNOWN = "Check the id, and that it belongs to the workspace of this API key."


class Terminal:
    """Runs the command, and keeps what it printed and its exit status."""

    def __init__(self):
        self.status, self.text, self.errors = 0, "", ""

    def run(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("migma_send_test", *arguments, stdout=out, stderr=err)
        except SystemExit as end:
            self.status = end.code
        self.text, self.errors = out.getvalue(), err.getvalue()
        return self

    @property
    def lines(self):
        return self.text.splitlines()

    @property
    def document(self):
        return json.loads(self.text)


@pytest.fixture
def run(migma_sandbox):
    """Run the command against the sandbox: ``run(account.WELCOME, "--to", ADA)``."""
    return lambda *arguments: Terminal().run(*arguments)


@pytest.fixture
def welcome(db):
    return StoredEmail.objects.create(
        key="welcome",
        email_id=account.WELCOME,
        subject="Welcome, {{first_name}}",
        from_email="Roastery <hello@fernhill.example>",
    )


def in_inbox(sandbox):
    """The address of the one mail in the sandbox's inbox."""
    [message] = sandbox.store.messages()
    return f"{sandbox.url}/mail/{message.id}"


def test_a_key_goes_out_and_its_row_says_when(run, welcome, migma_sandbox):
    ended = run("welcome", "--to", ADA)
    assert ended.lines == [
        f"To a sandbox on this machine: {migma_sandbox.api_url}",
        f"✓ welcome to {ADA}: The sandbox accepted it.",
        f"  See it at {in_inbox(migma_sandbox)}",
        "1 accepted.",
    ]
    assert (ended.status, ended.errors) == (0, "")
    assert migma_sandbox.store.messages()[0].body == {"to": ADA, "emailId": account.WELCOME}
    welcome.refresh_from_db()
    assert welcome.last_tested_at is not None


def test_a_raw_id_needs_no_table(run, migma_sandbox, no_table):
    assert run(account.WELCOME, "--to", ADA).lines[1:] == [
        f"✓ {account.WELCOME} to {ADA}: The sandbox accepted it.",
        f"  See it at {in_inbox(migma_sandbox)}",
        "1 accepted.",
    ]
    assert len(migma_sandbox.store.messages()) == 1


def test_a_key_without_a_table_says_what_to_do(run, no_table):
    with pytest.raises(CommandError) as caught:
        run("welcome", "--to", ADA)
    kinds = "OperationalError|ProgrammingError"  # SQLite's word, and PostgreSQL's
    assert re.fullmatch(
        rf"The table of stored emails cannot be read \(({kinds})\)\. "
        r"Check the database, and run manage\.py migrate\. Or give Migma's id instead of a key: 24 hex digits\.",
        str(caught.value),
    )


def test_every_email_goes_to_every_address_and_each_once(run, welcome, migma_sandbox):
    ended = run("welcome", account.RECEIPT, "welcome", "--to", f"{ADA}, bob@example.org", "--to", ADA)
    assert ended.lines[-1] == "4 accepted."
    assert [(m.body["emailId"], m.body["to"]) for m in migma_sandbox.store.messages()] == [
        (account.WELCOME, ADA),
        (account.WELCOME, "bob@example.org"),
        (account.RECEIPT, ADA),
        (account.RECEIPT, "bob@example.org"),
    ]


@pytest.mark.django_db
def test_json_is_one_document_and_nothing_else(run, migma_sandbox):
    ended = run(account.WELCOME, "0" * 24, "--to", ADA, "--json")
    [message] = migma_sandbox.store.messages()
    first, second = ended.document.pop("results")
    assert first == {
        "email": account.WELCOME,
        "to": ADA,
        "status": "accepted",
        "text": "The sandbox accepted it.",
        "message_id": message.id,
        "url": in_inbox(migma_sandbox),
        "missing_variables": [],
    }
    assert (second["status"], second["message_id"], second["url"]) == ("failed", "", "")
    alias = "default" if django.VERSION >= (6, 1) else None
    assert {name: value for name, value in ended.document.items() if name != "results"} == {
        "mailer": alias,
        "api_url": migma_sandbox.api_url,
        "sandbox": True,
        "redirect_to": None,
        "live": False,
        "counts": {"accepted": 1, "failed": 1},
    }
    assert (ended.status, ended.errors) == (1, "")


@pytest.mark.django_db
class TestFailures:
    def test_one_failure_among_others_sets_the_exit_status(self, run):
        ended = run("0" * 24, account.WELCOME, "--to", ADA)
        assert ended.status == 1
        assert ended.lines[1].startswith(f"✗ {'0' * 24} to {ADA}: Migma answered 404: ")
        assert ended.lines[-1] == "1 accepted, 1 failed."

    def test_a_series_asks_for_one_of_its_emails(self, run):
        ended = run(account.SERIES_CONVERSATION, "--conversation", "--to", ADA)
        assert ended.status == 1
        assert "give the id of one email of the series." in ended.lines[1]

    @pytest.mark.parametrize(
        ("key", "text"),
        [
            (KEYS.revoked, "Migma answered 401: This API key was revoked."),
            (KEYS.no_send, "Migma answered 403: This API key lacks the permission email:send."),
        ],
    )
    def test_a_refused_key_is_shown_for_each_email(self, run, migma, key, text):
        migma(API_KEY=key)
        ended = run(account.WELCOME, account.RECEIPT, "--to", ADA)
        assert ended.lines[1].startswith(f"✗ {account.WELCOME} to {ADA}: {text}")
        assert ended.lines[2].startswith(f"✗ {account.RECEIPT} to {ADA}: Not sent: {text}")
        assert ended.lines[3] == "1 failed, 1 not attempted."
        assert ended.status == 1

    def test_doubt_has_a_mark_of_its_own(self, run, migma_sandbox):
        migma_sandbox.faults.script("lost")
        ended = run(account.WELCOME, "--to", ADA)
        assert ended.lines[1].startswith(f"? {account.WELCOME} to {ADA}: It may have arrived")
        assert ended.lines[2] == "1 unknown."
        assert ended.status == 1

    def test_no_key_is_printed(self, run, migma):
        migma(API_KEY="sk_live_unknown_here")
        ended = run(account.WELCOME, "--to", ADA, "--json")
        assert "sk_live" not in ended.text


@pytest.mark.django_db
class TestRefusals:
    """Arguments and settings that are refused before anything is sent."""

    @pytest.fixture(autouse=True)
    def nothing_goes_out(self, migma_sandbox):
        yield
        assert migma_sandbox.store.stats()["requests"] == {}

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (
                [account.WELCOME, "--to", "nobody"],
                "Address 1 is not an address. Give one address, such as bob@example.com",
            ),
            ([account.WELCOME, "--to", " "], "--to is empty. Give an address, such as --to you@example.com."),
            (
                ["abc", "--to", ADA, "--conversation"],
                "'abc' is not the id of a conversation: Migma's ids have 24 hex",
            ),
            ([account.WELCOME, "--to", ADA, "--var", "a=b"], "--var and --subject need --live: as a test,"),
            (
                [account.WELCOME, "--to", ADA, "--subject", "Hi"],
                "--var and --subject need --live: as a test,",
            ),
            (
                [account.WELCOME, "--to", ADA, "--live", "--var", "a"],
                "Give --var as name=value, such as --var first_name",
            ),
            ([account.WELCOME, "--to", ADA, "--live", "--var", "=a"], "Give --var as name=value"),
            (
                [account.WELCOME, "--to", ADA, "--live"],
                f"No subject is known for '{account.WELCOME}': give --subject",
            ),
            (
                [account.WELCOME, "--to", ADA, "--using", "news"],
                "There is no mailer 'news' that uses Migma in MAILERS.",
            ),
        ],
    )
    def test_a_wrong_argument_is_one_clear_line(self, run, arguments, text):
        with pytest.raises(CommandError) as caught:
            run(*arguments)
        assert str(caught.value).startswith(text)

    def test_an_unknown_key_names_near_matches(self, run, welcome):
        with pytest.raises(CommandError) as caught:
            run("welcom", "--to", ADA)
        assert str(caught.value) == (
            "No stored email has the key 'welcom'. Did you mean 'welcome'? A raw id has 24 hex digits."
        )

    def test_no_more_calls_than_an_admin_may_confirm(self, run):
        to = ",".join(f"a{number}@example.org" for number in range(26))
        with pytest.raises(CommandError) as caught:
            run(account.WELCOME, account.RECEIPT, "--to", to)
        assert str(caught.value) == "These are 52 calls, and at most 50 go at a time. Name fewer emails."

    def test_a_faulty_setting_is_named(self, run, migma):
        migma(TIMEOUT="long")
        with pytest.raises(CommandError, match=r"MIGMA\['TIMEOUT'\] must be seconds above 0"):
            run(account.WELCOME, "--to", ADA)


@pytest.mark.django_db
class TestLive:
    def test_customers_sender_subject_and_variables(self, run, welcome, migma_sandbox):
        ended = run("welcome", "--to", ADA, "--live", "--var", "first_name=Ada", "--var", "note=a=b")
        seen = f"  See it at {in_inbox(migma_sandbox)}"
        assert ended.lines[1:] == [f"✓ welcome to {ADA}: The sandbox accepted it.", seen, "1 accepted."]
        [message] = migma_sandbox.store.messages()
        assert message.endpoint == "POST /v1/sending"
        assert message.body["from"] == "hello@fernhill.example"
        assert message.body["fromName"] == "Roastery"
        assert message.body["variables"] == {"first_name": "Ada", "note": "a=b"}
        assert message.subject == "Welcome, Ada"
        welcome.refresh_from_db()
        assert welcome.last_tested_at is not None

    @pytest.mark.parametrize("setting", ["warn", "raise"])
    def test_missing_variables_are_shown(self, run, welcome, migma, setting):
        migma(MISSING_VARIABLES=setting)
        ended = run("welcome", "--to", ADA, "--live")
        assert ended.status == (setting == "raise")
        assert "first_name" in ended.text
        if setting == "warn":
            assert ended.lines[3] == "  Variables without a value: first_name. Give them with --var."

    def test_samples_of_the_row_come_before_defaults_and_var_before_them(self, run, welcome, migma_sandbox):
        StoredEmail.objects.update(
            default_variables={"a": "default", "b": "default", "c": "default"},
            sample_variables={"b": "sample", "c": "sample", "total": 12.5},
        )
        run("welcome", "--to", ADA, "--live", "--var", "c=var")
        [message] = migma_sandbox.store.messages()
        assert message.body["variables"] == {"a": "default", "b": "sample", "c": "var", "total": 12.5}

    def test_an_empty_sample_is_none_and_an_empty_var_a_value(self, run, welcome, migma_sandbox):
        """As in the admin, where an emptied input takes the sample away; but what is typed here is meant."""
        StoredEmail.objects.update(
            default_variables={"a": "default", "b": "default", "c": "default"},
            sample_variables={"a": "", "b": None, "c": "sample", "total": 0},
        )
        run("welcome", "--to", ADA, "--live", "--var", "c=")
        [message] = migma_sandbox.store.messages()
        assert message.body["variables"] == {"a": "default", "b": "default", "c": "", "total": 0}

    def test_migma_itself_has_no_inbox_to_look_into(self, wire, welcome, migma):
        migma(API_URL="https://api.migma.ai/v1")
        wire.accepts()
        wire.answers((200, {"success": True, "data": {"id": "m1"}}), url="https://api.migma.ai/v1/sending")
        ended = Terminal().run("welcome", "--to", ADA, "--live", "--var", "first_name=Ada")
        assert ended.lines[1:] == [f"✓ welcome to {ADA}: Migma accepted it.", "1 accepted."]

    def test_a_key_of_the_settings_needs_no_row(self, run, migma, migma_sandbox):
        declared = {
            "email_id": account.WELCOME,
            "subject": "Hello",
            "sample_variables": {"first_name": "Sam", "a": 1},
        }
        migma(STORED_EMAILS={"hello": declared})
        ended = run("hello", "--to", ADA, "--live", "--var", "first_name=Ada")
        [message] = migma_sandbox.store.messages()
        assert (ended.status, message.body["subject"]) == (0, "Hello")
        assert message.body["variables"] == {"first_name": "Ada", "a": 1}
        assert run("hello", "--to", ADA).status == 0

    def test_missing_variables_are_in_the_document(self, run, welcome, migma_sandbox):
        [row] = run("welcome", "--to", ADA, "--live", "--json").document["results"]
        [message] = migma_sandbox.store.messages()
        assert row == {
            "email": "welcome",
            "to": ADA,
            "status": "accepted",
            "text": "The sandbox accepted it.",
            "message_id": message.id,
            "url": in_inbox(migma_sandbox),
            "missing_variables": ["first_name"],
        }

    @pytest.mark.parametrize("named", [[account.WELCOME], [account.WELCOME_CONVERSATION, "--conversation"]])
    def test_raw_ids_go_with_a_subject(self, run, migma_sandbox, named):
        ended = run(*named, "--to", ADA, "--live", "--subject", "Hello")
        assert ended.status == 0
        [message] = migma_sandbox.store.messages()
        assert message.body["conversationId" if len(named) > 1 else "emailId"] == named[0]
        assert message.subject == "Hello"

    @pytest.mark.parametrize(("way", "field"), [(["--live"], "recipientEmail"), ([], "to")], ids=["live", "test"])
    def test_redirected_mail_is_announced(self, run, welcome, migma, migma_sandbox, way, field):
        migma(REDIRECT_TO="staging@example.net")
        ended = run("welcome", "--to", ADA, *way)
        assert ended.lines[0].endswith(" REDIRECT_TO is set: everything goes to that address.")
        assert ended.lines[1] == (
            f"✓ welcome to {ADA}: The sandbox accepted it. REDIRECT_TO sends it to staging@example.net."
        )
        assert migma_sandbox.store.messages()[0].body[field] == "staging@example.net"
        document = run("welcome", "--to", ADA, "--json", *way).document
        assert document["redirect_to"] == "staging@example.net"

    @pytest.mark.parametrize(("key", "text"), [(KEYS.no_send, MAY_NOT_SEND), (KEYS.revoked, REVOKED)])
    def test_a_refused_key_is_tried_once(self, run, welcome, migma, migma_sandbox, key, text):
        migma(API_KEY=key)
        ended = run("welcome", "--to", f"{ADA}, bob@example.org", "--live", "--var", "first_name=Ada")
        assert ended.lines[1:] == [
            f"✗ welcome to {ADA}: {text}",
            f"✗ welcome to bob@example.org: Not sent: {text}",
            "1 failed, 1 not attempted.",
        ]
        assert ended.status == 1
        assert migma_sandbox.store.stats()["requests"] == {"POST /v1/sending": 1}

    def test_without_a_connection_the_rest_is_not_tried(self, welcome, wire, migma):
        migma(MAX_RETRIES=0)
        wire.answers(ConnectTimeout(ConnectTimeoutError()))
        ended = Terminal().run("welcome", "--to", f"{ADA}, bob@example.org", "--live", "--json")
        text = (
            "Migma did not answer in time (no connection was made, ConnectTimeoutError). "
            "Check API_URL, DNS, proxy and firewall, and try again."
        )
        assert [(row["status"], row["text"]) for row in ended.document["results"]] == [
            ("failed", text),
            ("not_attempted", f"Not sent: {text}"),
        ]
        assert len(wire.mock.calls) == 1
        welcome.refresh_from_db()
        assert welcome.last_tested_at is None

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            (400, "Migma answered 400: No. Correct what Migma names, and try again."),
            (404, f"Migma answered 404: No. {UNKNOWN}"),
            (503, "Migma answered 503: No. Try again later; if it lasts, see Migma's status page."),
        ],
    )
    def test_a_refusal_says_what_can_be_done_from_here_and_the_next_still_goes_out(
        self, welcome, wire, migma, status, text
    ):
        migma(MAX_RETRIES=0)
        wire.answers((status, {"success": False, "error": "No"}), (200, {"success": True, "data": {"id": "m1"}}))
        ended = Terminal().run("welcome", "--to", f"{ADA}, bob@example.org", "--live")
        assert ended.lines[1] == f"✗ welcome to {ADA}: {text}"
        assert ended.lines[-1] == "1 accepted, 1 failed."
        welcome.refresh_from_db()
        assert welcome.last_tested_at is not None

    def test_doubt_has_a_mark_of_its_own(self, run, welcome, migma, migma_sandbox):
        migma(MAX_RETRIES=0)
        migma_sandbox.faults.script("lost", "lost")
        ended = run("welcome", "--to", ADA, "--live")
        assert ended.lines[1].startswith(
            f"? welcome to {ADA}: It may have arrived: check the inbox before you send it again. The"
        )
        assert "idempotency" not in ended.text.lower()
        assert ended.lines[-1] == "1 unknown."
        assert ended.status == 1

    def test_a_receiver_may_cancel_it(self, run, welcome):
        def cancel(**_):
            raise signals.CancelSend

        signals.pre_send.connect(cancel)
        try:
            ended = run("welcome", "--to", ADA, "--live")
        finally:
            signals.pre_send.disconnect(cancel)
        assert ended.lines[1:] == [
            f"✗ welcome to {ADA}: Not sent: a receiver of pre_send cancelled it.",
            "1 not attempted.",
        ]
        assert ended.status == 1


@pytest.mark.django_db
class TestInterrupted:
    TO = f"{ADA}, bob@example.org, cy@example.org"

    @pytest.fixture(params=[["--live", "--var", "first_name=Ada"], []], ids=["live", "test"])
    def way(self, request, wire):
        """Ctrl-C comes during the second call."""
        calls = []

        def answer(call):
            calls.append(call)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return 200, {}, json.dumps({"success": True, "data": {"id": "m1", "messageId": "m1"}})

        for path in ("sending", "emails/test/send"):
            wire.mock.add_callback("POST", f"http://127.0.0.1:9/v1/{path}", answer)
        yield request.param
        assert len(calls) == 2

    def test_finished_and_skipped_sends_are_shown(self, welcome, way):
        ended = Terminal().run("welcome", "--to", self.TO, *way)
        lines = [line for line in ended.lines[1:-1] if not line.startswith("  ")]
        assert [line.partition(":")[0] for line in lines] == [
            f"✓ welcome to {ADA}",
            "? welcome to bob@example.org",
            "✗ welcome to cy@example.org",
        ]
        assert lines[1].endswith(" It may have arrived: check the inbox before you send it again.")
        assert lines[2].endswith(" Not sent: the command was interrupted.")
        assert ended.lines[-1] == "1 accepted, 1 unknown, 1 not attempted."
        assert ended.status == 130

    def test_the_document_is_whole(self, welcome, way):
        ended = Terminal().run("welcome", "--to", self.TO, "--json", *way)
        rows = ended.document["results"]
        assert [row["status"] for row in rows] == ["accepted", "unknown", "not_attempted"]
        assert [row["message_id"] for row in rows] == ["m1", "", ""]
        assert ended.document["counts"] == {"accepted": 1, "unknown": 1, "not_attempted": 1}
        assert ended.status == 130


@pytest.mark.django_db
def test_an_api_key_callable_that_fails_is_one_line_without_secrets(run, migma):
    def broken():
        raise OSError("vault says sk_live_123")

    migma(API_KEY=broken)
    with pytest.raises(CommandError) as caught:
        run(account.WELCOME, "--to", ADA)
    assert str(caught.value).endswith("is a callable, and it raised OSError. Try it in manage.py shell.")


@pytest.mark.django_db
@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
def test_another_mailer_with_its_own_sender(run, welcome, migma_sandbox):
    StoredEmail.objects.update(from_email="")
    news = {"BACKEND": BACKEND, "OPTIONS": {"from_email": "News <news@fernhill.example>"}}
    with override_settings(MAILERS={"default": {"BACKEND": BACKEND}, "news": news}):
        ended = run("welcome", "--to", ADA, "--live", "--using", "news")
    assert ended.status == 0
    assert migma_sandbox.store.messages()[0].body["from"] == "news@fernhill.example"


@pytest.mark.django_db
def test_says_when_it_goes_to_migma_itself(wire, migma):
    migma(API_URL="https://migma.test/v1")
    wire.mock.post("https://migma.test/v1/emails/test/send", json={"success": True, "data": {}})
    ended = Terminal().run(account.WELCOME, "--to", ADA)
    assert ended.lines[0] == "To Migma itself, live: https://migma.test/v1"
    assert ended.status == 0


@pytest.mark.django_db
def test_a_terminal_that_knows_ascii_only_gets_marks_that_it_can_show(migma_sandbox):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    call_command("migma_send_test", account.WELCOME, "--to", "ada@straße.example", stdout=screen)
    screen.seek(0)
    # Before Django 6.1, the wrapper around a stream hides its encoding.
    assert "+ " in screen.read()


@pytest.mark.django_db
class TestRows:
    """Each test is a row among the deliveries, whatever DELIVERY_LOG says."""

    def rows(self):
        return list(Delivery.objects.order_by("pk").values_list("recipient", "status", "stored_email", "is_test"))

    @pytest.mark.parametrize("is_logged", [False, True])
    @pytest.mark.parametrize("live", [[], ["--live"]])
    def test_one_for_each_address(self, run, welcome, migma, live, is_logged):
        migma(DELIVERY_LOG=is_logged)
        run("welcome", "--to", f"{ADA}, Bob@example.org", *live)
        assert self.rows() == [(to, "accepted", welcome.pk, True) for to in (ADA, "bob@example.org")]
        [batch] = set(Delivery.objects.values_list("batch", flat=True))
        assert len(batch) == 32

    def test_a_failure_to_write_it_is_no_failure_of_the_test(self, run, welcome, transactional_db):
        with connection.schema_editor() as editor:
            editor.delete_model(Delivery)
        try:
            ended = run("welcome", "--to", ADA)
        finally:
            with connection.schema_editor() as editor:
                editor.create_model(Delivery)
        assert (ended.status, ended.lines[-1]) == (0, "1 accepted.")

    @pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
    def test_a_live_test_goes_at_once_where_the_mailer_uses_the_queue(self, run, welcome, settings):
        settings.MAILERS = {"default": {"BACKEND": "django_migma.backends.queue.EmailBackend"}}
        ended = run("welcome", "--to", ADA, "--live")
        assert ended.status == 0
        assert self.rows() == [(ADA, "accepted", welcome.pk, True)]
