"""python -m django_migma.sandbox"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import fields
from urllib.request import urlopen

import django
import pytest

from django_migma.sandbox.__main__ import main, run
from django_migma.sandbox.faults import KINDS
from django_migma.sandbox.options import Switches, add_arguments, switches_from
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import PATIENCE, eventually

KNOWN = ", ".join(word for kind in KINDS for word in kind.words)


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return vars(parser.parse_args(arguments))


class Interrupting(io.StringIO):
    """A terminal whose user presses Ctrl-C once the greeting is out."""

    def flush(self):
        raise KeyboardInterrupt


def greeting(*arguments):
    stdout, stderr = Interrupting(), io.StringIO()
    assert run(parsed("--port", "0", *arguments), stdout=stdout, stderr=stderr) == 0
    return stdout.getvalue(), stderr.getvalue()


def test_without_options_it_is_the_default_sandbox_on_loopback_port_8026():
    options = parsed()
    assert (options["host"], options["port"]) == ("127.0.0.1", 8026)
    assert switches_from(options) == Switches()


def test_every_switch_has_an_option():
    options = parsed(
        "--accept-template",
        "--escape-variables",
        *("--missing-variables", "error"),
        "--no-subject-variables",
        *("--verified-domain", "shop.example", "--verified-domain", "*"),
        "--any-id",
        "--no-errors-consume-key",
        *("--tracking-id", "id", "--log-delay", "5", "--outcome-delay", "0.5"),
        *("--batch-outcome", "partial", "--batch-step", "0.1", "--batch-delay", "2"),
        "--ignore-keys",
        *("--rate", "10/s"),
        *("--fault-rate", "0.25", "--fault-seed", "7", "--fault-kinds", "500,lost"),
        *("--max-messages", "7"),
    )
    chosen = switches_from(options)
    assert chosen == Switches(
        accept_template=True,
        any_id=True,
        escape_variables=True,
        missing_variables="error",
        subject_variables=False,
        verified_domains=("shop.example", "*"),
        errors_consume_key=False,
        tracking_id="id",
        batch_outcome="partial",
        batch_step=0.1,
        batch_delay=2,
        log_delay=5,
        outcome_delay=0.5,
        idempotency=False,
        rate="10/s",
        fault_rate=0.25,
        fault_seed=7,
        fault_kinds=("500", "lost"),
        max_messages=7,
    )
    assert all(getattr(chosen, field.name) != field.default for field in fields(Switches))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"missing_variables": "drop"}, "missing_variables must be one of keep, blank, error, not 'drop'"),
        ({"max_messages": 0}, "max_messages must be at least 1, not 0"),
        ({"tracking_id": "emailId"}, "tracking_id must be one of sendId, id, not 'emailId'"),
        (
            {"batch_outcome": "lost"},
            "batch_outcome must be one of completed, partial, failed, throttled, endless, not 'lost'",
        ),
        ({"log_delay": -1}, "log_delay must be from 0 to 2592000 seconds, not -1"),
        ({"outcome_delay": float("nan")}, "outcome_delay must be from 0 to 2592000 seconds, not nan"),
    ],
)
def test_a_switch_with_a_bad_value_is_a_value_error(value, text):
    with pytest.raises(ValueError, match=f"^{text}$"):
        Switches(**value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--max-messages", "many"], "argument --max-messages: invalid int value: 'many'"),
        (["--missing-variables", "drop"], "argument --missing-variables: invalid choice: 'drop'"),
        (["--script", "500,lots"], f"argument --script: unknown fault 'lots'; known: {KNOWN}"),
        (["--script", ""], f"argument --script: unknown fault ''; known: {KNOWN}"),
        (["--fault-kinds", "429-2"], f"argument --fault-kinds: unknown fault '429-2'; known: {KNOWN}"),
        (["--fault-rate", "some"], "argument --fault-rate: invalid float value: 'some'"),
        (["--fault-seed", "lucky"], "argument --fault-seed: invalid int value: 'lucky'"),
    ],
)
def test_an_option_that_is_not_understood_is_explained(arguments, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--max-messages", "0"], "max_messages must be at least 1, not 0\n"),
        (["--fault-rate", "1.1"], "fault_rate must be from 0 to 1, not 1.1\n"),
        (["--rate", "10"], "rate must be such as 10/s, 100/m or 1000/h, not '10'\n"),
        (
            ["--allowed-host", "sandbox:8026"],
            "an allowed host must be a name such as sandbox, without port or path, not 'sandbox:8026'\n",
        ),
    ],
)
def test_a_value_that_a_switch_cannot_have_is_one_line_and_status_2(arguments, text, capsys):
    assert main(["--port", "0", *arguments]) == 2
    assert capsys.readouterr() == ("", text)


def test_the_greeting_says_all_that_a_site_needs():
    printed, warnings = greeting()
    url = re.search(r"Migma sandbox on (http://127\.0\.0\.1:\d+)\n", printed)[1]
    assert f'"API_URL": "{url}/v1",' in printed
    assert '"API_KEY": "sk_test_sandbox_full",' in printed
    assert '"LAYOUT_EMAIL_ID": "665f1c2ab7d3e4f5a6b70004",' in printed
    mailer = 'MAILERS = {"default": {"BACKEND": "django_migma.backends.EmailBackend"}}'
    older = 'EMAIL_BACKEND = "django_migma.backends.EmailBackend"'
    assert f"\n{mailer if django.VERSION >= (6, 1) else older}\n" in printed
    assert printed.count("\n") < 15
    assert "Open it in a browser: it is the inbox" in printed
    assert warnings == ""


def test_without_faults_by_chance_the_greeting_says_nothing_of_them():
    printed, _ = greeting("--fault-seed", "7")
    assert "by chance" not in printed
    assert "Ctrl-C.\n\nSettings" in printed


def test_the_greeting_says_how_to_get_the_same_faults_again():
    printed, _ = greeting("--fault-rate", "0.2")
    assert re.search(
        r"Ctrl-C\.\nFaults strike by chance, rate 0\.2; for the same ones again: --fault-seed \d+\n\n", printed
    )
    printed, _ = greeting("--fault-rate", "0.2", "--fault-seed", "7")
    assert "--fault-seed 7\n" in printed


def test_errors_consume_their_key_by_default_and_by_name():
    assert parsed()["errors_consume_key"] is True
    assert parsed("--errors-consume-key")["errors_consume_key"] is True
    assert parsed("--no-errors-consume-key")["errors_consume_key"] is False


def test_beyond_loopback_it_warns():
    printed, warnings = greeting("--host", "0.0.0.0")
    assert "http://127.0.0.1:" in printed
    assert warnings == (
        "Warning: 0.0.0.0 is not loopback. Whoever reaches this port can read the mail and use its keys, "
        'which are the same everywhere. Clients beyond this machine need MIGMA["ALLOW_HTTP"] = True, and '
        "--allowed-host NAME here if they call it by a name, as neighbouring containers do.\n"
    )


def test_an_address_that_cannot_be_bound_is_one_line_that_names_the_options(capsys):
    with Sandbox() as taken:
        for host, port in [("127.0.0.1", taken.port), ("192.0.2.1", 0), ("127.0.0.1", 65536)]:
            assert main(["--host", host, "--port", str(port)]) == 1
            printed = capsys.readouterr().err
            assert printed.startswith(f"Cannot listen on {host}, port {port}: ")
            assert printed.endswith("; see --host and --port (0: any free one).\n")
            assert printed.count("\n") == 1


@pytest.fixture
def ctrl_c():
    """Processes started in the background of a shell inherit an ignored Ctrl-C; children must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def program(*options, **streams):
    """The sandbox as a program. One that a failed test leaves behind is killed, or nobody would end it."""
    command = [sys.executable, "-W", "error", "-m", "django_migma.sandbox", "--port", "0", *options]
    with subprocess.Popen(command, **streams) as started:
        try:
            yield started
        finally:
            started.kill()


