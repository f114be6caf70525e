"""The queue with an engine, with no memory of earlier tests, over a faked wire."""

import django
import pytest

from django_migma import engines
from django_migma.backends import wake_ups
from tests.conftest import QUEUE, our_mailer

TASKS = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch):
    """Neither the last wake-up nor pauses are remembered; a pass lingers for a moment only, and one wake-up does.

    A second, in truth: a test that is held up for so long would wake the engine twice.
    """
    monkeypatch.setattr(engines, "LINGER", 0.05)
    monkeypatch.setattr(wake_ups, "DEBOUNCE", 600)
    wake_ups._not_before.clear()
    engines._deliverer.cache_clear()
    engines._woken_at.clear()


@pytest.fixture
def engine(wire, migma, settings, transactional_db):
    """Make the queue the default mailer, with an engine: ``engine("tasks")``."""
    for name, value in our_mailer(backend=QUEUE).items():
        setattr(settings, name, value)
    return lambda name: migma(QUEUE={"ENGINE": f"django_migma.engines.{name}"})
