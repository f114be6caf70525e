"""The example's settings, read in a process of their own."""

from __future__ import annotations

import json
import re
import subprocess

import django
import pytest

from django_migma.api.credentials import API_URL
from django_migma.sandbox import account
from django_migma.sandbox.server import Sandbox

from .conftest import DOCUMENTED, EXAMPLE, run

SETTINGS = (EXAMPLE / "config" / "settings.py").read_text()
READ = set(re.findall(r'env(?:\.\w+)?\(\s*"(\w+)"', SETTINGS))
OWN_ACCOUNT = {
    "MIGMA_API_KEY": "sk_live_of_ours",
    "MIGMA_PROJECT_ID": "1" * 24,
    "MIGMA_FROM_NAME": "Ours",
    "MIGMA_LAYOUT_EMAIL_ID": "0" * 24,
    "DEFAULT_FROM_EMAIL": "hello@example.com",
}
SHOW = """
import json
from django_migma.conf import load_config
config = load_config({})
shown = [config.api_key, config.api_url, config.project_id, config.from_name, config.layout_email_id]
print(json.dumps(shown))
"""


def test_the_settings_stay_short() -> None:
    assert len(SETTINGS.splitlines()) < 90


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    assert set(DOCUMENTED) == READ


def test_the_sandboxs_values_stand_in_for_variables_that_are_read() -> None:
    names = set(re.findall(r'^    "([A-Z_]+)":', (EXAMPLE / "config" / "sandbox.py").read_text(), re.MULTILINE))
    assert names
    assert names <= READ


def test_without_a_key_it_talks_to_the_sandbox() -> None:
    shown = json.loads(run("-c", SHOW).stdout)
    own_account = [account.FERNHILL, "Fernhill Coffee", account.LAYOUT]
    assert shown == ["sk_test_sandbox_full", "http://127.0.0.1:8026/v1", *own_account]


def test_the_address_can_be_another_one() -> None:
    shown = json.loads(run("-c", SHOW, MIGMA_API_URL="http://127.0.0.1:9000/v1").stdout)
    assert shown[:2] == ["sk_test_sandbox_full", "http://127.0.0.1:9000/v1"]


def test_with_a_key_it_talks_to_migma_without_the_values_of_the_sandbox() -> None:
    shown = json.loads(run("-c", SHOW, **OWN_ACCOUNT).stdout)
    assert shown == ["sk_live_of_ours", API_URL, "1" * 24, "Ours", "0" * 24]


@pytest.mark.parametrize("name", sorted(OWN_ACCOUNT.keys() - {"MIGMA_API_KEY"}))
def test_with_a_key_the_rest_of_the_account_is_required(name: str) -> None:
    done = run("-c", SHOW, **(OWN_ACCOUNT | {name: ""}))
    assert done.returncode
    assert f"Set the {name} environment variable" in done.stderr


def test_a_live_site_needs_a_secret_key() -> None:
    assert "Set the SECRET_KEY environment variable" in run("-c", SHOW, DEBUG="False").stderr


@pytest.mark.parametrize("queue", ["", "1"])
def test_one_variable_switches_to_the_queue(queue: str) -> None:
    script = "import django; django.setup(); from django_migma.mailers import mailer; print(mailer().uses_queue)"
    assert run("-c", script, MIGMA_QUEUE=queue).stdout == f"{bool(queue)}\n"


@pytest.mark.parametrize("queue", ["", "1"])
def test_the_site_passes_all_checks(queue: str) -> None:
    done = run("manage.py", "check", "--fail-level=WARNING", MIGMA_QUEUE=queue)
    assert done.returncode == 0, done.stderr
    assert run("manage.py", "makemigrations", "--check", DATABASE_URL="sqlite://:memory:").returncode == 0


def report_an_error(**variables: str) -> subprocess.CompletedProcess[str]:
    """Log an error in the live site, which mails its admins."""
    script = "import django, logging; django.setup(); logging.getLogger('django.request').error('It broke')"
    live = {"DEBUG": "False", "SECRET_KEY": "x" * 60, "ADMINS": "admin@example.com"}
    return run("-c", script, **live, **variables)


def test_an_error_is_mailed_to_the_admins(sandbox: Sandbox, variables: dict[str, str]) -> None:
    assert report_an_error(**variables).returncode == 0
    (message,) = sandbox.store.messages()
    assert (message.body["recipientEmail"], message.body["emailId"]) == ("admin@example.com", account.LAYOUT)
    assert "It broke" in message.subject


def test_an_error_that_cannot_be_mailed_causes_no_other(sandbox: Sandbox, variables: dict[str, str]) -> None:
    done = report_an_error(**variables, DEFAULT_FROM_EMAIL="hello@lumenbikes.example")
    assert done.returncode == 0
    assert "It broke" in done.stderr
    assert "Traceback" not in done.stderr
    assert sandbox.store.stats()["sending_posts"] == 1


def test_the_mailer_is_set_as_this_django_wants_it() -> None:
    expected = "MAILERS" if django.VERSION >= (6, 1) else "EMAIL_BACKEND"
    script = f"from django.conf import settings; print(settings.is_overridden({expected!r}))"
    assert run("-c", script).stdout == "True\n"
