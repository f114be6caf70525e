"""What staff do in the admin, from an empty database to a sent test."""

import re

import pytest
from playwright.sync_api import expect

from django_migma.models import StoredEmail
from django_migma.sandbox import account

from .conftest import PASSWORD
from .visiting import LIST, message, press, rows, stop_clock, sync

SEND = re.compile("Send a test…", re.IGNORECASE)


def accepted(sandbox):
    """Recipient and stored email of each message that the sandbox has accepted."""
    return [(message.body["recipientEmail"], message.body["emailId"]) for message in sandbox.store.messages()]


def test_from_an_empty_database_to_a_sent_test(new_page, site, sandbox, admin):
    """Sign in, sync, look at an email, send a test of it, and see the outcome here and in the sandbox."""
    page = new_page(site)
    page.goto(LIST)
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("0 stored emails")).to_be_visible()

    page.get_by_role("button", name="Sync with Migma").click()
    expect(message(page, "Synced. 6 new: “")).to_be_visible()
    expect(rows(page)).to_have_count(6)
    row = rows(page).filter(has_text="Welcome to Fernhill, {{first_name}}")
    expect(row.locator(".field-count_variables")).to_contain_text("2 without sample")
    expect(row.get_by_title("first_name, shop_url").first).to_be_visible()

    row.get_by_role("link", name="Welcome").click()
    preview = page.get_by_role("region", name="Preview", exact=True)
    expect(preview.locator("dd")).to_have_text(["Welcome to Fernhill, [first name]", "Your first bag is waiting"])
    expect(page.frame_locator("iframe[title=Preview]").locator("body")).to_contain_text("[first name]")
    preview.get_by_text("Plain text").click()
    expect(preview.get_by_role("region", name="Plain text")).to_contain_text("[first name]")

    press(page.get_by_role("link", name=SEND))
    expect(page.get_by_text("Sandbox: on this machine; no mail is delivered.")).to_be_visible()
    expect(page.get_by_text(sandbox.api_url)).to_be_visible()
    expect(page.get_by_role("textbox", name="To:")).to_have_value("ada@example.org")
    page.get_by_role("button", name="Send").click()
    expect(message(page, "Test of “Welcome” to ada@example.org: The sandbox accepted it.")).to_be_visible()
    assert accepted(sandbox) == [("ada@example.org", account.WELCOME)]

    page.get_by_role("link", name="See it").click()
    expect(page).to_have_url(re.compile(f"^{re.escape(sandbox.url)}/mail/"))
    expect(page.locator("body")).to_contain_text("ada@example.org")
    page.go_back()
    press(page.get_by_role("link", name="History"))
    expect(page.get_by_text("Test to ada@example.org: The sandbox accepted it.")).to_be_visible()


def test_several_emails_go_to_several_addresses(visit, sandbox, admin):
    """The action of the list sends each chosen email to each address, and reports all in a line."""
    page = visit(admin)
    sync(page)
    for title in ("Welcome", "Order receipt"):
        rows(page).filter(has=page.get_by_role("link", name=title)).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Send a test…")
    page.locator("button[name=index]").click()
    page.get_by_role("textbox", name="To:").fill("ada@example.org, bo@example.org")
    page.get_by_role("button", name="Send 4 tests").click()
    expect(message(page, "4 tests: 4 accepted.")).to_be_visible()
    assert sorted(accepted(sandbox)) == [
        (to, email) for to in ("ada@example.org", "bo@example.org") for email in (account.WELCOME, account.RECEIPT)
    ]


def test_a_key_survives_the_next_sync(visit, sandbox, admin):
    """A sync leaves the name that code uses alone."""
    page = visit(admin)
    sync(page)
    page.get_by_role("link", name="Welcome").click()
    page.get_by_role("textbox", name="Key:").fill("welcome")
    press(page.get_by_role("button", name="Save", exact=True))
    expect(message(page, "was changed successfully")).to_be_visible()
    sync(page)
    expect(message(page, "Nothing new. Emails that are as they were: 6.")).to_be_visible()
    expect(rows(page).locator(".field-display_key").filter(has_text="welcome")).to_have_count(1)


def test_a_double_click_sends_once(visit, sandbox, admin):
    """So do a reload of the next page and the same form in another tab."""
    page = visit(admin)
    sync(page)
    page.get_by_role("link", name="Welcome").click()
    press(page.get_by_role("link", name=SEND))
    expect(page.get_by_role("heading", name="Where it goes")).to_be_visible()
    tab = page.context.new_page()
    tab.goto(page.url)
    page.get_by_role("button", name="Send").dblclick()
    expect(message(page, "The sandbox accepted it.")).to_have_count(1)
    page.reload()
    expect(page.get_by_role("region", name="Preview", exact=True)).to_be_visible()
    tab.get_by_role("button", name="Send").click()
    expect(message(tab, "Nothing was sent: since the page was opened, a test")).to_be_visible()
    assert accepted(sandbox) == [("ada@example.org", account.WELCOME)]


def test_a_key_can_be_copied(visit, stored_email, admin):
    """The button beside a key puts it into the clipboard, and says so for two seconds."""
    stored_email("<p>Hello</p>", key="welcome")
    page = visit(admin, permissions=["clipboard-read", "clipboard-write"])
    stop_clock(page)
    page.goto(LIST)
    copy = page.get_by_role("button", name="Copy the key welcome")
    copy.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "welcome"
    page.clock.run_for(2_000)
    expect(copy).to_be_visible()


def test_without_permissions_there_are_no_buttons_and_the_views_answer_403(visit, stored_email, colleague, sandbox):
    """Without the permissions there is neither button nor action, and their addresses are closed."""
    email = stored_email("<p>Hello</p>")
    page = visit(colleague("view_storedemail"))
    page.goto(LIST)
    expect(page.get_by_role("link", name="Made here")).to_be_visible()
    expect(page.get_by_role("button", name="Sync with Migma")).to_have_count(0)
    expect(page.get_by_text(SEND)).to_have_count(0)
    page.get_by_role("link", name="Made here").click()
    expect(page.get_by_role("region", name="Preview", exact=True)).to_be_visible()
    expect(page.get_by_text(SEND)).to_have_count(0)
    for address in (f"{LIST}send-test/?ids={email.pk}", f"{LIST}sync/"):
        assert page.goto(address).status == 403
    assert not sandbox.store.stats()["requests"]


@pytest.mark.usefixtures("mailer")
def test_with_the_api_down_the_page_says_so(visit, stored_email, admin):
    """If nothing listens at API_URL, a message says so, and what to do."""
    stored_email("<p>Hello</p>")
    page = visit(admin)
    sync(page)
    expect(message(page, "The sync stopped.")).to_be_visible()
    expect(page.get_by_role("link", name="Made here")).to_be_visible()
    page.get_by_role("link", name="Made here").click()
    press(page.get_by_role("link", name=SEND))
    page.get_by_role("button", name="Send").click()
    shown = message(page, "Test of “Made here” to ada@example.org:")
    expect(shown).to_contain_text("Check API_URL, DNS, proxy and firewall, and try again.")
    assert StoredEmail.objects.get().title == "Made here"