def interrupt(started):
    """Press Ctrl-C, and again, as a person would: Python drops what a finalizer raises, and the first may fall there.

    Nothing is read meanwhile.
    """
    started.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        started.wait(PATIENCE)
    started.send_signal(signal.SIGINT)  # does nothing to one that has ended
    assert started.wait(PATIENCE) == 0


def test_a_script_of_the_command_line_strikes_the_first_sends(ctrl_c):
    with program("--script", "500, lost ,ok", stdout=subprocess.PIPE, text=True) as started:
        url = started.stdout.readline().split()[-1]
        with urlopen(f"{url}/_sandbox/faults", timeout=PATIENCE) as answer:
            script = json.load(answer)["script"]
        interrupt(started)
    assert script == ["500", "lost", "ok"]


def test_ctrl_c_ends_the_program_silently(ctrl_c):
    with program(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        url = re.fullmatch(r"Migma sandbox on (http://127\.0\.0\.1:\d+)\n", started.stdout.readline())[1]
        with urlopen(f"{url}/_sandbox/stats", timeout=PATIENCE) as answer:
            assert answer.status == 200
        interrupt(started)
        assert started.stderr.read() == ""


def send_to(url, count):
    """Send so many mails without a key over one connection."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    for _ in range(count):
        connection.request("POST", "/v1/sending", body="{}")
        assert connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize(("options", "lines"), [([], 3), (["--quiet"], 0)])
def test_a_line_is_printed_for_each_request_to_send_unless_it_is_to_be_quiet(ctrl_c, tmp_path, options, lines):
    """They are waited for while it runs: at its end, it waits for its last ones for a moment only."""
    output = tmp_path / "output"

    def printed(pattern):
        return re.findall(pattern, output.read_text("utf-8", errors="replace"), re.MULTILINE)

    def refusals():
        return len(printed(r'^\d\d:\d\d:\d\d nobody "" → refused 401: Missing API key'))

    with output.open("wb") as file, program(*options, stdout=file) as started:
        assert eventually(lambda: printed(r"^Migma sandbox on \S+\n"))
        send_to(printed(r"\S+$")[0], 3)
        assert eventually(lambda: refusals() == lines)
        interrupt(started)
    assert refusals() == lines


def test_ctrl_c_ends_the_program_while_nobody_reads_its_lines(ctrl_c):
    with program(stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as started:
        send_to(started.stdout.readline().split()[-1], 1500)  # more than a pipe holds
        interrupt(started)
        assert started.stderr.read() == ""
