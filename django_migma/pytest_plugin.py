"""Fixtures for a site's own tests. pytest loads this module in every project, so it imports almost nothing.

``migma_sandbox``
    Runs a sandbox for the test and points the settings at it; the value is the `Sandbox`.

``migma_outbox``
    Puts `django_migma.testing.EmailBackend` in place; the value is ``django.core.mail.outbox``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def migma_sandbox() -> Iterator[Any]:
    """A running sandbox, with settings that point at it."""
    from .testing import sandbox  # noqa: PLC0415 - lazy: a project that does not use the fixture need not have Django

    with sandbox() as running:
        yield running


@pytest.fixture
def migma_outbox() -> Iterator[list[Any]]:
    """An outbox that refuses what Migma would."""
    from .testing import outbox  # noqa: PLC0415 - the same

    with outbox() as box:
        yield box
