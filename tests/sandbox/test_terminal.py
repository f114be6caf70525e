"""The sandbox says in its terminal what became of each request to send, and nothing can make that hold up a send."""

from __future__ import annotations

import io
import os
import re
import threading

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS
from django_migma.sandbox.terminal import Terminal
from tests.sandbox.asking import ask, batch, eventually, received, send, sent, single


def has_ended():
    """Whether each terminal that was closed has written its last lines."""
    return "migma-sandbox-terminal" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def printed(sandbox):
    """The lines so far, without their time."""
    stream = io.StringIO()
    terminal = Terminal(stream)
    sandbox.on_send = terminal.show

    def lines():
        terminal.close()
        assert eventually(has_ended), "it waits for its last lines for a moment only"
        found = [re.fullmatch(r"\d\d:\d\d:\d\d (.*)", text) for text in stream.getvalue().split("\n")[:-1]]
        return [match[1] for match in found]

    yield lines
    sandbox.on_send = None
    terminal.close()


def test_a_send_is_a_line_with_the_recipient_the_email_and_the_outcome(sandbox, printed):
    sandbox.faults.script("503-after-2", "lost")
    receipt = single(recipientEmail="kim@example.com", emailId=account.RECEIPT)
    send(sandbox, receipt, idempotency_key="order-1")
    with sent(sandbox, receipt, idempotency_key="order-1") as connection, pytest.raises(ConnectionResetError):
        received(connection)
    send(sandbox, receipt, idempotency_key="order-1")
    assert printed() == [
        "kim@example.com receipt → struck by 503-after-2",
        "kim@example.com receipt → accepted, reply lost",
        "kim@example.com receipt → same answer again, 200",
    ]


def test_batches_tests_and_layouts_say_what_they_are(sandbox, printed):
    send(sandbox, batch(recipientType="segment", recipientId=account.COFFEE_LOVERS))
    ask(sandbox, "POST", "/v1/emails/test/send", body={"to": "a@example.com", "emailId": account.WELCOME})
    send(sandbox, single(emailId=account.LAYOUT, subject="Your order"))
    assert printed() == [
        "segment Coffee lovers, 412 recipients welcome → accepted",
        "a@example.com test welcome → accepted",
        'reader@example.com "Your order" → accepted',
    ]


def test_a_refusal_comes_with_its_reason_in_short(start, sandbox, printed):
    send(sandbox, single(), key=KEYS.revoked)
    send(sandbox, b"{")
    send(sandbox, {"variables": 1, "headers": 1, "bcc": 1, "replyTo": 1})
    send(sandbox, single(), idempotency_key="order-1")
    send(sandbox, single(subject="Other"), idempotency_key="order-1")
    limited = start(rate="1/h")
    limited.on_send = sandbox.on_send
    for _ in range(2):
        send(limited, single())
    revoked, broken, long, _, conflict, _, over = printed()
    assert revoked == "reader@example.com welcome → refused 401: This API key was revoked"
    assert broken == 'nobody "" → refused 400: The request body is not valid JSON'
    assert long.startswith('nobody "" → refused 400: recipientType')
    assert long.endswith("…")
    assert len(long) < 180
    assert conflict.startswith("reader@example.com welcome → refused 409: This Idempotency-Key was used with another")
    assert over == "reader@example.com welcome → over the rate limit"


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("half", "accepted, half a reply"),
        ("slow-0.01", "accepted, reply late"),
        ("hangup", "struck by hangup"),
        ("close", "accepted"),
    ],
)
def test_what_a_fault_does_to_the_reply_is_said(sandbox, printed, word, outcome):
    sandbox.faults.script(word)
    with sent(sandbox, single()) as connection:
        received(connection, until=b"}}")
    assert printed() == [f"reader@example.com welcome → {outcome}"]


def test_no_character_that_a_terminal_acts_on_gets_there(sandbox, printed):
    hostile = "\x1b]0;owned\x07\x1b[2J\r\n\x00\x9b31m\u202e\u200b\ud83d"
    send(sandbox, single(recipientEmail=hostile, subject=hostile, emailId="f" * 24))
    [text] = printed()
    assert text.startswith('�]0;owned��[2J����31m��� "�]0;owned')
    assert text.isprintable()


def test_a_long_recipient_is_cut(sandbox, printed):
    send(sandbox, single(recipientEmail="x" * 1_000_000))
    [text] = printed()
    assert text.startswith("x" * 59 + "… welcome → refused 400: ")


def pipe(encoding="utf-8"):
    """Both ends: a descriptor to read from, a stream to write to."""
    reading, writing = os.pipe()
    return reading, open(writing, "w", encoding=encoding)  # noqa: PTH123 - a descriptor, closed by the tests


def test_a_pipe_gets_each_line_at_once_in_its_encoding(sandbox):
    reading, stream = pipe(encoding="ascii")
    terminal = Terminal(stream)
    sandbox.on_send = terminal.show
    send(sandbox, single())
    assert os.read(reading, 1000).endswith(b" reader@example.com welcome ? accepted\n")
    sandbox.on_send = None
    terminal.close()
    stream.close()
    os.close(reading)


def test_a_pipe_that_nobody_reads_holds_up_nothing(sandbox):
    reading, stream = pipe()
    with stream:
        terminal = Terminal(stream)
        sandbox.on_send = terminal.show
        send(sandbox, single())
        [exchange] = sandbox.store.inbox.mails()[0].exchanges
        sandbox.on_send = None
        for _ in range(4000):
            terminal.show(exchange)  # more than the pipe and the queue hold
        written = []

        def is_said():
            written.append(os.read(reading, 1_000_000))  # all that waits in the pipe, or else the next that comes
            terminal.show(exchange)
            return re.search(rb"\n\(\d+ more not shown\)\n\d\d:", b"".join(written))

        assert eventually(is_said)
        for _ in range(4000):
            terminal.show(exchange)
        terminal.close()  # does not wait for somebody to read
    os.close(reading)


@pytest.mark.parametrize("is_file", [True, False])
def test_a_closed_stream_breaks_nothing(sandbox, is_file):
    if is_file:
        reading, stream = pipe()
        os.close(reading)
    else:
        stream = io.StringIO()
        stream.close()
    terminal = Terminal(stream)
    sandbox.on_send = terminal.show
    assert [send(sandbox, single()).status for _ in range(3)] == [200] * 3
    sandbox.on_send = None
    terminal.close()
    stream.close()
    assert eventually(has_ended)


def test_a_sandbox_in_a_test_prints_nothing(start, capfd):
    send(start(), single())
    assert capfd.readouterr() == ("", "")
