"""Steps and elements of the admin's pages and of the inbox that several tests use."""

from tests.sandbox.asking import send, single

LIST = "/admin/django_migma/storedemail/"


def message(page, text):
    """One of the messages at the top of the page."""
    return page.locator(".messagelist li").filter(has_text=text)


def rows(page):
    """The stored emails on the list."""
    return page.locator("#result_list tbody tr")


def sync(page):
    """Go to the list and press its button."""
    page.goto(LIST)
    page.get_by_role("button", name="Sync with Migma").click()


def press(target):
    """Use a button or a link by the keyboard.

    A click right after scrolling may go to the frame that was under the mouse before: Chromium updates frames of
    another origin, such as those of the preview, a moment later.
    """
    target.press("Enter")


def settle(page):
    """Give the page, and the mail in it, time for what it should not do.

    Not until the network is idle: a page that is never quite idle on a busy machine would fail, however harmless.
    """
    page.wait_for_load_state()
    page.wait_for_timeout(500)


def stop_clock(page):
    """Let timers of the page, and of all others of its context, run out only when the test says so.

    By the real clock, what a page shows for some seconds may be gone before a busy machine has looked.
    """
    page.clock.install(time=0)
    page.clock.pause_at(3600)


def take(inbox, *subjects, **changes):
    """Let the sandbox take a mail for each subject."""
    for subject in subjects:
        assert send(inbox, single(subject=subject, **changes)).status == 200


def row(page, subject):
    """The row of a mail in the list."""
    return page.locator("#list .row").filter(has_text=subject)
