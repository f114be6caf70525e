"""Processes that die, and two at once: one batch, whatever happens. The sandbox's ledger counts."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, suppress
from datetime import time

import pytest
from django.utils import timezone

from django_migma.sandbox import account
from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.api.clocks import until
from tests.delivery.site import Site

LETTER = {"letter": {"email_id": account.SERIES_1, "subject": "A better cup"}}
COMMAND = ["migma_send_batch", "letter"]
KEY = ("--yes", "--key", "letter-5")


@pytest.fixture
def sandbox():
    with Sandbox(switches=Switches(batch_step=0.05)) as running:
        yield running


@pytest.fixture
def site(tmp_path, sandbox):
    sender = "Fernhill Coffee <hello@fernhill.example>"
    about = {"PROJECT_ID": account.FERNHILL, "FROM_EMAIL": sender, "STORED_EMAILS": LETTER}
    patience = {"TIMEOUT": 120, "RETRY_DEADLINE": 120}
    return Site(tmp_path, sandbox.api_url, API_KEY=sandbox.keys.full, **about, **patience)


@pytest.fixture
def start(site):
    """Starts the command; without a key, in a terminal where its question is answered."""
    with ExitStack() as stack:

        def start(*arguments, tag="Coffee letter"):
            ours, theirs = pty.openpty()
            stack.callback(os.close, ours)
            os.write(ours, b"248\n")
            command = [sys.executable, "-W", "error", "-m", "django", *COMMAND, "--tag", tag, *arguments]
            streams = {"stdin": theirs, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(command, env=site.environment, text=True, **streams)
            os.close(theirs)
            return process

        yield start


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def let_a_minute_of_today_be_left():
    """The key of a newsletter without one is of its day: two processes must not begin on two days."""
    until(lambda: timezone.localtime().time() < time(23, 59))


def test_a_killed_command_and_its_repeat_make_one_batch(sandbox, site, start):
    """It dies while its request is being processed; the repeat needs no key, and waits in case that it lives."""
    sandbox.faults.script("busy-1")
    killed = start()
    until(lambda: sandbox.store.stats()["sending_posts"])
    killed.kill()
    killed.communicate(timeout=60)
    repeat = start()
    assert any(line.startswith("Earlier  Another process sends it at this moment") for line in repeat.stdout)
    with suppress(subprocess.TimeoutExpired):
        repeat.wait(1)
    assert sandbox.store.stats()["sending_posts"] == 1
    with closing(sqlite3.connect(site.path, timeout=60)) as database, database:  # as after four minutes
        database.execute("UPDATE django_migma_newsletter SET claimed_until = '2026-01-01 00:00:00'")
    assert "248 of 248 sent: completed" in finish(repeat)
    assert len(sandbox.store.messages()) == 1


@pytest.mark.parametrize("arguments", [(), KEY], ids=["no key", "a key"])
def test_two_terminals_at_once_make_one_request(sandbox, start, arguments):
    """What Migma would make of two at once is unknown."""
    let_a_minute_of_today_be_left()
    sandbox.faults.script("busy-1")
    both = [start(*arguments) for _ in range(2)]
    assert all("completed" in finish(each) for each in both)
    assert (len(sandbox.store.messages()), sandbox.store.stats()["sending_posts"]) == (1, 1)


def test_a_lost_reply_and_a_second_terminal_make_one_batch(sandbox, start):
    let_a_minute_of_today_be_left()
    sandbox.faults.script("lost", "lost")
    both = [start() for _ in range(2)]
    assert all("completed" in finish(each) for each in both)
    assert len(sandbox.store.messages()) == 1


def interrupted(process):
    """Ctrl-C, and again, as a person would: Python drops what a finalizer raises, and the first may fall into one."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    process.send_signal(signal.SIGINT)  # does nothing to one that has ended
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_ctrl_c_while_it_is_followed_leaves_it_going(sandbox, start):
    followed = start(*KEY, tag="sandbox endless")
    until(lambda: "GET /v1/sending/batches/{batchId}" in sandbox.store.stats()["requests"])
    status, err = interrupted(followed)
    [message] = sandbox.store.messages()
    text = f"Interrupted. The batch goes on. Look at it with manage.py migma_batches {message.id}."
    assert (status, text in err) == (130, True), err


def test_ctrl_c_while_it_is_sent_says_that_it_may_be_on_its_way(sandbox, start):
    sandbox.faults.script("busy-600")
    sent = start(*KEY)
    until(lambda: sandbox.store.stats()["sending_posts"])
    status, err = interrupted(sent)
    text = "Interrupted. The batch may be on its way. Run the command again with --key letter-5 to find out"
    assert (status, text in err) == (130, True), err
