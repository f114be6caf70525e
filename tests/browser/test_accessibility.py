"""axe-core finds no fault in our pages, in the light theme and in the dark one."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from django_migma.models import Delivery, StoredEmail

from .visiting import LIST, press, rows, sync

OPTIONS = {"resultTypes": ["violations"], "iframes": False}
"""Frames are left out: they contain the email."""
FIND = f"async (options) => {{ {AXE_SCRIPT}; return (await axe.run(options)).violations; }}"
"""What passes as well stays in the browser: it is a hundred times as much."""
OF_DJANGO = {"link-in-text-block": ('<a href="/admin/">Home</a>', '<a href="/admin/django_migma/">Migma</a>')}
"""Rules that Django breaks, and where: its breadcrumbs have no underlines before 6.0."""


def violations(page):
    """A line for each element that breaks a rule, except those of Django."""
    return [
        f"{rule['id']}: {node['html']} {node['failureSummary']}"
        for rule in page.evaluate(FIND, OPTIONS)
        for node in rule["nodes"]
        if node["html"] not in OF_DJANGO.get(rule["id"], ())
    ]


@pytest.fixture(params=["light", "dark"])
def page(request, visit, admin, sandbox):
    """The list of stored emails, after a sync."""
    page = visit(admin, color_scheme=request.param)
    sync(page)
    expect(page.get_by_role("link", name="Welcome")).to_be_visible()
    return page


def test_list_preview_and_confirmation_have_no_fault(page):
    """With messages, buttons, frames and texts; the confirmation as it is first shown, and with an error."""
    assert violations(page) == []
    page.get_by_role("button", name="Show pictures").click()
    assert violations(page) == []
    page.get_by_role("link", name="Welcome").click()
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert violations(page) == []
    page.get_by_text("Dark", exact=True).click()
    page.get_by_text("Phone", exact=True).click()
    assert violations(page) == []
    press(page.get_by_role("link", name="Send a test…"))
    expect(page.get_by_role("heading", name="Where it goes")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("textbox", name="To:").fill("nobody")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Nothing was sent.")).to_be_visible()
    assert violations(page) == []


def test_the_page_to_add_an_email_and_a_list_of_rows_that_lack_something_have_no_fault(page):
    """With chips in each colour."""
    page.goto(f"{LIST}add/")
    assert violations(page) == []
    emails = list(StoredEmail.objects.all())
    for email, status in zip(emails, ["gone", "failed", "processing", "", "ready", "ready"], strict=True):
        StoredEmail.objects.filter(pk=email.pk).update(status=status, last_tested_at=email.created_at)
        Delivery.objects.create(recipient="a@example.org", stored_email=email, status="accepted")
    page.goto(f"{LIST}?without=samples")
    expect(rows(page).get_by_title("no longer at Migma")).to_be_visible()
    assert violations(page) == []


def test_a_fault_would_be_found(visit, admin):
    """The test above can fail."""
    page = visit(admin)
    page.goto(LIST)
    page.evaluate("document.querySelector('#content').append(document.createElement('img'))")
    [found] = violations(page)
    assert found.startswith("image-alt: <img>")
