"""What the documents show: code that parses, imports and settings that exist, text that renders."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec

import pytest

import django_migma
from django_migma.conf import SETTINGS

from .reading import PAGES, ROOT, blocks, document, section

DOCUMENTS = [*sorted(ROOT.glob("*.rst")), *PAGES]
PYTHON = [
    pytest.param(code, id=f"{path.stem}: {code.splitlines()[0]}")
    for path in DOCUMENTS
    for language, code in blocks(path.read_text())
    if language == "python"
]


def exists(module: str, name: str) -> bool:
    """Whether ``from module import name`` works."""
    return hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}") is not None


def test_there_are_code_blocks():
    """The tests below do look at something."""
    assert len(PYTHON) > 20


@pytest.mark.parametrize("code", PYTHON)
def test_python_in_the_documents_compiles(code):
    """What can be pasted can be parsed."""
    assert ast.parse(code).body


@pytest.mark.parametrize("code", PYTHON)
def test_what_a_document_imports_from_us_exists(code):
    """A pasted import works."""
    missing = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_migma")
        for alias in node.names
        if not exists(node.module, alias.name)
    ]
    assert missing == []


@pytest.mark.parametrize("code", PYTHON)
def test_settings_in_code_blocks_exist(code):
    """Each key of ``MIGMA`` and each option of one of our mailers is a setting."""
    dicts = {
        node.targets[0].id: node.value
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Dict)
    }
    names = {key.value for key in getattr(dicts.get("MIGMA"), "keys", [])}
    for mailer in getattr(dicts.get("MAILERS"), "values", []):
        parts = {key.value: value for key, value in zip(mailer.keys, mailer.values, strict=True)}
        is_ours = "django_migma" in ast.unparse(parts["BACKEND"])
        names |= {key.value.upper() for key in getattr(parts.get("OPTIONS"), "keys", []) if is_ours}
    assert names <= SETTINGS.keys()


@pytest.mark.parametrize("name", ["README", "CHANGELOG", "CONTRIBUTING"])
def test_documents_are_restructuredtext_without_a_fault(name):
    """What a package index renders, it renders without a warning."""
    command = [sys.executable, "-m", "docutils", "--strict", ROOT / f"{name}.rst"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(("name", "lines"), [("README", 250), ("CONTRIBUTING", 80)])
def test_a_document_stays_short(name, lines):
    """The README is the way in, and CONTRIBUTING a page; the manual has the rest."""
    assert len(document(name).splitlines()) <= lines


def test_every_page_is_in_the_table_of_contents():
    """The README and the manual's front page name all pages of the manual."""
    pages = {path.stem for path in PAGES} - {"index"}
    assert set(re.findall(r"^   ([a-z-]+)$", document("index"), re.MULTILINE)) == pages
    assert set(re.findall(r"<docs/([\w-]+)\.rst>", document("README"))) == pages


def test_the_newest_version_in_the_changelog_is_ours():
    versions = re.findall(
        r"^(\d+\.\d+\.\d+) \((?:unreleased|\d{4}-\d\d-\d\d)\)\n-+$", document("CHANGELOG"), re.MULTILINE
    )
    assert versions[0] == django_migma.__version__


def test_the_readme_names_every_supported_version():
    """The versions are those of the package's classifiers."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    found = re.findall(r"(?:Python :: |Django :: )(\d\.\d+)", "\n".join(classifiers))
    assert [version for version in found if version not in section("README", "Versions")] == []


def test_files_named_for_contributors_exist():
    """The files that contributors are sent to are there."""
    named = {
        name
        for text in (document("CONTRIBUTING"), document("contributing"))
        for name in re.findall(r"``([a-z_/]+\.py)``", text)
    }
    assert named
    assert [
        name for name in sorted(named) if not any((ROOT / folder / name).exists() for folder in ("", "django_migma"))
    ] == []
