"""The packages, and the table of the manual that says which of their mail arrives."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Package:
    """``name``, as it is installed; ``module``, of its tests and settings; what a site sets, in reStructuredText."""

    name: str
    module: str
    to_set: str = "Nothing."

    @property
    def tests(self) -> Path:
        return HERE / f"test_{self.module}.py"

    @property
    def settings(self) -> str:
        return f"compatibility.settings.{self.module}"

    @property
    def version(self) -> str:
        """Major and minor version of what is installed."""
        return ".".join(version(self.name).split(".")[:2])

    @property
    def promises(self) -> list[str]:
        """The docstrings of its tests."""
        functions = [node for node in ast.parse(self.tests.read_text()).body if isinstance(node, ast.FunctionDef)]
        return [ast.get_docstring(function) or "" for function in functions if function.name.startswith("test_")]


PACKAGES = (
    Package(name="celery", module="celery", to_set="An ``idempotency_key`` for each mail: :doc:`queue`."),
    Package(name="dj-rest-auth", module="dj_rest_auth"),
    Package(
        name="django-allauth", module="allauth", to_set="Nothing. :doc:`third-party-mail` gives its mail a design."
    ),
    Package(name="django-anymail", module="anymail"),
    Package(
        name="django-mailer",
        module="mailer",
        to_set="``EMAIL_BACKEND`` instead of ``MAILERS``, and a Message-ID before the queue: "
        ":ref:`works-with:django-mailer`.",
    ),
    Package(
        name="django-oscar",
        module="oscar",
        to_set="``OSCAR_FROM_EMAIL``: its default is ``oscar@example.com``.",
    ),
    Package(
        name="django-post-office",
        module="post_office",
        to_set="``MESSAGE_ID_ENABLED``, and the mailer that it sends with: :ref:`works-with:django-post-office`.",
    ),
    Package(name="django-tasks-db", module="tasks_db", to_set="An ``idempotency_key`` for each mail: :doc:`queue`."),
    Package(
        name="django-unfold",
        module="unfold",
        to_set="Our mixin before its ``ModelAdmin``: :ref:`stored-emails:Your own admin class`.",
    ),
    Package(name="djoser", module="djoser"),
    Package(name="wagtail", module="wagtail"),
)


def table(packages: Iterable[Package]) -> str:
    """The table of ``docs/works-with.rst``."""
    rows = [("Package", "Version", "What arrives", "What to set")]
    rows += [(f"``{each.name}``", each.version, " ".join(each.promises), each.to_set) for each in packages]
    lines = [f"   {'-' if number else '* -'} {cell}" for row in rows for number, cell in enumerate(row)]
    return "\n".join([*_HEAD, *(line.replace("   -", "     -", 1) for line in lines), ""])


_HEAD = (
    ".. list-table::",
    "   :header-rows: 1",
    "   :widths: 18 9 45 28",
    "",
)
