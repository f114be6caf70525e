"""Each test has a sandbox, and the site's own mailers in place of the test runner's in-memory ones."""

import os
from importlib import import_module

import pytest


@pytest.fixture(autouse=True)
def _mailers(migma_sandbox, settings):
    """Put back what the settings module says, also for mailers that are not ours: queues of other packages."""
    site = import_module(os.environ["DJANGO_SETTINGS_MODULE"])
    for name in ("MAILERS", "EMAIL_BACKEND"):
        if hasattr(site, name):
            setattr(settings, name, getattr(site, name))
