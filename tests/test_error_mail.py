"""Mail that a log record causes: one attempt, five seconds at most, and the site's own error page in any case."""

import io
import logging
import sys
import time

import django
import pytest
import requests
from django.core.mail import EmailMessage
from django.urls import path

from django_migma import signals
from django_migma.api.connections import close_pools
from django_migma.backends import EmailBackend
from django_migma.exceptions import ConfigurationError, RateLimited, ServerError, Timeout
from django_migma.message import MigmaMessage
from django_migma.testing import outbox
from tests.api.servers import Server

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
OK = (200, {"success": True, "data": {"id": "m"}})
REFUSED = (400, {"success": False, "error": "Invalid email address: root@example.org"})
MAILER = "the mailer 'default'" if django.VERSION >= (6, 1) else "Migma"
FAILED = f"django_migma: Mail through {MAILER} that a log record caused has failed: "


def failing_view(request):
    raise LookupError("the site's own error")


urlpatterns = [path("fails/", failing_view)]


def message(*to):
    return MigmaMessage("Error", "body", to=list(to) or ["root@example.org"], template_id=EMAIL_ID)


class Sending(logging.Handler):
    """A handler that sends messages."""

    def __init__(self, *messages):
        super().__init__()
        self.messages = messages

    def emit(self, record):
        backend = EmailBackend(alias="default") if django.VERSION >= (6, 1) else EmailBackend()
        self.sent_count = backend.send_messages(self.messages)


def send_from_logging(*messages):
    """Send messages from inside a log record, and return their count. What the backend raises is raised here."""
    logger, handler = logging.Logger("shop"), Sending(*messages)
    logger.addHandler(handler)
    logger.error("one line")
    return handler.sent_count


def status_from_logging(one):
    """Send a message to the admin, and return the recipient's status."""
    assert send_from_logging(one) == 0
    return one.migma_status.recipients["root@example.org"]


@pytest.fixture
def page(client, settings):
    """The answer of a view that fails, on a site with ADMINS, Django's default LOGGING and no other precaution."""
    settings.ADMINS = ["a@example.org", "b@example.org"]
    if django.VERSION < (6, 0):
        settings.ADMINS = [("A", "a@example.org"), ("B", "b@example.org")]
    settings.ROOT_URLCONF, settings.DEBUG = "tests.test_error_mail", False
    client.raise_request_exception = False
    return lambda: client.get("/fails/")


@pytest.mark.parametrize(
    "answer", [requests.ConnectionError(), (503, {}), (429, {}, {"Retry-After": "1"}), (401, {}), (200, "no JSON")]
)
def test_the_error_page_appears_after_one_attempt(wire, page, answer, capsys):
    """Whatever Migma does, and with default settings, which have four more attempts."""
    wire.answers(answer)
    assert page().status_code == 500
    assert len(wire.mock.calls) in {1, 2}  # one for each admin; one in all where the key is refused
    error = capsys.readouterr().err
    assert error.count("django_migma:") == 1
    assert error.startswith(FAILED)
    assert "example.org" not in error


def test_an_error_of_the_settings_is_no_exception(wire, page, migma, capsys):
    migma(API_KEY=None)
    assert page().status_code == 500
    error = capsys.readouterr().err
    assert "MIGMA['API_KEY'] is not set, and nothing can be sent without a key." in error


def test_the_status_names_the_error_of_the_settings(wire, migma):
    migma(TIMEOUT=-1)
    status = status_from_logging(message())
    assert status.status == "not_attempted"
    assert isinstance(status.error, ConfigurationError)


def vault():
    raise OSError("the secret of the vault")


def test_of_an_error_that_is_not_ours_only_the_type_is_written(wire, migma, capsys):
    """Its text may hold secrets."""
    migma(API_KEY=vault)
    assert isinstance(status_from_logging(message()).error, OSError)
    assert capsys.readouterr().err == f"{FAILED}OSError\n"


