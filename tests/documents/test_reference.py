"""The manual's reference against the code: each name that users can write has one entry, and its entry is true."""

import argparse
import ast
import re
import textwrap
from collections import Counter
from dataclasses import fields
from inspect import getmembers, isclass, signature
from operator import attrgetter
from pathlib import Path

import pytest
import requests
from django.core.management import BaseCommand, load_command_class
from django.dispatch import Signal

import django_migma
from django_migma import exceptions, signals, unsupported_features
from django_migma.conf import SETTINGS, QueueSettings
from django_migma.message import MigmaMessage
from django_migma.models import Delivery
from django_migma.sandbox.account import WELCOME
from django_migma.sandbox.faults import KINDS
from django_migma.sandbox.for_tests import ForTests
from django_migma.sandbox.options import Switches, add_arguments, flag_of
from django_migma.sandbox.protocol import KEYS
from django_migma.sandbox.urls import ENDPOINTS

from .reading import PAGES, document, first_column, rows, section, words

PACKAGE = Path(django_migma.__file__).parent
MANUAL = {path.stem: path.read_text() for path in PAGES}
ATTRIBUTES = {name for name, of in signature(MigmaMessage).parameters.items() if of.kind is of.KEYWORD_ONLY}
COMMANDS = sorted(path.stem for path in (PACKAGE / "management" / "commands").glob("[a-z]*.py"))
ERRORS = {name: error for name, error in getmembers(exceptions, isclass) if name in exceptions.__all__}
SIGNALS = {name for name, value in vars(signals).items() if isinstance(value, Signal)}
CHECK_IDS = set(re.findall(r'"(migma\.[EW]\d{3})"', (PACKAGE / "checks.py").read_text()))
STATUSES = {"queued", "sent", "processing", "waiting", "fallback", "failed", "unknown", "not_attempted"}
DELIVERY_STATUSES, DELIVERY_PERMISSIONS = (
    set(Delivery.Status.values),
    {name for name, _ in Delivery._meta.permissions},
)
FEATURES = {*unsupported_features.UNSUPPORTED_FEATURES, "body", "body_size"}
INSPECTION = {name for name in ENDPOINTS if " /v1/" not in name}
"""The sandbox's own endpoints, which are not part of Migma's API."""


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command line, without -h."""
    return {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}


def sandbox_options() -> set[str]:
    """The options of the sandbox's command line."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_of(parser)


def entries(directive: str, page: str) -> list[str]:
    """The names that a page describes by a directive, such as confval."""
    return re.findall(rf"^\.\. {directive}:: (?:django_migma\.\w+\.)?(\S+)$", MANUAL[page], re.MULTILINE)


def plain(text: str) -> str:
    """A text without markup and line breaks."""
    return " ".join(text.replace("`", "").split())


