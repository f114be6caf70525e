"""The pages with and without their script, and in a small window."""

import pytest
from playwright.sync_api import expect

from django_migma.models import StoredEmail

LIST = "/admin/django_migma/storedemail/"
FRAME = "iframe[title=Preview]"
EMAIL_ID = "f" * 24
REFUSING = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError')); null"
LAPTOP = {"width": 1280, "height": 800}


@pytest.fixture
def email(stored_email):
    """A stored email with a preview."""
    return stored_email("<p>Dear reader</p>")


def open_page(page, email, query=""):
    """The page of one email."""
    page.goto(f"{LIST}{email.pk}/change/{query}")
    return page.get_by_role("textbox", name="Key:")


def test_showing_pictures_keeps_unsaved_input(visit, admin, email):
    """The page stays; only its frames are made anew, and the back button leads where it did."""
    page = visit(admin)
    page.goto(LIST)
    key = open_page(page, email)
    key.fill("typed")
    page.get_by_role("link", name="Show pictures").click()
    expect(page.get_by_role("link", name="Hide pictures")).to_be_focused()
    expect(page.locator(FRAME)).to_have_attribute("src", f"{LIST}{email.pk}/preview/?remote_images=1")
    expect(page.frame_locator(FRAME).get_by_text("Dear reader")).to_be_visible()
    expect(key).to_have_value("typed")
    page.get_by_role("link", name="Hide pictures").click()
    expect(page.locator(FRAME)).to_have_attribute("src", f"{LIST}{email.pk}/preview/")
    expect(page.get_by_text("Nothing is loaded from other servers.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="Made here")).to_be_visible()


def test_without_the_script_the_link_is_a_link(visit, admin, email):
    """It opens the page again, with remote images in its frames."""
    page = visit(admin, java_script_enabled=False)
    open_page(page, email)
    page.get_by_role("link", name="Show pictures").click()
    expect(page.get_by_role("link", name="Hide pictures")).to_be_visible()
    expect(page.get_by_role("link", name="Show pictures")).to_have_count(0)
    expect(page.locator(FRAME)).to_have_attribute("src", f"{LIST}{email.pk}/preview/?remote_images=1")


def test_thumbnails_are_loaded_on_request(visit, admin, email):
    """Their server would see the IP address of the user."""
    address = "http://127.0.0.1:9/thumbnail.png"
    StoredEmail.objects.update(thumbnail_url=address)
    page = visit(admin)
    page.goto(LIST)
    page.wait_for_load_state("networkidle")
    assert address not in page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    page.get_by_role("button", name="Show pictures").click()
    picture = page.get_by_role("img", name="Thumbnail of Made here")
    expect(picture).to_have_attribute("src", address)
    expect(picture).to_have_attribute("referrerpolicy", "no-referrer")
    expect(page.get_by_role("button", name="Show pictures")).to_have_count(0)


def test_where_there_are_no_thumbnails_no_button_shows_them(visit, admin, email):
    page = visit(admin)
    page.goto(LIST)
    expect(page.get_by_role("button", name=f"Copy the id {EMAIL_ID}")).to_be_visible()
    expect(page.get_by_role("button", name="Show pictures")).to_have_count(0)


def test_where_the_clipboard_refuses_the_older_way_copies(visit, admin, email):
    """A page without https, or a browser that was told not to."""
    page = visit(admin, permissions=["clipboard-read", "clipboard-write"])
    page.goto(LIST)
    page.evaluate(REFUSING)
    page.get_by_role("button", name=f"Copy the id {EMAIL_ID}").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == EMAIL_ID


def test_an_id_that_cannot_be_copied_is_shown(visit, admin, email):
    """A dialogue shows the whole id, of which the list shows the end."""
    page = visit(admin)
    page.goto(LIST)
    page.evaluate(f"document.execCommand = () => false; {REFUSING}")
    shown = []
    page.on("dialog", lambda dialog: (shown.append((dialog.message, dialog.default_value)), dialog.dismiss()))
    page.get_by_role("button", name=f"Copy the id {EMAIL_ID}").click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(0)
    assert shown == [("The browser did not copy the id. Copy it from here:", EMAIL_ID)]


def test_a_form_that_was_stopped_can_be_sent_again(visit, admin, email, sandbox):
    """Esc stops a request and enables the button again."""
    page = visit(admin)
    page.goto(f"{LIST}send-test/?ids={email.pk}")
    page.evaluate("document.addEventListener('submit', (event) => event.preventDefault())")
    send = page.get_by_role("button", name="Send")
    send.click()
    expect(send).to_be_disabled()
    page.keyboard.press("Escape")
    expect(send).to_be_enabled()


def test_the_list_fits_into_the_window_of_a_laptop(visit, admin, email):
    """All columns are visible beside both side bars, without scrolling sideways."""
    StoredEmail.objects.update(
        key="welcome-to-the-shop",
        subject="Welcome to Fernhill, {{first_name}}: {{a_variable_of_considerable_length}}",
        variable_names=["first_name", "a_variable_of_considerable_length"],
        thumbnail_url="http://127.0.0.1:9/thumbnail.png",
        synced_at=email.created_at,
        last_tested_at=email.created_at,
        status="gone",
    )
    page = visit(admin)
    page.set_viewport_size(LAPTOP)
    page.goto(LIST)
    expect(page.locator("#nav-filter")).to_be_visible()
    wide = page.locator("#result_list").evaluate("table => table.offsetWidth - table.parentElement.clientWidth")
    assert wide <= 0


def test_key_and_preview_are_visible_when_the_page_opens(visit, admin, email):
    """Neither is below the fold."""
    page = visit(admin)
    page.set_viewport_size(LAPTOP)
    key = open_page(page, email)
    expect(key).to_be_in_viewport(ratio=1)
    expect(page.locator(FRAME)).to_be_in_viewport()
