"""How the sandbox's pages look: no fault, no sideways scrolling, no broken word, and a mail in light and in dark."""

from contextlib import contextmanager, suppress
from http.client import HTTPException

import pytest
from playwright.sync_api import expect

from django_migma.sandbox import account
from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import ask, send, single

from .chromium import path_or_skip
from .conftest import PATIENCE, WINDOW
from .test_accessibility import violations

PHONE, SMALL_PHONE = {"width": 390, "height": 844}, {"width": 320, "height": 640}
PAGES = ("/", "/?q=to:nobody", "/faults", "/emails", "/setup", "/nowhere", "/mail/99999")
TABS = ("mail", "variables", "requests", "json", "source", "links")
KEY = "order-3-receipt-2026-06-01-0123456789"
# Words of headings, names and keys whose letters stand on different lines. A line may end with a hyphen.
BROKEN_WORDS = """() => [...document.querySelectorAll("h1, code, .unbroken, .chip, kbd")]
    .filter((element) => !element.closest("pre"))
    .flatMap((element) => {
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), broken = [];
      for (let node; (node = walker.nextNode());) {
        for (const { 0: word, index } of node.data.matchAll(/[^\\s-]+/g)) {
          const range = document.createRange();
          range.setStart(node, index);
          range.setEnd(node, index + word.length);
          if (new Set([...range.getClientRects()].map((box) => Math.round(box.bottom))).size > 1) broken.push(word);
        }
      }
      return broken;
    })"""
# What scrolls inside the page although nothing says so.
CUT_OFF = """() => [...document.querySelectorAll("main, .reader, .card")]
    .filter((element) => element.scrollWidth > element.clientWidth)
    .map((element) => element.className)"""
TWO_COLOURS = """<style>:root { color-scheme: light dark } body { background: rgb(255, 255, 0) }
@media (prefers-color-scheme: dark) { body { background: rgb(0, 0, 99) } }</style><p>Dear reader"""


@contextmanager
def sandbox_with_everything(*, orders):
    """Lost replies, refusals, conflicts, tests, mail without a key, and as many orders of the usual kind."""
    with Sandbox(switches=Switches(accept_template=True)) as sandbox:
        sandbox.faults.script("lost", "503-after-1", "ok", "half", "500")
        receipt = single(emailId=account.RECEIPT, subject="Your receipt for order {{order_number}}")
        for _ in range(5):
            with suppress(ConnectionError, HTTPException):  # what the faults do to it
                send(sandbox, receipt, idempotency_key=KEY)
        for number in range(orders):
            send(sandbox, single(variables={"first_name": "Kim" * number}), idempotency_key=f"order-{number}-welcome")
        send(sandbox, single(**{"from": "hello@unverified.example"}), idempotency_key=KEY)
        send(sandbox, single(subject="Another body"), idempotency_key="order-0-welcome")
        send(sandbox, {}, key=sandbox.keys.no_send)
        send(sandbox, b"{")
        ask(sandbox, "POST", "/v1/emails/test/send", body={"emailId": account.WELCOME, "to": "kim@example.com"})
        send(sandbox, single(recipientEmail=f"{'a' * 60}@{'b' * 60}.example", subject="x" * 300))
        sandbox.faults.script("lost", "429-after-5", "slow-12")
        yield sandbox


@pytest.fixture
def full():
    """A sandbox whose list is longer than the window."""
    with sandbox_with_everything(orders=12) as sandbox:
        yield sandbox


@pytest.fixture
def varied():
    """A sandbox with a mail of each kind, and not many of one: axe-core looks at each row again on each page."""
    with sandbox_with_everything(orders=2) as sandbox:  # the first one gets a conflict
        yield sandbox


def addresses(sandbox):
    """Every page, and every tab of a mail with a history and of one that was refused."""
    mails = [mail for mail in sandbox.store.inbox.mails() if mail.attempts > 2 or "unverified" in mail.main.problem]
    return [*PAGES, *(f"/mail/{mail.id}?tab={tab}" for mail in mails for tab in TABS)]


@pytest.mark.parametrize(("scheme", "window"), [("light", WINDOW), ("dark", PHONE)], ids=["light", "dark, phone"])
def test_no_page_has_a_fault(new_page, varied, inbox, scheme, window):
    for sandbox in (varied, inbox):
        page = new_page(sandbox.url, color_scheme=scheme)
        page.set_viewport_size(window)
        for address in addresses(sandbox):
            page.goto(address)
            assert violations(page) == [], address


def test_nothing_scrolls_sideways_and_no_name_is_broken(new_page, full, inbox):
    for sandbox in (full, inbox):
        page = new_page(sandbox.url)
        for address in addresses(sandbox):
            page.goto(address)
            for window in (WINDOW, PHONE, SMALL_PHONE):
                page.set_viewport_size(window)
                place = (address, window["width"])
                assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [place[1]] * 2, place
                assert page.evaluate(CUT_OFF) == [], place
                assert page.evaluate(BROKEN_WORDS) == [], place


