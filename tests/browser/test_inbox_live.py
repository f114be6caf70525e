"""The sandbox's inbox in a browser: it fills itself, obeys keys, and does without script what needs none."""

import socket
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import send, single

from .visiting import row, take

TABS = 12
STREAM = "/_sandbox/events"
STOPPED = "The sandbox has stopped; what it held is gone."


@pytest.fixture
def page(new_page, inbox):
    """A page with the inbox's address."""
    return new_page(inbox.url)


def streams(page):
    """The addresses of the streams that any tab of the browser asks for, as they come."""
    asked = []
    page.context.on("request", lambda request: request.url.endswith(STREAM) and asked.append(request.url))
    return asked


def test_mail_appears_in_a_dozen_tabs_by_one_stream_also_after_the_listening_tab_was_closed(page, inbox):
    take(inbox, "Earlier")
    asked = streams(page)
    with ExitStack() as stack:
        stack.enter_context(page.expect_request(f"**{STREAM}"))
        page.goto("/")
    tabs = [page, *(page.context.new_page() for _ in range(TABS - 1))]
    for tab in tabs[1:]:
        tab.goto("/")
    take(inbox, "First")
    for tab in tabs:
        expect(row(tab, "First")).to_be_visible()
    assert len(asked) == 1
    with ExitStack() as stack:
        stack.enter_context(page.context.expect_event("request", lambda request: request.url.endswith(STREAM)))
        page.close()
    take(inbox, "Second")
    for tab in tabs[1:]:
        expect(row(tab, "Second")).to_be_visible()
    assert len(asked) == 2


NO_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', {value: undefined})"
NO_STREAMS = "delete window.EventSource"


@pytest.mark.parametrize("lack", [NO_LOCKS, NO_STREAMS])
def test_a_browser_without_locks_or_streams_looks_now_and_then(page, inbox, lack):
    asked = streams(page)
    page.add_init_script(lack)
    page.goto("/")
    take(inbox, "First")
    expect(row(page, "First")).to_be_visible()
    assert asked == []


def test_mail_appears_also_where_all_streams_are_taken(page, inbox):
    for _ in range(32):
        inbox.streams.acquire()
    page.goto("/")
    take(inbox, "First")
    expect(row(page, "First")).to_be_visible()


def test_title_header_and_status_say_what_is_new(page, inbox):
    take(inbox, "First")
    page.goto("/")
    expect(page).to_have_title("(1) Mail · Migma sandbox")
    expect(page.get_by_role("status")).to_be_empty()
    take(inbox, "Second")
    expect(page.get_by_role("status")).to_have_text("1 new mail")
    expect(page).to_have_title("(2) Mail · Migma sandbox")
    expect(page.get_by_role("link", name="Mail 2")).to_be_visible()

    def two_at_once(route):
        take(inbox, "Third", "Fourth")
        route.continue_()

    page.route("**/_sandbox/list*", two_at_once, times=1)
    page.get_by_role("searchbox").dispatch_event("input")  # lets the page look at its list
    expect(page.get_by_role("status")).to_have_text("2 new mails")


def test_a_search_holds_while_mail_arrives(page, inbox):
    page.goto("/?q=to:ada")
    take(inbox, "For Ada", recipientEmail="ada@example.com")
    expect(row(page, "For Ada")).to_be_visible()
    take(inbox, "For Kim", recipientEmail="kim@example.com")
    expect(page.get_by_role("link", name="All 2")).to_be_visible()
    expect(page.locator("#list .row")).to_have_count(1)


def test_searching_takes_effect_while_one_types(page, inbox):
    """And the address shows it, so that a reload finds the same."""
    take(inbox, "Apples", "Pears")
    page.goto("/")
    field = page.get_by_role("searchbox")
    field.press_sequentially("pear")
    expect(row(page, "Apples")).to_have_count(0)
    expect(row(page, "Pears")).to_be_visible()
    expect(field).to_be_focused()
    page.reload()
    expect(field).to_have_value("pear")
    expect(page.locator("#list .row")).to_have_count(1)
    field.fill("")
    expect(row(page, "Apples")).to_be_visible()


def test_a_search_of_10_000_characters_fits_into_an_address(page, inbox):
    """The field takes the beginning of what is pasted: addresses have room for 65,536 bytes."""
    take(inbox, "Apples")
    page.goto("/")
    page.get_by_role("searchbox").focus()
    page.keyboard.insert_text("茶" * 10_000)
    expect(page.get_by_text("No mail matches")).to_be_visible()
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value("茶" * 1000)


# Once it is painted: only then the browser makes up for rows that have come above.
TOP = """row => new Promise((done) => {
  requestAnimationFrame(() => requestAnimationFrame(() => done(row.getBoundingClientRect().top)));
})"""


def test_new_mail_moves_neither_focus_nor_what_is_read(page, inbox):
    take(inbox, *(f"Mail {number}" for number in range(40)))
    page.goto("/")
    seen = row(page, "Mail 10")
    seen.focus()
    before = seen.evaluate(TOP)  # waits for the row, which the list may be replacing at this moment
    take(inbox, "Newest")
    expect(row(page, "Newest")).to_be_attached()
    expect(seen).to_be_focused()
    assert seen.evaluate(TOP) == pytest.approx(before, abs=1)


def test_an_open_mail_stays_and_says_when_it_has_new_requests(page, inbox):
    def attempt():
        send(inbox, single(subject="Order"), idempotency_key="order-1")

    attempt()
    page.goto("/mail/1")
    new = page.get_by_text("This mail has new requests.")
    take(inbox, "Another")
    expect(row(page, "Another")).to_be_visible()
    expect(new).to_be_hidden()
    attempt()
    expect(new).to_be_visible()
    page.get_by_role("link", name="Show them").click()
    expect(new).to_be_hidden()
    expect(page).to_have_url(f"{inbox.url}/mail/1?tab=requests")


@pytest.fixture
def port():
    """A port that stays ours also while nobody listens: no other process gets it as a free one."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


@pytest.mark.parametrize("path", ["/", "/?rows=100#row-1", "/mail/1"])
def test_a_page_says_that_the_sandbox_has_stopped_and_comes_back_with_the_next_one(new_page, port, path):
    with Sandbox(port=port) as inbox:
        page = new_page(inbox.url)
        take(inbox, "Old")
        page.goto(path)
        expect(row(page, "Old")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text(STOPPED)
    with Sandbox(port=port) as another:
        expect(page.get_by_role("heading", name="No mail yet")).to_be_visible()
        expect(row(page, "Old")).to_have_count(0)
        take(another, "New")
        expect(row(page, "New")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()


def test_a_page_notices_the_next_sandbox_also_if_that_has_taken_as_many_mails_meanwhile(new_page, port):
    with Sandbox(port=port) as inbox:
        page = new_page(inbox.url)
        page.goto("/")
        take(inbox, "Old")
        expect(row(page, "Old")).to_be_visible()
        page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text(STOPPED)
    with Sandbox(port=port) as another:
        take(another, "New")
        page.context.set_offline(False)
        expect(row(page, "New")).to_be_visible()
        expect(page.get_by_role("alert")).to_be_hidden()


def test_the_first_mail_ends_the_advice_on_how_to_send_one(page, inbox):
    page.goto("/")
    expect(page.get_by_role("heading", name="No mail yet")).to_be_visible()
    take(inbox, "First")
    expect(row(page, "First")).to_be_visible()
    expect(page.get_by_role("heading", name="No mail yet")).to_be_hidden()
    expect(page.get_by_role("heading", name="All mail")).to_be_attached()
    expect(page.get_by_text("Choose a mail to look at it")).to_be_visible()
