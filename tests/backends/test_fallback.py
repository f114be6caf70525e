"""The mailer of FALLBACK: it gets what Migma cannot carry, whole, and its result stands in the status."""

import logging
import smtplib
import time
import tracemalloc
import warnings
from datetime import UTC, datetime
from typing import ClassVar

import django
import pytest
import requests
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives, send_mail
from django.core.mail.backends.base import BaseEmailBackend

from django_migma import signals
from django_migma.backends import EmailBackend
from django_migma.exceptions import (
    ConfigurationError,
    InvalidRequest,
    MigmaError,
    NoResponse,
    SendFailed,
    UnsupportedFeature,
)
from django_migma.message import MigmaMessage
from tests.api.clocks import FakeClock, until
from tests.conftest import BACKEND, SENDING

from .smtp_server import smtp_server

HAS_MAILERS = django.VERSION >= (6, 1)
EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
OK = (200, {"success": True, "data": {"id": "m1", "status": "queued"}})
REFUSED = (400, {"success": False, "error": "no"})
PDF = ("invoice.pdf", b"%PDF-1.7 the invoice", "application/pdf")
OTHER = "tests.backends.test_fallback.OtherBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
needs_mailers = pytest.mark.skipif(not HAS_MAILERS, reason="MAILERS came with Django 6.1")
if HAS_MAILERS:
    ignores_deprecation = pytest.mark.filterwarnings("ignore::django.utils.deprecation.RemovedInDjango2028Warning")
else:
    ignores_deprecation = pytest.mark.filterwarnings("error")


class OtherBackend(BaseEmailBackend):
    """Another mailer. It keeps what happens, and fails where a test says so."""

    events: ClassVar = []
    sent: ClassVar = []
    failures: ClassVar = {}
    result = 1

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.happens("make")

    def happens(self, what):
        self.events.append(what)
        if what in self.failures:
            raise self.failures[what]

    def open(self):
        OtherBackend.timeout_at_open = getattr(self, "timeout", None)
        self.happens("open")

    def close(self):
        self.happens("close")

    def send_messages(self, email_messages):
        [message] = email_messages
        OtherBackend.status_while_sending = message.migma_status.status
        self.sent.append(message)
        self.happens("send")
        return self.result


class Hurried(EmailBackend):
    """Ours, with a clock that tests set."""

    clock = FakeClock()


class NoBackend:
    """A class that cannot send."""


class Copied(EmailMessage):
    """Mail that always goes to the archive too."""

    def recipients(self):
        return [*super().recipients(), "archive@example.org"]


def invoice(*to, kind=EmailMessage, **kwargs):
    return kind(
        **({"subject": "Invoice", "body": "text", "to": list(to) or ["a@example.org"], "attachments": [PDF]} | kwargs)
    )


def receipt(*to):
    return MigmaMessage("Receipt", to=list(to) or ["a@example.org"], template_id=EMAIL_ID)


def statuses(message):
    return {address: recipient.status for address, recipient in message.migma_status.recipients.items()}


@pytest.fixture
def other(wire, migma, settings, monkeypatch):
    """Another mailer beside ours, named by FALLBACK. The value is its name there."""
    for name, value in {"events": [], "sent": [], "failures": {}, "result": 1}.items():
        monkeypatch.setattr(OtherBackend, name, value)
    name = OTHER
    if HAS_MAILERS:
        name = "other"
        settings.MAILERS = {"default": {"BACKEND": BACKEND}, "other": {"BACKEND": OTHER}}
    migma(FALLBACK=name, MAX_CONCURRENCY=1, MAX_RETRIES=0)
    return name


@pytest.fixture
def smtp(wire, migma, settings):
    """A mail server, named by FALLBACK."""
    with smtp_server() as server:
        if HAS_MAILERS:
            options = {"host": "127.0.0.1", "port": server.port, "timeout": 60}
            settings.MAILERS = {"default": {"BACKEND": BACKEND}, "smtp": {"BACKEND": SMTP, "OPTIONS": options}}
        else:
            settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        migma(FALLBACK="smtp" if HAS_MAILERS else SMTP, MAX_CONCURRENCY=1, MAX_RETRIES=0)
        yield server


