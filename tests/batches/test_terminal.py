"""``manage.py migma_send_batch`` in a real terminal: what is typed, and what stays on the screen."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.delivery.site import Site

COLUMNS = 50
QUESTION = b", to send it: "


class Standing:
    """A clock that a test sets."""

    def __init__(self):
        self.now = datetime(2030, 5, 1, 9, tzinfo=UTC)

    def __call__(self):
        return self.now

    def move(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Standing()


@pytest.fixture
def sandbox(clock):
    with Sandbox(switches=Switches(batch_step=1), clock=clock) as running:
        yield running


@pytest.fixture
def site(tmp_path, sandbox):
    letter = {"letter": {"email_id": account.SERIES_1, "subject": "A better cup"}}
    sender = "Fernhill Coffee <hello@fernhill.example>"
    about = {"PROJECT_ID": account.FERNHILL, "FROM_EMAIL": sender, "STORED_EMAILS": letter}
    patience = {"TIMEOUT": 60, "RETRY_DEADLINE": 120}
    return Site(tmp_path, sandbox.api_url, API_KEY=sandbox.keys.full, **about, **patience)


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, site, tag):
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, COLUMNS))
        command = [sys.executable, "-W", "error", "-m", "django", "migma_send_batch", "letter", "--tag", tag]
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        environment = site.environment | {"COLUMNS": "", "NO_COLOR": "1"}
        self.process = subprocess.Popen([*command, "--no-color"], env=environment, **streams)
        os.close(theirs)
        self.output = b""

    def read(self, until=None):
        """Read until the output has this in it, or else to its end; return the output so far."""
        while until is None or until not in self.output:
            try:
                self.output += os.read(self._ours, 4096)
            except OSError:  # how Linux says that nobody writes any more
                assert until is None, self.output
                break
        return self.output

    def type(self, text):
        os.write(self._ours, text)

    def interrupt(self):
        """Ctrl-C, and again, as a person would: Python drops what a finalizer raises, and the first may be in one."""
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.send_signal(signal.SIGINT)  # does nothing to one that has ended

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def start(site):
    started = []

    def start(tag="Coffee letter"):
        started.append(Terminal(site, tag))
        return started[-1]

    yield start
    for each in started:
        each.close()


def shown(output):
    """The lines on the screen: what came after the last return in each, since each rewriting clears the rest."""
    return [line.split("\r")[-1].replace("\x1b[K", "") for line in output.decode().split("\r\n")]


def bars(output):
    return re.findall(r"\r(\[[#.]+\][^\r\x1b]*)\x1b\[K", output.decode())


def test_the_answer_is_typed_and_the_bar_is_drawn_in_place(start, sandbox, clock):
    terminal = start()
    terminal.read(until=QUESTION)
    assert sandbox.store.messages() == []
    terminal.type(b"248\n")
    terminal.read(until=b"0 of 248 sent: queued")
    clock.move(3)
    output = terminal.read()
    assert terminal.process.wait(60) == 0
    assert len(bars(output)) > 1
    assert max(map(len, bars(output))) < COLUMNS
    [message] = sandbox.store.messages()
    assert shown(output)[-5:] == [
        "Type the number of people, 248, to send it: 248",
        f"Migma has taken it: batch {message.id}.",
        f"See it at {sandbox.url}/mail/{message.id}",
        "248 of 248 sent: completed",
        "",
    ]


def test_the_reason_of_a_throttled_batch_stays_above_the_bar_once(start, clock):
    terminal = start("sandbox throttled")
    terminal.read(until=QUESTION)
    terminal.type(b"40\n")
    terminal.read(until=b"queued")
    clock.move(1)
    terminal.read(until=b"20 of 40 sent: throttled")
    clock.move(7)
    lines = shown(terminal.read())
    assert lines[-2] == "40 of 40 sent: completed"
    assert lines[-3].startswith("Throttled: The sending limit of this hour is reached; goes on at 20")
    assert lines[-4].startswith("See it at ")


def test_ctrl_d_at_the_question_sends_nothing(start, sandbox):
    """Not Ctrl-C: readline sees a signal late that comes just before it waits for a key."""
    terminal = start()
    terminal.read(until=QUESTION)
    terminal.type(b"\x04")
    assert shown(terminal.read())[-2:] == ["CommandError: Nothing was sent.", ""]
    assert (terminal.process.wait(60), sandbox.store.messages()) == (130, [])


def test_ctrl_c_beside_the_bar_begins_a_new_line(start, clock):
    terminal = start("sandbox endless")
    terminal.read(until=QUESTION)
    terminal.type(b"40\n")
    terminal.read(until=b"queued")
    clock.move(1)
    terminal.read(until=b"20 of 40 sent: processing")
    terminal.interrupt()
    bar, text, rest = shown(terminal.read())[-3:]
    assert re.fullmatch(r"\[#+\.+\] 20 of 40 sent: processing", bar)
    assert text.startswith("CommandError: Interrupted. The batch goes on. Look at it with manage.py migma_batches")
    assert (terminal.process.wait(60), rest) == (130, "")
