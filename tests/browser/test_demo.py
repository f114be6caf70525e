"""What ``make demo`` offers, followed to the end. ``make pictures`` keeps what is seen on the way in docs/images."""

import os
import re
import signal
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from tests.example.conftest import EXAMPLE, PYTHON, environment

from .visiting import message, press, rows


@pytest.fixture
def demo(chromium, request):
    """The output of a running demo; with the parameter ``MIGMA_QUEUE``, of one that uses the queue."""
    queue = getattr(request, "param", "")
    variables = environment(MIGMA_QUEUE="1" if queue else "")
    with subprocess.Popen(
        [*PYTHON, "demo.py"], cwd=EXAMPLE, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield "".join(takewhile(lambda line: not line.startswith("Ctrl-C ends the demo."), process.stdout))
        process.send_signal(signal.SIGINT)


@pytest.fixture
def picture(tmp_path):
    """Take a picture of a page, into the folder that ``PICTURES`` names or into a temporary one."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)

    def take(page, name):
        page.mouse.move(0, 0)
        path = folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled")
        assert path.stat().st_size < 200_000, "too large for a document"

    return take


def sign_in(page, address, demo):
    """Go to a page of the admin, with the name and the password that the demo has printed."""
    [(user, password)] = re.findall(r"^Admin +\S+ +(\S+) / (\S+)$", demo, re.MULTILINE)
    page.goto(address)
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Toggle navigation").click()  # its room is better used by ours


def test_the_walk_through_the_admin(demo, new_page, picture):
    """Sign in with what the demo has printed, sync, look, send a test, and see it in the sandbox."""
    [address] = re.findall(r"^Admin +(\S+) ", demo, re.MULTILINE)
    [stored_emails] = re.findall(r"^Stored emails +(http\S+)", demo, re.MULTILINE)
    [inbox] = re.findall(r"^Inbox +(\S+)", demo, re.MULTILINE)
    page = new_page(address)
    sign_in(page, stored_emails, demo)
    page.get_by_role("button", name="Sync with Migma").click()
    expect(message(page, "Nothing new. Emails that are as they were: 6.")).to_be_visible()
    keys = ["", "letter", "", "receipt", "password-reset", "welcome"]
    expect(rows(page).locator(".field-display_key")).to_have_text(keys)
    page.get_by_role("button", name="Show pictures").click()
    loaded = (
        "() => [...document.querySelectorAll('img.migma-thumbnail')].filter((img) => img.naturalWidth).length === 6"
    )
    page.wait_for_function(loaded)
    picture(page, "stored-emails-list")

    page.get_by_role("link", name="Welcome").click()
    frame = page.frame_locator("iframe[title=Preview]")
    expect(frame.locator("body")).to_contain_text("Hello [first name]")
    press(page.get_by_role("link", name="Send a test…"))
    page.get_by_role("textbox", name="first_name").fill("Robin")
    expect(frame.locator("body")).to_contain_text("Hello Robin")
    page.get_by_role("heading", name="The test").evaluate("heading => heading.scrollIntoView()")
    picture(page, "send-test")
    page.get_by_role("button", name="Send 1 test").click()
    expect(message(page, "Test of “Welcome” to demo@example.com: The sandbox accepted it.")).to_be_visible()
    expect(frame.locator("body")).to_contain_text("Hello Robin")
    page.get_by_role("region", name="Preview", exact=True).evaluate("region => region.scrollIntoView()")
    picture(page, "stored-email-preview")
    newest = requests.get(f"{inbox}_sandbox/messages", timeout=60).json()["messages"][-1]
    assert (newest["endpoint"], newest["subject"]) == ("POST /v1/sending", "[Test] Welcome to Fernhill, Robin")
    page.get_by_role("link", name="See it").click()
    expect(page.get_by_text("[Test] Welcome to Fernhill, Robin").first).to_be_visible()


@pytest.mark.parametrize("demo", ["MIGMA_QUEUE"], indirect=True)
def test_the_deliveries_of_the_queue(demo, new_page, picture):
    """Each mail is a row, and its page says what became of it, down to the mail in the sandbox."""
    [deliveries] = re.findall(r"^Deliveries +(http\S+)", demo, re.MULTILINE)
    page = new_page(deliveries)
    sign_in(page, deliveries, demo)
    expect(rows(page).get_by_text("accepted")).to_have_count(8)
    picture(page, "deliveries-list")

    rows(page).filter(has_text="Your receipt").get_by_role("link").click()
    expect(page.get_by_text("Migma took it")).to_be_visible()
    picture(page, "delivery")
    page.get_by_role("link", name="See it in the sandbox").click()
    expect(page.get_by_text("FH-00001").first).to_be_visible()


def order_coffee(page, email):
    """Order a bag in the shop, by its own pages."""
    page.get_by_label("First name").fill("Kim")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Morning Fog").fill("1")
    page.get_by_role("button", name="Place the order").click()


def test_a_lost_reply_is_made_by_one_click_and_explained_by_the_inbox(demo, new_page, picture):
    """Arm it, order in the shop, follow the shop's own link: nothing of it needs the manual."""
    [inbox] = re.findall(r"^Inbox +(\S+)", demo, re.MULTILINE)
    [order] = re.findall(r"^Order +(http\S+)", demo, re.MULTILINE)
    page = new_page(inbox)
    page.goto(inbox)
    page.get_by_role("link", name="Faults").click()
    page.get_by_role("button", name="Lost reply").click()
    expect(page.get_by_role("button", name="Take back: Lost reply")).to_be_visible()
    picture(page, "faults")

    page.goto(order)
    order_coffee(page, "kim@example.com")
    expect(page.get_by_role("list", name="Mail to kim@example.com").get_by_role("listitem")).to_have_text(
        [re.compile(r"Your receipt for order FH-00002\s+sent"), re.compile("Your invoice")]
    )
    page.get_by_role("link", name="the sandbox's inbox").click()
    page.get_by_role("link", name="kim@example.com").click()
    expect(page.get_by_text("✓ one mail from 2 requests")).to_be_visible()
    page.get_by_role("link", name="Requests 2").click()
    expect(page.get_by_text("One mail from 2 requests.")).to_be_visible()
    picture(page, "inbox")


def test_a_mail_that_was_not_accepted_is_found_in_two_clicks(demo, new_page):
    """By support in the admin, and by a developer in the inbox; the shop itself does not claim to have sent it."""
    [inbox] = re.findall(r"^Inbox +(\S+)", demo, re.MULTILINE)
    [order] = re.findall(r"^Order +(http\S+)", demo, re.MULTILINE)
    [deliveries] = re.findall(r"^Deliveries +(http\S+)", demo, re.MULTILINE)
    page = new_page(order)
    page.goto(order)
    order_coffee(page, "500-always@sandbox.example")
    expect(page.get_by_text("perhaps sent: we are looking into it")).to_be_visible()

    page.goto(inbox)
    page.get_by_role("link", name=re.compile("^Not accepted")).click()
    page.get_by_role("link", name="500-always@sandbox.example").click()
    page.get_by_role("link", name="See why").click()
    expect(page.get_by_text("No mail. All 5 requests met a fault.")).to_be_visible()

    sign_in(page, deliveries, demo)
    page.locator("#searchbar").fill("500-always@sandbox.example")
    page.get_by_role("button", name="Search").click()
    rows(page).filter(has_text="Your receipt").get_by_role("link").click()
    expect(page.get_by_text("Migma answered 500").first).to_be_visible()


def test_a_refused_mail_is_found_with_the_way_out(demo, new_page):
    """A sender whose domain is not verified: the shop does not claim to have welcomed, the inbox says what to do."""
    [inbox] = re.findall(r"^Inbox +(\S+)", demo, re.MULTILINE)
    [sign_up] = re.findall(r"^Sign-up +(\S+)", demo, re.MULTILINE)
    [stored_emails] = re.findall(r"^Stored emails +(http\S+)", demo, re.MULTILINE)
    page = new_page(inbox)
    sign_in(page, stored_emails, demo)
    page.get_by_role("link", name="Welcome").click()
    page.get_by_label("Sender's address:").fill("hello@shop.example")
    press(page.get_by_role("button", name="Save", exact=True))
    expect(message(page, "was changed successfully")).to_be_visible()

    page.goto(sign_up)
    fields = {"Username:": "kim", "First name:": "Kim", "Email:": "kim@example.com"}
    fields |= dict.fromkeys(("Password:", "Password confirmation:"), "a long enough one")
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("status")).to_contain_text("Your welcome email is not sent yet: we are looking into it.")
    page.get_by_role("link", name="the sandbox's inbox").click()
    page.get_by_role("link", name=re.compile("^Refused")).click()
    page.get_by_role("link", name="kim@example.com").click()
    page.get_by_role("link", name="See why").click()
    expect(page.get_by_text("--verified-domain shop.example", exact=True)).to_be_visible()
