"""README and CHANGELOG against the code: nothing that users can name is missing, and what is said of it is true."""

import argparse
import ast
import importlib
import re
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import fields
from importlib.util import find_spec
from inspect import getmembers, isfunction, signature
from pathlib import Path

import pytest
from django.dispatch import Signal

import django_migma
from django_migma import exceptions, signals, unsupported_features
from django_migma.api import MigmaClient
from django_migma.conf import SETTINGS
from django_migma.message import MigmaMessage
from django_migma.sandbox.options import Switches, add_arguments
from django_migma.sandbox.protocol import KEYS
from django_migma.sandbox.urls import ENDPOINTS

ATTRIBUTES = [name for name, of in signature(MigmaMessage).parameters.items() if of.kind is of.KEYWORD_ONLY]
PACKAGE = Path(django_migma.__file__).parent
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text()
CHANGELOG = (ROOT / "CHANGELOG.rst").read_text()
BLOCKS = [
    textwrap.dedent(block)
    for block in re.findall(r"^\.\. code-block:: python\n\n((?:(?:    .*)?\n)+)", README, re.MULTILINE)
]
ROWS = re.findall(r"^   \* - (.+)\n     -(.*)$", README, re.MULTILINE)


def section(title: str) -> str:
    """The text under a heading of the README, up to the next one of its level."""
    [text] = re.findall(rf"^{re.escape(title)}\n-+\n(.*?)(?=^[^\n]+\n-+\n|\Z)", README, re.MULTILINE | re.DOTALL)
    return text


def words(text: str) -> set[str]:
    """What stands in double backquotes."""
    return set(re.findall(r"``([^`]+)``", text))


def first_column(title: str) -> set[str]:
    """The words in the first column of the tables of a section."""
    return words(" ".join(re.findall(r"^   \* - (.+)", section(title), re.MULTILINE)))


def commands() -> set[str]:
    """The names of the package's management commands."""
    return {path.stem for path in (PACKAGE / "management" / "commands").glob("[a-z]*.py")}


def sandbox_options() -> set[str]:
    """The options of the sandbox's command line."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    return {option for action in parser._actions for option in action.option_strings}


def methods() -> set[str]:
    """The public methods of the client."""
    return {name for name, _ in getmembers(MigmaClient, isfunction) if not name.startswith("_")}


def exists(module: str, name: str) -> bool:
    """Whether ``from module import name`` works."""
    return hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}") is not None


def signal_names() -> set[str]:
    """The package's own signals."""
    return {name for name, value in vars(signals).items() if isinstance(value, Signal)}


def check_ids() -> set[str]:
    """The ids that stand in the source of the checks."""
    return set(re.findall(r'"(migma\.[EW]\d{3})"', (PACKAGE / "checks.py").read_text()))


def raised_features() -> set[str]:
    """The features with a reason, and those that cannot be dropped."""
    return {*unsupported_features.UNSUPPORTED_FEATURES, "body", "body_size"}


