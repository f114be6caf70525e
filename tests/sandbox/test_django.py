"""The sandbox uses Django's requests, URLs and responses, and nothing of the site whose process it may run in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from unittest.mock import Mock

import pytest
from django.core.signals import request_finished, request_started
from django.test import override_settings
from django.urls import get_script_prefix, get_urlconf

from django_migma.sandbox import account
from django_migma.sandbox.urls import ENDPOINTS
from tests.sandbox.asking import ask, get, send, single

STRANGE_SETTINGS = {
    "ALLOWED_HOSTS": ["shop.example"],
    "DATA_UPLOAD_MAX_MEMORY_SIZE": 1,
    "DATA_UPLOAD_MAX_NUMBER_FIELDS": 1,
    "DEFAULT_CHARSET": "utf-16",
    "FORCE_SCRIPT_NAME": "/shop",
    "LANGUAGE_CODE": "ar",
    "MIDDLEWARE": ["nowhere"],
    "PREPEND_WWW": True,
    "ROOT_URLCONF": "nowhere",
    "TEMPLATES": [],
    "USE_TZ": False,
}
# Asks every endpoint in a Python without settings, and prints the statuses. The stream of events has no end, so that
# its head is enough.
ASK_ALL = """
import http.client, json
from django.conf import settings
from django_migma.sandbox.server import Sandbox
from django_migma.sandbox.urls import ENDPOINTS
with Sandbox() as sandbox:
    sandbox.faults.script("429-date-1", "html", "ok")
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=60)
    for endpoint in ["POST /v1/sending", "POST /v1/sending", *ENDPOINTS, "GET /nowhere"]:
        method, path = endpoint.split()
        body = "{}" if method == "POST" else None
        headers = {"Authorization": f"Bearer {sandbox.keys.full}", "Content-Type": "application/json"}
        connection.request(method, f"{path}?projectId=665f1c2ab7d3e4f5a6a70001", body=body, headers=headers)
        response = connection.getresponse()
        if path.endswith("/events"):
            connection.close()
        else:
            response.read()
        print(response.status, endpoint)
    connection.close()
assert not settings.configured
"""


# Sends a mail by a page's form, and looks at every page.
LOOK_AROUND = f"""
import http.client
from django.conf import settings
from django_migma.sandbox.pages import emails
from django_migma.sandbox.server import Sandbox
emails.PATIENCE = 60  # so that the mail is there, however busy the machine
tabs = ("mail", "variables", "requests", "json", "source", "links")
with Sandbox() as sandbox:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=60)
    for method, path in [
        ("POST", "/emails"), *(("GET", f"/mail/1?tab={{tab}}") for tab in tabs), ("GET", "/mail/1/html"),
        ("GET", "/"), ("GET", "/faults"), ("GET", "/emails"), ("GET", "/setup"),
        ("GET", "/thumbnails/{account.WELCOME}.svg"), ("GET", "/static/sandbox.css"), ("GET", "/nowhere"),
    ]:
        body = "deed=send&email={account.WELCOME}" if method == "POST" else None
        headers = {{"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}}
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        response.read()
        print(response.status)
    connection.close()
assert not settings.configured
"""


def test_it_runs_without_settings_and_reads_none():
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-W", "error", "-c", ASK_ALL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [endpoint for _, endpoint in answers] == [
        "POST /v1/sending",
        "POST /v1/sending",
        *ENDPOINTS,
        "GET /nowhere",
    ]
    assert {status for status, _ in answers} == {"200", "400", "404", "429"}


def test_its_pages_read_no_settings_either():
    """A page that does is a 500 in a Python without settings, which the command line is."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-W", "error", "-c", LOOK_AROUND]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["303", *["200"] * 13, "404"]


@override_settings(**STRANGE_SETTINGS)
def test_the_settings_of_a_site_change_nothing(sandbox):
    body = single(subject="ﻣﺮﺣﺒﺎ", projectId=account.FERNHILL)
    sent = send(sandbox, body)
    assert (sent.status, sent.headers["Content-Type"]) == (200, "application/json")
    query = f"projectId={account.FERNHILL}&limit=1&search=caf%C3%A9&status=completed"
    assert get(sandbox, f"/v1/projects/emails?{query}").data["emails"] == []
    [message] = get(sandbox, "/_sandbox/messages").json["messages"]
    assert message["subject"] == "ﻣﺮﺣﺒﺎ"
    assert message["html_url"] == f"{sandbox.url}/mail/{message['id']}"
    page = get(sandbox, f"/_sandbox/messages/{message['id']}/html")
    assert "charset=utf-8" in page.headers["Content-Type"]
    assert "Fernhill" in page.content.decode()


def test_a_site_does_not_notice_its_requests(sandbox):
    """Neither signals, to which Django ties database connections, nor what a thread knows of URLs."""
    receiver = Mock()
    before = get_urlconf(), get_script_prefix()
    request_started.connect(receiver)
    request_finished.connect(receiver)
    try:
        assert send(sandbox, single()).status == 200
        assert get(sandbox, "/_sandbox/messages").status == 200
    finally:
        request_started.disconnect(receiver)
        request_finished.disconnect(receiver)
    receiver.assert_not_called()
    assert (get_urlconf(), get_script_prefix()) == before


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if " /v1/" in endpoint])
def test_every_endpoint_of_migmas_wants_a_key(sandbox, endpoint):
    method, path = endpoint.split()
    assert ask(sandbox, method, path, key=None).status == 401


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_endpoint_answers_to_a_foreign_host(sandbox, endpoint):
    method, path = endpoint.split()
    assert ask(sandbox, method, path, headers={"Host": "evil.example"}).status == 403


def test_a_path_may_be_percent_encoded(sandbox):
    assert get(sandbox, f"/v1/emails/%36{account.WELCOME[1:]}").data["id"] == account.WELCOME
    reply = get(sandbox, "/v1/emails/caf%C3%A9")
    assert (reply.status, reply.error) == (404, "Email not found: emailId café")


def test_a_header_with_an_underscore_is_not_taken_for_one_with_a_hyphen(sandbox):
    headers = {"Idempotency_Key": "order-1"}
    ids = {ask(sandbox, "POST", "/v1/sending", body=single(), headers=headers).data["id"] for _ in range(2)}
    assert len(ids) == 2


def test_of_a_repeated_name_in_a_query_the_last_value_counts(sandbox):
    assert get(sandbox, "/v1/projects?limit=0&limit=1").data["pagination"]["limit"] == 1


def test_a_body_larger_than_djangos_upload_limit_is_read(sandbox):
    body = single(variables={"first_name": "Kim", "shop_url": "x" * 3_000_000})
    assert send(sandbox, json.dumps(body).encode()).status == 200
