"""The import paths that users rely on: they exist, they mean what they should, and they cost what they should."""

import subprocess
import sys

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.dispatch import Signal
from django.utils.module_loading import import_string

from django_migma import api, exceptions
from django_migma.sandbox.server import Sandbox

ERRORS = {
    "MigmaError": (Exception,),
    "APIError": (exceptions.MigmaError,),
    "InvalidRequest": (exceptions.APIError,),
    "AuthenticationError": (exceptions.APIError,),
    "Forbidden": (exceptions.APIError,),
    "NotFound": (exceptions.APIError,),
    "Conflict": (exceptions.APIError,),
    "TemporaryError": (exceptions.MigmaError,),
    "RateLimited": (exceptions.APIError, exceptions.TemporaryError),
    "ServerError": (exceptions.APIError, exceptions.TemporaryError),
    "NoResponse": (exceptions.TemporaryError, ConnectionError),
    "Timeout": (exceptions.NoResponse, TimeoutError),
    "InvalidResponse": (exceptions.TemporaryError,),
    "SendFailed": (exceptions.MigmaError,),
    "TemporarySendFailed": (exceptions.SendFailed, exceptions.TemporaryError),
    "UnsupportedFeature": (exceptions.MigmaError, ValueError),
    "InvalidAddress": (exceptions.MigmaError, ValueError),
    "SerializationError": (exceptions.MigmaError, TypeError),
    "StoredEmailNotFound": (exceptions.MigmaError, LookupError),
    "UnusableAudience": (exceptions.MigmaError, ValueError),
    "MissingVariables": (exceptions.MigmaError, ValueError),
    "ConfigurationError": (ImproperlyConfigured,),
}


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("django_migma.backends.EmailBackend", BaseEmailBackend),
        ("django_migma.testing.EmailBackend", import_string("django_migma.backends.EmailBackend")),
        ("django_migma.message.MigmaMessage", EmailMultiAlternatives),
        ("django_migma.signals.CancelSend", Exception),
        ("django_migma.api.MigmaClient", object),
        ("django_migma.message.MessageStatus", object),
        ("django_migma.message.RecipientStatus", object),
        ("django_migma.sandbox.server.Sandbox", object),
    ],
)
def test_a_class_is_where_users_import_it_from(path, base):
    """The path leads to a class of the right kind, and to the class itself, not to a module of that name."""
    found = import_string(path)
    assert isinstance(found, type)
    assert issubclass(found, base)


@pytest.mark.parametrize("name", ["pre_send", "post_send", "batch_finished"])
def test_a_signal_is_where_users_import_it_from(name):
    """Receivers connect to these."""
    assert isinstance(import_string(f"django_migma.signals.{name}"), Signal)


@pytest.mark.parametrize(("name", "bases"), ERRORS.items())
def test_an_error_is_also_what_callers_already_catch(name, bases):
    """Each error is a subclass of all that the documents say."""
    error = import_string(f"django_migma.exceptions.{name}")
    assert [base for base in bases if not issubclass(error, base)] == []


def test_no_public_error_is_forgotten_here():
    """The table above is complete."""
    assert ERRORS.keys() == set(exceptions.__all__)


def test_errors_of_the_client_are_the_same_objects():
    """Whoever imports from ``api`` catches what whoever imports from ``exceptions`` catches."""
    shared = [name for name in ERRORS if name != "ConfigurationError"]
    assert [name for name in shared if getattr(api, name) is not getattr(exceptions, name)] == []


def test_a_faulty_setting_is_outside_the_family_that_quiet_modes_swallow():
    """``fail_silently`` never hides a missing key."""
    assert not issubclass(exceptions.ConfigurationError, exceptions.MigmaError)


@pytest.mark.parametrize("name", api.__all__)
def test_the_client_offers_what_it_lists(name):
    """``django_migma.api`` is an address book whose addresses are right."""
    assert isinstance(getattr(api, name), type)


def test_outbox_yields_djangos_outbox():
    """``testing.outbox`` is a context manager without arguments."""
    with import_string("django_migma.testing.outbox")() as box:
        assert box is mail.outbox
        assert box == []


def test_sandbox_yields_a_running_one():
    """``testing.sandbox`` takes the switches as keywords."""
    with import_string("django_migma.testing.sandbox")(accept_template=True) as running:
        assert isinstance(running, Sandbox)
        assert running.switches.accept_template


def test_fixture_migma_outbox(migma_outbox):
    """pytest finds the fixture without a word in any conftest."""
    assert migma_outbox is mail.outbox


def test_fixture_migma_sandbox(migma_sandbox):
    """The same."""
    assert migma_sandbox.store.messages() == []


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("django_migma", {"django", "requests"}),
        ("django_migma.api", {"django", "requests"}),
        ("django_migma.sandbox.server", {"requests", "django_migma.models", "django.contrib"}),
        ("django_migma.pytest_plugin", {"django", "requests"}),
        ("django_migma.backends", {"requests", "django_migma.models", "django.contrib"}),
    ],
)
def test_importing_does_not_import(module, strangers):
    """The client is usable without Django, and a process that sends no mail does not pay for HTTP or models."""
    assert loaded_by(module) & strangers == set()


@pytest.mark.parametrize("module", ["django_migma.backends", "django_migma.sandbox.server"])
def test_importing_defines_no_model(module):
    """The backend and the sandbox work without a database: no model of any app comes with them."""
    code = f"import {module}; from django.apps import apps; print([*filter(None, apps.all_models.values())])"
    assert run(code) == "[]"


def test_what_was_imported_can_be_seen():
    """The test above would notice: making a client does import ``requests``."""
    assert "requests" in loaded_by("django_migma.api", "django_migma.api.MigmaClient('key')")


def loaded_by(module: str, more: str = "") -> set[str]:
    """The names of all modules that a fresh Python has loaded after an import."""
    return set(run(f"import {module}, sys\n{more}\nprint(*sys.modules)").split())


def run(code: str) -> str:
    """What a fresh Python prints."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_every_name_of_the_client_is_found_when_it_is_asked_for():
    """Its modules are imported one by one, and a name that is not there is told as usual."""
    for name in api.__all__:
        assert getattr(api, name).__name__ == name
    with pytest.raises(AttributeError, match=r"module 'django_migma\.api' has no attribute 'Client'"):
        _ = api.Client
