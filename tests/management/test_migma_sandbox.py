"""``manage.py migma_sandbox``: the sandbox's command line inside a project."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import django
import pytest
from django.core.management import call_command
from django.test import override_settings

from django_migma.management.commands.migma_sandbox import own_domains


def start(*arguments):
    """Start the command in a process of its own; return it and its greeting, which ends with the settings."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "django", "migma_sandbox", "--pythonpath", ".", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    lines = list(itertools.takewhile(lambda line: line != "}\n", process.stdout))
    return process, "".join(lines)


@pytest.fixture
def ctrl_c():
    """Processes started in the background of a shell inherit an ignored Ctrl-C; children must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_serves_until_interrupted_and_takes_the_projects_senders(ctrl_c):
    process, printed = start("--port", "0")
    try:
        url = printed.split()[3]
        with urllib.request.urlopen(f"{url}/_sandbox/") as answer:
            state = json.load(answer)
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "sk_test_sandbox_full" in printed
    assert "example.com" in json.dumps(state["switches"])
    assert errors == ""


def test_a_taken_port_is_one_clear_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as caught:
            call_command("migma_sandbox", port=port)
    assert caught.value.code == 1
    assert f"Cannot listen on 127.0.0.1, port {port}: " in capsys.readouterr().err


@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
@override_settings(MAILERS={"news": {"OPTIONS": {"from_email": "News <news@news.example>"}}, "plain": {}})
def test_own_domains_are_those_of_the_mailers_too():
    assert own_domains() == {"example.com", "news.example"}


@override_settings(
    DEFAULT_FROM_EMAIL="Shop <hello@Shop.example>", SERVER_EMAIL="nobody", MIGMA={"FROM_EMAIL": "a@straße.example"}
)
def test_own_domains_are_those_of_the_settings():
    assert own_domains() == {"shop.example", "xn--strae-oqa.example"}


@pytest.mark.parametrize("from_email", ["Crew <crew@crew.example>", ""])
def test_own_domains_are_those_of_declared_emails_too(mailer, migma, from_email):
    migma(STORED_EMAILS={"welcome": {"email_id": "a" * 24, "from_email": from_email}})
    assert ("crew.example" in own_domains()) is bool(from_email)
