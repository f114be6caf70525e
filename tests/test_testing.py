"""The helpers for a site's own tests: they do in a test what production does, except for the network."""

import io
import os
import subprocess
import sys

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage, send_mail
from django.core.management import call_command
from django.test import override_settings

from django_migma import signals
from django_migma.backends import EmailBackend
from django_migma.exceptions import (
    ConfigurationError,
    InvalidAddress,
    InvalidRequest,
    NotFound,
    SendFailed,
    UnsupportedFeature,
)
from django_migma.message import MigmaMessage
from django_migma.models import Delivery
from django_migma.testing import outbox, sandbox
from tests.conftest import QUEUE, our_mailer

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
needs_mailers = pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")


class OwnBackend(EmailBackend):
    """A site's own subclass of the backend."""


def test_without_the_helpers_djangos_runner_lets_refusals_through():
    """Django's in-memory backend accepts what Migma cannot carry."""
    assert send_mail("Hello", "text", None, ["a@example.org", "b@example.org"]) == 1
    assert not hasattr(mail.outbox[0], "migma_payloads")


class TestOutbox:
    def test_keeps_messages_with_their_payloads(self, migma_outbox):
        assert send_mail("Hello", "text", None, ["a@example.org", "b@example.org"], html_message="<b>Hi</b>") == 1
        [kept] = migma_outbox
        assert migma_outbox is mail.outbox
        assert kept.subject == "Hello"
        assert [payload["recipientEmail"] for payload in kept.migma_payloads] == ["a@example.org", "b@example.org"]
        assert kept.migma_payloads[0]["template"] == "<b>Hi</b>"
        assert [(each.recipient, each.subject, each.variables) for each in kept.migma_mails] == [
            ("a@example.org", "Hello", {}),
            ("b@example.org", "Hello", {}),
        ]
        assert kept.migma_status.status == {"queued"}
        assert kept.sent_using == ("default" if django.VERSION >= (6, 1) else None)

    def test_the_order_of_fixtures_does_not_matter(self, migma_outbox, db):
        """pytest-django's ``db`` makes a new ``mail.outbox``."""
        MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID).send()
        assert len(migma_outbox) == 1

    def test_gives_the_earlier_outbox_back(self):
        mail.outbox.append("earlier")
        with outbox() as box:
            assert box == []
        assert mail.outbox == ["earlier"]

    def test_a_receiver_may_send_through_the_same_backend(self, migma_outbox):
        from django_migma.testing import EmailBackend as OutboxBackend

        backend = OutboxBackend()

        def copy_to_archive(sender, message, **kwargs):
            if message.subject == "outer":
                backend.send_messages([EmailMessage("inner", "text", None, ["archive@example.org"])])

        signals.pre_send.connect(copy_to_archive)
        try:
            assert backend.send_messages([EmailMessage("outer", "text", None, ["a@example.org"])]) == 1
        finally:
            signals.pre_send.disconnect(copy_to_archive)
        assert [kept.subject for kept in migma_outbox] == ["inner", "outer"]

    def test_a_cancelled_second_send_is_not_kept(self, migma_outbox):
        def cancel(sender, message, **kwargs):
            raise signals.CancelSend

        message = EmailMessage("Hello", "text", None, ["a@example.org"])
        message.send()
        signals.pre_send.connect(cancel)
        try:
            assert message.send() == 0
        finally:
            signals.pre_send.disconnect(cancel)
        assert len(migma_outbox) == 1

    def test_the_error_of_a_broken_message_is_raised(self, migma_outbox):
        """Also where its recipients cannot be read."""
        message = EmailMessage("Hello", "text")
        message.to = 7
        with pytest.raises(TypeError):
            mail.get_connection().send_messages([message]) if django.VERSION < (
                6,
                1,
            ) else mail.mailers.default.send_messages([message])

    def test_keeps_copies_that_later_changes_do_not_reach(self, migma_outbox):
        message = EmailMessage("Hello", "text", None, ["a@example.org"])
        message.send()
        message.subject = "changed"
        assert migma_outbox[0].subject == "Hello"

    def test_refuses_what_production_refuses(self, migma_outbox):
        message = EmailMessage("Hello", "text", None, ["a@example.org"], attachments=[("a.txt", "x", "text/plain")])
        with pytest.raises(UnsupportedFeature, match="attachments"):
            message.send()
        with pytest.raises(InvalidAddress, match="not an address"):
            send_mail("Hello", "text", None, ["nobody"])
        assert migma_outbox == []

    def test_several_refusals_come_together(self, migma_outbox, connection):
        from django_migma.testing import EmailBackend as OutboxBackend

        messages = [MigmaMessage("s", to=["a@example.org"], template_id=key) for key in ("x", EMAIL_ID, "y")]
        with pytest.raises(SendFailed, match="2 failures"):
            OutboxBackend().send_messages(iter(messages))
        assert len(migma_outbox) == 1

    def test_sends_the_signals(self, migma_outbox):
        def give_design(sender, message, **kwargs):
            message.template_id = EMAIL_ID

        signals.pre_send.connect(give_design)
        try:
            send_mail("Hello", "text", None, ["a@example.org"])
        finally:
            signals.pre_send.disconnect(give_design)
        assert migma_outbox[0].migma_payloads[0]["emailId"] == EMAIL_ID

    def test_has_the_variables_of_each_recipient(self, migma_outbox, migma_stored_emails):
        migma_stored_emails(welcome={"subject": "Hello {{first_name}}", "default_variables": {"shop": "Fernhill"}})
        names = {"a@example.org": {"first_name": "Ada"}, "b@example.org": {"first_name": "Bo"}}
        MigmaMessage(to=list(names), template_id="welcome", merge_data=names).send()
        [kept] = migma_outbox
        assert [(mail.recipient, mail.variables) for mail in kept.migma_mails] == [
            ("a@example.org", {"first_name": "Ada", "shop": "Fernhill"}),
            ("b@example.org", {"first_name": "Bo", "shop": "Fernhill"}),
        ]
        assert {mail.subject for mail in kept.migma_mails} == {"Hello {{first_name}}"}

    def test_needs_no_key_and_no_network(self, migma_outbox, migma):
        migma(API_KEY=None)
        assert send_mail("Hello", "text", None, ["a@example.org"]) == 1

    def test_makes_the_outbox_where_django_has_not(self):
        from django_migma.testing import EmailBackend as OutboxBackend

        del mail.outbox
        assert OutboxBackend().send_messages([EmailMessage("Hello", "text", None, ["a@example.org"])]) == 1
        assert len(mail.outbox) == 1
        assert OutboxBackend().send_messages([]) == 0

    @needs_mailers
    def test_keeps_options_and_leaves_other_mailers_alone(self, monkeypatch):
        mailers = {
            "default": {"BACKEND": "tests.test_testing.OwnBackend", "OPTIONS": {"from_name": "Shop"}},
            "other": {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"},
            "smtp": {},
        }
        with override_settings(MAILERS=mailers), outbox():
            from django.conf import settings

            assert settings.MAILERS["default"] == {
                "BACKEND": "django_migma.testing.EmailBackend",
                "OPTIONS": {"from_name": "Shop"},
            }
            assert settings.MAILERS["other"] == mailers["other"]
            assert settings.MAILERS["smtp"] == {}


PDF = ("invoice.pdf", b"%PDF-1.7", "application/pdf")
CONSOLE = "django.core.mail.backends.console.EmailBackend"


@pytest.fixture
def console(migma, settings):
    """A site whose mailer of FALLBACK writes to the console. The value is its name."""
    if django.VERSION < (6, 1):
        migma(FALLBACK=CONSOLE)
        return CONSOLE
    settings.MAILERS = {
        "default": {"BACKEND": "django_migma.backends.EmailBackend"},
        "console": {"BACKEND": CONSOLE},
        "other": {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"},
    }
    migma(FALLBACK="console")
    return "console"


class TestFallback:
    """What goes through the mailer of FALLBACK does not leave the process in a test."""

    def test_the_outbox_keeps_it_beside_what_goes_through_migma(self, console, capsys):
        with outbox() as box:
            message = EmailMessage("Invoice", "text", None, ["a@example.org"], attachments=[PDF])
            assert message.send() == send_mail("Hello", "text", None, ["a@example.org"]) == 1
        invoice, hello = box
        assert (invoice.subject, invoice.sent_using, invoice.migma_payloads) == ("Invoice", console, [])
        assert invoice.migma_mails == []
        assert invoice.migma_status.status == invoice.anymail_status.status == {"fallback"}
        assert invoice.attachments[0][0] == "invoice.pdf"
        assert len(hello.migma_payloads) == 1
        assert message.migma_status.recipients["a@example.org"].mailer == console
        assert capsys.readouterr().out == ""

    def test_the_outbox_refuses_what_the_other_mailer_would_not_get(self, console):
        message = MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID, attachments=[PDF])
        with outbox() as box, pytest.raises(UnsupportedFeature, match="FALLBACK does not get it"):
            message.send()
        assert box == []

    def test_the_outbox_shows_a_message_that_cannot_be_built(self, console):
        """Django's in-memory backend looks at the headers."""
        message = EmailMessage("Invoice", "text", None, ["a@example.org"], attachments=[PDF], headers={"X": "a\nb"})
        with outbox() as box, pytest.raises(ValueError, match="Header values"):
            message.send()
        assert box == []

    def test_the_sandbox_keeps_it_in_the_outbox(self, console, capsys):
        with sandbox() as running:
            EmailMessage("Invoice", "text", None, ["a@example.org"], attachments=[PDF]).send()
            MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID).send()
        assert [kept.subject for kept in mail.outbox] == ["Invoice"]
        assert [stored.subject for stored in running.store.messages()] == ["Hello"]
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("helper", [outbox, sandbox])
    def test_an_unusable_name_is_an_error_as_in_production(self, console, migma, helper):
        migma(FALLBACK="nowhere")
        with helper(), pytest.raises(ConfigurationError, match="'nowhere'"):
            send_mail("Hello", "text", None, ["a@example.org"])

    @needs_mailers
    @pytest.mark.parametrize("helper", [outbox, sandbox])
    def test_an_option_names_it_too(self, console, settings, helper, capsys):
        ours = {"BACKEND": "django_migma.backends.EmailBackend", "OPTIONS": {"fallback": "other"}}
        settings.MAILERS = settings.MAILERS | {"news": ours}
        message = EmailMessage("Invoice", "text", None, ["a@example.org"], attachments=[PDF])
        with helper():
            message.send(using="news")
        assert [kept.subject for kept in mail.outbox] == ["Invoice"]
        assert message.migma_status.recipients["a@example.org"].mailer == "other"


