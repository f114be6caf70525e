"""The pages with and without their script, and in a small window."""

import datetime as dt
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from django_migma.models import Delivery, StoredEmail

from .visiting import stop_clock

LIST = "/admin/django_migma/storedemail/"
FRAME = "iframe[title=Preview]"
KEY = "welcome"
REFUSING = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError')); null"
LAPTOP = {"width": 1280, "height": 800}


@pytest.fixture
def email(stored_email):
    """A stored email with a preview."""
    return stored_email("<p>Dear reader</p>", key=KEY)


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
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(LIST)
    expect(page.get_by_role("button", name="Show pictures")).to_be_visible()
    assert address not in asked
    with ExitStack() as stack:
        stack.enter_context(page.expect_request(address))
        page.get_by_role("button", name="Show pictures").click()
    picture = page.get_by_role("img", name="Thumbnail of Made here")
    expect(picture).to_have_attribute("src", address)
    expect(picture).to_have_attribute("referrerpolicy", "no-referrer")
    expect(page.get_by_role("button", name="Show pictures")).to_have_count(0)


def test_where_there_are_no_thumbnails_no_button_shows_them(visit, admin, email):
    page = visit(admin)
    page.goto(LIST)
    expect(page.get_by_role("button", name=f"Copy the key {KEY}")).to_be_visible()
    expect(page.get_by_role("button", name="Show pictures")).to_have_count(0)


def test_where_the_clipboard_refuses_the_older_way_copies(visit, admin, email):
    """A page without https, or a browser that was told not to."""
    page = visit(admin, permissions=["clipboard-read", "clipboard-write"])
    stop_clock(page)  # it says "Copied" for two seconds
    page.goto(LIST)
    page.evaluate(REFUSING)
    page.get_by_role("button", name=f"Copy the key {KEY}").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == KEY


def test_a_key_that_cannot_be_copied_is_shown(visit, admin, email):
    """A dialogue shows it."""
    page = visit(admin)
    page.goto(LIST)
    page.evaluate(f"document.execCommand = () => false; {REFUSING}")
    shown = []
    page.on("dialog", lambda dialog: (shown.append((dialog.message, dialog.default_value)), dialog.dismiss()))
    with ExitStack() as stack:
        stack.enter_context(page.expect_event("dialog"))
        page.get_by_role("button", name=f"Copy the key {KEY}").click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(0)
    assert shown == [("The browser did not copy it. Copy it from here:", KEY)]


def test_a_form_that_was_stopped_can_be_sent_again(visit, admin, email, sandbox):
    """Esc stops a request and enables the button again."""
    page = visit(admin)
    stop_clock(page)  # after 20 seconds it would be enabled anyway
    page.goto(f"{LIST}send-test/?ids={email.pk}")
    page.evaluate("document.addEventListener('submit', (event) => event.preventDefault())")
    send = page.get_by_role("button", name="Send")
    send.click()
    expect(send).to_be_disabled()
    page.keyboard.press("Escape")
    expect(send).to_be_enabled()


@pytest.fixture
def full_list(visit, admin, email):
    """The list with what needs the most room in each column."""
    Delivery.objects.bulk_create(
        Delivery(recipient="a@example.org", stored_email=email, status="accepted") for _number in range(1234)
    )
    StoredEmail.objects.update(
        key="welcome-to-the-shop",
        title="Welcome to the shop, with a title of several words",
        subject="Welcome to Fernhill, {{first_name}}: {{order_number}}",
        variable_names=["first_name", "order_number"],
        thumbnail_url="http://127.0.0.1:9/thumbnail.png",
        last_tested_at=email.created_at - dt.timedelta(days=330),  # 10 months: one of the longest texts
        status="processing",
    )
    page = visit(admin)
    page.set_viewport_size(LAPTOP)
    page.goto(LIST)
    return page


def test_the_list_fits_into_the_window_of_a_laptop(full_list):
    """All columns are visible beside both side bars, without scrolling sideways, with pictures too."""
    expect(full_list.locator("#nav-filter")).to_be_visible()
    wide = "table => table.offsetWidth - table.parentElement.clientWidth"
    assert full_list.locator("#result_list").evaluate(wide) <= 0
    full_list.get_by_role("button", name="Show pictures").click()
    assert full_list.locator("#result_list").evaluate(wide) <= 0


def test_no_word_on_the_list_is_broken(full_list):
    """Neither a key, which is cut with an ellipsis where it is too long, nor a variable, whatever the width."""
    broken = """() => {
      const words = [];
      const walker = document.createTreeWalker(document.querySelector("#result_list tbody"), NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        for (const word of walker.currentNode.data.matchAll(/\\S+/g)) {
          const range = document.createRange();
          range.setStart(walker.currentNode, word.index);
          range.setEnd(walker.currentNode, word.index + word[0].length);
          if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) words.push(word[0]);
        }
      }
      return words;
    }"""
    for pictures in (False, True):
        if pictures:
            full_list.get_by_role("button", name="Show pictures").click()
        for width in (1280, 390, 320):
            full_list.set_viewport_size({"width": width, "height": 800})
            assert full_list.evaluate(broken) == [], (width, pictures)


