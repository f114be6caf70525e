"""``make demo`` and ``make demo-once``, started as the Makefile starts them."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import textwrap
from contextlib import ExitStack, suppress
from itertools import takewhile
from pathlib import Path

import pytest
import requests

from django_migma.sandbox import account
from tests.api.clocks import until

from .conftest import DOCUMENTED, EXAMPLE, PYTHON, environment, run

MAILS = (
    ("Plain text", "visitor@example.com", "layout"),
    ("HTML", "reader-1@example.com", "layout"),
    ("HTML", "reader-2@example.com", "layout"),
    ("HTML", "archive@example.com", "layout"),
    ("Stored email", "ada@example.com", "stored email"),
    ("Stored email", "bo@example.com", "stored email"),
    ("Password reset", "demo@example.com", "stored email"),
    ("Order receipt", "robin@example.com", "stored email"),
)

FOLLOWED = "GET /v1/sending/batches/{batchId}"
LETTER = ("Newsletter", "tag Coffee letter", "stored email")
ROW = re.compile(r"^(.+?)  +(\S+@\S+|tag .+?)  .+  (layout|stored email) +queued$", re.MULTILINE)


def test_once_sends_in_six_ways_and_a_newsletter_and_lists_what_the_sandbox_accepted() -> None:
    done = run("demo.py", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ROW.findall(done.stdout) == [*MAILS, LETTER]
    assert f"Project {account.FERNHILL}: 6 created, 0 updated, 0 unchanged, 0 gone.\n" in done.stdout
    assert "Stored emails with a key: letter, password-reset, receipt, welcome.\n" in done.stdout
    assert "http://" not in done.stdout, "addresses that are dead by now"
    invoice = "'Your invoice for order FH-00001' to robin@example.com, with invoice-FH-00001.pdf"
    assert f"\nNot through Migma, but to a file: {invoice}\n" in done.stdout
    fine = "All 8 mails were accepted, each once, and so was the newsletter. The invoice is in a file."
    assert fine in done.stdout


def test_once_through_the_queue_waits_for_the_worker() -> None:
    done = run("demo.py", "--once", MIGMA_QUEUE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ROW.findall(done.stdout) == [*MAILS, LETTER]
    fine = "All 8 mails went through the queue and were accepted, each once, and so was the newsletter."
    assert fine in done.stdout


def test_once_fails_where_no_worker_takes_the_mail() -> None:
    code = """
        import contextlib, sys
        import demo
        demo.worker, demo.SECONDS_FOR_THE_WORKER = contextlib.nullcontext, 0.2
        sys.exit(demo.main(["--once"]))
    """
    done = run("-c", textwrap.dedent(code), MIGMA_QUEUE="1")
    assert done.returncode == 1
    assert re.findall(r"^Queue: (.+) to (.+) is waiting$", done.stdout, re.MULTILINE) == [
        (what, address) for what, address, _ in MAILS
    ]


def test_once_fails_where_the_invoice_is_missing() -> None:
    code = """
        import sys
        import demo
        demo.invoices = lambda folder: []
        sys.exit(demo.main(["--once"]))
    """
    done = run("-c", textwrap.dedent(code))
    assert done.returncode == 1
    assert "The invoice to robin@example.com with its PDF should be the only mail in files." in done.stdout


def test_once_fails_and_names_each_mail_that_the_sandbox_refused() -> None:
    done = run("demo.py", "--once", "--sender", "hello@lumenbikes.example")
    assert done.returncode == 1
    missing = re.findall(r"^Missing: (.+) to (.+)$", done.stdout, re.MULTILINE)
    assert missing == [*((what, address) for what, address, _ in MAILS), ("Newsletter", account.COFFEE_LETTER_TAG)]
    assert "Plain text: Migma answered 400: from: the domain lumenbikes.example is not verified" in done.stdout


def test_real_migma_is_left_alone() -> None:
    foreign = [name for name in DOCUMENTED if name != "MIGMA_QUEUE"]
    variables = dict.fromkeys(foreign, "of-ours") | {"MIGMA_API_KEY": "sk_live_of_ours"}
    done = run("demo.py", "--once", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"its own sandbox only, and does not use: {', '.join(foreign)}." in done.stdout
    assert "of_ours" not in done.stdout


def test_a_taken_port_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = f"""
            from demo import Sandbox, on_free_port
            with on_free_port({port}, lambda port: Sandbox(port=port)) as found:
                print(found.url)
        """
        done = run("-c", textwrap.dedent(code))
    assert done.returncode == 0, done.stdout + done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == f"Port {port} is taken; trying {port + 1}."
    assert int(last.rpartition(":")[2]) > port


@pytest.mark.parametrize(("number", "queue"), [(signal.SIGINT, ""), (signal.SIGTERM, "1")])
def test_it_serves_until_it_is_interrupted(number: signal.Signals, queue: str, tmp_path: Path) -> None:
    copy = shutil.copytree(EXAMPLE, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sqlite3", ".env"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    started = subprocess.Popen(
        [*PYTHON, "demo.py"],
        cwd=copy,
        env=environment(TMPDIR=str(temporary), MIGMA_QUEUE=queue),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with started as process, ExitStack() as stack:
        stack.callback(process.kill)  # after a failed assertion, its end would be waited for
        assert process.stdout
        output = "".join(takewhile(lambda line: not line.startswith("Ctrl-C ends the demo."), process.stdout))
        addresses = re.findall(r"^(?:[A-Z][\w -]+)?  +(http\S+)", output, re.MULTILINE)
        assert len(addresses) == len(MAILS) + len([LETTER]) + 9
        for address in addresses:
            assert requests.get(address, timeout=60).status_code == 200, address
        (site,) = re.findall(r"^The site +(\S+)$", output, re.MULTILINE)
        assert requests.get(f"{site}favicon.ico", timeout=60).status_code == 404
        (inbox,) = re.findall(r"^Inbox +(\S+)", output, re.MULTILINE)
        until(lambda: FOLLOWED in requests.get(f"{inbox}_sandbox/stats", timeout=60).json()["requests"])
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.send_signal(number)  # again, as a person would: an interrupt that falls into a finalizer is dropped
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest == ""
    assert not list(temporary.iterdir()), "files left behind"
    assert not list(copy.rglob("*.sqlite3")), "a database that the next demo would meet"
