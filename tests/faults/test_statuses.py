"""What the backend records is what the response says, and a broken response raises nothing in quiet mode."""

from __future__ import annotations

import json

import pytest
from django.core.mail import send_mail

from django_migma import signals
from django_migma.api import MigmaError
from tests.api.servers import Server, whole
from tests.faults.stub_server import GOOD_BODY, MAX_TEXT, REFUSAL, stub_server

SPACES = " " * 2_001
"""More white space than is read of a text."""


@pytest.fixture
def send(mailer, migma):
    """Send one mail in quiet mode to a server with this response: what `send_mail` returned, and the status."""
    seen = []

    def note(sender, status, **kwargs):
        seen.extend(status.recipients.values())

    def send_one(answer):
        with stub_server():  # for its environment without proxies
            server = Server(answer)
            migma(API_URL=server.url, MAX_RETRIES=0, FAIL_SILENTLY=True, TIMEOUT=60, RETRY_DEADLINE=60)
            sent_count = send_mail("Hello", "Line", None, ["ada@example.org"])
            server.stop()
        [status] = seen
        return sent_count, status

    signals.post_send.connect(note)
    yield send_one
    signals.post_send.disconnect(note)


BODIES = {
    "accepted": (GOOD_BODY, "queued"),
    "without data": (b'{"success": true}', "queued"),
    "data are null": (b'{"success": true, "data": null}', "queued"),
    "a status of white space": (json.dumps({"success": True, "data": {"status": SPACES}}).encode(), "unknown"),
    "a message of white space": (
        json.dumps({"success": True, "data": {"id": SPACES, "status": "sent", "message": SPACES}}).encode(),
        "sent",
    ),
    "data of a wrong type": (b'{"success": true, "data": ["m1"]}', "unknown"),
    "a status of a wrong type": (b'{"success": true, "data": {"id": "m1", "status": true}}', "unknown"),
    "a status of another API": (b'{"success": true, "data": {"id": "m1", "status": "bounced"}}', "unknown"),
    "a status with an address": (b'{"success": true, "data": {"status": "ada@example.org is gone"}}', "unknown"),
    "a status of a million letters": (b'{"success": true, "data": {"status": "%b"}}' % (b"x" * 1_000_000), "unknown"),
    "HTML": (b"<html>", "unknown"),
    "a no": (REFUSAL, "failed"),
    "a no of white space": (json.dumps({"success": False, "error": SPACES, "code": SPACES}).encode(), "failed"),
}


@pytest.mark.parametrize(("body", "word"), BODIES.values(), ids=BODIES)
def test_the_status_is_true_and_nothing_is_raised(send, body, word):
    sent_count, status = send(whole(body))
    assert (sent_count, status.status) == (int(status.accepted), word)
    assert isinstance(status.error, MigmaError) is not status.accepted
    if not status.accepted:
        assert status.error.may_have_been_accepted is (word == "unknown")
        assert "@" not in str(status.error)
        assert len(str(status.error)) < MAX_TEXT


@pytest.mark.parametrize(("code", "word"), [(400, "failed"), (401, "failed"), (429, "failed"), (500, "unknown")])
def test_an_error_text_of_white_space_is_a_refusal_like_any_other(send, code, word):
    sent_count, status = send(whole({"success": False, "error": SPACES, "message": SPACES}, f"{code} No"))
    assert (sent_count, status.status, status.error.status_code) == (0, word, code)
