"""The sandbox's inbox by the keyboard, its buttons that copy, and what a browser remembers of its pages."""

from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from .visiting import row, stop_clock, take

REFUSING = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError')); null"


@pytest.fixture
def page(new_page, inbox):
    """A page of an inbox with three mails, the oldest first."""
    take(inbox, "First", "Second", "Third")
    return new_page(inbox.url)


def open_mail(page, number=2):
    page.goto(f"/mail/{number}")


def press(page, *keys):
    """Press one key after the other, once the page obeys keys: what it shows may be seen earlier."""
    page.wait_for_load_state()
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize(("down", "up"), [("j", "k"), ("ArrowDown", "ArrowUp")])
def test_rows_are_walked_through_and_opened(page, down, up):
    page.goto("/")
    press(page, "j")
    expect(row(page, "Third")).to_be_focused()
    press(page, down, down)
    expect(row(page, "First")).to_be_focused()
    press(page, down)  # there is none
    expect(row(page, "First")).to_be_focused()
    press(page, up)
    expect(row(page, "Second")).to_be_focused()
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Second")).to_be_visible()
    expect(row(page, "Second")).to_be_focused()


def test_next_and_previous_open_their_mail(page):
    open_mail(page)
    press(page, "j")
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    press(page, "k")
    expect(page.get_by_role("heading", name="Second")).to_be_visible()
    press(page, "Escape")
    expect(page).to_have_url("/")


def test_arrows_scroll_as_ever_where_no_row_has_the_focus(page):
    page.goto("/")
    press(page, "ArrowDown")
    assert page.evaluate("document.activeElement.tagName") == "BODY"


def test_width_and_colours_of_the_mail_have_keys(page):
    open_mail(page)
    chosen = page.get_by_label("Width").locator("[aria-current]")
    expect(chosen).to_have_text("Fit")
    for width in ("Phone 375", "Tablet 768", "Desktop 1024", "Fit"):
        press(page, "w")
        expect(chosen).to_have_text(width)
    press(page, "d")
    expect(page.get_by_label("Colours").locator("[aria-current]")).to_have_text("Dark")


def test_a_mail_opens_alone_in_a_new_tab(page):
    open_mail(page)
    with ExitStack() as stack:  # coverage loses its way in a test that Playwright's own "with" has left
        opened = stack.enter_context(page.context.expect_page())
        press(page, "o")
    expect(opened.value).to_have_url("/mail/2/html")


def test_numbers_choose_tabs(page):
    open_mail(page)
    tabs = page.get_by_label("Parts of the mail").get_by_role("link")
    for number in range(tabs.count(), 0, -1):
        press(page, str(number))
        expect(tabs.nth(number - 1)).to_have_attribute("aria-current", "page")


def test_a_deleted_mail_can_be_put_back_for_a_while(page):
    stop_clock(page)
    open_mail(page)
    press(page, "#")
    expect(page.get_by_role("status")).to_have_text("Deleted “Second”. Undo")
    expect(row(page, "Second")).to_have_count(0)
    press(page, "u")
    expect(page.get_by_role("heading", name="Second")).to_be_visible()
    press(page, "#")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.wait_for_load_state()
    page.clock.run_for(5_000)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    expect(page).to_have_url("/")


def test_the_offer_to_undo_stays_while_somebody_is_about_to_take_it(page):
    stop_clock(page)
    open_mail(page)
    press(page, "#")
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    page.wait_for_load_state()
    page.clock.run_for(20_000)
    expect(undo).to_be_visible()
    undo.click()
    expect(page.get_by_role("heading", name="Second")).to_be_visible()


def test_a_field_takes_every_key_itself(page):
    open_mail(page)
    press(page, "/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    field.press_sequentially("w?d#")
    expect(field).to_have_value("w?d#")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("heading", name="Second")).to_be_visible()
    press(page, "Escape")
    expect(field).not_to_be_focused()


@pytest.mark.parametrize("modifier", ["Control", "Alt", "Meta"])
def test_with_a_modifier_a_key_is_the_browsers(page, modifier):
    page.goto("/")
    page.evaluate("addEventListener('keydown', (event) => { window.prevented = event.defaultPrevented; })")
    press(page, f"{modifier}+j")
    assert page.evaluate("[window.prevented, document.activeElement.tagName]") == [False, "BODY"]


