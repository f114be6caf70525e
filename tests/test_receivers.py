"""Log lines: one for each message that was not accepted for all recipients, and none that causes another mail."""

import logging
import logging.handlers
import queue

import django
import pytest
from django.core import mail
from django.test import override_settings
from django.urls import path

from django_migma import signals
from django_migma.exceptions import ConfigurationError
from django_migma.message import MigmaMessage
from tests.conftest import BACKEND

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
REFUSED = (400, {"success": False, "error": "Invalid email address: ada@example.org"})
OK = (200, {"success": True, "data": {"id": "m"}})


def message(*to):
    return MigmaMessage("Secret subject", "secret body", to=list(to) or ["ada@example.org"], template_id=EMAIL_ID)


@pytest.fixture
def quiet(wire, migma):
    migma(FAIL_SILENTLY=True, MAX_CONCURRENCY=1, MAX_RETRIES=0)
    return wire


def test_a_failure_is_one_warning(quiet, caplog):
    quiet.answers(OK, REFUSED)
    message("a@example.org", "ada@example.org").send()
    [record] = caplog.records
    assert (record.name, record.levelname) == ("django_migma", "WARNING")
    assert record.status == {"queued": 1, "failed": 1}
    where = "the mailer 'default'" if django.VERSION >= (6, 1) else "Migma"
    assert record.getMessage() == (
        f"Mail through {where} was not accepted (1 failed, 1 queued): Migma answered 400: Invalid email address: "
        "<address>. Correct what Migma names and send again; a repeat without a change fails the same way."
    )


def test_a_faulty_setting_is_logged_with_its_text(quiet, migma, caplog):
    migma(STORED_EMAILS={"welcome": "no id"})
    faulty = message()
    faulty.template_id = "welcome"
    with pytest.raises(ConfigurationError):
        faulty.send()
    assert "STORED_EMAILS must give 'welcome'" in caplog.records[-1].getMessage()


def test_a_success_is_no_line(quiet, caplog):
    quiet.answers(OK)
    message().send()
    assert caplog.records == []


def test_of_an_error_that_is_not_ours_only_the_type_is_logged(quiet, caplog):
    """Its text may hold a recipient or a body."""
    quiet.answers(ZeroDivisionError("ada@example.org"))
    with pytest.raises(ZeroDivisionError):
        message().send()
    assert caplog.records[0].getMessage().endswith("(1 unknown): ZeroDivisionError")


@pytest.mark.parametrize(
    ("features", "level", "names"),
    [
        (["headers"], "INFO", "headers:X-Foo, headers:X-Priority"),
        (["headers", "attachments"], "WARNING", "attachments, headers:X-Foo, headers:X-Priority"),
    ],
)
def test_what_was_left_out_is_one_line(quiet, caplog, migma, features, level, names):
    """A lost attachment is worth a warning."""
    quiet.answers(OK)
    migma(IGNORE_UNSUPPORTED_FEATURES=features)
    mail_with_features = message()
    mail_with_features.extra_headers = {"X-Foo": "1", "X-Priority": "1"}
    mail_with_features.attachments = [("a.txt", "text", "text/plain")] * ("attachments" in features)
    with caplog.at_level("INFO"):
        mail_with_features.send()
    [record] = caplog.records
    where = "the mailer 'default'" if django.VERSION >= (6, 1) else "Migma"
    assert (record.levelname, record.dropped_features) == (level, names)
    assert record.getMessage() == f"Left out of mail through {where}, since Migma cannot carry it: {names}."


@pytest.mark.parametrize(("dropped", "lines"), [("headers", 0), ("attachments", 1)])
def test_what_error_mail_lost_causes_no_other_mail(
    quiet, mailing_root_logger, admins_mailer, migma, capsys, dropped, lines
):
    """Error mail may lose a header silently; a lost attachment is a line on stderr."""

    def dress(sender, message, **kwargs):
        message.extra_headers = {"X-Foo": "1"} if dropped == "headers" else {}
        message.attachments = [("a.txt", "text", "text/plain")] if dropped == "attachments" else []

    quiet.answers(OK)
    migma(IGNORE_UNSUPPORTED_FEATURES=True)
    signals.pre_send.connect(dress)
    try:
        logging.getLogger("shop").warning("one line")
    finally:
        signals.pre_send.disconnect(dress)
    assert [body["recipientEmail"] for body in quiet.bodies] == ["root@example.org"]
    assert capsys.readouterr().err.count("django_migma: Left out") == lines


