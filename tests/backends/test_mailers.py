"""Both ways to configure mail: MAILERS from Django 6.1 on, EMAIL_BACKEND in all versions."""

import warnings

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage, send_mail
from django.test import override_settings

from django_migma.backends import EmailBackend
from django_migma.exceptions import ConfigurationError
from tests.conftest import BACKEND

needs_mailers = pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
if django.VERSION >= (6, 1):
    from django.utils.deprecation import RemovedInDjango2028Warning

    ignores_deprecation = pytest.mark.filterwarnings("ignore::django.utils.deprecation.RemovedInDjango2028Warning")
else:
    ignores_deprecation = pytest.mark.filterwarnings("error")


@needs_mailers
class TestMailers:
    def test_each_alias_has_its_own_options(self, accepting):
        mailers = {
            "default": {"BACKEND": BACKEND},
            "sales": {"BACKEND": BACKEND, "OPTIONS": {"from_email": "Sales <sales@example.com>"}},
        }
        with override_settings(MAILERS=mailers):
            send_mail("Hello", "text", None, ["a@example.org"])
            send_mail("Hello", "text", None, ["a@example.org"], using="sales")
        assert [body["from"] for body in accepting.bodies] == ["shop@example.com", "sales@example.com"]

    def test_an_unknown_option_is_djangos_invalid_mailer(self):
        mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"from_mail": "x"}}}
        with (
            override_settings(MAILERS=mailers),
            pytest.raises(mail.InvalidMailer, match="Unknown options 'from_mail'"),
        ):
            mail.mailers.default  # noqa: B018 - the access makes it

    def test_username_as_an_option_is_unknown_too(self):
        mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"username": "x"}}}
        with (
            override_settings(MAILERS=mailers),
            pytest.raises(mail.InvalidMailer, match="Unknown options 'username'"),
        ):
            mail.mailers.default  # noqa: B018

    def test_a_bad_option_is_an_invalid_mailer_that_names_it(self, accepting):
        mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"max_retries": -1}}}
        text = r"MAILERS\['default'\]: OPTIONS\['max_retries'\] must be a whole number from 0, not -1"
        with override_settings(MAILERS=mailers), pytest.raises(mail.InvalidMailer, match=text) as caught:
            send_mail("Hello", "text", None, ["a@example.org"])
        assert isinstance(caught.value, ConfigurationError)

    def test_fail_silently_as_an_option_beats_the_setting_both_ways(self, migma):
        migma(FAIL_SILENTLY=True)
        mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"fail_silently": False}}}
        with override_settings(MAILERS=mailers):
            assert mail.mailers.default.fail_silently is False

    @ignores_deprecation
    def test_old_keywords_of_send_mail_still_work(self, wire):
        wire.answers((400, {"success": False, "error": "no"}))
        sent = send_mail(
            "Hello", "text", None, ["a@example.org"], fail_silently=True, auth_user="u", auth_password="p"
        )
        assert sent == 0


@ignores_deprecation
class TestEmailBackend:
    """Tests of EMAIL_BACKEND ignore exactly Django's own deprecation of it."""

    @pytest.fixture(autouse=True)
    def email_backend(self, accepting, settings):
        if hasattr(settings, "MAILERS"):
            del settings.MAILERS
        settings.EMAIL_BACKEND = BACKEND
        self.wire = accepting

    def test_send_mail(self):
        assert send_mail("Hello", "text", None, ["a@example.org"], auth_user="u", auth_password="p") == 1
        assert self.wire.body["recipientEmail"] == "a@example.org"

    def test_send_mass_mail(self):
        assert mail.send_mass_mail([("Hello", "text", None, ["a@example.org"])]) == 1

    def test_mail_managers(self, settings):
        settings.MANAGERS = ["m@example.org"] if django.VERSION >= (6, 0) else [("M", "m@example.org")]
        mail.mail_managers("Hello", "text")
        assert self.wire.body["recipientEmail"] == "m@example.org"

    def test_connection_as_a_context_manager(self):
        with mail.get_connection() as connection:
            messages = [EmailMessage("Hello", "text", None, ["a@example.org"], connection=connection)]
            assert connection.send_messages(messages) == 1

    def test_fail_silently_of_a_message(self, migma):
        migma(PROJECT_ID=None)
        assert EmailMessage("Hello", "text", None, ["a@example.org"]).send(fail_silently=True) == 0

    def test_configuration_errors_are_never_silenced(self, migma):
        migma(MAX_RETRIES="many")
        with pytest.raises(ConfigurationError, match=r"^MIGMA\['MAX_RETRIES'\] must be a whole number from 0"):
            EmailMessage("Hello", "text", None, ["a@example.org"]).send(fail_silently=True)


class TestConstructor:
    def test_no_messages_are_no_work(self, accepting, migma):
        migma(API_KEY=None)
        assert EmailBackend().send_messages([]) == 0
        assert EmailBackend().send_messages(None) == 0

    @pytest.mark.skipif(django.VERSION >= (6, 1), reason="Django itself warns from 6.1 on")
    def test_an_unknown_keyword_warns_and_names_the_nearest(self):
        with pytest.warns(RuntimeWarning, match="does not know the option 'from_mail'. Did you mean 'from_email'?"):
            EmailBackend(from_mail="x")
        with pytest.warns(RuntimeWarning, match="does not know the option 'zzz'.$"):
            EmailBackend(zzz="x")

    @needs_mailers
    def test_an_unknown_keyword_warns_by_django(self):
        with pytest.warns(RemovedInDjango2028Warning, match="does not support 'from_mail'"):
            EmailBackend(from_mail="x")

    def test_username_and_password_are_swallowed(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            backend = EmailBackend(username="u", password="p", fail_silently=False)
        assert backend.fail_silently is False