@pytest.mark.parametrize(("own", "in_force"), [(None, 4.0), (30, 4.0), (2, 2)])
def test_mail_that_a_log_record_causes_waits_four_seconds_for_smtp(other, connection, monkeypatch, own, in_force):
    """An error page waits behind it, and Django's SMTP backend has no limit of its own."""
    monkeypatch.setattr(OtherBackend, "timeout", own, raising=False)
    send_from_handler(connection(), invoice())
    assert (OtherBackend.timeout_at_open, len(OtherBackend.sent)) == (in_force, 1)


def test_a_backend_without_a_timeout_is_left_as_it_is(other, connection):
    send_from_handler(connection(), invoice())
    assert (OtherBackend.timeout_at_open, len(OtherBackend.sent)) == (None, 1)


def send_from_handler(backend, message):
    """Send a message from inside a log record."""
    logger, handler = logging.Logger("shop"), logging.Handler()
    handler.emit = lambda record: backend.send_messages([message])
    logger.addHandler(handler)
    logger.error("one line")


def test_an_invoice_goes_by_smtp_while_the_receipt_goes_through_migma(smtp, wire, connection):
    """In one call: each of them arrives once, and the PDF as it was."""
    wire.answers(OK)
    messages = [receipt(), invoice("Ada <ada@example.org>", cc=["b@example.org"], bcc=["c@example.org"])]
    assert connection().send_messages(messages) == 2
    assert wire.body["recipientEmail"] == "a@example.org"
    [received] = smtp.received
    assert received.recipients == ("ada@example.org", "b@example.org", "c@example.org")
    assert b"To: Ada <ada@example.org>\r\nCc: b@example.org\r\n" in received.content
    assert b"c@example.org" not in received.content
    assert b"JVBERi0xLjcgdGhlIGludm9pY2U=" in received.content
    assert statuses(messages[0]) == {"a@example.org": "queued"}
    assert statuses(messages[1]) == dict.fromkeys(received.recipients, "fallback")
    recipient = messages[1].migma_status.recipients["ada@example.org"]
    assert (recipient.accepted, recipient.mailer) == (True, "smtp" if HAS_MAILERS else SMTP)
    assert (recipient.error, recipient.message_id, recipient.attempts) == (None, "", 0)
    assert messages[1].migma_status.dropped_features == frozenset()
    assert messages[0].migma_status.recipients["a@example.org"].mailer == ""