def failing_view(request):
    raise LookupError("the site's own error")


urlpatterns = [path("fails/", failing_view)]


def admins():
    return ["root@example.org"] if django.VERSION >= (6, 0) else [("Root", "root@example.org")]


@pytest.fixture
def mailing_root_logger():
    """Django's handler that mails errors to the admins, on the root logger, as some sites have it."""
    from django.utils.log import AdminEmailHandler

    handler = AdminEmailHandler(**({"using": "admins"} if django.VERSION >= (6, 1) else {}))
    handler.setLevel(logging.WARNING)
    logging.root.addHandler(handler)
    yield
    logging.root.removeHandler(handler)
    handler.close()


@pytest.fixture
def admins_mailer(settings):
    """The mailer that the manual recommends for error mail."""
    settings.ADMINS = admins()
    if django.VERSION >= (6, 1):
        quiet_mailer = {"BACKEND": BACKEND, "OPTIONS": {"fail_silently": True}}
        settings.MAILERS = settings.MAILERS | {"admins": quiet_mailer}


def test_error_mail_that_fails_does_not_recurse_and_keeps_the_error_page(
    quiet, mailing_root_logger, admins_mailer, client, capsys, settings
):
    """The API refuses the error mail: the page appears, and stderr says what happened.

    Two handlers mail here, Django's own default one and ours, and each makes its one call.
    """
    settings.ROOT_URLCONF, settings.DEBUG = "tests.test_receivers", False
    quiet.answers(REFUSED)
    client.raise_request_exception = False
    response = client.get("/fails/")
    assert response.status_code == 500
    assert len(quiet.mock.calls) == 2
    error = capsys.readouterr().err
    assert error.startswith("django_migma: Mail through ")
    assert "Migma answered 400" in error
    assert "root@example.org" not in error


def test_a_failing_mail_outside_logging_is_reported_once(quiet, mailing_root_logger, admins_mailer, capsys):
    """The log line is mailed to the admins; when that mail fails, no further one is sent."""
    quiet.answers(REFUSED)
    message().send()
    assert [body["recipientEmail"] for body in quiet.bodies] == ["ada@example.org", "root@example.org"]
    assert capsys.readouterr().err.count("django_migma:") == 1


def test_a_listener_of_a_queue_is_logging_too(quiet, admins_mailer, capsys):
    """Log records that are handed out in a thread of their own: the failing mail causes no further one."""
    from django.utils.log import AdminEmailHandler

    records = queue.SimpleQueue()
    mailing = AdminEmailHandler(**({"using": "admins"} if django.VERSION >= (6, 1) else {}))
    handler, listener = logging.handlers.QueueHandler(records), logging.handlers.QueueListener(records, mailing)
    quiet.answers(REFUSED)
    logging.root.addHandler(handler)
    listener.start()
    try:
        logging.getLogger("shop").warning("one line")
    finally:
        listener.stop()
        logging.root.removeHandler(handler)
    assert [body["recipientEmail"] for body in quiet.bodies] == ["root@example.org"]
    assert capsys.readouterr().err.count("django_migma:") == 1


def test_a_receiver_that_fails_in_error_mail_does_not_recurse(quiet, admins_mailer, mailing_root_logger, capsys):
    """Django logs what a receiver raises, and mails it to the admins; when the receiver raises again, that is all."""

    def fail(sender, **kwargs):
        raise LookupError("the receiver's own error")

    quiet.answers(OK)
    signals.post_send.connect(fail)
    try:
        assert message().send() == 1
    finally:
        signals.post_send.disconnect(fail)
    assert {body["recipientEmail"] for body in quiet.bodies} == {"ada@example.org", "root@example.org"}
    assert len(quiet.bodies) <= 3  # the mail, and one about the error from each of two handlers
    assert "LookupError: the receiver's own error" in capsys.readouterr().err


def test_error_mail_goes_out(quiet, admins_mailer):
    quiet.answers(OK)
    with override_settings(EMAIL_SUBJECT_PREFIX="[shop] "):
        mail.mail_admins("Disk", "full")
    assert quiet.body["subject"] == "[shop] Disk"
