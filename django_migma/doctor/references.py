"""What the code of the project gives as ``template_id``, read from its source without running it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps

_FRAMEWORK = {"django", "django_migma"}
_NOT_OURS = {"site-packages", "dist-packages", "node_modules"}
_TESTS = {"tests", "test"}
_TEST_FILES = ("test_*.py", "*_test.py", "tests.py", "test.py", "conftest.py")
_ROWS = {"Q", "filter", "exclude", "get", "create", "get_or_create", "update", "update_or_create"}
"""Calls about rows of a database, whose ``template_id`` is the number of a row."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A string literal that code gives as ``template_id``. ``place`` is like ``shop/mail.py:12``.

    ``certain`` where it can hardly be meant for anything but mail: it is given to something whose name ends in
    ``Message``, or assigned to an attribute ``template_id``. Otherwise it is given to some other call, which may be a
    function of the site that sends mail, or one that has nothing to do with it.
    """

    value: str
    place: str
    certain: bool


def references() -> Iterator[Reference]:
    """Those of the project's own apps, file by file.

    Tests are left out, since their keys may be made up, and so are calls such as ``filter`` and ``get``, which are
    about rows of a database.
    """
    for path, name in sorted(_sources().items()):
        for value, line, certain in _literals(path):
            yield Reference(value=value, place=f"{name}:{line}", certain=certain)


def _sources() -> dict[Path, str]:
    """The Python files of apps that are not installed as packages, with their names for texts."""
    folders = [Path(app.path) for app in apps.get_app_configs() if app.name.partition(".")[0] not in _FRAMEWORK]
    return {
        path: path.relative_to(folder.parent).as_posix()
        for folder in folders
        if not _NOT_OURS.intersection(folder.parts)
        for path in folder.rglob("*.py")
        if not _NOT_OURS.intersection(path.parts) and not _is_test(path.relative_to(folder.parent))
    }


def _is_test(path: Path) -> bool:
    return any(map(path.match, _TEST_FILES)) or bool(_TESTS.intersection(path.parts[:-1]))


def _literals(path: Path) -> Iterator[tuple[str, int, bool]]:
    """The strings that are not empty, each with its line and whether it is certain."""
    for node in ast.walk(_parsed(path)):
        for value, certain in _given(node):
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.value, value.lineno, certain


def _parsed(path: Path) -> ast.Module:
    """The source; nothing where it cannot be read, which is not the doctor's matter. Its warnings are not either."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def _given(node: ast.AST) -> Iterator[tuple[ast.expr | None, bool]]:
    """The expressions that a node gives as ``template_id``, with whether they are certain."""
    if isinstance(node, ast.Call):
        called = _last_name(node.func)
        for keyword in node.keywords if called not in _ROWS else ():
            if keyword.arg == "template_id":
                yield keyword.value, called.endswith("Message")
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Attribute) and target.attr == "template_id" for target in targets):
            yield node.value, True


def _last_name(called: ast.expr) -> str:
    """The name of what is called, without what stands before its last dot."""
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""