class TestWhatItGets:
    @pytest.mark.parametrize(
        "kwargs",
        [
            {"attachments": [PDF]},
            {"headers": {"List-Unsubscribe": "<https://example.com>"}},
            {"reply_to": ["a@example.com", "b@example.com"]},
            {"tags": ["orders"]},
            {"from_email": "bounces@example.com", "headers": {"From": "shop@example.com"}},
            {"body": "a" * 5_000_001},
        ],
        ids=lambda kwargs: next(iter(kwargs)),
    )
    def test_a_message_that_migma_cannot_carry_goes_whole(self, other, wire, kwargs):
        message = MigmaMessage(**{"subject": "Hello", "body": "text", "to": ["a@example.org"], **kwargs})
        assert message.send() == 1
        assert len(OtherBackend.sent) == 1
        assert OtherBackend.sent[0] is message
        assert wire.bodies == []
        assert message.migma_status.recipients["a@example.org"].mailer == other

    def test_a_calendar_part(self, other):
        message = EmailMultiAlternatives("Hello", "text", None, ["a@example.org"])
        message.attach_alternative("<b>Hi</b>", "text/html")
        message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
        assert message.send() == 1
        assert OtherBackend.sent == [message]

    def test_mail_with_a_body_where_the_settings_have_no_way_for_it(self, other, migma):
        migma(PROJECT_ID=None)
        assert send_mail("Hello", "text", None, ["a@example.org"]) == 1
        assert len(OtherBackend.sent) == 1

    def test_what_the_settings_drop_goes_through_migma(self, other, wire, migma):
        wire.answers(OK)
        migma(IGNORE_UNSUPPORTED_FEATURES=["attachments"])
        message = invoice()
        assert message.send() == 1
        assert OtherBackend.events == []
        assert message.migma_status.dropped_features == {"attachments"}

    def test_nothing_is_dropped_of_what_it_gets(self, other, migma):
        """Of two features the settings drop one; the other mailer carries both."""
        migma(IGNORE_UNSUPPORTED_FEATURES=["headers"])
        message = invoice(headers={"X-Order": "7", "X-Priority": "1"})
        message.send()
        assert OtherBackend.sent[0].extra_headers == {"X-Order": "7", "X-Priority": "1"}
        assert message.migma_status.dropped_features == frozenset()

    def test_mail_that_a_receiver_gave_a_design_goes_with_its_own_body(self, other):
        message = invoice()
        message.template_id = EMAIL_ID
        assert message.send() == 1
        assert OtherBackend.sent == [message]

    @pytest.mark.parametrize(
        ("attributes", "reason"),
        [
            ({"template_id": EMAIL_ID, "body": ""}, "names a stored email and has no body of its own, so readers"),
            ({"conversation_id": EMAIL_ID, "body": ""}, "names a stored email and has no body of its own"),
            ({"merge_global_data": {"name": "Ada"}}, "has merge_global_data, and readers would see placeholders"),
            ({"merge_data": {"a@example.org": {"name": "Ada"}}}, "has merge_data"),
            ({"merge_headers": {"a@example.org": {"X": "1"}}}, "has merge_headers"),
            ({"merge_metadata": {"a@example.org": {"x": "1"}}}, "has merge_metadata"),
            ({"send_at": datetime(2030, 1, 1, tzinfo=UTC)}, "has send_at, and it would be sent at once"),
        ],
    )
    def test_what_would_not_be_the_same_mail_there_stays_refused(self, other, attributes, reason):
        message = invoice()
        vars(message).update(attributes)
        text = f"The mailer {other!r} of FALLBACK does not get it: the message {reason}"
        with pytest.raises(UnsupportedFeature, match=text):
            message.send()
        assert OtherBackend.events == []
        assert statuses(message) == {"a@example.org": "not_attempted"}

    def test_a_malformed_address_is_refused_before(self, other):
        with pytest.raises(MigmaError, match="Address 1 in 'to' is not an address"):
            invoice("nobody").send()
        assert OtherBackend.events == []

    def test_a_message_without_recipients_goes_nowhere(self, other, connection):
        assert connection().send_messages([invoice(to=[])]) == 0
        assert OtherBackend.events == []

    def test_an_attachment_of_50_mb_is_not_copied(self, other, connection):
        message = invoice(attachments=[("film.mp4", b"x" * 50_000_000, "video/mp4")])
        tracemalloc.start()
        try:
            connection().send_messages([message])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert statuses(message) == {"a@example.org": "fallback"}
        assert peak < 5_000_000


class TestConnection:
    def test_is_one_per_call_opened_by_the_first_message_that_needs_it(self, other, wire, connection):
        wire.answers(OK)
        assert connection().send_messages([receipt(), invoice(), receipt(), invoice("b@example.org")]) == 4
        assert OtherBackend.events == ["make", "open", "send", "send", "close"]

    def test_is_not_made_where_migma_carries_everything(self, other, wire):
        wire.answers(OK)
        assert receipt().send() == 1
        assert OtherBackend.events == []

    def test_is_made_anew_after_a_minute_without_mail(self, other):
        """A mail server would have ended it by then, and the next mail would be in doubt."""

        def slow_generator():
            yield invoice()
            yield invoice()
            Hurried.clock.now += 61
            yield invoice()

        assert Hurried().send_messages(slow_generator()) == 3
        assert OtherBackend.events == ["make", "open", "send", "send", "close", "make", "open", "send", "close"]

    def test_an_error_at_its_end_hides_no_mail(self, other):
        OtherBackend.failures["close"] = OSError("gone")
        message = invoice()
        assert message.send() == 1
        assert statuses(message) == {"a@example.org": "fallback"}

    def test_is_closed_after_the_error_of_a_receiver(self, other, connection):
        def fail(sender, message, **kwargs):
            if message.subject == "Receipt":
                raise LookupError

        signals.pre_send.connect(fail)
        try:
            with pytest.raises(LookupError):
                connection().send_messages([invoice(), receipt()])
        finally:
            signals.pre_send.disconnect(fail)
        assert OtherBackend.events[-1] == "close"

    def test_few_messages_wait_behind_a_slow_call(self, other, wire, migma, connection):
        """They may be large. The first mail takes its time at Migma, and a generator makes the others."""
        wire.accepts()
        receipt().send()
        wire.mock.reset()
        seen = []

        def answer(request):
            until(lambda: len(OtherBackend.sent) > 2)
            time.sleep(0.1)  # in which more would come
            seen.append(len(OtherBackend.sent))
            return 200, {}, '{"success": true, "data": {"id": "m"}}'

        wire.mock.add_callback("POST", SENDING, answer)
        migma(MAX_CONCURRENCY=2)
        assert connection().send_messages(iter([receipt(), *(invoice() for _ in range(20))])) == 21
        assert seen == [3]
        assert len(OtherBackend.sent) == 20