@pytest.mark.parametrize(
    ("page", "title", "names"),
    [
        ("sending", "Statuses", STATUSES),
        ("sending", "Signals", SIGNALS),
        ("delivery-log", "Statuses", DELIVERY_STATUSES),
        ("settings", "System checks", CHECK_IDS),
        ("features", "What is refused", FEATURES),
        ("sandbox", "Options", sandbox_options()),
        ("sandbox", "For programs", INSPECTION),
        (
            "stored-emails",
            "The attributes of a message",
            ATTRIBUTES - unsupported_features.UNSUPPORTED_FEATURES.keys(),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_names_all_there_is_and_nothing_else(page, title, names):
    """The tables of the reference are complete, and hold nothing that the code does not have."""
    assert first_column(section(page, title)) == names


def test_the_options_that_try_an_unknown_are_those_that_the_set_up_page_says_it_of():
    """The table and the page hold the same switches against the same list of unknowns."""
    tried = {
        option for row in rows(section("sandbox", "Options")) if "*Tries: " in row[2] for option in words(row[0])
    }
    unknown = {flag_of(switch) for switch in fields(Switches) if switch.metadata["unknown"]}
    assert tried - {"--no-errors-consume-key"} == unknown


def test_every_setting_has_its_entry_and_its_default():
    """The settings page shows each default as Python would write it."""
    shown = re.findall(
        r"^\.\. confval:: (\w+)\n(?:   :type: .+\n)?   :default: ``(.+)``$", MANUAL["settings"], re.MULTILINE
    )
    assert [name for name, _ in shown] == entries("confval", "settings")
    assert {name: ast.literal_eval(default) for name, default in shown} == {
        name: setting.default for name, setting in SETTINGS.items()
    }


def test_every_key_of_the_queue_has_its_line_and_its_default():
    """The table within the entry of QUEUE is complete, and its defaults are those of the code."""
    [entry] = re.findall(r"^\.\. confval:: QUEUE\n((?:   .*\n|\n)+)", MANUAL["settings"], re.MULTILINE)
    shown = {cells[0]: ast.literal_eval(plain(cells[1])) for cells in rows(textwrap.dedent(entry))}
    defaults = QueueSettings._field_defaults
    assert shown == {f"``{name.upper()}``": default for name, default in defaults.items()}


def test_every_field_of_a_delivery_is_described():
    """Those who write reports find what a column means."""
    fields = {field.name for field in Delivery._meta.concrete_fields}
    internal = {"id", "account", "claimed_by", "payload_digest", "priority"}
    assert first_column(section("delivery-log", "What a row holds")) == fields - internal


def test_every_permission_of_a_delivery_is_named_beside_its_action():
    assert {plain(cells[1]) for cells in rows(section("delivery-log", "In the admin"))} == DELIVERY_PERMISSIONS


def test_every_error_has_its_entry():
    assert set(entries("autoexception", "errors")) == ERRORS.keys()


@pytest.mark.parametrize("name", ERRORS)
def test_the_hint_of_an_error_is_found_on_its_page(name):
    """Readers who search for the text of an error find it."""
    assert plain(getattr(ERRORS[name], "hint", "")) in plain(MANUAL["errors"])


def test_every_command_has_a_section():
    titles = re.findall(r"^(\w+)\n-+$", MANUAL["commands"], re.MULTILINE)
    assert [title for title in titles if title.startswith("migma_")] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_its_exit_status_means(command):
    """Those who write a unit or a cron job look for it. Other statuses than 0 and 1 stand in the source."""
    source = (PACKAGE / "management" / "commands" / f"{command}.py").read_text()
    constants = dict(re.findall(r"^([A-Z]+) = (\d+)$", source, re.MULTILINE))
    places = " ".join(re.findall(r"(?:returncode=|exit_status = |sys\.exit\()(.+)", source))
    found = {constants.get(word, word) for word in re.findall(r"\w+", places)}
    [text] = re.findall(r"^Exit status: ((?:.+\n)+)", section("commands", command), re.MULTILINE)
    assert {"0", "1", *filter(str.isdigit, found)} <= set(re.findall(r"\w+", text))


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "migma_sandbox"])
def test_a_command_names_its_options(command):
    """Those of Django's own commands are left out, those of migma_sandbox stand on the sandbox's page."""
    parser = load_command_class("django_migma", command).create_parser("manage.py", command)
    django_own = options_of(BaseCommand().create_parser("manage.py", command))
    shown = {word.split()[0] for word in first_column(section("commands", command)) if word.startswith("--")}
    assert shown == options_of(parser) - django_own


def test_every_fault_stands_in_the_table_of_faults():
    """With what becomes of the mail."""
    cells = re.findall(r"^(``.+``) +(accepted|not accepted) ", section("sandbox", "Faults"), re.MULTILINE)
    assert {word: fate for cell, fate in cells for word in words(cell)} == {
        word: "accepted" if kind.accepts_mail else "not accepted" for kind in KINDS for word in kind.words
    }


def test_the_helpers_for_tests_have_their_entries():
    assert {"migma_outbox", "migma_sandbox"} <= first_column(MANUAL["testing"])


def test_what_a_test_asks_of_a_sandbox_has_its_line_and_exists(migma_sandbox):
    """Names of the table are tried on a sandbox and on a mail; ``store.reset()`` is looked up part by part."""
    send = {"recipientEmail": "ada@example.org", "recipientType": "email", "emailId": WELCOME, "subject": "Welcome"}
    sender = {"from": "hello@fernhill.example", "fromName": "Fernhill"}
    headers = {"Authorization": f"Bearer {migma_sandbox.keys.full}"}
    requests.post(f"{migma_sandbox.api_url}/sending", json=send | sender, headers=headers, timeout=60)
    [mail] = migma_sandbox.mails
    shown = {word.partition("(")[0] for word in first_column(section("testing", "The sandbox in tests"))}
    assert {name for name in vars(ForTests) if not name.startswith("_")} <= shown
    assert [name for name in shown if not any(_has(owner, name) for owner in (migma_sandbox, mail))] == []


def _has(owner: object, path: str) -> bool:
    try:
        attrgetter(path)(owner)
    except AttributeError:
        return False
    return True


def test_nothing_has_two_entries():
    """A name that users can write is described in one place of the manual.

    The status of a row and that of a send share words, so the table of the former is left out here.
    """
    pages = MANUAL | {"delivery-log": MANUAL["delivery-log"].replace(section("delivery-log", "Statuses"), "")}
    cells = (row[0] for text in pages.values() for row in rows(text))
    found = Counter(name for cell in cells if re.fullmatch(r"(``[^`]+``[ ,*]*)+", cell) for name in words(cell))
    found.update(name for page in MANUAL for name in entries("confval", page) + entries("autoexception", page))
    names = {*SETTINGS, *ERRORS, *SIGNALS, *CHECK_IDS, *STATUSES, *FEATURES, *INSPECTION}
    assert {name: found[name] for name in names if found[name] != 1} == {}


def test_the_sandboxs_switches_and_keys_are_named():
    """What stands in no first column is named all the same."""
    assert {getattr(KEYS, name) for name in vars(KEYS)} <= words(MANUAL["sandbox"])


def test_every_signal_is_shown_with_its_arguments():
    """The arguments are those that the signals' own module documents."""
    documented = dict(re.findall(r"^``(\w+)\(sender, ([\w, ]+)\)``$", signals.__doc__, re.MULTILINE))
    shown = {plain(row[0]): plain(row[1]) for row in rows(section("sending", "Signals"))}
    assert shown == documented


def test_the_readme_names_no_setting_that_does_not_exist():
    names = {word for word in words(document("README")) if re.fullmatch(r"[A-Z]+_[A-Z_]+", word)}
    assert names - SETTINGS.keys() <= {"EMAIL_BACKEND", "EMAIL_HOST"}, "Django's"
