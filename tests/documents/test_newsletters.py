"""The page on newsletters: its settings, its command and its code, pasted into the site of the quick start."""

import ast
import io
import re
import shlex
import sys

import pytest
from django.core.management import call_command
from django.test import override_settings

from django_migma import testing
from django_migma.sandbox import account

from .reading import blocks, section

pytestmark = pytest.mark.django_db
[(_, SETTINGS), (_, CONSOLE), (_, CODE)] = blocks(section("newsletters", "Send one"))


def quick_start():
    """The settings of the quick start that are no address."""
    [code] = [code for _, code in blocks(section("README", "Quick start")) if "MIGMA = {" in code]
    [found] = [node.value for node in ast.parse(code).body if "MIGMA" in ast.unparse(node.targets)]
    return {name: value for name, value in ast.literal_eval(found).items() if name != "API_URL"}


@pytest.fixture
def sandbox(mailer, settings):
    with testing.sandbox(batch_step=0) as running:
        names = {"MIGMA": {**quick_start(), "API_URL": running.api_url}}
        exec(SETTINGS, names)
        with override_settings(MIGMA=names["MIGMA"]):
            yield running


def masked(line):
    """Without what is another one each time: the day, digests, ids of batches and the port of the sandbox."""
    return re.sub(r"\d{4}-\d\d-\d\d-[0-9a-f]{12}|(?<=batch )[0-9a-f]{24}|:\d+/mail/[0-9a-f]{24}", "…", line)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_command_prints_what_the_page_shows(sandbox, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal("248\n"))
    prompt, *lines = CONSOLE.splitlines()
    command = shlex.split(prompt.removeprefix("$ python manage.py "))
    with pytest.raises(SystemExit) as ended:
        call_command(*command)
    out = capsys.readouterr().out.replace("to send it: ", "to send it: 248\n")  # which is typed, and not printed
    printed = [masked(line) for line in out.splitlines()]
    page = [masked(line) for line in lines if not line.startswith("[")]
    assert (ended.value.code, printed) == (0, [*page, "248 of 248 sent: completed"])
    [letter] = sandbox.store.messages()
    assert letter.body["recipientId"] == account.COFFEE_LETTER_TAG


def test_the_code_sends_and_follows(sandbox, capsys):
    exec(CODE, {})
    assert capsys.readouterr().out == "completed 248 0\n"
    [letter] = sandbox.store.messages()
    assert letter.body["variables"] == {"shop_url": "https://fernhill.example/shop"}
