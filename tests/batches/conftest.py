"""A sandbox whose batches are quick, and a site that sends its newsletters there."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import override_settings

from django_migma import testing
from django_migma.sandbox import account

FROM = "Fernhill Coffee <hello@fernhill.example>"
LETTER = {"email_id": account.SERIES_1, "subject": "A better cup", "optional_variables": ["first_name", "shop_url"]}


@pytest.fixture
def wire(wire):
    """The faked wire itself: answers are given by their addresses."""
    return wire.mock


@pytest.fixture
def make_sandbox():
    """Starts a sandbox with these switches, and points the settings at it until the test ends."""
    with ExitStack() as stack:

        def start(*, migma=None, **switches):
            options = {"batch_step": 0.02, "any_id": False, **switches}
            found = stack.enter_context(testing.sandbox(**options))
            usual = {"PROJECT_ID": account.FERNHILL, "FROM_EMAIL": FROM, "STORED_EMAILS": {"letter": LETTER}}
            patience = {"TIMEOUT": 60, "RETRY_DEADLINE": 120}
            stack.enter_context(override_settings(MIGMA={**settings.MIGMA, **usual, **patience, **(migma or {})}))
            return found

        yield start


@pytest.fixture
def sandbox(make_sandbox):
    return make_sandbox()


def let_only_sends_take_time(sandbox, seconds):
    """Stop the sandbox's clock, but for so many seconds after each send: its batches stay where they are then."""
    now = [sandbox.store.clock()]
    sandbox.store.clock = lambda: now[-1]
    sandbox.on_send = lambda exchange: now.append(exchange.at + timedelta(seconds=seconds))
