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
from contextlib import ExitStack
from typing import Any

import pytest


@pytest.fixture
def migma_sandbox() -> Iterator[Any]:
    """A running sandbox, with settings that point at it."""
    from .testing import sandbox  # noqa: PLC0415 - lazy: a project that does not use the fixture need not have Django

    with sandbox() as running:
        yield running


@pytest.fixture
def migma_outbox(request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """An outbox that refuses what Migma would."""
    for name in {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue(name)  # first: it replaces mail.outbox
    from .testing import outbox  # noqa: PLC0415 - the same

    with outbox() as box:
        yield box


@pytest.fixture
def migma_stored_emails() -> Iterator[Callable[..., dict[str, Any]]]:
    """A function that declares stored emails until the test ends, as `testing.stored_emails` does."""
    from .testing import stored_emails  # noqa: PLC0415 - the same

    with ExitStack() as stack:
        yield lambda *keys, **declared: stack.enter_context(stored_emails(*keys, **declared))
