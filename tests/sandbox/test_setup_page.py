"""/setup, and the empty inbox: how a site gets here, what is in force, and a fresh start."""

from __future__ import annotations

import html
import re
from dataclasses import fields
from urllib.parse import urlencode

import django
import pytest

from django_migma.sandbox.options import Switches, flag_of
from django_migma.sandbox.pages.setup import settings_to_paste
from tests.sandbox.asking import ask, get, send, single

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def page(sandbox, path="/setup"):
    """The text of the page as it is."""
    return html.unescape(get(sandbox, path, key=None).content.decode())


def press(sandbox, path="/setup", **fields):
    return ask(sandbox, "POST", path, body=urlencode(fields).encode(), key=None, headers=FORM)


def switch(sandbox, option):
    """The value in force, and whether it was changed; and the question that it decides."""
    row = (
        rf'<code class="unbroken">{option}</code></dt>\n<dd class="value">(.+?)</dd>\n<dd class="meaning">(.+?)</dd>'
    )
    [(value, meaning)] = re.findall(row, page(sandbox))
    return re.sub(r"\s*<[^>]+>", "", value), "".join(re.findall(r'<b class="unknown">(.+?)</b>', meaning))


def test_the_settings_to_paste_lead_to_this_sandbox(sandbox):
    shown = page(sandbox)
    assert settings_to_paste(sandbox.url) in shown
    assert f'"API_URL": "{sandbox.api_url}"' in shown


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "LOCALHOST"])
def test_whoever_comes_by_a_name_of_this_machine_gets_the_sandboxs_own_address(sandbox, name):
    reply = get(sandbox, "/setup", key=None, headers={"Host": f"{name}:{sandbox.port}"})
    assert settings_to_paste(sandbox.url) in html.unescape(reply.content.decode())
    assert "ALLOW_HTTP" not in reply.content.decode()


@pytest.mark.parametrize(
    ("host", "needs_permission"),
    [("localhost:9000", False), ("[::1]:9000", False), ("192.0.2.7:8026", True), ("192.0.2.7", True)],
)
def test_whoever_comes_from_elsewhere_gets_settings_that_lead_there_from_elsewhere(sandbox, host, needs_permission):
    """Through a container's port, or from another machine, which needs a permission for plain HTTP."""
    shown = html.unescape(get(sandbox, "/", key=None, headers={"Host": host}).content.decode())
    assert f'"API_URL": "http://{host}/v1"' in shown
    assert ('"ALLOW_HTTP": True' in shown) == needs_permission


def test_the_settings_are_those_of_this_django_and_the_others_are_named(sandbox):
    mailers = 'MAILERS = {"default": {"BACKEND": "django_migma.backends.EmailBackend"}}'
    older = 'EMAIL_BACKEND = "django_migma.backends.EmailBackend"'
    ours, others = (mailers, older) if django.VERSION >= (6, 1) else (older, mailers)
    shown = page(sandbox)
    assert f'<pre class="paste" tabindex="0">{ours}\n' in shown
    assert f'<pre class="paste" tabindex="0">{others}</pre>' in shown
    assert settings_to_paste(sandbox.url, has_mailers=True).startswith(mailers)
    assert settings_to_paste(sandbox.url, has_mailers=False).startswith(older)


def test_each_key_is_shown_with_what_it_may_do(sandbox):
    shown = page(sandbox)
    for key, meaning in [
        (sandbox.keys.full, "May do everything."),
        (sandbox.keys.no_send, "May read, not send: a send is refused with 403."),
        (sandbox.keys.revoked, "Is refused with 401."),
    ]:
        assert re.search(rf"{key}</code>.*</dt><dd>{meaning}</dd>", shown)


def test_every_switch_is_shown(sandbox):
    assert [option for each in fields(Switches) if switch(sandbox, option := flag_of(each)) == ("", "")] == []


