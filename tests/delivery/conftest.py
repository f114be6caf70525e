"""A deliverer whose waits take no time."""

import pytest

from django_migma.delivery.claims import moment
from django_migma.delivery.deliverer import Deliverer
from tests.api.clocks import FakeClock
from tests.api.servers import Server


@pytest.fixture
def clock():
    """A clock that moves when somebody waits, or when a test says so."""
    return FakeClock()


@pytest.fixture
def now(clock):
    """What it is on that clock, as the table has it: ``now()``, ``now(-60)`` for a minute ago."""
    return lambda seconds=0: moment(clock.time() + seconds)


@pytest.fixture
def deliverer(clock):
    """A worker on that clock."""
    return Deliverer(clock=clock)


@pytest.fixture
def serve(migma, mailer):
    """Start a server with these answers, and send to it."""
    servers = []

    def start(*answers):
        server = Server(*answers)
        servers.append(server)
        migma(API_URL=server.url)
        return server

    yield start
    for server in servers:
        server.stop()