class TestFailure:
    @pytest.mark.parametrize("step", ["make", "open"])
    def test_without_a_connection_nothing_is_sent(self, other, wire, connection, step):
        """It is tried once in a call; other mail goes out."""
        wire.answers(OK)
        error = OtherBackend.failures[step] = ConnectionRefusedError("nobody there")
        messages = [invoice(), receipt(), invoice("b@example.org")]
        with pytest.raises(
            SendFailed, match=r"2 failures .* 1 messages sent\. First: ConnectionRefusedError"
        ) as caught:
            connection().send_messages(messages)
        assert OtherBackend.events == (["make"] if step == "make" else ["make", "open", "close"])
        assert statuses(messages[0]) == {"a@example.org": "failed"}
        assert statuses(messages[2]) == {"b@example.org": "failed"}
        assert messages[2].migma_status.recipients["b@example.org"].error is error
        assert not caught.value.may_have_been_accepted
        assert len(wire.bodies) == 1

    @pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
    def test_a_refusal_of_the_server_is_raised_as_it_is(self, smtp, connection, verb):
        """The status says failed, and the connection serves the next message."""
        smtp.refusals[verb] = "550 not here"
        message = invoice()
        with pytest.raises(smtplib.SMTPException) as caught:
            message.send()
        recipient = message.migma_status.recipients["a@example.org"]
        assert (recipient.status, recipient.error) == ("failed", caught.value)
        with pytest.raises(SendFailed):
            connection().send_messages([invoice(), invoice()])
        assert smtp.connections == 2
        assert smtp.received == []

    def test_a_server_that_hangs_up_leaves_doubt(self, smtp, connection):
        """The next message gets a new connection."""
        smtp.hang_up = True
        messages = [invoice(), invoice("b@example.org")]
        with pytest.raises(SendFailed) as caught:
            connection().send_messages(messages)
        assert [type(error) for _, error in caught.value.failures] == [smtplib.SMTPServerDisconnected] * 2
        assert caught.value.may_have_been_accepted
        assert [statuses(message) for message in messages] == [
            {"a@example.org": "unknown"},
            {"b@example.org": "unknown"},
        ]
        assert smtp.connections == 2

    def test_another_error_leaves_doubt(self, other):
        error = OtherBackend.failures["send"] = LookupError("whatever")
        message = invoice("a@example.org", "b@example.org")
        with pytest.raises(LookupError) as caught:
            message.send()
        assert caught.value is error
        assert statuses(message) == {"a@example.org": "unknown", "b@example.org": "unknown"}

    def test_a_mailer_that_says_it_sent_nothing(self, other):
        OtherBackend.result = 0
        message = invoice()
        text = f"The mailer {other!r} of FALLBACK sent nothing, and did not say why. Look into its log"
        with pytest.raises(MigmaError, match=text):
            message.send()
        assert statuses(message) == {"a@example.org": "failed"}

    def test_a_mailer_that_says_nothing_has_sent(self, other):
        OtherBackend.result = None
        assert invoice().send() == 1

    @pytest.mark.parametrize("step", ["open", "send"])
    def test_quiet_mode_swallows_its_errors(self, other, migma, step):
        migma(FAIL_SILENTLY=True)
        OtherBackend.failures[step] = OSError("gone")
        message = invoice()
        assert message.send() == 0
        assert isinstance(message.migma_status.recipients["a@example.org"].error, OSError)

    def test_quiet_mode_does_not_swallow_faulty_settings_of_the_other_mailer(self, other, migma):
        migma(FAIL_SILENTLY=True)
        OtherBackend.failures["make"] = ImproperlyConfigured("host is missing")
        with pytest.raises(ImproperlyConfigured, match="host is missing"):
            invoice().send()

    def test_is_a_line_in_the_log_that_names_no_recipient(self, other, caplog):
        OtherBackend.failures["send"] = OSError("a@example.org")
        with pytest.raises(OSError, match="a@example"):
            invoice().send()
        [record] = caplog.records
        assert record.getMessage().endswith("(1 unknown): OSError")


