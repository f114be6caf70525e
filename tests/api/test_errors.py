"""The tree of errors: each is also what callers already catch, survives pickling, and says what to do next."""

from __future__ import annotations

import copy
import pickle

import django
import pytest
from django.core.exceptions import ImproperlyConfigured

import django_migma.api
from django_migma import exceptions
from django_migma.api import errors
from django_migma.exceptions import ConfigurationError, configuration_error

COMMON = {"may_have_been_accepted": True, "idempotency_key": "order-1", "attempts": 3}
ANSWER = COMMON | {"status_code": 400, "code": "SOME_CODE", "detail": "for ada@example.org", "data": {"a": [1]}}
FAILURES = COMMON | {"sent_count": 2, "failed_count": 1, "failures": [("message", "error")]}
ABOUT = {
    "MigmaError": ((), COMMON),
    "APIError": ((), ANSWER),
    "InvalidRequest": ((errors.APIError,), ANSWER),
    "AuthenticationError": ((errors.APIError,), ANSWER),
    "Forbidden": ((errors.APIError,), ANSWER),
    "NotFound": ((errors.APIError,), ANSWER),
    "Conflict": ((errors.APIError,), ANSWER),
    "TemporaryError": ((), COMMON),
    "RateLimited": ((errors.APIError, errors.TemporaryError), ANSWER | {"retry_after": 2.5}),
    "ServerError": ((errors.APIError, errors.TemporaryError), ANSWER | {"retry_after": 2.5}),
    "NoResponse": ((errors.TemporaryError, ConnectionError), COMMON),
    "Timeout": ((errors.NoResponse, errors.TemporaryError, ConnectionError, TimeoutError), COMMON),
    "InvalidResponse": ((errors.TemporaryError,), COMMON | {"status_code": 302}),
    "SendFailed": ((), FAILURES),
    "TemporarySendFailed": ((errors.SendFailed, errors.TemporaryError), FAILURES),
    "UnsupportedFeature": ((ValueError,), {"feature": "attachments", "features": ("attachments", "headers")}),
    "InvalidAddress": ((ValueError,), COMMON),
    "SerializationError": ((TypeError,), COMMON),
    "StoredEmailNotFound": ((LookupError,), COMMON),
    "UnusableAudience": ((ValueError,), COMMON),
    "MissingVariables": ((ValueError,), {"names": ("first_name",)}),
}
NO_HINT_OF_THEIR_OWN = {"SerializationError", "StoredEmailNotFound", "MissingVariables", "UnusableAudience"}
IN_THE_TREE = pytest.mark.parametrize(("name", "bases", "attributes"), [(n, b, a) for n, (b, a) in ABOUT.items()])


def found(error, attributes):
    return {name: getattr(error, name) for name in attributes}


@IN_THE_TREE
def test_an_error_is_what_callers_already_catch(name, bases, attributes):
    """And one of ours; quiet modes may swallow it."""
    kind = getattr(errors, name)
    assert issubclass(kind, (errors.MigmaError))
    for base in bases:
        assert issubclass(kind, base)
    assert not issubclass(kind, ImproperlyConfigured)


def test_only_what_may_pass_by_itself_is_temporary():
    """A task that tries these again repeats no refusal."""
    assert {name for name in ABOUT if issubclass(getattr(errors, name), errors.TemporaryError)} == {
        *("TemporaryError", "RateLimited", "ServerError", "NoResponse", "Timeout", "InvalidResponse"),
        "TemporarySendFailed",
    }


@IN_THE_TREE
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
)
def test_an_error_survives_copies_and_pickles(name, bases, attributes, again):
    """With its text and everything it knows; task queues pickle errors."""
    error = again(getattr(errors, name)("Text", **attributes))
    assert type(error) is getattr(errors, name)
    assert error.reason == "Text"
    assert str(error) == str(getattr(errors, name)("Text", **attributes))
    assert found(error, attributes) == attributes


@IN_THE_TREE
def test_an_error_can_be_made_of_nothing(name, bases, attributes):
    """All attributes have defaults, and no two errors share a mutable one."""
    kind = getattr(errors, name)
    one, other = kind(), kind()
    assert one.reason == ""
    assert str(one) == one.hint
    assert not any(found(one, attributes).values())
    for attribute in ("data", "failures"):
        if attribute in attributes:
            assert getattr(one, attribute) is not getattr(other, attribute)


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({}, "It went wrong. Do this."),
        ({"attempts": 1}, "It went wrong. Do this."),
        ({"attempts": 3}, "It went wrong (after 3 attempts). Do this."),
        ({"idempotency_key": "order-1"}, "It went wrong. Do this."),
        (
            {"idempotency_key": "order-1", "may_have_been_accepted": True},
            "It went wrong. Do this. Idempotency key: order-1",
        ),
    ],
)
@pytest.mark.parametrize("reason", ["It went wrong", "It went wrong."])
def test_the_text_joins_reason_attempts_hint_and_key(reason, attributes, text):
    """The key stands there only where sending again needs it."""
    assert str(errors.MigmaError(reason, hint="Do this.", **attributes)) == text


def test_the_hint_of_a_conflict_depends_on_its_code():
    """Without Migma's word for a conflict, the first request may still be running. The key helps either way."""
    text = str(errors.Conflict("Migma answered 409", code="IDEMPOTENCY_CONFLICT", idempotency_key="order-1"))
    assert "use a new key for a changed message" in text
    assert text.endswith("Idempotency key: order-1")
    assert "may still be running" in str(errors.Conflict("Migma answered 409"))


def test_an_operating_systems_number_is_not_made_up():
    """ConnectionError with one argument has none."""
    assert (errors.Timeout("late").errno, errors.Timeout("late").args) == (None, ("late",))


def test_the_table_holds_every_error():
    """And all of them come from one place, with their text in the docstring's tree."""
    kinds = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert kinds.keys() - {"Any"} == ABOUT.keys()
    assert set(exceptions.__all__) == ABOUT.keys() | {"ConfigurationError"}
    for name in ABOUT:
        assert getattr(exceptions, name) is getattr(errors, name) is getattr(django_migma.api, name)
        assert name in errors.__doc__
        assert kinds[name].__doc__


def test_every_error_of_the_api_has_a_next_step():
    for name in ABOUT.keys() - {"MigmaError", "SendFailed", "UnsupportedFeature", "InvalidAddress"}:
        hint = getattr(errors, name).hint
        assert hint.endswith(".") or name in NO_HINT_OF_THEIR_OWN, name


def test_a_configuration_error_is_djangos_and_outside_the_tree():
    """No quiet mode swallows it."""
    error = configuration_error("MIGMA['API_KEY'] is not set.", None)
    assert type(error) is ConfigurationError
    assert isinstance(error, ImproperlyConfigured)
    assert not isinstance(error, errors.MigmaError)
    assert str(error) == "MIGMA['API_KEY'] is not set."


def test_under_an_alias_it_is_what_django_raises_there():
    """``InvalidMailer`` from Django 6.1 on; in every version the alias stands in the text."""
    error = configuration_error("OPTIONS['timeout'] is odd.", "news")
    assert isinstance(error, ConfigurationError)
    assert str(error) == "MAILERS['news']: OPTIONS['timeout'] is odd."
    assert ("InvalidMailer" in {kind.__name__ for kind in type(error).__mro__}) is (django.VERSION >= (6, 1))


@pytest.mark.parametrize("alias", [None, "news"])
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
)
def test_a_configuration_error_survives_copies_and_pickles(alias, again):
    error = configuration_error("Text.", alias)
    assert type(again(error)) is type(error)
    assert str(again(error)) == str(error)
