"""The shape of the package, read from its source: the direction of imports, and sizes.

Each rule is a function of a package's folder that returns complaints. One test applies all of them to the package,
another one proves with made-up packages that each of them can fail.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import django_migma

PACKAGE = Path(django_migma.__file__).parent
LADDER = (
    {"__init__"},
    {"api"},
    {"addresses", "conf", "error_messages", "exceptions", "signals", "stored_emails", "variables"},
    {"content", "html", "message", "payload", "unsupported_features"},
    {"models", "migrations"},
    {"backends"},
    {"receivers", "mailers"},
    {"batches", "delivery", "doctor", "sync", "testsends", "tracking"},
    {"engines"},
    {"sandbox"},
    {"admin", "apps", "checks", "management", "pytest_plugin", "tasks", "testing"},
)
"""Lowest rung first. A module may import modules below it or beside it, without a cycle."""
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MIN_MODULE_LINES = 60
DJANGO_NOUNS = {"admin", "apps", "checks", "exceptions", "forms", "models", "receivers", "signals", "urls", "views"}
ENTRY_POINTS = re.compile(
    r"(.+\.)?__main__|pytest_plugin|management\.commands\.\w+|migrations\.\w+|backends\.queue|engines\.\w+|tasks"
)
"""Modules that packaging, Python, Django or the settings find by their name."""
TOLERATED_SMALL_MODULES: set[str] = set()
"""Modules that break the rule on small modules today. This list only shrinks."""
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "core", "manager"}


@dataclass(frozen=True)
class Import:
    """One import: the dotted names of both modules, and the statement."""

    importer: str
    target: str
    node: ast.stmt

    def __str__(self) -> str:
        return f"{self.importer}:{self.node.lineno} imports {self.target}"


def modules(root: Path) -> dict[str, Path]:
    """Every module of a package, by its dotted name."""
    return {_dotted(path.relative_to(root.parent)): path for path in sorted(root.rglob("*.py"))}


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(root: Path) -> Iterator[Import]:
    """Every import of a package, including those inside functions and under ``TYPE_CHECKING``."""
    known = modules(root)
    for name, path in known.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in _statements(path):
            for target in _targets(node, package):
                yield Import(name, target if target in known else _owner(target, node, package), node)


@cache
def _statements(path: Path) -> list[ast.AST]:
    """Imports and functions of a module, at any depth."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{_owner('', node, package)}.{alias.name}" for alias in node.names]
    return []


def _owner(target: str, node: ast.AST, package: str) -> str:
    """The module that a name is imported from."""
    return (
        resolve_name("." * node.level + (node.module or ""), package) if isinstance(node, ast.ImportFrom) else target
    )


def own_part(module: str, root: Path) -> str:
    """The part of the package that a module belongs to: ``api`` of ``django_migma.api.errors``; else empty."""
    package, _, rest = module.partition(".")
    return "" if package != root.name else rest.partition(".")[0] or "__init__"


def wrong_arrows(root: Path) -> list[str]:
    """Imports that point up the ladder, and parts without a rung."""
    height = {part: number for number, rung in enumerate(LADDER) for part in rung}
    parts = {own_part(module, root) for module in modules(root)}
    return [f"{part} has no rung on the ladder" for part in sorted(parts - height.keys())] + [
        f"{found}, which stands above it"
        for found in imports(root)
        if height.get(own_part(found.target, root), 0) > height.get(own_part(found.importer, root), 0)
    ]


def cycles(root: Path) -> list[str]:
    """Modules that import each other in a circle."""
    graph = {module: set() for module in modules(root)}
    for found in imports(root):
        if found.target in graph and found.target != found.importer:
            graph[found.importer].add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["a circle: " + " <- ".join(error.args[1])]
    return []


def django_in_the_api(root: Path) -> list[str]:
    """Django inside ``api``, which other projects use without it."""
    return [
        str(found)
        for found in imports(root)
        if own_part(found.importer, root) == "api" and found.target.partition(".")[0] == "django"
    ]


def foreign_imports_of_the_sandbox(root: Path) -> list[str]:
    """Imports of the sandbox beyond itself, ``api.types``, Django and the standard library.

    A sandbox that shares code with the client would share its mistakes.
    """
    return [
        str(found)
        for found in imports(root)
        if own_part(found.importer, root) == "sandbox"
        and own_part(found.target, root) != "sandbox"
        and found.target != f"{root.name}.api.types"
        and found.target.partition(".")[0] not in {*sys.stdlib_module_names, "django"}
    ]


