"""Which mailers of a site use our backend, for commands and the admin."""

import django
import pytest
from django.test import override_settings
from django.utils.text import format_lazy

from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailers
from django_migma.mailers import mailer as chosen
from tests.conftest import BACKEND, our_mailer

NAMED = pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"


@pytest.mark.usefixtures("mailer")
class TestDefault:
    def test_the_default_is_taken_without_a_name(self):
        assert chosen().config().api_key.startswith("sk_test")

    def test_an_address_on_this_machine_is_a_sandbox(self, migma):
        assert chosen().is_sandbox
        migma(API_URL="https://api.migma.ai/v1")
        assert not chosen().is_sandbox

    def test_an_unknown_name_is_refused(self):
        with pytest.raises(ConfigurationError, match="There is no mailer 'news' that uses Migma in MAILERS"):
            chosen("news")


class TestCallableKey:
    def test_whatever_it_raises_is_an_error_of_the_settings_that_names_the_type_only(self, mailer, migma):
        def broken():
            raise OSError("vault says sk_live_123")

        migma(API_KEY=broken)
        with pytest.raises(ConfigurationError) as caught:
            chosen().config()
        place = "MAILERS['default']: MIGMA['API_KEY']" if django.VERSION >= (6, 1) else "MIGMA['API_KEY']"
        assert str(caught.value) == f"{place} is a callable, and it raised OSError. Try it in manage.py shell."
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_a_key_that_is_none_says_so(self, mailer, migma):
        migma(API_KEY=lambda: "")
        with pytest.raises(ConfigurationError, match=r"MIGMA\['API_KEY'\] is not set"):
            chosen().config()

    def test_it_is_not_blamed_where_the_key_is_none(self, mailer, migma):
        migma(FROM_NAME=format_lazy("{}", Unreadable()))
        with pytest.raises(ZeroDivisionError):
            chosen().config()


class Unreadable:
    """A translation that fails."""

    def __str__(self):
        return str(1 / 0)


@NAMED
@pytest.mark.parametrize("other", [None, {}, {"BACKEND": None}, {"BACKEND": 5}, {"BACKEND": LOCMEM, "OPTIONS": None}])
def test_mailers_without_a_backend_or_options_are_passed_by(other):
    ours = {"BACKEND": BACKEND, "OPTIONS": None}
    with override_settings(MAILERS={"default": other, "news": ours}):
        assert list(mailers()) == [Mailer(alias="news", options={})]


@pytest.mark.parametrize("path", ["nowhere.Backend", "", 5])
def test_a_backend_that_is_not_there_is_not_ours(path):
    with override_settings(**our_mailer(backend=path)):
        assert list(mailers()) == []


@NAMED
def test_no_mailers_at_all():
    with override_settings(MAILERS=None), pytest.raises(ConfigurationError, match="No mailer uses Migma"):
        chosen()


@NAMED
@override_settings(
    MAILERS={"default": {"BACKEND": LOCMEM}, "news": {"BACKEND": BACKEND, "OPTIONS": {"from_name": "N"}}}
)
def test_the_first_that_is_ours_stands_in_for_a_default_that_is_not():
    assert chosen() == chosen("news") == Mailer(alias="news", options={"from_name": "N"})
    with pytest.raises(ConfigurationError, match=r"There is no mailer 'default' .* Those that do: 'news'\."):
        chosen("default")


def test_a_site_without_our_backend_gets_a_configuration_error():
    """Under Django's test runner every mailer is an in-memory one."""
    assert list(mailers()) == []
    with pytest.raises(ConfigurationError, match=r"No mailer uses Migma\. Set MAILERS"):
        chosen()
    with pytest.raises(ConfigurationError, match=r"There is no mailer 'x' .* Those that do: none\."):
        chosen("x")
