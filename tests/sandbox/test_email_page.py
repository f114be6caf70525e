"""/emails: the designs that the sandbox has, and sending one to the inbox."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from django.test import override_settings

from django_migma.api.connections import close_pools
from django_migma.sandbox import account
from django_migma.sandbox.pages import emails
from tests.sandbox.asking import ask, get

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def card(sandbox, email_id):
    """What the page shows of one email, as text."""
    content = html.unescape(get(sandbox, "/emails", key=None).content.decode())
    name = account.EMAIL_NAMES[email_id]
    [found] = re.findall(rf'<article class="card design" id="{name}".+?</article>', content, re.DOTALL)
    return found


def pasted(reply):
    """The names that the first block of code on a page defines."""
    code = re.search(r"<pre[^>]*>(.+?)</pre>", html.unescape(reply.content.decode()), re.DOTALL)
    names = {}
    exec(code[1], names)
    return names


def press(sandbox, email_id, **fields):
    """Send the form of an email; other fields than those given are left out, as on the empty inbox's button."""
    body = urlencode({"deed": "send", "email": email_id, **fields}).encode()
    return ask(sandbox, "POST", "/emails", body=body, key=None, headers=FORM)


@pytest.mark.parametrize("email_id", account.EMAIL_NAMES)
def test_every_design_is_shown_with_its_subject_variables_and_id(sandbox, email_id):
    email = account.find_email(email_id)
    shown = card(sandbox, email_id)
    assert email["subject"] in shown
    assert f'<code class="unbroken">{email_id}</code>' in shown
    names = re.findall(r"\{\{(\w+)\}\}", email["subject"] + email["html"])
    assert set(re.findall(r'name="value-(\w+)"', shown)) == set(names)


@pytest.mark.parametrize("email_id", account.EMAIL_NAMES)
def test_a_design_is_sent_with_samples_for_all_its_variables(sandbox, email_id):
    """And the page leads to its mail."""
    reply = press(sandbox, email_id)
    [mail] = sandbox.store.inbox.mails()
    assert (reply.status, reply.headers["Location"]) == (303, f"/mail/{mail.id}")
    assert mail.is_accepted
    assert mail.missing_variables == []
    assert mail.recipient == "robin@example.com"
    assert mail.template == account.EMAIL_NAMES[email_id]


def test_a_design_is_sent_with_the_values_that_were_typed(sandbox):
    """A browser sends the lines of a text with CR and LF; no mail should show the difference."""
    press(
        sandbox, account.WELCOME, to=" ada@example.org ", **{"value-first_name": "Ada\r\nB.", "value-shop_url": "x"}
    )
    [mail] = sandbox.store.inbox.mails()
    assert mail.recipient == "ada@example.org"
    assert mail.variables == {"first_name": "Ada\nB.", "shop_url": "x"}


def test_an_empty_value_is_left_out_so_that_the_mail_lacks_it(sandbox):
    press(sandbox, account.WELCOME, **{"value-first_name": "", "value-shop_url": "x"})
    [mail] = sandbox.store.inbox.mails()
    assert mail.missing_variables == ["first_name"]


def test_it_is_a_request_like_any_other(sandbox):
    press(sandbox, account.WELCOME)
    assert sandbox.store.stats()["requests"] == {"POST /v1/sending": 1}
    [exchange] = sandbox.store.inbox.mails()[0].exchanges
    assert exchange.key_name == "full"
    assert exchange.head["User-Agent"] == "Migma sandbox, page of stored emails"


@pytest.mark.parametrize("fault", ["lost", "reset", "endless", "drip", "429"])
def test_a_fault_strikes_it_and_its_row_tells(sandbox, fault):
    """The page does not wait for a body that never ends."""
    sandbox.fail_next(fault)
    reply = press(sandbox, account.WELCOME)
    [mail] = sandbox.store.inbox.mails()
    assert reply.headers["Location"] == f"/mail/{mail.id}"
    assert [exchange.fault.word for exchange in mail.exchanges] == [fault]


def test_where_no_row_is_there_yet_the_page_leads_to_the_list(start, monkeypatch):
    """A busy sandbox records a request when it is through with it, which may be later than one wants to wait."""
    monkeypatch.setattr(emails, "PATIENCE", 0.1)
    sandbox = start()
    sandbox.fail_next("busy-60")
    assert press(sandbox, account.WELCOME).headers["Location"] == "/"


@pytest.mark.parametrize(
    "to", ["", "robin", "a@example.com, b@example.com", '"><script>alert(1)</script>@example.com']
)
def test_an_address_that_is_none_comes_back_with_the_error_and_nothing_is_sent(sandbox, to):
    reply = press(sandbox, account.RECEIPT, to=to, **{"value-total": "1 <b>&", "value-items_html": "</textarea><b>"})
    content = reply.content.decode()
    assert reply.status == 400
    assert content.count("One address, such as robin@example.com.") == 1
    assert f'name="to" value="{html.escape(to)}"' in content
    assert 'name="value-total" value="1 &lt;b&gt;&amp;"' in content
    assert "&lt;/textarea&gt;&lt;b&gt;</textarea>" in content
    assert "<script>alert" not in content
    assert sandbox.store.inbox.mails() == []


def test_an_unknown_email_is_404(sandbox):
    reply = press(sandbox, "../account")
    assert reply.status == 404
    assert "Email not found: emailId ../account" in reply.content.decode()


@pytest.mark.parametrize("email_id", account.EMAIL_NAMES)
def test_the_python_of_a_design_sends_the_same_mail(sandbox, email_id):
    """Pasted into a site that has the settings that the set-up shows."""
    [python] = re.findall(r"<pre[^>]*>(.+?)</pre>", card(sandbox, email_id), re.DOTALL)
    settings = pasted(get(sandbox, "/setup", key=None))
    with override_settings(**{name: value for name, value in settings.items() if name.isupper()}):
        exec(python, {})
    close_pools()
    press(sandbox, email_id)
    by_page, by_site = sandbox.store.inbox.mails()
    assert by_site.is_accepted
    assert (by_site.subject, by_site.template) == (by_page.subject, by_page.template)
    assert by_site.missing_variables == []
