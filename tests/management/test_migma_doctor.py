"""``manage.py migma_doctor``: a line for each finding, or one document, and an exit status."""

import io
import json
import os
import subprocess
import sys

import pytest
from django.core import checks
from django.core.management import CommandError, call_command

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS

pytestmark = pytest.mark.django_db


def run(*arguments):
    """What the command printed, and its exit status."""
    out = io.StringIO()
    try:
        call_command("migma_doctor", *arguments, stdout=out)
    except SystemExit as end:
        return out.getvalue(), end.code
    return out.getvalue(), 0


@pytest.fixture
def healthy(migma_sandbox, settings, migma, monkeypatch):
    """A site where all is well, and where a minute for an answer is no news."""
    monkeypatch.setattr("django_migma.doctor.account._SLOW", 60.0)
    settings.DEFAULT_FROM_EMAIL, settings.DEBUG = "Fernhill <hello@fernhill.example>", True
    migma(LAYOUT_EMAIL_ID=account.LAYOUT)
    return migma_sandbox


def test_prints_a_line_for_each_finding_and_counts_them(healthy):
    text, status = run()
    lines = text.splitlines()
    assert all(line.startswith("✓ ") for line in lines[:-1])
    assert lines[-1] == "11 ok."
    assert f"sends to a sandbox on this machine: {healthy.api_url}" in text
    assert status == 0


def test_an_error_comes_with_advice_and_exit_status_1(healthy, migma):
    migma(API_KEY=KEYS.no_send, PROJECT_ID=None, LAYOUT_EMAIL_ID=None)
    text, status = run()
    assert (
        "✗ permission email:send: the key lacks it, and nothing can be sent\n"
        "  Add it to the key in Migma's dashboard.\n"
    ) in text
    assert "\n! ordinary mail: is refused" in text
    assert text.splitlines()[-1] == "7 ok, 2 warnings, 1 error."
    assert status == 1


def test_warnings_alone_exit_with_0(healthy, migma):
    migma(PROJECT_ID=None, LAYOUT_EMAIL_ID=None)
    text, status = run()
    assert text.splitlines()[-1] == "8 ok, 2 warnings."
    assert status == 0


def test_without_an_answer_of_the_api_the_rest_is_checked(mailer):
    text, status = run()
    assert "✗ API: The connection to Migma failed" in text
    assert "! permission email:send: not checked: Migma does not answer\n" in text
    assert "✓ keys in code: none found" in text
    assert text.splitlines()[-1] == "3 ok, 1 warning, 5 not checked, 1 error."
    assert status == 1


def test_json_is_one_document(healthy, migma):
    migma(API_KEY=KEYS.no_send)
    text, status = run("--json")
    document = json.loads(text)
    assert document["ok"] is False
    assert document["counts"] == {"ok": 10, "error": 1}
    assert {
        "name": "permission email:send",
        "status": "error",
        "text": "the key lacks it, and nothing can be sent",
        "advice": "Add it to the key in Migma's dashboard.",
    } in document["items"]
    assert status == 1


def test_json_is_a_document_even_if_a_section_fails(healthy):
    def broken(**_):
        raise RuntimeError("a secret")

    checks.register(broken, "migma")
    try:
        text, status = run("--json")
    finally:
        checks.registry.registry.registered_checks.discard(broken)
    [item] = [item for item in json.loads(text)["items"] if item["status"] == "error"]
    assert (item["name"], item["text"]) == ("system checks", "could not be checked (RuntimeError)")
    assert "secret" not in text
    assert status == 1


def test_json_of_a_healthy_site(healthy):
    text, status = run("--json")
    assert json.loads(text)["ok"] is True
    assert status == 0


def test_a_real_mail_goes_to_the_address(healthy):
    text, status = run("--send-to", "Ada <ada@example.org>")
    assert "✓ real test: The sandbox accepted it. Id: " in text
    assert [message.body["recipientEmail"] for message in healthy.store.messages()] == ["ada@example.org"]
    assert status == 0


def test_an_invalid_address_is_refused_before_any_request(healthy):
    with pytest.raises(CommandError, match=r"^--send-to is not an address\. Give one address"):
        run("--send-to", "nobody")
    assert healthy.store.stats()["requests"] == {}


def test_an_unknown_alias_is_an_error(healthy):
    text, status = run("--using", "news")
    assert text.startswith("✗ mailer: There is no mailer 'news' that uses Migma in MAILERS.")
    assert status == 1


def test_no_text_of_the_api_can_move_the_cursor_or_forge_a_line(wire, migma):
    """A project's id and the id of a mail are shown as Migma sends them."""
    migma(PROJECT_ID=None, LAYOUT_EMAIL_ID=account.LAYOUT)
    api = "http://127.0.0.1:9/v1"
    projects = {"projects": [{"_id": "p\x1b[2J\x9b1A\n✓ forged: ok"}]}
    wire.mock.get(f"{api}/projects", json={"success": True, "data": projects})
    wire.mock.get(f"{api}/projects/emails", json={"success": False, "error": "No"}, status=404)
    wire.mock.get(f"{api}/domains", json={"success": True, "data": []})
    wire.mock.get(f"{api}/domains/managed", json={"success": True, "data": []})
    wire.mock.get(f"{api}/emails/{account.LAYOUT}", json={"success": True, "data": {}})
    wire.mock.post(f"{api}/emails/test/send", json={"success": False, "error": "No"}, status=400)
    wire.accepts(id="m1\x1b]0;owned\x07\n✓ forged: ok")
    text, status = run("--send-to", "ada@example.org")
    lines = text.splitlines()
    assert "✗ project: Migma does not know the project p [2J 1A ✓ forged: ok" in lines
    assert "✓ real test: The sandbox accepted it. Id: m1 ]0;owned  ✓ forged: ok" in lines
    assert not any(line.startswith("✓ forged") for line in lines)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert status == 1


def test_the_key_is_never_printed(healthy, migma):
    migma(API_KEY="sk_live_unknown_here")
    text, _ = run("--json")
    assert "sk_live" not in text


def test_a_site_without_a_database_is_checked_too(tmp_path):
    """Django's stand-in for a database raises an error of its own kind."""
    (tmp_path / "bare.py").write_text("from tests.settings import *\nDATABASES = {}\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "bare", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "django", "migma_doctor"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    expected = (
        "! keys in code: the table of stored emails cannot be read (ImproperlyConfigured)\n"
        "  Check the database, and run manage.py migrate.\n"
    )
    assert expected in ended.stdout
    assert (ended.stderr, ended.returncode) == ("", 1)