class TestInterrupt:
    def test_while_it_sends_leaves_doubt(self, other, connection):
        """The connection is left alone, as its end could take as long as the send."""
        OtherBackend.failures["send"] = KeyboardInterrupt()
        messages = [invoice(), receipt()]
        with pytest.raises(KeyboardInterrupt):
            connection().send_messages(messages)
        assert OtherBackend.status_while_sending == {"unknown"}
        assert statuses(messages[0]) == {"a@example.org": "unknown"}
        assert statuses(messages[1]) == {"a@example.org": "not_attempted"}
        assert "close" not in OtherBackend.events

    def test_before_it_sends_leaves_none(self, other):
        OtherBackend.failures["open"] = KeyboardInterrupt()
        message = invoice()
        with pytest.raises(KeyboardInterrupt):
            message.send()
        assert statuses(message) == {"a@example.org": "not_attempted"}


class TestSendingAgain:
    def test_after_success_is_a_new_mail(self, other):
        message = invoice()
        assert [message.send(), message.send()] == [1, 1]
        assert OtherBackend.sent == [message, message]

    @pytest.mark.parametrize("kind", [EmailMessage, Copied])
    def test_those_who_have_it_do_not_get_it_again(self, other, wire, kind):
        """Migma took the first recipient and refused the others; then the message gets an attachment."""
        wire.answers(OK, REFUSED)
        message = invoice("Ada <a@example.org>", "b@example.org", kind=kind, cc=["c@example.org"], attachments=[])
        with pytest.raises(SendFailed):
            message.send()
        message.attach(*PDF)
        assert message.send() == 1
        [sent] = OtherBackend.sent
        assert (sent.to, sent.cc, sent.bcc) == (["b@example.org"], ["c@example.org"], [])
        assert sent.recipients() == ["b@example.org", "c@example.org", *(["archive@example.org"] * (kind is Copied))]
        assert sent.attachments is message.attachments
        assert message.to == ["Ada <a@example.org>", "b@example.org"]
        assert statuses(message)["a@example.org"] == "queued"
        assert statuses(message)["b@example.org"] == "fallback"

    def test_nobody_left_means_nothing_to_send(self, other, wire):
        wire.answers(OK, REFUSED)
        message = receipt("a@example.org", "b@example.org")
        with pytest.raises(InvalidRequest):
            message.send()
        message.to, message.body, message.attachments = ["a@example.org"], "text", [PDF]
        assert message.send() == 1
        assert OtherBackend.events == []
        assert statuses(message) == {"a@example.org": "queued"}

    def test_an_earlier_doubt_outlives_a_clear_no(self, other, wire):
        wire.answers(requests.ConnectionError("lost"))
        message = receipt()
        with pytest.raises(NoResponse):
            message.send()
        key = message.migma_status.recipients["a@example.org"].idempotency_key
        message.body, message.attachments = "text", [PDF]
        error = OtherBackend.failures["open"] = OSError("gone")
        with pytest.raises(OSError, match="gone"):
            message.send()
        recipient = message.migma_status.recipients["a@example.org"]
        assert (recipient.status, recipient.idempotency_key, recipient.error) == ("unknown", key, error)


class TestRedirect:
    def test_a_copy_goes_to_that_address_alone(self, other, migma):
        migma(REDIRECT_TO="Stage <stage@example.com>")
        message = invoice("a@example.org", kind=Copied, cc=["b@example.org"], headers={"To": "all@example.org"})
        assert message.send() == 1
        [sent] = OtherBackend.sent
        assert (sent.to, sent.cc, sent.bcc) == (["Stage <stage@example.com>"], [], [])
        assert sent.recipients() == ["Stage <stage@example.com>"]
        assert sent.extra_headers == {}
        assert sent.subject == "[to a@example.org, b@example.org, archive@example.org] Invoice"
        assert sent.attachments is message.attachments
        assert message.subject == "Invoice"
        assert statuses(message) == {"stage@example.com": "fallback"}

    def test_a_mail_without_a_subject(self, other, migma):
        migma(REDIRECT_TO="stage@example.com")
        invoice(subject=None).send()
        assert OtherBackend.sent[0].subject == "[to a@example.org] "


