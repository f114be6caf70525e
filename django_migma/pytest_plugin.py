"""Fixtures for a site's own tests. pytest loads this module in every project, so it imports almost nothing.

``migma_sandbox``
    Runs a sandbox for the test and points the settings at it; the value is the `Sandbox`.

``migma_outbox``
    Puts `django_migma.testing.EmailBackend` in place; the value is ``django.core.mail.outbox``.

``migma_stored_emails``
    Declares stored emails for the test: ``migma_stored_emails("welcome", receipt="665f…")``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest


@pytest.fixture
def migma_sandbox(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A running sandbox, with settings that point at it."""
    from .testing import sandbox  # noqa: PLC0415 - lazy: a project without the fixture need not have Django

    with sandbox(_override=_override(request)) as running:
        yield running


@pytest.fixture
def migma_outbox(request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """An outbox that refuses what Migma would."""
    for name in {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue(name)  # first: it replaces mail.outbox
    from .testing import outbox  # noqa: PLC0415 - the same

    with outbox(_override=_override(request)) as box:
        yield box


@pytest.fixture
def migma_stored_emails(request: pytest.FixtureRequest) -> Iterator[Callable[..., dict[str, Any]]]:
    """A function that declares stored emails until the test ends, as `testing.stored_emails` does."""
    from .testing import stored_emails  # noqa: PLC0415 - the same

    override = _override(request)
    with ExitStack() as stack:
        yield lambda *keys, **declared: stack.enter_context(stored_emails(*keys, _override=override, **declared))


def _override(request: pytest.FixtureRequest) -> Any:
    """Override settings by pytest-django's fixture, which takes back everything at once when the test has ended.

    Two ways side by side restore each other's values, unless the later one ends first: a test that names ``settings``
    before our fixture would leave its sandbox to the tests that follow.
    """
    from django.test import override_settings  # noqa: PLC0415 - the same

    wrapper = request.getfixturevalue("settings") if request.config.pluginmanager.hasplugin("django") else None
    if not type(wrapper).__module__.startswith("pytest_django"):
        return override_settings  # no pytest-django, or a fixture of the project's own

    @contextmanager
    def override(**values: Any) -> Iterator[None]:
        for name, value in values.items():
            setattr(wrapper, name, value)
        yield

    return override
