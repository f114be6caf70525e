"""Fixtures for the tests of sites. pytest loads this wherever the package is installed: it imports next to nothing.

``migma_sandbox``
    Runs a local Migma for the test and points the settings at it; the value is the `Sandbox`.

``migma_outbox``
    Puts `django_migma.testing.EmailBackend` in place; the value is ``django.core.mail.outbox``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def migma_sandbox() -> Iterator[Any]:
    """A local Migma on a free port, and settings that point at it."""
    from .testing import sandbox  # noqa: PLC0415 - lazy: nothing may be imported where the fixture is not used

    with sandbox() as running:
        yield running


@pytest.fixture
def migma_outbox() -> Iterator[list[Any]]:
    """An outbox that refuses what Migma would refuse."""
    from .testing import outbox  # noqa: PLC0415 - the same

    with outbox() as box:
        yield box