def unexplained_imports(root: Path) -> list[str]:
    """Imports inside a function without a comment on their line that says why they are there."""
    complaints = []
    for path in modules(root).values():
        lines = path.read_text().splitlines()
        complaints += [
            f"{path.name}:{node.lineno} imports inside a function and does not say why"
            for function in _statements(path)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
            if isinstance(node, ast.Import | ast.ImportFrom) and not _reason(lines[node.lineno - 1])
        ]
    return complaints


def _reason(line: str) -> str:
    """The words of a line's comment, without ``noqa`` and its codes."""
    comment = line.partition("#")[2].strip()
    return comment.partition(" - ")[2] if comment.startswith("noqa") else comment


def long_files(root: Path) -> list[str]:
    """Files over the limit."""
    sizes = {path.name: len(path.read_text().splitlines()) for path in modules(root).values()}
    return [f"{name} has {size} lines" for name, size in sizes.items() if size > MAX_FILE_LINES]


def long_functions(root: Path) -> list[str]:
    """Functions over the limit, from ``def`` to their last line."""
    sizes = {
        f"{path.name}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in modules(root).values()
        for node in _statements(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return [f"{name} has {size} lines" for name, size in sizes.items() if size > MAX_FUNCTION_LINES]


def small_modules(root: Path) -> list[str]:
    """Modules under the limit that are no subject of their own."""
    return [
        f"{module} is small and serves fewer than two other modules: merge it"
        for module in _small_modules(root)
        if module not in TOLERATED_SMALL_MODULES
    ]


def _small_modules(root: Path) -> list[str]:
    """Those that are neither address book, noun of Django nor entry point, and that fewer than two modules import."""
    found = list(imports(root))
    return [
        name
        for module, path in modules(root).items()
        if path.name != "__init__.py"
        and len(path.read_text().splitlines()) < MIN_MODULE_LINES
        and path.stem not in DJANGO_NOUNS
        and not ENTRY_POINTS.fullmatch(name := module.partition(".")[2])
        and len({each.importer for each in found if each.target == module} - {module}) < 2
    ]


def empty_names(root: Path) -> list[str]:
    """Files and folders with a name that fits any content."""
    names = {part for module in modules(root) for part in module.split(".")}
    return [f"{name} is a name that says nothing" for name in sorted(names & NAMES_THAT_SAY_NOTHING)]


RULES = (
    wrong_arrows,
    cycles,
    django_in_the_api,
    foreign_imports_of_the_sandbox,
    unexplained_imports,
    long_files,
    long_functions,
    small_modules,
    empty_names,
)
LONG_FUNCTION = "def send():\n" + "    x = 1\n" * MAX_FUNCTION_LINES
LAZY = "def f():\n    import idna"
FAULTS = [
    (wrong_arrows, {"conf.py": "from .backends import direct", "backends/direct.py": ""}, "conf:1 imports"),
    (wrong_arrows, {"conf.py": "from .backends.direct import X", "backends/direct.py": ""}, "conf:1 imports"),
    (wrong_arrows, {"message.py": "import django_migma.checks", "checks.py": ""}, "message:1 imports"),
    (wrong_arrows, {"api/x.py": "def f():\n    from ..conf import load", "conf.py": ""}, "api.x:2 imports"),
    (wrong_arrows, {"payload.py": "if x:\n    from .testing import outbox", "testing.py": ""}, "payload:2 imports"),
    (wrong_arrows, {"__init__.py": "from .message import MigmaMessage", "message.py": ""}, "django_migma:1 imports"),
    (wrong_arrows, {"receivers.py": "from .sandbox import data", "sandbox/data.py": ""}, "receivers:1 imports"),
    (wrong_arrows, {"novelty.py": ""}, "novelty has no rung"),
    (cycles, {"conf.py": "from . import addresses", "addresses.py": "from .conf import load"}, "a circle: "),
    (
        cycles,
        {"api/__init__.py": "from .a import A", "api/a.py": "from . import b", "api/b.py": "from . import A"},
        "",
    ),
    (django_in_the_api, {"api/x.py": "from django.conf import settings"}, "api.x:1 imports django.conf"),
    (django_in_the_api, {"api/x.py": "def f():\n    import django"}, "api.x:2 imports django"),
    (
        foreign_imports_of_the_sandbox,
        {"sandbox/x.py": "from ..api import MigmaClient", "api/__init__.py": ""},
        "sandbox.x:1",
    ),
    (
        foreign_imports_of_the_sandbox,
        {"sandbox/x.py": "from django_migma.conf import load", "conf.py": ""},
        "sandbox.x:1",
    ),
    (foreign_imports_of_the_sandbox, {"sandbox/x.py": "import requests"}, "sandbox.x:1 imports requests"),
    (foreign_imports_of_the_sandbox, {"sandbox/x.py": "import django_environ"}, "sandbox.x:1 imports django_environ"),
    (unexplained_imports, {"conf.py": LAZY}, "conf.py:2"),
    (unexplained_imports, {"conf.py": LAZY + "  # noqa: PLC0415"}, "conf.py:2"),
    (unexplained_imports, {"conf.py": LAZY.replace("def", "async def")}, "conf.py:2"),
    (long_files, {"conf.py": "\n" * (MAX_FILE_LINES + 1)}, "conf.py has 401 lines"),
    (long_functions, {"conf.py": LONG_FUNCTION}, "conf.py:1 send has 41 lines"),
    (small_modules, {"lonely.py": ""}, "lonely is"),
    (small_modules, {"lonely.py": "\n" * (MIN_MODULE_LINES - 1)}, "lonely is"),
    (small_modules, {"part.py": "", "apps.py": "from . import part\nfrom .part import X"}, "part is"),
    (small_modules, {"part.py": "from . import part", "apps.py": "from . import part"}, "part is"),
    (small_modules, {"api/part.py": "", "api/__init__.py": "from .part import X"}, "api.part is"),
    (small_modules, {"management/output.py": ""}, "management.output is"),
    (small_modules, {"api/pytest_plugin.py": ""}, "api.pytest_plugin is"),
    (empty_names, {"api/utils.py": ""}, "utils is"),
    (empty_names, {"core/x.py": ""}, "core is"),
]
LARGE_ENOUGH = "\n" * MIN_MODULE_LINES
FINE = {
    "__init__.py": "__version__ = '1'",
    "api/__init__.py": "from .types import T",
    "api/types.py": "import json\nfrom django_migma import __version__",
    "conf.py": "from django.conf import settings\nfrom . import addresses\nfrom .api import T" + LARGE_ENOUGH,
    "addresses.py": LAZY + "  # noqa: PLC0415 - lazy: few need it\n    import json  # the same",
    "message.py": "from . import addresses" + LARGE_ENOUGH,
    "apps.py": "from django.apps import AppConfig",
    "management/commands/migma_sync.py": "from django_migma import conf",
    "migrations/0001_initial.py": "",
    "pytest_plugin.py": "from .testing import outbox",
    "sandbox/__main__.py": "",
    "sandbox/server.py": "import json\nfrom django.urls import path\nfrom ..api.types import T" + LARGE_ENOUGH,
    "testing.py": "from .sandbox import server\n" + LONG_FUNCTION.replace("    x = 1\n", "", 1) + LARGE_ENOUGH,
}


def package(folder: Path, files: dict[str, str]) -> Path:
    """A package on disk that has our name."""
    root = folder / "django_migma"
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    """The package gets no complaint."""
    assert rule(PACKAGE) == []


@pytest.mark.parametrize(("rule", "files", "complaint"), FAULTS)
def test_the_rule_can_fail(rule, files, complaint, tmp_path):
    """A package with one fault gets one complaint, which names the place."""
    [found] = rule(package(tmp_path, files))
    assert complaint in found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_faultless_package_passes(rule, tmp_path):
    """A package that uses everything that is allowed gets no complaint."""
    assert rule(package(tmp_path, FINE)) == []


def test_no_small_module_is_tolerated_without_need():
    """A module that was merged or has found its readers leaves the list, and cannot come back."""
    assert sorted(TOLERATED_SMALL_MODULES - set(_small_modules(PACKAGE))) == []


def test_the_ladder_names_only_what_exists():
    """A name that is left over would allow a new module of that name to import anything below."""
    parts = {own_part(module, PACKAGE) for module in modules(PACKAGE)}
    assert {part for rung in LADDER for part in rung} == parts


def test_all_files_of_the_package_are_read():
    """The rules see the whole package, from its lowest to its highest modules."""
    assert {"django_migma", "django_migma.api.errors", "django_migma.management.commands.migma_sandbox"} <= set(
        modules(PACKAGE)
    )
