"""Steps and elements of the admin's pages that several tests use."""

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