def control_requests() -> set[str]:
    """The sandbox's own endpoints, which are no part of Migma's API."""
    return {name for name in ENDPOINTS if " /v1/" not in name}


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Settings", set(SETTINGS)),
        ("Signals", signal_names()),
        ("Errors", set(exceptions.__all__)),
        ("System checks", check_ids()),
        ("What Migma cannot carry", raised_features()),
        ("The sandbox", sandbox_options() | control_requests()),
        ("The client without Django", methods()),
        ("Testing your own code", {"migma_outbox", "migma_sandbox"}),
        (
            "What became of a message",
            {"queued", "sent", "processing", "failed", "unknown", "not_attempted"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_table_names_all_there_is_and_nothing_else(title, names):
    """The tables of the README are complete, and hold nothing that the code does not have."""
    assert first_column(title) == names


@pytest.mark.parametrize(
    "names",
    [
        commands(),
        {"CancelSend", "testing.EmailBackend", "migma_payloads", "django_migma.testing"},
        {item.name for item in fields(Switches)} - {"subject_variables", "errors_consume_key", "idempotency"},
        {"subject_variables=False", "errors_consume_key=False", "idempotency=False"},
        set(vars(KEYS)),
        set(ATTRIBUTES),
    ],
    ids=["commands", "names", "switches", "switches that are on", "keys", "attributes"],
)
def test_the_readme_names(names):
    """What stands in no first column is named all the same."""
    values = {getattr(KEYS, name, name) for name in names}
    assert values - words(README) == set()


def test_defaults_in_the_readme_are_those_of_the_code():
    """The table of settings shows each default as Python would write it."""
    shown = {
        name.strip("`"): ast.literal_eval(value.strip(" `")) for name, value in ROWS if name.strip("`") in SETTINGS
    }
    assert shown == {name: setting.default for name, setting in SETTINGS.items()}


def test_attributes_table_leaves_out_what_is_refused():
    """The attributes that a message may carry are those that no feature refuses."""
    assert (
        first_column("Stored emails and their variables")
        == set(ATTRIBUTES) - unsupported_features.UNSUPPORTED_FEATURES.keys()
    )


def test_every_signal_is_shown_with_its_arguments():
    """The arguments in the README are those that the signals' own module documents."""
    documented = dict(re.findall(r"^``(\w+)\(sender, ([\w, ]+)\)``$", signals.__doc__, re.MULTILINE))
    shown = {name.strip("`"): value.replace("`", "").strip() for name, value in ROWS}
    assert {name: shown[name] for name in documented} == documented
    assert documented.keys() == signal_names()


def test_there_are_code_blocks():
    """The tests below do look at something."""
    assert len(BLOCKS) > 10


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0])
def test_python_in_the_readme_compiles(block):
    """What can be pasted can be parsed."""
    assert ast.parse(block).body


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0])
def test_what_the_readme_imports_from_us_exists(block):
    """A pasted import works."""
    missing = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_migma")
        for alias in node.names
        if not exists(node.module, alias.name)
    ]
    assert missing == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0])
def test_settings_in_code_blocks_exist(block):
    """Each key of ``MIGMA`` and each option of one of our mailers is a setting."""
    dicts = {
        node.targets[0].id: node.value
        for node in ast.parse(block).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Dict)
    }
    names = {key.value for key in getattr(dicts.get("MIGMA"), "keys", [])}
    for mailer in getattr(dicts.get("MAILERS"), "values", []):
        parts = {key.value: value for key, value in zip(mailer.keys, mailer.values, strict=True)}
        names |= {key.value.upper() for key in getattr(parts.get("OPTIONS"), "keys", [])}
    assert names <= SETTINGS.keys()


@pytest.mark.skipif(find_spec("docutils") is None, reason="docutils is not installed")
@pytest.mark.parametrize("name", ["README", "CHANGELOG", "CONTRIBUTING"])
def test_documents_are_restructuredtext_without_a_fault(name):
    """What a package index renders, it renders without a warning."""
    command = [sys.executable, "-m", "docutils", "--strict", ROOT / f"{name}.rst"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_newest_version_in_the_changelog_is_ours():
    """The newest version in the changelog is the package's."""
    versions = re.findall(r"^(\d+\.\d+\.\d+) \((?:unreleased|\d{4}-\d\d-\d\d)\)\n-+$", CHANGELOG, re.MULTILINE)
    assert versions[0] == django_migma.__version__


def test_the_readme_names_every_supported_version():
    """The versions are those of the package's classifiers."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    found = re.findall(r"(?:Python :: |Django :: )(\d\.\d+)", "\n".join(classifiers))
    assert [version for version in found if version not in section("Versions")] == []


def test_files_named_in_contributing_exist():
    """The files that CONTRIBUTING sends people to are there."""
    text = (ROOT / "CONTRIBUTING.rst").read_text()
    named = {name for name in words(text) if re.fullmatch(r"[a-z/_]+\.py", name)}
    assert named
    assert [name for name in sorted(named) if not (PACKAGE / name).exists()] == []
