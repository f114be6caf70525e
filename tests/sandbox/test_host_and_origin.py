"""The sandbox answers to programs and people that name it, and to no page of another site."""

from __future__ import annotations

import re

import pytest

from django_migma.sandbox.host_and_origin import is_loopback
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import ask, get, raw, send, single

OWN_HOSTS = ["localhost", "LOCALHOST:8026", "localhost.:8026", "127.0.0.1:8026", "127.9.9.9", "[::1]:8026", "[::1]"]
ADDRESSES = ["192.0.2.7", "10.0.0.7:8026", "[2001:db8::7]:8026", "[::ffff:192.0.2.7]"]
STRANGERS = [
    "evil.example",
    "evil.example:8026",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example@127.0.0.1",
    "127.0.0.1:8026:8026",
    "127.1",
    "١٢٧.0.0.1".encode().decode("latin-1"),
    "[::ffff",
    "sandbox:8026",
    "",
]
PATHS = [("GET", "/"), ("GET", "/_sandbox/"), ("DELETE", "/_sandbox/messages")]
PATHS += [("POST", "/v1/sending"), ("GET", "/v1/domains")]
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "file://localhost:8026"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8026"},
]
OWN = [
    {},
    {"Origin": "http://localhost:8026"},
    {"Origin": "http://LOCALHOST:8026"},
    {"Origin": "https://localhost:8026"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
]
WAY_IN = {"Host": "localhost:8026"}
REFUSED = (
    "This came from a page of another site, which may only link to the sandbox. Call it from a program or from its "
    "own pages; if they have a name of their own, start it with --allowed-host NAME"
)


@pytest.fixture
def named():
    """A sandbox that neighbouring containers call by a name."""
    with Sandbox(allowed_hosts=("Sandbox", "mail_box.internal")) as running:
        yield running


@pytest.mark.parametrize("host", OWN_HOSTS + ADDRESSES)
@pytest.mark.parametrize("path", ["/_sandbox/messages", "/v1/domains"])
def test_its_names_and_all_addresses_are_accepted(sandbox, host, path):
    """A page that rebinds its name needs a name."""
    assert get(sandbox, path, headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", STRANGERS)
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_any_other_host_is_refused_against_dns_rebinding(sandbox, host, method, path):
    reply = ask(sandbox, method, path, headers={"Host": host})
    assert reply.status == 403
    assert reply.error == (
        f"The Host header {host!r} is no name of this sandbox. Use localhost or an IP address, or start the sandbox "
        "with --allowed-host NAME"
    )


def test_a_request_without_any_host_is_refused(sandbox):
    assert raw(sandbox, b"GET /_sandbox/ HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def test_a_page_that_rebinds_its_name_uses_nothing_up(sandbox):
    """For the browser it is the same origin, and it knows the published keys. It cannot fill the inbox either."""
    sandbox.faults.script("500")
    for browser in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-origin"}):
        headers = {"Host": "evil.example", **browser}
        assert ask(sandbox, "POST", "/v1/sending", body=single(), headers=headers).status == 403
    assert sandbox.faults.state()["script"] == ["500"]
    assert sandbox.store.inbox.mails() == []


def test_a_program_that_calls_it_by_a_wrong_name_finds_that_in_the_inbox(sandbox):
    """It is the site of a developer who does not know of --allowed-host yet."""
    ask(sandbox, "POST", "/v1/sending", body=single(), headers={"Host": "sandbox:8026"})
    [mail] = sandbox.store.inbox.mails()
    assert mail.is_refused
    assert "start the sandbox with --allowed-host NAME" in mail.exchanges[0].problem


@pytest.mark.parametrize("host", ["sandbox:8026", "SANDBOX", "sandbox.", "mail_box.internal:80", "localhost"])
def test_allowed_hosts_are_further_names(named, host):
    assert ask(named, "POST", "/v1/sending", body=single(), headers={"Host": host}).status == 200
    assert get(named, "/_sandbox/messages", headers={"Host": "evil.example"}).status == 403


def test_the_name_that_it_is_bound_to_is_its_own():
    with Sandbox(host="LocalHost") as running:
        assert get(running, "/_sandbox/", headers={"Host": f"localhost:{running.port}"}).status == 200


@pytest.mark.parametrize("name", ["", "sandbox:8026", "http://sandbox", "sandbox/", "*", "café", "sandbox."])
def test_an_allowed_host_must_be_a_name(name):
    with pytest.raises(ValueError, match=f"^an allowed host must be a name such as .*, not {re.escape(repr(name))}$"):
        Sandbox(allowed_hosts=[name])


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_sandbox/faults"),
        ("DELETE", "/_sandbox/messages"),
        ("DELETE", "/"),
        ("GET", "/_sandbox/messages"),
        ("POST", "/v1/sending"),
        ("GET", "/v1/domains"),
    ],
)
def test_pages_of_other_sites_do_nothing_and_fetch_nothing(sandbox, headers, method, path):
    """Also those on another port of this machine."""
    reply = ask(sandbox, method, path, body={"script": ["lost"]}, headers=WAY_IN | headers)
    assert (reply.status, reply.error) == (403, REFUSED)
    assert sandbox.faults.state()["script"] == []


@pytest.mark.parametrize("headers", OWN)
def test_its_own_pages_and_programs_may_do_everything(sandbox, headers):
    body = {"script": ["lost"]}
    assert ask(sandbox, "POST", "/_sandbox/faults", body=body, headers=WAY_IN | headers).json["script"] == ["lost"]
    assert get(sandbox, "/v1/domains", headers=WAY_IN | headers).status == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_other_sites_may_link_to_its_pages(sandbox, headers):
    """The admin does, on its own port. What is no page opens in a tab, but not in a frame."""
    assert get(sandbox, "/", headers=WAY_IN | headers).status < 400
    path, tab, frame = "/_sandbox/messages", {"Sec-Fetch-Dest": "document"}, {"Sec-Fetch-Dest": "iframe"}
    assert get(sandbox, path, headers=WAY_IN | headers | tab).status == 200
    assert get(sandbox, path, headers=WAY_IN | headers | frame).status == 403


def test_behind_a_proxy_an_allowed_name_is_its_own(named):
    """Whatever the proxy makes of the Host header and the port."""
    headers = {"Host": "127.0.0.1:8026", "Origin": "https://sandbox"}
    assert ask(named, "DELETE", "/_sandbox/messages", headers=headers).status == 200
    assert ask(named, "DELETE", "/_sandbox/messages", headers=headers | {"Origin": "https://box"}).status == 403


def test_no_answer_allows_other_origins(sandbox):
    send(sandbox, single())
    for path in ("/", "/_sandbox/", "/_sandbox/messages", "/v1/domains"):
        reply = get(sandbox, path, headers={"Origin": "https://evil.example"})
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("192.0.2.7", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_known_by_its_name_and_its_addresses(host, is_local):
    """No name is looked up: whoever owns it may change what it leads to."""
    assert is_loopback(host) is is_local
