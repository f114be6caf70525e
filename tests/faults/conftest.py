from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.stub_server import StubServer, stub_server


@pytest.fixture(scope="module")
def stub() -> Iterator[StubServer]:
    """A server whose responses are broken on purpose."""
    with stub_server() as running:
        yield running