class TestSignals:
    def test_are_sent_as_for_any_mail(self, other):
        heard = []

        def hear(sender, message, alias, status=None, **kwargs):
            heard.append((message, alias, status and status.status))

        for signal in (signals.pre_send, signals.post_send):
            signal.connect(hear)
        message = invoice()
        try:
            message.send()
        finally:
            for signal in (signals.pre_send, signals.post_send):
                signal.disconnect(hear)
        alias = "default" if HAS_MAILERS else None
        assert heard == [(message, alias, None), (message, alias, {"fallback"})]


@needs_mailers
class TestMailers:
    def test_an_option_beats_the_setting(self, other, settings):
        settings.MAILERS = settings.MAILERS | {
            "default": {"BACKEND": BACKEND, "OPTIONS": {"fallback": "third"}},
            "third": {"BACKEND": OTHER},
        }
        message = invoice()
        message.send()
        assert message.migma_status.recipients["a@example.org"].mailer == "third"

    @pytest.mark.parametrize(
        ("name", "entry", "text"),
        [
            ("othr", None, r"names the mailer 'othr', which is not in MAILERS\. Did you mean 'other'\?"),
            ("x", None, r"names the mailer 'x', which is not in MAILERS\. Add it there\."),
            ("default", None, r"names 'default', which sends through Migma too\. Name one that sends by other means"),
            (
                "x",
                {"BACKEND": "nowhere.Mailer"},
                r"'nowhere\.Mailer' cannot be imported \(No module named 'nowhere'\)\. Correct its",
            ),
            ("x", {"BACKEND": 5}, r"names 'x', whose backend 5 cannot be imported \(.+\)\. Correct its BACKEND\."),
            (
                "x",
                {"BACKEND": "tests.backends.test_fallback.NoBackend"},
                r"NoBackend' is no email backend\. Name an email backend's class",
            ),
        ],
    )
    def test_an_unusable_name_is_refused_before_anything_is_sent(
        self, other, wire, migma, settings, name, entry, text
    ):
        """Also in quiet mode, and for mail that would not need it."""
        if entry:
            settings.MAILERS = settings.MAILERS | {name: entry}
        migma(FALLBACK=name, FAIL_SILENTLY=True)
        with pytest.raises(ConfigurationError, match=rf"^MAILERS\['default'\]: MIGMA\['FALLBACK'\] .*{text}"):
            receipt().send()
        assert wire.bodies == []

    def test_no_mailers_at_all(self, other, settings):
        settings.MAILERS = None
        with pytest.raises(ConfigurationError, match="names the mailer 'other', which is not in MAILERS"):
            EmailBackend().send_messages([receipt()])

    def test_an_entry_without_a_backend_is_smtp(self, other, settings, migma):
        """As Django has it; the error about the missing host is Django's."""
        settings.MAILERS = settings.MAILERS | {"smtp": {}}
        migma(FALLBACK="smtp")
        with pytest.raises(mail.InvalidMailer, match="must define 'host'"):
            invoice().send()


@ignores_deprecation
class TestEmailBackend:
    """Tests of EMAIL_BACKEND ignore exactly Django's own deprecation of it."""

    @pytest.fixture(autouse=True)
    def email_backend(self, other, settings, migma):
        if hasattr(settings, "MAILERS"):
            del settings.MAILERS
        settings.EMAIL_BACKEND = BACKEND
        migma(FALLBACK=OTHER)

    def test_the_path_of_a_backend(self):
        message = invoice()
        assert message.send() == 1
        assert message.migma_status.recipients["a@example.org"].mailer == OTHER
        assert OtherBackend.events == ["make", "open", "send", "close"]

    def test_djangos_smtp_is_made_without_a_warning(self, settings, migma):
        with smtp_server() as server:
            settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
            migma(FALLBACK=SMTP)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert EmailBackend().send_messages([invoice()]) == 1
        assert len(server.received) == 1

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            (
                "other",
                r"names 'other', whose backend 'other' cannot be imported \(.+\)\. Give the dotted path of a",
            ),
            (BACKEND, "which sends through Migma too"),
            ("django_migma.testing.EmailBackend", "which sends through Migma too"),
        ],
    )
    def test_an_unusable_path_is_refused(self, wire, migma, path, text):
        migma(FALLBACK=path)
        with pytest.raises(ConfigurationError, match=rf"^MIGMA\['FALLBACK'\] .*{text}"):
            receipt().send()
        assert wire.bodies == []