@pytest.mark.parametrize("address", ["/", "/mail/{oldest}", "/mail/{oldest}?tab=requests", "/faults", "/setup"])
def test_on_a_phone_a_finger_hits_what_is_pressed(new_page, full, address):
    """Links within a sentence aside, all that is pressed is 44 pixels high."""
    page = new_page(full.url)
    page.set_viewport_size(PHONE)
    page.goto(address.format(oldest=full.store.inbox.mails()[-1].id))
    pressed = page.locator("input:not([type=checkbox]), select, button, summary, nav a, .row, .alone a, .back a")
    boxes = {each.inner_text() or each.get_attribute("name"): each.bounding_box() for each in pressed.all()}
    assert [name for name, box in boxes.items() if box and box["height"] < 44] == []


@pytest.mark.parametrize("address", ["/setup", "/mail/{oldest}?tab=links"])
@pytest.mark.parametrize("window", [PHONE, WINDOW], ids=["phone", "desktop"])
def test_what_is_open_is_seen_in_its_strip_of_tabs_and_in_the_list(new_page, full, window, address):
    page = new_page(full.url)
    page.set_viewport_size(window)
    page.goto(address.format(oldest=full.store.inbox.mails()[-1].id))
    current = page.locator("nav [aria-current=page], .row[aria-current]").filter(visible=True)
    for place in range(current.count()):
        expect(current.nth(place)).to_be_in_viewport(ratio=0.95)


def test_a_subject_without_end_leaves_room_for_the_mail(new_page, full):
    """Its first three lines stand above the mail; the whole of it is in the JSON."""
    long = full.store.inbox.mails()[0]
    page = new_page(full.url)
    page.set_viewport_size(SMALL_PHONE)
    page.goto(f"/mail/{long.id}")
    heading = page.get_by_role("heading", level=1)
    lines = heading.evaluate("each => each.clientHeight / parseFloat(getComputedStyle(each).lineHeight)")
    assert round(lines) == 3


def test_faults_that_are_rarely_used_are_folded_away(new_page, inbox):
    """On a phone all of them took 3,900 pixels."""
    page = new_page(inbox.url)
    page.set_viewport_size(PHONE)
    page.goto("/faults")
    assert page.evaluate("document.documentElement.scrollHeight") < 2_400
    expect(page.get_by_role("button", name="Dripping")).to_be_hidden()
    page.locator("summary", has_text="Dripping").click()
    expect(page.get_by_role("button", name="Dripping")).to_be_visible()


def test_a_long_list_scrolls_beside_the_mail_and_not_with_it(new_page, full):
    page = new_page(full.url)
    page.goto(f"/mail/{full.store.inbox.mails()[-1].id}?tab=requests")
    assert page.evaluate("document.documentElement.scrollHeight") == WINDOW["height"]
    page.goto("/")
    assert page.evaluate("document.documentElement.scrollHeight") == WINDOW["height"]
    assert page.evaluate(
        "(({scrollHeight, clientHeight}) => scrollHeight > clientHeight)(document.querySelector('.rows'))"
    )


@pytest.mark.parametrize("system", [0, 1], ids=["dark system", "light system"])
def test_a_mail_is_seen_in_light_and_in_dark_whatever_the_system_prefers(chromium, full, system):
    """Playwright's emulation of a scheme would reach into the frame, and override what the page asks for."""
    full.faults.clear()
    send(full, single(emailId=None, template=TWO_COLOURS, projectId=account.FERNHILL))
    newest, *_ = full.store.inbox.mails()
    arguments = [f"--blink-settings=preferredColorScheme={system}"]
    started = chromium.browser_type.launch(executable_path=path_or_skip(), args=arguments)
    with started as browser, browser.new_context(base_url=full.url, color_scheme="null") as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        for scheme, colour in {"Light": "rgb(255, 255, 0)", "Dark": "rgb(0, 0, 99)"}.items():
            page.goto(f"/mail/{newest.id}")
            page.get_by_role("navigation", name="Colours").get_by_role("link", name=scheme).click()
            expect(page.get_by_role("link", name=scheme)).to_have_attribute("aria-current", "true")
            mail = page.frame_locator("iframe[title='The mail']")
            expect(mail.get_by_text("Dear reader")).to_be_visible()
            expect(mail.locator("body")).to_have_css("background-color", colour)
        page.goto(f"/mail/{newest.id}/html")
        page_of_its_own = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert page_of_its_own == {0: "rgb(0, 0, 99)", 1: "rgb(255, 255, 0)"}[system]
