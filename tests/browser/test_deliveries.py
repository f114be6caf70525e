"""Deliveries in the admin, as staff see them: on a wide screen and on a phone, light and dark."""

import datetime as dt
from itertools import product

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import expect

from django_migma.mailers import current_destination
from django_migma.models import Delivery

from .test_accessibility import violations
from .visiting import message, press, rows

LIST = "/admin/django_migma/delivery/"
LONG = "a-rather-long-address.with-many-parts@some-department.of.a-large-company.example.com"


@pytest.fixture
def deliveries(sandbox, stored_email):
    """A row of each status, each as the queue would leave it."""
    cache.clear()
    email, now = stored_email("<p>Hello</p>", key="password-reset"), timezone.now()
    return {
        status: Delivery.objects.create(
            idempotency_key=f"{number:064}",
            alias=current_destination().alias.replace("EMAIL_BACKEND", ""),
            recipient=LONG if status == "sending" else f"{status}@example.org",
            subject="Your receipt for order FH-00003",
            stored_email=email,
            status=status,
            attempts=1,
            in_doubt=status == "unknown",
            account=current_destination().account,
            first_attempt_at=now - dt.timedelta(hours=1),
            due_at=now + dt.timedelta(minutes=5) if status in Delivery.UNFINISHED else None,
            created_at=now - dt.timedelta(days=number, minutes=1),
            errors=[{"time": now.isoformat(), "status": 503, "text": "Migma asks to wait", "worker": "w" * 32}],
            payload='{"subject":"Your receipt"}' if status in {"waiting", "failed", "unknown"} else "",
            is_test=status == "opened",
        )
        for number, status in enumerate(Delivery.Status)
    }


def pages(deliveries):
    """The addresses of the list, filtered too, of the page of some rows, and of the confirmation for all."""
    ids = ",".join(str(row.pk) for row in deliveries.values())
    shown = [f"{LIST}{deliveries[status].pk}/change/" for status in ("unknown", "failed", "accepted", "waiting")]
    return [LIST, f"{LIST}?attention=somebody", *shown, f"{LIST}resend/?ids={ids}"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_fault(visit, admin, deliveries, scheme):
    """axe-core finds none, also with the request opened."""
    page = visit(admin, color_scheme=scheme)
    for address in pages(deliveries):
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
        assert violations(page) == [], address


def test_no_page_scrolls_sideways(visit, admin, deliveries):
    """Neither a page nor the table on it is wider than its place."""
    page = visit(admin)
    for width, address in product((320, 390, 1280), pages(deliveries)):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        wide = page.evaluate(
            """() => [...document.querySelectorAll("#result_list, .migma-chosen, .migma-timeline, .readonly")].filter(
                (found) => found.scrollWidth > found.clientWidth + 1
                  || found.getBoundingClientRect().right > found.closest(".results, section, fieldset, form")
                    .getBoundingClientRect().right + 1).map((found) => found.outerHTML.slice(0, 200))"""
        )
        assert wide == [], (address, width)


def test_support_finds_a_mail_by_its_address_and_tries_it_again(visit, admin, deliveries):
    """From the list to the outcome, without the mouse's help from a log."""
    page = visit(admin)
    page.goto(LIST)
    page.get_by_role("textbox").last.fill("unknown@")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="unknown@example.org").click()
    expect(page.get_by_text("Migma may have this mail. Try again with the same key until")).to_be_visible()
    press(page.locator(".migma-verdict").get_by_role("link", name="Try again with the same key…"))
    expect(page.get_by_text("Sandbox: on this machine; no mail is delivered.")).to_be_visible()
    page.get_by_role("button", name="Try 1 again").click()
    expect(message(page, "1 delivery is tried again with the same key.")).to_be_visible()
    expect(page.locator(".migma-verdict")).to_contain_text("waiting")
    press(page.get_by_role("link", name="History"))
    expect(page.get_by_text("Tried again with the same key.")).to_be_visible()


def test_several_are_given_up_by_the_lists_action(visit, admin, deliveries):
    """A selection of all kinds says what happens to which."""
    page = visit(admin)
    page.goto(LIST)
    page.get_by_role("checkbox").first.check()
    page.locator("select[name=action]").select_option(label="Give up…")
    page.locator("button[name=index]").click()
    expect(page.locator(".migma-outcomes li")).to_have_count(1 + 11)
    page.get_by_role("button", name="Give 3 up").click()
    expect(message(page, "3 deliveries were given up.")).to_be_visible()
    expect(rows(page).filter(has_text="given up")).to_have_count(4)


def test_a_double_click_sends_anew_once(visit, admin, deliveries):
    """So does the same form in another tab."""
    page = visit(admin)
    page.goto(f"{LIST}resend/?ids={deliveries['failed'].pk}")
    tab = page.context.new_page()
    tab.goto(page.url)
    page.get_by_role("button", name="Send 1 anew").dblclick()
    expect(message(page, "1 delivery is sent anew")).to_have_count(1)
    tab.get_by_role("button", name="Send 1 anew").click()
    expect(message(tab, "It has changed since the page was opened.")).to_be_visible()
    assert Delivery.objects.filter(resent_from=deliveries["failed"]).count() == 1