class TestSandbox:
    def test_brings_the_real_backend_back(self, migma_sandbox):
        message = MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID)
        assert message.send() == 1
        [stored] = migma_sandbox.store.messages()
        assert stored.id == message.migma_status.message_id

    def test_takes_ids_that_only_migma_knows(self, migma_sandbox, migma):
        """A site's own stored emails; the page shows what they would be filled with."""
        migma(LAYOUT_EMAIL_ID="f" * 24)
        send_mail("Hello", "text", None, ["a@example.org"])
        MigmaMessage("Hello", to=["a@example.org"], conversation_id="e" * 24).send()
        layout, other = migma_sandbox.store.messages()
        assert "The email ffffffffffffffffffffffff is stored at Migma" in layout.html
        assert "<th align=left>body_html</th><td>" in layout.html
        assert "<p>text</p>" in layout.html
        assert "The email eeeeeeeeeeeeeeeeeeeeeeee is stored at Migma" in other.html

    def test_unknown_ids_can_be_refused(self):
        with sandbox(any_id=False), pytest.raises(NotFound, match="Email not found"):
            MigmaMessage("Hello", to=["a@example.org"], template_id="f" * 24).send()

    def test_raw_html_of_a_project_that_only_migma_knows(self, migma):
        migma(PROJECT_ID="mine")
        with sandbox(accept_template=True) as running:
            send_mail("Hello", "text", None, ["a@example.org"], html_message="<b>Hi</b>")
        assert running.store.messages()[0].html == "<b>Hi</b>"

    def test_passes_proxies_by(self, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "internal.example")
        with sandbox():
            assert MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID).send() == 1
            assert os.environ["no_proxy"] == "internal.example,127.0.0.1"
        assert "no_proxy" not in os.environ

    def test_wins_over_an_outbox_around_it(self):
        """The inner one is in force."""
        with outbox() as box, sandbox() as running:
            MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID).send()
        assert (len(box), len(running.store.messages())) == (0, 1)

    def test_takes_switches(self):
        with sandbox(verified_domains=()), pytest.raises(InvalidRequest, match="verified"):
            MigmaMessage("Hello", to=["a@example.org"], template_id=EMAIL_ID).send()

    @needs_mailers
    def test_replaces_address_and_key_and_keeps_other_options(self):
        options = {"api_key": "sk_live", "api_url": "https://api.migma.ai/v1", "from_name": "Option"}
        mailers = {"default": {"BACKEND": "tests.test_testing.OwnBackend", "OPTIONS": options}}
        with override_settings(MAILERS=mailers), sandbox() as running:
            MigmaMessage("Hello", "", "a@example.com", ["a@example.org"], template_id=EMAIL_ID).send()
            assert type(mail.mailers.default) is OwnBackend
        assert running.store.messages()[0].body["fromName"] == "Option"

    @needs_mailers
    def test_makes_ours_the_default_where_no_mailer_is(self, monkeypatch):
        monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
        mailers = {"default": {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"}}
        with override_settings(MAILERS=mailers), sandbox():
            default = mail.mailers.default
        assert type(default) is EmailBackend

    def test_leaves_nothing_behind(self, settings):
        before = settings.MIGMA
        with sandbox() as running:
            assert settings.MIGMA["API_URL"] == running.api_url
        assert before == settings.MIGMA


def test_the_plugin_is_inert_unless_used():
    """In a project without Django it imports no Django."""
    code = "import sys, django_migma.pytest_plugin; print(*sorted(m for m in sys.modules if m.startswith('django')))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=True)
    assert result.stdout.split() == ["django_migma", "django_migma.pytest_plugin"]


IN_ANY_ORDER = """
import pytest
from django.conf import settings as in_force

before = in_force.MIGMA

@pytest.mark.parametrize("number", range(2))
def test_settings_first(number, settings, migma_sandbox, migma_outbox, migma_stored_emails):
    assert "STORED_EMAILS" not in settings.MIGMA, "left over"
    migma_stored_emails("welcome")
    settings.MIGMA = settings.MIGMA | {"MAX_RETRIES": 0}
    assert settings.MIGMA["API_URL"] == migma_sandbox.api_url

def test_nothing_is_left(settings):
    assert settings.MIGMA == before
"""
WITH_A_FIXTURE_OF_ITS_OWN = """
import pytest
from django.conf import settings as in_force

@pytest.fixture
def settings():
    return "not Django's"

def test_the_fixture_is_left_alone(settings, migma_sandbox):
    assert settings == "not Django's"
    assert in_force.MIGMA["API_URL"] == migma_sandbox.api_url
"""


@pytest.mark.parametrize(
    ("suite", "options"),
    [(IN_ANY_ORDER, ()), (WITH_A_FIXTURE_OF_ITS_OWN, ()), (WITH_A_FIXTURE_OF_ITS_OWN, ("-p", "no:django"))],
    ids=["in any order", "with a fixture of its own", "without pytest-django"],
)
def test_the_fixtures_leave_no_settings_behind(suite, options, tmp_path):
    """Also where a test names ``settings`` before them."""
    path = tmp_path / "test_site.py"
    path.write_text(suite)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class TestQueue:
    """The helpers on a site whose mailer is the queue's."""

    @pytest.fixture(autouse=True)
    def queue(self, settings, db):
        for name, value in our_mailer(backend=QUEUE).items():
            setattr(settings, name, value)

    def test_the_outbox_gets_its_mail_at_once(self):
        with outbox() as box:
            send_mail("Hello", "Text", None, ["a@example.org"])
        assert [message.migma_status.status for message in box] == [{"queued"}]
        assert not Delivery.objects.exists()

    @needs_mailers
    def test_the_sandbox_gets_it_from_a_worker(self):
        with sandbox(accept_template=True) as running:
            send_mail("Hello", "Text", None, ["a@example.org"])
            assert running.store.messages() == []
            call_command("migma_deliver", "--once", stdout=io.StringIO())
            [message] = running.store.messages()
        assert message.subject == "Hello"
