"""The list of the inbox: rows, filters, search, and the part that live pages fetch."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from tests.sandbox.asking import ask, batch, get, send, single
from tests.sandbox.test_verdicts import TEST_SEND, newest, sends, text


def listed(sandbox, query="", path="/_sandbox/list", **options):
    return get(sandbox, f"{path}?q={quote(query)}", key=None, **options)


def rows(sandbox, query=""):
    """What a person reads of each row."""
    page = listed(sandbox, query).content.decode()
    return [text(row) for row in re.findall(r"<li>(.*?)</li>", page, re.DOTALL)]


def recipients(sandbox, query=""):
    page = listed(sandbox, query).content.decode()
    return [text(who).removeprefix("unread, ") for who in re.findall(r'<span class="who">(.*)</span>', page)]


@pytest.fixture
def full(sandbox):
    """A sandbox with a mail of each kind."""
    sends(sandbox, single(recipientEmail="ada@example.com", subject="Your receipt 42"), key="order-42")
    sends(sandbox, single(recipientEmail="bo@example.com", variables={"first_name": "Bo"}), key="welcome-bo")
    sends(sandbox, single(recipientEmail="cy@example.com", from_="a@unverified.example"), key="refused-1")
    sandbox.faults.script("500")
    sends(sandbox, single(recipientEmail="di@example.com"), key="struck-1")
    ask(sandbox, "POST", "/v1/emails/test/send", body=TEST_SEND)
    return sandbox


def test_the_newest_mail_is_first_and_says_who_before_what(sandbox, clock):
    sends(sandbox, single(recipientEmail="one@example.com"), key="1")
    sends(sandbox, single(recipientEmail="two@example.com"), key="2")
    first, second = rows(sandbox)
    assert re.fullmatch(r"unread, two@example\.com \d\d:\d\d:\d\d Welcome, Kim welcome", first)
    assert "one@example.com" in second


def test_yesterday_has_its_date(start, clock):
    sandbox = start(clock=clock)
    sends(sandbox, single())
    clock.forward(days=2)
    assert re.search(r"1 Jun, \d\d:\d\d", rows(sandbox)[0])


def test_garbage_has_a_row_too(sandbox):
    send(sandbox, b"{nonsense")
    assert rows(sandbox)[0].endswith("(no subject) ✕ refused 400")
    assert recipients(sandbox) == ["(no recipient)"]


def test_a_batch_names_its_segment(sandbox):
    send(sandbox, batch())
    assert recipients(sandbox) == ["tag customers, 1240 recipients"]


def test_signs_of_the_requests_are_shown_from_two_on(sandbox):
    sends(sandbox, single(), key="one")
    sandbox.faults.script("lost", "500")
    sends(sandbox, *[single()] * 3, key="two")
    page = listed(sandbox).content.decode()
    assert re.findall(r'role="img" aria-label="([^"]+)"', page) == [
        "3 requests: accepted, struck by a fault, same answer again"
    ]
    sends(sandbox, *[single()] * 9, key="two")
    assert "and 3 more" in listed(sandbox).content.decode()


def test_a_mail_is_unread_until_it_is_opened(sandbox):
    sends(sandbox, single())
    assert rows(sandbox)[0].startswith("unread, ")
    get(sandbox, newest(sandbox), key=None)
    assert not rows(sandbox)[0].startswith("unread, ")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("to:ADA", ["ada"]),
        ("subject:receipt", ["ada"]),
        ('subject:"receipt 42"', ["ada"]),
        ('"receipt 42"', ["ada"]),
        ("receipt bo@", []),
        ("template:welcome to:bo", ["bo"]),
        ("email:welcome to:bo", ["bo"]),
        ("key:order-42", ["ada"]),
        ("Bo", ["bo"]),
        ("https://fernhill.example/shop to:ada", ["ada"]),
        ("is:refused", ["cy"]),
        ("is:not-accepted", ["di"]),
        ("is:missing to:@example.com", ["demo", "bo"]),
        ("is:test", ["demo"]),
        ("is:accepted", ["demo", "bo", "ada"]),
        ("is:repeated", []),
        ("is:unread", ["demo", "di", "cy", "bo", "ada"]),
        ("is:nonsense", []),
        ("shop:1", []),
        ("", ["demo", "di", "cy", "bo", "ada"]),
    ],
)
def test_the_search_knows_words_and_plain_text(full, query, expected):
    assert [who.partition("@")[0] for who in recipients(full, query)] == expected


def test_a_test_is_also_what_the_admin_has_sent_as_customers_get_it(full):
    sends(full, single(recipientEmail="eva@example.com", subject="[Test] Your receipt 42"))
    sends(full, single(recipientEmail="fay@example.com", subject="Your [Test] results"))
    assert recipients(full, "is:test") == ["eva@example.com", "demo@example.com"]
    page = listed(full).content.decode()
    assert "Tests 2" in page
    assert page.count("test</span>") == 2


def test_a_search_without_a_match_is_said_back_and_can_be_cleared(full):
    page = listed(full, "zoe & co").content.decode()
    assert "No mail matches “zoe &amp; co”." in page
    assert '<a href="?">Clear it</a>' in page


@pytest.mark.parametrize(
    "query", ["a" * 10_000, "a " * 5_000, '"' * 10_000, "to:" * 3_333, "(" * 10_000, "é" * 9_000]
)
def test_a_search_of_ten_thousand_characters_is_harmless(full, query):
    assert listed(full, query).status == 200


def test_filters_show_how_many_there_are_and_keep_the_open_mail(full):
    page = get(full, f"{newest(full)}?q=is%3Arefused&tab=requests", key=None).content.decode()
    [filters] = re.findall(r'<nav class="filters"[^>]*>(.*?)</nav>', page, re.DOTALL)
    assert text(filters) == "All 5 Refused 1 Not accepted 1 Missing variables 2 Tests 1"
    assert 'href="?q=is%3Atest&amp;tab=requests"' in filters
    assert re.search(r'aria-current="true"[^>]*>Refused', filters)
    assert re.findall(r'href="/mail/(\d+)\?q=is%3Arefused&amp;tab=requests"', page)


def test_a_filter_without_mail_is_left_out(sandbox):
    sends(sandbox, single())
    assert "Refused" not in listed(sandbox).content.decode()


def test_fifty_rows_are_shown_and_older_ones_on_demand(sandbox):
    for number in range(52):
        send(sandbox, {"recipientEmail": f"{number}@example.com"})
    page = listed(sandbox).content.decode()
    assert page.count("<li>") == 50
    [(older, first)] = re.findall(r'<a id="older" href="\?([^"]*rows=[^"]*)#(row-\d+)">Show older', page)
    assert f'id="{first}"' not in page
    page = get(sandbox, f"/?{older}", key=None).content.decode()
    assert f'id="{first}"' in page
    assert page.count('class="row') == 52 + 1  # and the list itself
    assert "Show older" not in page
    assert get(sandbox, "/_sandbox/list?rows=-5", key=None).content.count(b"<li>") == 50
    # The row of the mail that is open is among them, also after the page has fetched its list again.
    oldest = sandbox.store.inbox.mails()[-1].id
    for path in (f"/mail/{oldest}", f"/_sandbox/list?mail={oldest}"):
        page = get(sandbox, path, key=None).content.decode()
        assert re.search(rf'id="row-{oldest}" [^>]* aria-current="page"', page), path


def test_the_part_for_live_pages_is_sent_only_when_it_has_changed(sandbox):
    sends(sandbox, single(), key="1")
    first = listed(sandbox)
    assert b"<html" not in first.content
    again = listed(sandbox, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.content) == (304, b"")
    sends(sandbox, single(), key="2")
    assert listed(sandbox, headers={"If-None-Match": first.headers["ETag"]}).status == 200


def test_the_open_mail_is_marked(sandbox):
    sends(sandbox, single(), key="1")
    address = newest(sandbox)
    sends(sandbox, single(), key="2")
    page = get(sandbox, address, key=None).content.decode()
    marked = re.compile(r'id="row-(\d+)"[^>]*aria-current="page"')
    assert marked.findall(page) == [address.removeprefix("/mail/")]
    [part] = re.findall(r'data-list="([^"]+)"', page)
    assert marked.findall(get(sandbox, part.replace("&amp;", "&"), key=None).content.decode()) == marked.findall(page)


def test_beside_the_list_stands_what_its_signs_mean(sandbox):
    sends(sandbox, single())
    assert "same answer again : it knew the idempotency key" in text(get(sandbox, "/", key=None).content.decode())