def test_the_list_fits_into_a_phone(full_list):
    """Neither the page nor its table scrolls sideways."""
    for width in (320, 390):
        full_list.set_viewport_size({"width": width, "height": 800})
        assert full_list.evaluate("document.documentElement.scrollWidth") <= width
        assert full_list.locator(".results").evaluate("box => box.scrollWidth - box.clientWidth") <= 0


def test_preview_and_samples_are_visible_when_the_page_opens(visit, admin, stored_email):
    """The preview is not cut off at its side, and its samples stand beside it."""
    page = visit(admin)
    page.set_viewport_size(LAPTOP)
    open_page(page, stored_email("<p>Dear {{name}}</p>"))
    expect(page.locator("#nav-sidebar")).to_be_visible()
    expect(page.locator(FRAME)).to_be_in_viewport(ratio=0.8)
    expect(page.get_by_role("textbox", name="name", exact=True)).to_be_in_viewport(ratio=1)
    assert page.locator(".migma-stage").evaluate("stage => stage.scrollWidth - stage.clientWidth") == 0


def test_no_page_scrolls_sideways(visit, admin, stored_email):
    """Nor does the page of an email grow as tall as it was: 3,375 pixels on a laptop, and 4,698 on a phone."""
    email = stored_email(
        f"<p>{'{{name}} ' * 99}</p>", key="k" * 100, subject="Hello {{a_variable_of_considerable_length}}"
    )
    page = visit(admin)
    for width, height in {320: 3_300, 390: 3_300, 1280: 2_200}.items():
        page.set_viewport_size({"width": width, "height": 800})
        for address in (LIST, f"{LIST}add/", f"{LIST}{email.pk}/change/"):
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.evaluate("document.documentElement.scrollHeight") < height, width


def test_a_typed_sample_is_shown_before_it_is_saved(visit, admin, stored_email):
    """In the frame, in the subject and in the text; leaving and coming back shows what is saved."""
    email = stored_email("<p>Dear {{name}}</p>", subject="For {{name}}")
    page = visit(admin)
    open_page(page, email)
    page.get_by_role("textbox", name="name", exact=True).fill("<Ada>")
    expect(page.frame_locator(FRAME).get_by_text("Dear <Ada>")).to_be_visible()
    expect(page.get_by_text("For <Ada>")).to_be_visible()
    expect(page.locator("iframe")).to_have_count(1)
    expect(page.get_by_role("button", name="Show", exact=True)).to_have_count(0)
    page.get_by_role("textbox", name="name", exact=True).press("Enter")
    open_page(page, email)
    expect(page.frame_locator(FRAME).get_by_text("Dear [name]")).to_be_visible()


def test_without_the_script_a_button_shows_typed_samples(visit, admin, stored_email):
    """The switches work without it, too."""
    email = stored_email("<p>Dear {{name}}</p>")
    page = visit(admin, java_script_enabled=False)
    open_page(page, email)
    page.get_by_role("textbox", name="name", exact=True).fill("Ada")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.frame_locator(FRAME).get_by_text("Dear Ada")).to_be_visible()
    page.get_by_text("Phone", exact=True).click()
    expect(page.get_by_role("radio", name="Phone")).to_be_checked()
    assert page.locator(FRAME).bounding_box()["width"] == 375
    StoredEmail.objects.get(sample_variables={})


def test_saving_samples_leads_back_to_the_same_place(visit, admin, stored_email):
    """With the message in sight, which is at the top of the page."""
    email = stored_email("<p>Dear {{name}}</p>")
    page = visit(admin)
    open_page(page, email)
    page.get_by_role("textbox", name="name", exact=True).fill("Ada")
    page.evaluate("scrollTo(0, 400)")
    page.get_by_role("button", name="Save samples").press("Enter")
    saved = page.locator(".messagelist li")
    expect(saved).to_contain_text("was changed successfully")
    page.wait_for_load_state()  # its script has scrolled
    expect(saved).to_be_in_viewport(ratio=0.9)
    assert page.evaluate("scrollY") == 400
    expect(page.frame_locator(FRAME).get_by_text("Dear Ada")).to_be_visible()
    page.get_by_role("textbox", name="Key:").fill("two words")
    page.get_by_role("button", name="Save samples").press("Enter")
    expect(page.get_by_text("Please correct the error below.")).to_be_in_viewport()


def test_the_switches_stay_as_they_were_left(visit, admin, email):
    """On the page of the next email, too. A phone begins with the width of a phone."""
    page = visit(admin)
    open_page(page, email)
    page.get_by_text("Dark", exact=True).click()
    page.reload()
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    expect(page.get_by_role("radio", name="Desktop")).to_be_checked()
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    expect(page.get_by_role("radio", name="Phone")).to_be_checked()
