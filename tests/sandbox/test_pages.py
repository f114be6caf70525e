"""What all pages have in common: headers, files of their own, errors for people."""

from __future__ import annotations

import re

import pytest

from tests.sandbox.asking import ask, get, raw, send, single

PERSON = {"Accept": "text/html,*/*"}


def page(sandbox, path, **options):
    """A page, as a browser asks for it."""
    return get(sandbox, path, key=None, headers=PERSON, **options)


def test_a_page_loads_nothing_from_elsewhere_and_stands_in_no_frame(sandbox):
    policy = page(sandbox, "/").headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"} <= set(policy)


def test_the_files_of_a_page_are_found_and_may_be_kept(sandbox):
    """Their addresses hold a digest, so another release has other addresses."""
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page(sandbox, "/").content.decode())
    assert len(addresses) == 3
    for address in addresses:
        reply = page(sandbox, address)
        assert reply.status == 200
        assert "immutable" in reply.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["server.py", "..%2Fserver.py", "%2e%2e/server.py", "account.json", ""])
def test_no_other_file_is_served(sandbox, name):
    reply = page(sandbox, f"/static/{name}")
    assert reply.status == 404
    assert b"import" not in reply.content


def test_people_are_told_as_a_page_that_nothing_is_there(sandbox):
    reply = page(sandbox, "/nowhere")
    assert (reply.status, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "Not found: /nowhere" in reply.content.decode()


@pytest.mark.parametrize("path", ["/", "/mail/{id}", "/setup", "/static/sandbox.css", "/nowhere"])
def test_head_answers_like_get_without_the_body(sandbox, path):
    """Such as `curl -I`."""
    send(sandbox, single())
    path = path.replace("{id}", sandbox.store.inbox.mails()[0].id)
    page(sandbox, path)  # the first look at a mail marks it as read, which the next page shows
    whole = page(sandbox, path)
    host = f"127.0.0.1:{sandbox.port}"
    request = f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    head = raw(sandbox, request.encode()).decode()
    assert head.startswith(f"HTTP/1.1 {whole.status} ")
    assert f"Content-Length: {len(whole.content)}\r\n" in head
    assert head.endswith("\r\n\r\n")


def test_a_program_gets_an_error_envelope(sandbox):
    """Such as a client whose address of the API lacks the "/v1"."""
    assert ask(sandbox, "POST", "/sending", body={}).error == "Not found: POST /sending"


def test_a_stranger_gets_no_page(sandbox):
    """A page would tell how much mail there is."""
    reply = get(sandbox, "/", key=None, headers={"Host": "evil.example", "Accept": "text/html"})
    assert (reply.status, reply.headers["Content-Type"]) == (403, "application/json")
    assert "is no name of this sandbox" in reply.error
