"""Faults that send a whole response, but an unwanted one."""

from __future__ import annotations

import http.client
import json

import pytest

from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import PATIENCE, get, send, single


def accepted(sandbox):
    return sandbox.store.stats()["accepted"]


@pytest.mark.parametrize("word", ["429", "503", "500"])
def test_an_error_status_is_an_envelope_and_nothing_is_accepted(sandbox, word):
    sandbox.faults.script(word)
    reply = send(sandbox, single(), idempotency_key="order-1")
    assert (reply.status, reply.error) == (int(word), f"The sandbox strikes: fault {word}")
    assert reply.headers["Retry-After"] is None
    assert accepted(sandbox) == 0
    assert send(sandbox, single(), idempotency_key="order-1").headers["Idempotent-Replayed"] is None


@pytest.mark.parametrize(
    ("word", "status", "title"),
    [("502", 502, "Bad Gateway"), ("504", 504, "Gateway Timeout"), ("html", 200, "Please sign in")],
)
def test_a_proxy_answers_with_a_page_and_nothing_is_accepted(sandbox, word, status, title):
    sandbox.faults.script(word)
    reply = send(sandbox, single())
    assert (reply.status, reply.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert f"<title>{title}</title>".encode() in reply.content
    assert accepted(sandbox) == 0


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", [0, 2, 3600])
def test_retry_after_is_whole_seconds(sandbox, status, seconds):
    sandbox.faults.script(f"{status}-after-{seconds}")
    reply = send(sandbox, single())
    assert (reply.status, reply.headers["Retry-After"]) == (status, str(seconds))
    assert accepted(sandbox) == 0


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("fraction", "second"), [(0, "02"), (0.25, "03")])
def test_retry_after_is_a_date_that_does_not_come_too_early(start, clock, status, fraction, second):
    sandbox = start(clock=clock)
    clock.forward(seconds=fraction)
    sandbox.faults.script(f"{status}-date-2")
    reply = send(sandbox, single())
    assert (reply.status, reply.headers["Retry-After"]) == (status, f"Mon, 01 Jun 2026 09:30:{second} GMT")


def test_a_redirect_leads_to_a_path_that_answers_with_success(sandbox):
    sandbox.faults.script("redirect")
    reply = send(sandbox, single())
    assert (reply.status, reply.headers["Location"], reply.content) == (302, "/v1/projects", b"")
    assert get(sandbox, reply.headers["Location"]).json["success"] is True
    assert accepted(sandbox) == 0


def test_answers_that_are_whole_leave_their_connection_usable(sandbox):
    words = ["429", "502", "html", "redirect", "empty", "slow-0.01", "busy-0.01", "ok"]
    sandbox.faults.script(*words)
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    for _ in words:
        headers = {"Authorization": f"Bearer {KEYS.full}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/sending", body=json.dumps(single()), headers=headers)
        connection.getresponse().read()
    connection.close()
    assert sandbox.store.stats()["connections"] == 1
    assert accepted(sandbox) == 4
