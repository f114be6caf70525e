"""The sandbox's pages for faults, stored emails and its set-up: with the mouse, by forms, and without script."""

import pytest
from playwright.sync_api import expect

from django_migma.sandbox import account
from django_migma.sandbox.pages import emails
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import send

from .test_accessibility import violations

PATHS = ("/", "/faults", "/emails", "/setup")


@pytest.fixture
def running(monkeypatch):
    """A sandbox of its own, with nothing in it. Its page leads to the mail that it sends on a busy machine too."""
    monkeypatch.setattr(emails, "PATIENCE", 60)
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def bare(new_page, running):
    """A page in a browser that runs no script."""
    return new_page(running.url, java_script_enabled=False)


def order_receipt(sandbox):
    """What a site does: if no answer comes, it asks again under the same key."""
    body = {
        "recipientType": "email",
        "recipientEmail": "kim@example.com",
        "from": "hello@fernhill.example",
        "fromName": "Fernhill Coffee",
        "subject": "Your receipt",
        "emailId": account.RECEIPT,
        "variables": account.SAMPLES[account.RECEIPT],
    }
    try:
        return send(sandbox, body, idempotency_key="order-1")
    except ConnectionError:
        return send(sandbox, body, idempotency_key="order-1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_that_is_in_use_has_no_fault(new_page, running, scheme):
    """With faults in line, an error beside its field, and all that can be opened open."""
    page = new_page(running.url, color_scheme=scheme)
    running.fail_next("lost", "429-after-5", "slow-3")
    running.faults.by_chance(0.1)
    running.rate_limit("100/m")
    page.goto("/faults")
    unfold(page, "In an order of your own")
    page.get_by_label("Faults, one for each send").fill("lots")
    page.get_by_role("button", name="Put in line").click()
    expect(page.get_by_text("Unknown fault 'lots'")).to_be_visible()
    assert_no_fault(page)
    page.goto("/emails")
    for summary in page.locator("#receipt summary").all():
        summary.click()
    expect(page.get_by_label("items_html")).to_be_visible()
    assert_no_fault(page)


def unfold(page, text):
    page.locator("summary", has_text=text).click()


def assert_no_fault(page):
    """Also on a small phone."""
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(page) == []


def test_a_lost_reply_is_ordered_by_one_click_and_explained_in_the_inbox(bare, running):
    """Without script, and without the manual."""
    bare.goto("/")
    bare.get_by_role("link", name="Faults").click()
    bare.get_by_role("button", name="Lost reply").click()
    expect(bare.get_by_role("link", name="Faults 1 armed")).to_be_visible()
    assert order_receipt(running).status == 200
    bare.get_by_role("link", name="its row").click()
    bare.get_by_role("link", name="kim@example.com").click()
    bare.get_by_role("link", name="Requests 2").click()
    expect(bare.get_by_text("One mail from 2 requests.")).to_be_visible()


def test_faults_are_taken_back_chance_and_limit_set_without_script(bare, running):
    bare.goto("/faults")
    unfold(bare, "In an order of your own")
    bare.get_by_label("Faults, one for each send").fill("500, lost, ok")
    bare.get_by_role("button", name="Put in line").click()
    bare.get_by_role("button", name="Take back: Lost reply, place 2").click()
    expect(bare.get_by_role("button", name="Take back: As usual, place 2")).to_be_visible()
    bare.get_by_role("button", name="Take all back").click()
    expect(bare.get_by_text("Nothing. Sends go as usual.")).to_be_visible()
    unfold(bare, "By chance off")
    bare.get_by_label("Share, %").fill("25")
    bare.get_by_role("button", name="Strike", exact=True).click()
    expect(bare.get_by_text("25 % of all other sends are struck.")).to_be_visible()
    bare.get_by_role("button", name="Stop").click()
    expect(bare.locator("summary", has_text="By chance off")).to_be_visible()  # the next page
    unfold(bare, "Rate limit none")
    bare.get_by_label("Requests").fill("5")
    bare.get_by_label("per", exact=True).select_option("second")
    bare.get_by_role("button", name="Limit", exact=True).click()
    expect(bare.get_by_text("5 per second")).to_be_visible()
    bare.get_by_role("button", name="No limit").click()
    expect(bare.locator("summary", has_text="Rate limit none")).to_be_visible()
    assert running.faults.state()["fault_rate"] == 0


def test_the_field_with_an_error_has_what_was_typed_and_the_focus(bare):
    bare.goto("/faults")
    unfold(bare, "By chance off")
    bare.get_by_label("Share, %").fill("all")
    bare.get_by_role("button", name="Strike", exact=True).click()
    field = bare.get_by_label("Share, %")
    expect(field).to_have_value("all")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description("✕ Share: A number from 0 to 100, such as 10.")


def test_an_empty_inbox_gets_its_first_mail_by_a_button(bare):
    bare.goto("/")
    bare.get_by_role("button", name="Send a sample mail").click()
    expect(bare.get_by_role("heading", name="Welcome to Fernhill, Robin")).to_be_visible()


def test_a_design_is_sent_with_values_of_ones_own(bare):
    bare.goto("/emails")
    card = bare.get_by_role("article", name="Welcome")
    card.get_by_text("With these values").click()
    card.get_by_label("first_name").fill("Ada & Co")
    card.get_by_role("button", name="Send it to the inbox").last.click()
    expect(bare.get_by_role("heading", name="Welcome to Fernhill, Ada & Co")).to_be_visible()


def test_everything_is_forgotten_only_with_a_tick(bare, running):
    order_receipt(running)
    bare.goto("/setup")
    forget = bare.get_by_role("button", name="Forget everything")
    forget.click()
    expect(bare).to_have_url("/setup")  # the browser itself asks for the tick
    bare.get_by_label("Yes, forget 1 mail and all the rest").check()
    forget.click()
    expect(bare.get_by_role("heading", name="No mail yet")).to_be_visible()


def test_the_settings_and_the_python_can_be_copied(new_page, running):
    page = new_page(running.url, permissions=["clipboard-read", "clipboard-write"])
    page.goto("/setup")
    page.get_by_role("button", name="Copy", exact=True).first.click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert f'"API_URL": "{running.api_url}"' in page.evaluate("navigator.clipboard.readText()")


def test_what_only_a_script_can_do_is_not_offered_without_one(bare):
    for path in PATHS:
        bare.goto(path)
        assert bare.get_by_role("button", name="Copy").count() == 0
    expect(bare.get_by_text("Keyboard shortcuts and the choice of colours need JavaScript.")).to_be_visible()
    assert bare.get_by_label("Colours").count() == 0 or not bare.get_by_label("Colours").is_visible()