def test_switches_are_shown_as_they_are_with_the_unknown_that_they_decide(start):
    sandbox = start(
        escape_variables=True,
        subject_variables=False,
        errors_consume_key=False,
        verified_domains=("a.example", "*"),
        log_delay=2.5,
    )
    assert switch(sandbox, "--escape-variables") == ("onchanged", "Does Migma escape values?")
    assert switch(sandbox, "--no-subject-variables") == ("onchanged", "Does Migma fill in the subject?")
    assert switch(sandbox, "--errors-consume-key") == ("offchanged", "Does Migma remember refusals?")
    assert switch(sandbox, "--accept-template") == ("off", "Does Migma still take raw HTML?")
    assert switch(sandbox, "--ignore-keys") == ("off", "Does Migma honour keys when it sends?")
    assert switch(sandbox, "--verified-domain") == ("a.example, *changed", "")
    assert switch(sandbox, "--log-delay") == ("2.5changed", "How soon does a mail appear in the logs?")
    assert switch(sandbox, "--max-messages") == ("500", "")


def test_what_was_changed_while_it_runs_is_shown_as_it_is_now(sandbox):
    assert switch(sandbox, "--rate") == ("none", "How many requests does Migma take?")
    assert switch(sandbox, "--fault-seed") == ("any", "")
    assert switch(sandbox, "--fault-kinds") == ("default", "")
    assert switch(sandbox, "--verified-domain") == ("none", "")
    sandbox.rate_limit("5/s")
    sandbox.faults.by_chance(0.25, ("500", "lost"), 7)
    assert switch(sandbox, "--rate")[0] == "5/schanged"
    assert switch(sandbox, "--fault-rate")[0] == "0.25changed"
    assert switch(sandbox, "--fault-seed")[0] == "7changed"
    assert switch(sandbox, "--fault-kinds")[0] == "500, lostchanged"


def test_counters_are_shown_and_looking_is_not_counted(sandbox):
    sandbox.fail_next("500")
    for _ in range(2):
        send(sandbox, single())
    page(sandbox)
    shown = dict(re.findall(r"<dt>(.+)</dt><dd>(\d+)</dd>", page(sandbox)))
    assert shown == {"Connections": "2", "Accepted sends": "1", "POST /v1/sending": "2", "Fault 500": "1"}


def test_everything_is_forgotten_once_the_box_is_ticked(sandbox):
    send(sandbox, single(), idempotency_key="order-1")
    sandbox.fail_next("500")
    sandbox.rate_limit("5/h")
    reply = press(sandbox, deed="forget", sure="yes")
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    assert sandbox.store.inbox.mails() == []
    assert sandbox.store.messages() == []
    assert sandbox.faults.state()["script"] == []
    assert switch(sandbox, "--rate")[0] == "none"
    assert send(sandbox, single(subject="another"), idempotency_key="order-1").status == 200


@pytest.mark.parametrize("sure", [{}, {"sure": ""}])
def test_without_the_tick_nothing_is_forgotten(sandbox, sure):
    send(sandbox, single())
    reply = press(sandbox, deed="forget", **sure)
    assert reply.status == 400
    assert "Tick the box first" in reply.content.decode()
    assert "Yes, forget 1 mail and all the rest" in reply.content.decode()
    assert len(sandbox.store.inbox.mails()) == 1


def test_an_empty_inbox_says_how_a_mail_gets_there(sandbox):
    shown = page(sandbox, "/")
    assert settings_to_paste(sandbox.url) in shown
    assert "python manage.py sendtestemail you@example.com" in shown
    send(sandbox, single())
    assert settings_to_paste(sandbox.url) not in page(sandbox, "/")


def test_the_button_of_an_empty_inbox_sends_a_mail(sandbox):
    """By the fields that its form has."""
    [form] = re.findall(r'<form method="post" action="/emails">.+?</form>', page(sandbox, "/"), re.DOTALL)
    sent = dict(re.findall(r'name="(\w+)" value="(\w+)"', form))
    reply = press(sandbox, "/emails", **sent)
    [mail] = sandbox.store.inbox.mails()
    assert (reply.status, reply.headers["Location"]) == (303, f"/mail/{mail.id}")
    assert mail.is_accepted
    assert mail.missing_variables == []


@pytest.mark.parametrize("path", ["/faults", "/emails", "/setup"])
@pytest.mark.parametrize("site", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_of_another_site_is_refused(sandbox, path, site):
    """A form needs no preflight request, so its origin is looked at."""
    body = urlencode({"deed": "forget", "sure": "yes", "words": "500"}).encode()
    reply = ask(sandbox, "POST", path, body=body, key=None, headers=FORM | site)
    assert reply.status == 403