def test_a_dialogue_lists_all_keys(page):
    open_mail(page)
    press(page, "?")
    dialogue = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialogue.get_by_text("Dark or light mail")).to_be_visible()
    press(page, "d")
    expect(dialogue).to_be_visible()
    press(page, "Escape")
    expect(dialogue).to_be_hidden()
    expect(page).to_have_url("/mail/2")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    dialogue.get_by_role("button", name="Close").click()
    expect(dialogue).to_be_hidden()


def test_single_keys_can_be_switched_off(page):
    """Whoever dictates to the browser says many letters."""
    page.goto("/setup")
    page.get_by_label("Keyboard shortcuts, such as").select_option("off")
    page.goto("/")
    press(page, "j", "?")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.goto("/setup")
    expect(page.get_by_label("Keyboard shortcuts, such as")).to_have_value("off")


def test_the_choice_of_colours_is_remembered_and_holds_in_every_tab(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    other = page.context.new_page()
    other.goto("/")
    page.goto("/setup")
    light = page.evaluate(ground)
    page.get_by_label("Colours").select_option("dark")
    dark = page.evaluate(ground)
    assert dark != light
    other.wait_for_function(f"{ground} === '{dark}'", polling=100)
    page.reload()
    assert page.evaluate(ground) == dark
    page.get_by_label("Colours").select_option("")
    assert page.evaluate(ground) == light


def test_a_browser_that_stores_nothing_shows_the_inbox_all_the_same(page):
    refuse = "{get() { throw new DOMException('no', 'SecurityError'); }}"
    names = "['localStorage', 'sessionStorage']"
    page.add_init_script(f"for (const name of {names}) Object.defineProperty(window, name, {refuse})")
    page.goto("/")
    press(page, "j", "Enter")
    expect(page.get_by_role("heading", name="Third")).to_be_visible()


@pytest.mark.parametrize("clipboard", ["null", REFUSING, "delete Navigator.prototype.clipboard"])
def test_a_button_copies_also_where_the_clipboard_refuses(new_page, inbox, clipboard):
    """A page without https, or a browser that was told not to."""
    page = new_page(inbox.url, permissions=["clipboard-read", "clipboard-write"])
    page.goto("/setup")
    page.evaluate(clipboard)
    page.get_by_role("button", name="Copy sk_test_sandbox_full").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    page.goto("/setup")
    assert page.evaluate("navigator.clipboard.readText()") == "sk_test_sandbox_full"


def test_what_cannot_be_copied_is_shown(page):
    page.goto("/setup")
    page.evaluate(f"document.execCommand = () => false; {REFUSING}")
    shown = []
    page.on("dialog", lambda dialog: (shown.append((dialog.message, dialog.default_value)), dialog.dismiss()))
    with ExitStack() as stack:
        stack.enter_context(page.expect_event("dialog"))
        page.get_by_role("button", name="Copy sk_test_sandbox_full").click()
    expect(page.get_by_role("status")).to_be_empty()
    assert shown == [("The browser did not copy it. Copy it from here:", "sk_test_sandbox_full")]


def test_without_script_everything_is_a_link_or_a_form(new_page, inbox):
    take(inbox, "First", "Second")
    page = new_page(inbox.url, java_script_enabled=False)
    page.goto("/")
    page.get_by_role("searchbox").fill("second")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("#list .row")).to_have_count(1)
    row(page, "Second").click()
    page.get_by_role("link", name="Phone 375").click()
    expect(page.locator("iframe")).to_have_class("phone light")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="Second")).to_be_visible()
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_hidden()
    page.goto("/setup")
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.goto("/faults")
    page.get_by_role("button", name="Lost reply").click()
    expect(page.get_by_role("link", name="Faults 1 armed")).to_be_visible()


@pytest.mark.parametrize(
    "path", ["/", "/?q=nothing", "/mail/1", "/mail/99", "/faults", "/emails", "/setup", "/nowhere"]
)
def test_no_page_has_an_error_on_its_console(page, path):
    """Neither of a script nor of the content policy. A page that does not exist is itself one, by its status."""
    errors = []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    with ExitStack() as stack:
        stack.enter_context(page.expect_response("**/_sandbox/list*"))
        page.goto(path)
    page.wait_for_load_state("load")
    assert [text for text in errors if "the server responded with a status of 404" not in text] == []