def test_a_receiver_that_raises_is_no_exception(wire, capsys):
    def fail(sender, **kwargs):
        raise LookupError("the receiver's own error")

    signals.pre_send.connect(fail)
    try:
        status = status_from_logging(message())
    finally:
        signals.pre_send.disconnect(fail)
    assert (status.status, type(status.error)) == ("not_attempted", LookupError)
    assert capsys.readouterr().err == f"{FAILED}LookupError\n"


def test_a_message_that_cannot_be_sent_is_no_exception(wire, capsys):
    broken = EmailMessage("line\nbreak", "body", to=["root@example.org"])
    assert isinstance(status_from_logging(broken).error, ValueError)
    assert capsys.readouterr().err == f"{FAILED}ValueError\n"


def test_fail_silently_hides_nothing_from_stderr(wire, migma, capsys):
    migma(FAIL_SILENTLY=True)
    wire.answers(REFUSED)
    send_from_logging(message())
    assert capsys.readouterr().err.startswith(f"{FAILED}Migma answered 400")


def test_several_messages_are_sent_and_counted(wire, capsys):
    """The refused one is on stderr, and the others go out, each in one attempt."""
    wire.answers(OK, REFUSED, OK)
    messages = [message(f"r{number}@example.org") for number in range(3)]
    assert send_from_logging(*messages) == 2
    assert len(wire.mock.calls) == 3
    assert capsys.readouterr().err.startswith(f"{FAILED}Migma answered 400")


def test_a_rate_limit_is_not_waited_for(wire):
    """Not even in a list, whose calls otherwise go back into line."""
    wire.answers((429, {"success": False}, {"Retry-After": "60"}))
    first, second = message("a@example.org"), message("b@example.org")
    start = time.monotonic()
    send_from_logging(first, second)
    assert time.monotonic() - start < 30  # and not the 60 that are asked for
    for status in (*first.migma_status.recipients.values(), *second.migma_status.recipients.values()):
        assert isinstance(status.error, RateLimited)
        assert status.attempts <= 1


def test_without_threads_there_is_one_attempt_too(wire, migma):
    migma(MAX_CONCURRENCY=1)
    wire.answers((500, {}))
    status = status_from_logging(message())
    assert (status.status, status.attempts, type(status.error)) == ("unknown", 1, ServerError)


def drip_head(exchange):
    """A head that comes byte by byte and does not end: no timeout of a socket stops it."""
    exchange.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not exchange.gone:
        exchange.write(b"x")
        time.sleep(0.05)


def test_it_takes_five_seconds_at_most(mailer, migma):
    """Whatever the settings, and where no timeout helps. The mail may have been accepted, and the status says so.

    For all recipients together: one after the other, these would take a minute.
    """
    server, one = Server(drip_head), message(*(f"r{number}@example.org" for number in range(12)))
    migma(API_URL=server.url, RETRY_DEADLINE=600, TIMEOUT=600)
    start = time.monotonic()
    try:
        send_from_logging(one)
        seconds, statuses = time.monotonic() - start, list(one.migma_status.recipients.values())
    finally:
        server.stop()
        close_pools()
    assert seconds < 30
    assert len(statuses) == 12
    for status in statuses:
        assert (status.status, type(status.error)) == ("unknown", Timeout)
        assert status.idempotency_key


def test_a_closed_stderr_keeps_the_error_page(wire, page, monkeypatch):
    """As a daemon may have."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    wire.answers(REFUSED)
    assert page().status_code == 500


def test_the_outbox_for_tests_is_quiet_too(capsys):
    refused = message()
    refused.attach("error.txt", "text", "text/plain")
    with outbox() as sent:
        send_from_logging(refused)
        assert sent == []
    assert "attachments" in capsys.readouterr().err


def test_ordinary_mail_is_as_loud_and_patient_as_ever(wire, migma):
    migma(MAX_RETRIES=1)
    wire.answers((500, {}))
    with pytest.raises(ServerError):
        message().send()
    assert len(wire.mock.calls) == 2
