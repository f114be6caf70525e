"""Where the API is and the key that opens it."""

from __future__ import annotations

import copy
import logging
import pickle
import pprint

import pytest

from django_migma.api.credentials import API_URL, Secret, api_key_error, api_url_error, is_local, is_loopback

SHOWN = "sk_live_1234"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        "{}".format,
        "{!r}".format,
        "{:>40}".format,
        "{:s}".format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!s:<40}",
        lambda secret: "%s" % secret,  # noqa: UP031 - the old form is what is tested
        lambda secret: "%20s" % secret,  # noqa: UP031
        lambda secret: str({"api_key": secret}),
        lambda secret: pprint.pformat([secret] * 40),
        lambda secret: logging.LogRecord("a", 10, "b", 1, "key %s", (secret,), None).getMessage(),
    ],
)
def test_a_secret_shows_a_mask(show):
    """Whatever turns it into text for people sees asterisks."""
    text = show(Secret(SHOWN))
    assert "********" in text
    assert SHOWN not in text


def test_a_secret_is_the_real_thing_for_machines():
    """Comparison, concatenation, length and bytes work on the characters."""
    secret = Secret(SHOWN)
    assert secret == SHOWN
    assert "Bearer " + secret == "Bearer sk_live_1234"
    assert secret.encode() == b"sk_live_1234"
    assert len(secret) == 12
    assert secret.header() == "Bearer sk_live_1234"
    assert isinstance(secret.header(), Secret)


def test_a_secret_is_empty_unless_told():
    assert Secret() == ""


def test_a_secret_of_a_secret_is_the_same_one():
    """And not a secret of its mask."""
    secret = Secret(SHOWN)
    assert Secret(secret) is secret


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_secret_survives_copies(copied):
    secret = Secret(SHOWN)
    assert copied({"key": secret})["key"] is secret
    assert copied(secret) is secret


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_does_not_survive_a_pickle(protocol):
    """A key has no business in a queue or a cache."""
    pickled = pickle.dumps(Secret(SHOWN), protocol)
    assert SHOWN.encode() not in pickled
    restored = pickle.loads(pickled)
    assert restored == ""
    assert isinstance(restored, Secret)


@pytest.mark.parametrize("key", ["sk_live_1", "a", "migma-é-key", "k" * 500])
def test_keys_that_a_header_can_carry(key):
    assert api_key_error(key) == ""


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (None, "must be a string or a callable that returns one, not NoneType"),
        (b"sk", "must be a string or a callable that returns one, not bytes"),
        (17, "must be a string or a callable that returns one, not int"),
        ("", "is empty"),
        ("sk_1\n", "contains white space (a line break at its end is the usual cause: strip it)"),
        (" sk_1", "contains white space (a line break at its end is the usual cause: strip it)"),
        ("sk\u00a01", "contains white space (a line break at its end is the usual cause: strip it)"),
        ("sk\x7f1", "contains control characters"),
        ("sk\x001", "contains control characters"),
        ("sk_😀", "contains characters that no HTTP header can carry (only latin-1 can)"),
        ("sk_ключ", "contains characters that no HTTP header can carry (only latin-1 can)"),
    ],
)
def test_keys_that_a_header_cannot_carry(key, problem):
    assert api_key_error(key) == problem


@pytest.mark.parametrize(
    "url",
    [
        API_URL,
        "https://api.migma.ai/v1/",
        "HTTPS://API.MIGMA.AI/v1",
        "https://api.migma.ai:8443/v1",
        "https://api.migma.ai.",
        "https://10.0.0.1/v1",
        "https://[2001:db8::1]:8443/v1",
        "http://127.0.0.1:8026/v1",
        "http://localhost:8026/v1",
        "http://LOCALHOST/v1",
        "http://sandbox.localhost/v1",
        "http://[::1]:8026/v1",
    ],
)
def test_addresses_that_will_do(url):
    assert api_url_error(url) == ""


NO_URL = f"must look like {API_URL}"
NO_USER = "must not contain a user name or password: they would replace the API key"
NO_QUERY = "must not have a query or a fragment"
NO_SPACE = "contains white space or characters beyond ASCII"
NO_HTTP = "sends the API key unencrypted: use https, or set ALLOW_HTTP for a sandbox in a trusted network"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "must be a string, not NoneType"),
        (b"https://api.migma.ai", "must be a string, not bytes"),
        ("https://[::1", "is no readable URL"),
        ("https://api.migma.ai:port/v1", "is no readable URL"),
        ("https://api.migma.ai:99999/v1", "is no readable URL"),
        ("", NO_URL),
        ("api.migma.ai/v1", NO_URL),
        ("ftp://api.migma.ai/v1", NO_URL),
        ("https:///v1", NO_URL),
        ("https://-api.migma.ai/v1", NO_URL),
        ("https://api.migma.ai /v1", NO_URL),
        ("https://mígma.ai/v1", NO_URL),
        ("https://api.migma.ai\\.evil.example/v1", NO_URL),
        ("https://user@api.migma.ai/v1", NO_USER),
        ("https://user:word@api.migma.ai/v1", NO_USER),
        ("https://@api.migma.ai/v1", NO_USER),
        ("https://api.migma.ai/v1?a=b", NO_QUERY),
        ("https://api.migma.ai/v1#a", NO_QUERY),
        ("https://api.migma.ai/v1?", NO_QUERY),
        ("https://api.migma.ai/v1#", NO_QUERY),
        ("https://api.migma.ai/v 1", NO_SPACE),
        ("https://api.migma.ai/v1\n", NO_SPACE),
        ("https://api.migma.ai/vé", NO_SPACE),
        ("http://api.migma.ai/v1", NO_HTTP),
        ("http://192.168.0.1/v1", NO_HTTP),
        ("http://localhost.evil.example/v1", NO_HTTP),
    ],
)
def test_addresses_that_will_not_do(url, problem):
    assert api_url_error(url) == problem


def test_http_beyond_this_machine_wants_to_be_allowed():
    """With ALLOW_HTTP, and with no other rule loosened."""
    assert api_url_error("http://sandbox:8026/v1", allow_http=True) == ""
    assert api_url_error("ftp://sandbox:8026/v1", allow_http=True) == NO_URL


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_hosts_that_are_this_machine(host):
    assert is_loopback(host)
    assert is_local(f"http://{f'[{host}]' if ':' in host else host}:8026/v1")


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "10.0.0.1", "::", "127.1", "localhost.example", "notlocalhost", "api.migma.ai"]
)
def test_hosts_that_may_be_another_machine(host):
    assert not is_loopback(host)
    assert not is_local(f"http://{f'[{host}]' if ':' in host else host}:8026/v1")
