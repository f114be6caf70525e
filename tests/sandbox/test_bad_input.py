"""Requests that no client of good will makes: they get an answer that says so, and the sandbox goes on."""

from __future__ import annotations

import re
import time
from urllib.parse import quote

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import ask, get, raw, send, single

PERSON = {"Accept": "text/html"}
TABS = ("mail", "variables", "requests", "json", "source", "links")
STRANGE_IDS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2fserver.py",
    "..%5c..%5cserver.py",
    "....//server.py",
    "/etc/passwd",
    "%00",
    "1%00",
    "1%0d%0aX-Injected:%201",
    "%D9%A1",  # an Arabic-Indic 1
    "%EF%BC%91",  # a full-width 1
    "%C2%B9",  # a superscript 1
    "%ff%fe",
    "01",
    "+1",
    "-1",
    "1.0",
    "1e0",
    "%201",
    "9" * 5000,
    "x" * 10_000,
    "__class__",
    "{{ 1 }}",
    "%7B%25%20include%20%22x%22%20%25%7D",
]


@pytest.fixture(scope="module")
def read():
    """A sandbox with one mail, that is read."""
    with Sandbox() as running:
        send(running, single())
        assert get(running, "/mail/1", headers=PERSON).status == 200
        yield running


@pytest.mark.parametrize("strange", STRANGE_IDS)
@pytest.mark.parametrize(
    "path", ["/mail/{}", "/mail/{}/html", "/mail/{}?tab=json", "/static/{}", "/thumbnails/{}.svg"]
)
def test_an_id_is_looked_up_and_never_a_path(read, path, strange, capsys):
    """Numbers are those that the sandbox has given, as it writes them."""
    reply = get(read, path.format(strange.replace(" ", "%20")), headers=PERSON)
    assert reply.status == 404
    assert b"root:" not in reply.content
    assert b"import " not in reply.content
    assert "X-Injected" not in reply.headers
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("strange", STRANGE_IDS)
def test_deeds_on_strange_ids_do_nothing(read, strange):
    for deed in ("delete", "restore", "read"):
        reply = ask(read, "POST", f"/mail/{strange.replace(' ', '%20')}/{deed}", body=b"", headers=PERSON)
        assert reply.status in {404, 405}
    assert len(read.store.inbox.mails()) == 1


@pytest.mark.parametrize("strange", STRANGE_IDS)
def test_messages_of_strange_ids_are_404(read, strange):
    reply = get(read, f"/_sandbox/messages/{strange.replace(' ', '%20')}")
    assert (reply.status, reply.headers["Content-Type"]) == (404, "application/json")


def test_a_long_id_is_not_said_back_at_length(read):
    assert len(get(read, f"/mail/{'x' * 10_000}", headers=PERSON).content) < 10_000


@pytest.mark.parametrize(
    "query", ["x" * 10_000, "to:" * 3000, '"' * 9999, "is: " * 2500, "%00" * 3000, "%F0%9F" * 1600]
)
def test_a_search_of_10_000_characters_finds_nothing_and_takes_no_time(start, query):
    read = start()
    for number in range(300):
        send(read, single(subject=f"{'y' * 200}{number}"))
    started = time.process_time()  # of this process, and not of what else a busy machine has to do
    reply = get(read, f"/?q={query.replace(' ', '%20')}", headers=PERSON)
    assert reply.status == 200
    assert get(read, f"/_sandbox/list?q={query.replace(' ', '%20')}").status == 200
    assert time.process_time() - started < 5, "seconds, where a slow search would take minutes"


@pytest.mark.parametrize(
    "query",
    ["tab=nothing", "width=%3Cscript%3E", "scheme=x", "rows=-1", "rows=" + "9" * 5000, "a=1&" * 3000, "%", "&&=&"],
)
def test_other_strange_queries_show_the_page(read, query):
    for path in ("/", "/mail/1", "/faults", "/emails", "/setup"):
        reply = get(read, f"{path}?{query}", headers=PERSON)
        assert reply.status == 200
        assert b"<script>" not in reply.content


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"lost"',
    b'{"script": "lost"}',
    b'{"script": [1]}',
    b'{"script": [["lost"]]}',
]
MALFORMED += [b'{"script": ["nothing"]}', b'{"fault_rate": 2}', b'{"fault_rate": "1"}', b'{"fault_rate": NaN}']
MALFORMED += [b'{"fault_rate": 1e999}', b'{"rate_limit": "5"}', b'{"fault_kinds": 1}', b"\xff", b"[" * 100_000]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:20]))
def test_a_malformed_order_of_faults_changes_nothing(read, body):
    before = get(read, "/_sandbox/faults").json
    reply = ask(read, "POST", "/_sandbox/faults", body=body)
    assert reply.status == 400
    assert reply.error
    assert get(read, "/_sandbox/faults").json == before


