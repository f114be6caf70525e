"""The API key appears in no error, log line, repr, traceback with locals, or debug page, in our frames and below."""

import logging
import pickle
import sys
import traceback

import django
import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, send_mail
from django.test import RequestFactory, override_settings
from django.urls import path
from django.views.debug import technical_500_response

from django_migma.backends import EmailBackend
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import mailer, mailers
from tests.conftest import BACKEND

KEY = "sk_test_very_secret_indeed"
REFUSAL = {"success": False, "error": f"Bad key {KEY}", "code": KEY, "data": {"key": KEY}}


def mail():
    return EmailMessage("Hello", "text", None, ["ada@example.org"])


def send_view(request):
    send_mail("Hello", "text", None, ["ada@example.org"])


urlpatterns = [path("send/", send_view)]

FAILURES = {
    "401 that quotes the key": (401, REFUSAL),
    "500": (500, REFUSAL),
    "200 that is no JSON": (200, f"<html>{KEY}"),
    "success false": (200, REFUSAL),
    "redirect": (302, "", {"Location": f"http://elsewhere.example/{KEY}"}),
    "no connection": requests.ConnectionError(KEY),
}


@pytest.fixture
def keyed(wire, migma):
    migma(API_KEY=KEY, MAX_RETRIES=0)
    return wire


@pytest.fixture(params=["setting", "option", "callable"])
def keyed_backend(request, wire, migma, connection):
    """The backend, with its key from each of the three places."""
    migma(API_KEY={"setting": KEY, "callable": lambda: KEY, "option": None}[request.param], MAX_RETRIES=0)
    return connection(**({"api_key": KEY} if request.param == "option" else {}))


@pytest.mark.parametrize("name", FAILURES)
def test_not_in_tracebacks_with_locals_nor_in_chained_errors(wire, keyed_backend, name, caplog):
    """What error trackers record: the locals of each frame, and of every error in the chain."""
    caplog.set_level(logging.DEBUG)
    wire.answers(FAILURES[name])
    with pytest.raises(Exception, match=r"\w") as caught:
        keyed_backend.send_messages([mail()])
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = "".join(frames.format()).replace(str(FAILURES[name]), "")
    assert KEY not in our_part(shown)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert KEY not in repr(vars(caught.value))
    assert KEY.encode() not in pickle.dumps(caught.value)
    assert KEY not in caplog.text


def our_part(shown):
    """The frames of the package and below; this test's own frame holds what it made up."""
    return "".join(part for part in shown.split('  File "') if "django_migma/" in part.splitlines()[0])


def test_not_in_the_technical_500_page(keyed, settings, rf):
    """Django's debug page shows the locals of every frame and all settings."""
    settings.DEBUG = True
    keyed.answers((500, REFUSAL))
    try:
        send_view(rf.get("/send/"))
    except Exception:  # noqa: BLE001 - the page is about any
        page = technical_500_response(rf.get("/send/"), *sys.exc_info()).content.decode()
    assert "ServerError" in page
    assert "send_messages" in page
    assert KEY not in page


def test_not_in_the_page_of_a_key_that_no_header_can_carry(wire, migma, settings, rf):
    settings.DEBUG = True
    migma(API_KEY=f"{KEY}\n")
    try:
        send_view(rf.get("/send/"))
    except ConfigurationError:
        page = technical_500_response(rf.get("/send/"), *sys.exc_info()).content.decode()
    assert "contains white space" in page
    assert KEY not in page


def test_not_in_the_repr_of_a_backend_or_its_options(keyed_backend):
    assert KEY not in repr(keyed_backend) + repr(vars(keyed_backend))


@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
def test_not_in_the_repr_of_a_mailer():
    """Commands and the admin keep mailers in variables, which debug pages show."""
    options = {"api_key": KEY, "from_name": "Shop"}
    with override_settings(MAILERS={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
        for found in (*mailers(), mailer("default")):
            assert KEY not in repr(found) + str(found) + repr(found.options) + repr(found._asdict())
            assert found.options["from_name"] == "Shop"
            assert found.config().api_key == KEY


@pytest.mark.usefixtures("wire")
def test_not_in_the_repr_of_a_config(migma):
    migma(API_KEY=KEY)
    config = EmailBackend().config()
    assert config.api_key == KEY
    assert KEY not in repr(config) + str(config.api_key) + f"{config.api_key}"


def test_a_callable_that_fails_is_the_sites_own_error(wire, migma):
    def vault():
        raise ConnectionRefusedError("vault")

    migma(API_KEY=vault, FAIL_SILENTLY=True)
    with pytest.raises(ConnectionRefusedError, match="vault"):
        mail().send()


@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
def test_the_one_place_that_django_itself_exposes(settings, rf):
    """A key written into OPTIONS beside an unknown option: Django's own frame shows it. Documented in the manual."""
    settings.DEBUG = True
    mailers = {"default": {"BACKEND": BACKEND, "OPTIONS": {"api_key": KEY, "from_mail": "x"}}}
    with override_settings(MAILERS=mailers):
        try:
            send_view(rf.get("/send/"))
        except ImproperlyConfigured as error:
            page = technical_500_response(RequestFactory().get("/send/"), *sys.exc_info()).content.decode()
            frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert KEY in page
    assert KEY not in our_part("".join(frames.format()))
