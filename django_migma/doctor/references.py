"""The ``template_id`` literals in the project's own code, read from its source without running it."""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from pathlib import Path

from django.apps import apps

from django_migma.api.types import is_object_id

_WORD = b"template_id"
_FRAMEWORK = {"django", "django_migma"}
_INSTALLED = {"site-packages", "dist-packages", "node_modules"}
_TEST_FOLDERS = {"tests", "test"}
_TEST_FILES = ("test_*.py", "*_test.py", "tests.py", "test.py", "conftest.py")


def find_references() -> dict[str, list[str]]:
    """The keys and ids that can only mean a stored email, each with its places, such as ``shop/mail.py:12``.

    These are arguments of what is named ``…Message``, as in ``MigmaMessage(template_id="welcome")``, and values of
    attributes, as in ``message.template_id = "welcome"``. Other calls may have nothing to do with mail. Tests are
    left out, since they may invent keys.
    """
    references = defaultdict(list)
    for path, name in sorted(_source_files().items()):
        literals = [
            (value.lineno, str(value.value))
            for value in map(_template_id, ast.walk(_parse(path)))
            if isinstance(value, ast.Constant) and type(value.value) in {str, int} and value.value
        ]
        for line, text in sorted(literals):
            references[text.lower() if is_object_id(text) else text].append(f"{name}:{line}")
    return references


def _source_files() -> dict[Path, str]:
    """The Python files of apps that are not installed as packages, with the names to show for them."""
    folders = [Path(app.path) for app in apps.get_app_configs() if app.name.partition(".")[0] not in _FRAMEWORK]
    return {
        path: path.relative_to(folder.parent).as_posix()
        for folder in folders
        if not _INSTALLED.intersection(folder.parts)
        for path in folder.rglob("*.py")
        if not _INSTALLED.intersection(path.parts) and not _is_test(path.relative_to(folder.parent))
    }


def _is_test(path: Path) -> bool:
    return any(map(path.match, _TEST_FILES)) or bool(_TEST_FOLDERS.intersection(path.parts[:-1]))


def _parse(path: Path) -> ast.Module:
    """The syntax tree of a file; an empty one for a file that Python cannot read, which is no fault of the setup."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = path.read_bytes()
            return ast.parse(source if _WORD in source else b"", filename=str(path))  # most files do without it
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def _template_id(node: ast.AST) -> ast.expr | None:
    """The expression that a node passes to a message, or assigns to an attribute, as ``template_id``."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        passed = (keyword.value for keyword in node.keywords if keyword.arg == "template_id")
        return next(passed, None) if name.endswith("Message") else None
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Attribute) and target.attr == "template_id" for target in targets):
            return node.value
    return None