FORM = {"Content-Type": "application/x-www-form-urlencoded", **PERSON}
FORMS = [b"", b"deed=nothing", b"deed=strike", b"deed=strike&words=nothing", b"deed=chance&share=1000", b"deed=limit"]
FORMS += [b"deed=send&email=nothing", b"deed=forget", b"\xff=\xff", b"a=1&" * 50_000, b"%", b"deed=%00", b"{}"]


@pytest.mark.parametrize("body", FORMS, ids=lambda body: repr(body[:20]))
@pytest.mark.parametrize("path", ["/faults", "/emails", "/setup"])
def test_a_malformed_form_changes_nothing(read, path, body, capsys):
    before = get(read, "/_sandbox/faults").json
    reply = ask(read, "POST", path, body=body, headers=FORM)
    assert reply.status in {200, 303, 400, 404, 413, 422}
    assert get(read, "/_sandbox/faults").json == before
    assert len(read.store.inbox.mails()) == 1
    assert capsys.readouterr().err == ""


LONG = "x" * 1_000_000
HUGE = [
    {"variables": {"first_name": LONG * 9, "shop_url": ""}},  # also in the subject
    {"variables": {"first_name": "Kim", "shop_url": "<p>{{shop_url}}&amp;</p>" * 370_000}},
    {"recipientEmail": LONG, "fromName": LONG, "from": LONG},
    {"subject": LONG, "replyTo": LONG, "emailId": LONG},
    {"variables": {LONG: LONG}, LONG: 1},
    {"variables": {f"v{number}": "x" for number in range(60_000)}},
    {"emailId": None, "template": "<link " * 300_000, "projectId": account.FERNHILL},
    {"emailId": None, "template": "<a href=//x>{{a}}" * 60_000, "projectId": account.FERNHILL},
]


@pytest.mark.parametrize("fields", HUGE, ids=lambda fields: "-".join(name[:9] for name in fields))
def test_a_mail_of_megabytes_is_shown_in_small_pages(start, fields):
    """However it is that large. Only the mail itself is as large as it is."""
    sandbox = start(accept_template=True)
    assert send(sandbox, single(**fields)).status in {200, 400}
    for path in ("/", *(f"/mail/1?tab={tab}" for tab in TABS)):
        reply = get(sandbox, path, headers=PERSON)
        assert reply.status == 200
        assert len(reply.content) < 500_000, path
    assert get(sandbox, "/mail/1/html?images=1&marks=1", headers=PERSON).status == 200


def test_the_list_stays_short_and_small_after_thousands_of_mails(start):
    """Only the newest are kept, and a page shows a hundred of them."""
    sandbox = start()
    for number in range(1200):
        send(sandbox, single(subject=f"Mail {number}", variables={"first_name": "x" * 2000, "shop_url": ""}))
    assert len(sandbox.store.inbox.mails()) == 500
    page = get(sandbox, "/", headers=PERSON).content.decode()
    assert len(page) < 200_000
    assert page.count('class="row') <= 101
    assert "Mail 1199" in page
    assert get(sandbox, "/mail/1", headers=PERSON).status == 404


@pytest.mark.parametrize("path", [b"*", b"http://evil.example/", b"//evil.example/x", b"/\\evil", b"?q=1", b"/%"])
def test_a_strange_address_gets_an_answer(sandbox, path, capsys):
    answer = raw(sandbox, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 (200|40[04]) ", answer)
    assert b"\r\nLocation:" not in answer
    assert capsys.readouterr().err == ""


def test_strange_words_in_a_mail_are_said_back_as_text(start):
    """Template tags, control characters and half surrogates among them."""
    sandbox = start()
    strange = "{{ list }}{% include 'x' %}\x00\x1b[31m\u202e\ud83d<b>&amp;"
    send(sandbox, single(subject=strange, variables={strange: strange}, recipientEmail=strange), idempotency_key="k")
    for tab in TABS:
        page = get(sandbox, f"/mail/1?tab={tab}&q={quote(strange, errors='replace')}", headers=PERSON)
        assert page.status == 200
        assert b"<b>&amp;" not in page.content
