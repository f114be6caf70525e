"""Nothing that comes with a request becomes markup: every page and tab, with every field of a request hostile."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import ask, get, send, single
from tests.sandbox.test_pages_mail_page import TABS
from tests.sandbox.test_verdicts import newest

EVIL = """<evil a="b">'"><script>alert(1)</script>{{ x }}{% now "Y" %}\ud83d"""
HEADER = EVIL.split("\ud83d", maxsplit=1)[0].replace('"', "'")


class Elements(HTMLParser):
    """Notes names of elements, and attributes that would run something."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        self.found |= {name for name, value in attrs if name.startswith("on") or name == "style"}
        self.found |= {value for name, value in attrs if name in {"href", "src"} and value.startswith("javascript")}


def dangers(page):
    """What of a page comes from a request."""
    parser = Elements()
    parser.feed(page)
    scripts = re.findall(r"<script[^>]*>", page)
    assert all(re.fullmatch(r'<script src="/static/sandbox\.js\?\w+">', script) for script in scripts)
    return parser.found & {"evil", "style", "javascript:alert(1)"} | {
        name for name in parser.found if name.startswith("on")
    }


def hostile(**changes):
    names = ("recipientEmail", "from", "fromName", "subject", "replyTo", "recipientId", "providerType")
    return single(**dict.fromkeys(names, EVIL), variables={EVIL: EVIL, "first_name": EVIL}, **changes)


BODIES = {
    "accepted": single(subject=EVIL, fromName=EVIL.replace("\n", ""), variables={EVIL: EVIL, "first_name": EVIL}),
    "refused": hostile(),
    "batch": hostile(recipientType="tag"),
    "unknown email": hostile(emailId=EVIL),
    "raw": hostile(emailId=None, template=f"{EVIL}<a href='javascript:alert(1)'>{EVIL}</a>", projectId=EVIL),
    "other types": {name: [EVIL, {EVIL: 1}] for name in hostile()},
    "no JSON": EVIL.encode(errors="replace"),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_tab_lets_a_request_add_markup(sandbox, body):
    for first in (body, single(emailId=account.WELCOME)):  # the second one is a conflict, or the other way round
        send(sandbox, first, idempotency_key=HEADER)
    ask(sandbox, "POST", "/v1/sending", body=body, headers={"User-Agent": HEADER})
    for tab in TABS:
        for mail in sandbox.store.inbox.mails():
            page = get(sandbox, f"/mail/{mail.id}?tab={tab}&whole=1", key=None)
            assert page.status == 200
            assert dangers(page.content.decode()) == set()


@pytest.mark.parametrize("name", ["q", "tab", "width", "scheme", "images", "marks", "rows", "deleted", "mail", "x"])
@pytest.mark.parametrize("path", ["/", "/_sandbox/list", "MAIL"])
def test_no_parameter_of_an_address_becomes_markup(sandbox, name, path):
    send(sandbox, single())
    path = newest(sandbox) if path == "MAIL" else path
    query = quote(HEADER + "javascript:alert(1)")
    page = get(sandbox, f"{path}?{name}={query}", key=None)
    assert page.status == 200
    assert dangers(page.content.decode()) == set()


def test_no_path_becomes_markup(sandbox):
    for path in (f"/{quote(HEADER)}", f"/mail/{quote(HEADER, safe='')}", f"/static/{quote(HEADER, safe='')}"):
        page = get(sandbox, path, key=None, headers={"Accept": "text/html"})
        assert page.status == 404
        assert dangers(page.content.decode()) == set()


def test_a_template_would_be_found_out():
    """The tests above can fail."""
    assert dangers("<p onclick=x>") == {"onclick"}
    assert dangers("<evil><a href='javascript:alert(1)'>") == {"evil", "javascript:alert(1)"}


@pytest.mark.parametrize("depth", [90, 900, 990, 3_000, 50_000])
def test_a_body_of_many_levels_is_shown_or_said_to_have_too_many(sandbox, depth):
    """Two of them under one key, so that they are compared as well."""
    for name in ("a", "b"):
        nested = '{"a":' * depth + f'"{name}"' + "}" * depth
        body = f'{{"recipientType":"email","emailId":"{account.WELCOME}","subject":"","variables":{nested}}}'
        send(sandbox, body.encode(), idempotency_key="nested")
    for tab in TABS:
        assert get(sandbox, f"{newest(sandbox)}?tab={tab}", key=None).status == 200
    assert get(sandbox, f"{newest(sandbox)}/html?marks=1", key=None).status == 200
    assert get(sandbox, "/_sandbox/list?q=b", key=None).status == 200
