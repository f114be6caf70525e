"""A faked project, and a sync of it that takes no time to wait."""

import math

import pytest

from django_migma.conf import load_config
from django_migma.sync import sync_project
from tests.api.clocks import FakeClock
from tests.sync.account import PROJECT, Account


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def account(wire):
    return Account(wire.mock)


@pytest.fixture
def sync(db, account, clock):
    """Sync the faked project."""

    def run(project=PROJECT, *, seconds=math.inf, **options):
        return sync_project(load_config({}), project, seconds=seconds, clock=clock, **options)

    return run
