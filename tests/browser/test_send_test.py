"""The page "Send a test", as staff see it: what it counts, shows and sends, with its script and without."""

from itertools import product

import pytest
from playwright.sync_api import expect

from django_migma.models import Delivery, StoredEmail
from django_migma.sandbox import account

from .test_accessibility import violations
from .visiting import LIST, message, rows, settle, sync

LONG = "a-rather-long-address.with-many-parts@some-department.of.a-large-company.example.com"
FRAME = "iframe[title=Preview]"
TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture
def emails(sandbox, visit, admin):
    """The sandbox's six emails, one with samples."""
    sync(visit(admin))
    samples = {"first_name": "Robin", "items_html": "<tr><td>Kenya</td></tr>", "total": 12.5}
    StoredEmail.objects.filter(email_id=account.RECEIPT).update(key="receipt", sample_variables=samples)
    return {email.email_id: email for email in StoredEmail.objects.all()}


def open_page(page, *emails):
    page.goto(f"{LIST}send-test/?ids={','.join(str(email.pk) for email in emails)}")


def shown(page):
    """The text of the email in the preview."""
    return page.frame_locator(FRAME).locator("body")


def test_the_product_is_said_while_addresses_are_typed(visit, admin, emails):
    page = visit(admin)
    open_page(page, *emails.values())
    to = page.get_by_role("textbox", name="To:")
    product, button = page.locator("[data-migma-product]"), page.locator("[data-migma-send]")
    expect(product).to_have_text(f"6 emails {TIMES} 1 address = 6 tests")
    to.fill('a@example.org; "Doe, Bo" <b@example.org>,, A@example.org\nb@example.org')
    expect(product).to_have_text(f"6 emails {TIMES} 2 addresses = 12 tests")
    expect(button).to_have_value("Send 12 tests")
    to.fill(",".join(f"a{number}@example.org" for number in range(9)))
    expect(product).to_have_text(f"6 emails {TIMES} 9 addresses = 54 tests. At most 50 are sent at a time.")
    to.fill("")
    expect(product).to_have_text(f"6 emails {TIMES} 0 addresses = 0 tests")
    expect(button).to_have_value("Send")
    open_page(page, emails[account.WELCOME])
    expect(product).to_have_text(f"1 email {TIMES} 1 address = 1 test")
    expect(button).to_have_value("Send 1 test")


def test_the_preview_shows_what_is_typed_and_the_other_kind(visit, admin, emails):
    page = visit(admin)
    page.goto(LIST)
    open_page(page, emails[account.WELCOME])
    expect(shown(page)).to_contain_text("Hello [first name]")
    page.get_by_role("textbox", name="first_name").press_sequentially("Ada")
    expect(shown(page)).to_contain_text("Hello Ada")
    subject = page.get_by_role("region", name="Preview", exact=True).locator("dd").first
    expect(subject).to_have_text("[Test] Welcome to Fernhill, Ada", use_inner_text=True)
    page.get_by_label("“[Test]” before the subject").uncheck()
    expect(subject).to_have_text("Welcome to Fernhill, Ada", use_inner_text=True)
    page.get_by_label("As stored at Migma").check()
    expect(shown(page)).to_contain_text("Hello {{first_name}}")
    expect(page.get_by_role("textbox", name="first_name")).to_be_hidden()
    page.get_by_label("As customers get it").check()
    expect(shown(page)).to_contain_text("Hello Ada")
    page.go_back()
    expect(page).to_have_url(f"{page.url.partition('/admin')[0]}{LIST}")


def test_what_was_typed_is_shown_again_after_an_error(visit, admin, emails):
    page = visit(admin)
    open_page(page, emails[account.WELCOME])
    page.get_by_role("textbox", name="first_name").fill("Ada")
    page.get_by_role("textbox", name="To:").fill("nobody")
    page.get_by_role("button", name="Send 1 test").click()
    expect(page.get_by_text("“nobody” is not an address.")).to_be_visible()
    expect(page.get_by_role("textbox", name="first_name")).to_have_value("Ada")
    expect(shown(page)).to_contain_text("Hello Ada")


def test_without_the_script_a_button_shows_the_values_and_the_limits_are_said(visit, admin, emails, sandbox):
    page = visit(admin, java_script_enabled=False)
    open_page(page, emails[account.WELCOME])
    expect(page.get_by_text("At most 50 tests are sent at a time:")).to_be_visible()
    page.get_by_role("textbox", name="first_name").fill("Ada")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(shown(page)).to_contain_text("Hello Ada")
    expect(page.get_by_text("With the saved samples. “Show” renews only the email.")).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(message(page, "Test of “Welcome” to ada@example.org: The sandbox accepted it.")).to_be_visible()
    assert [mail.subject for mail in sandbox.store.messages()] == ["[Test] Welcome to Fernhill, Ada"]


def test_twelve_tests_make_one_message_and_a_page(visit, admin, emails, sandbox):
    """The first row of the list stays in sight."""
    sandbox.faults.script("503", "500")
    page = visit(admin)
    open_page(page, *emails.values())
    page.get_by_label("As stored at Migma").check()
    page.get_by_role("textbox", name="To:").fill("ada@example.org, bo@example.org")
    page.get_by_role("button", name="Send 12 tests").click()
    expect(page.locator(".messagelist li")).to_have_count(1)
    expect(message(page, "12 tests: 10 accepted, 1 failed, 1 unknown.")).to_be_visible()
    assert rows(page).first.bounding_box()["y"] < 500
    page.get_by_role("link", name="Look at them").click()
    tests = page.locator(".migma-emails tbody tr")
    expect(tests).to_have_count(12)
    expect(tests.nth(0)).to_contain_text("failed")
    expect(tests.nth(1)).to_contain_text("unknown")
    tests.nth(2).get_by_role("link", name="See it").click()
    expect(page.locator("body")).to_contain_text("ada@example.org")


@pytest.fixture
def pages(emails):
    """The addresses of the page for one email and for all, and of the results of tests in each state."""
    from django.contrib.auth.models import User

    from django_migma.testsends.rows import Confirmation, begin

    email = emails[account.RECEIPT]
    StoredEmail.objects.filter(pk=email.pk).update(title="T" * 100, key="k" * 60)
    confirmation = Confirmation(person=str(User.objects.get().pk), batch="a" * 32)
    tests = begin([(email, email.as_stored(), LONG)] * 4, confirmation)
    for send, status in zip(tests, ("accepted", "failed", "unknown", "not_attempted"), strict=True):
        Delivery.objects.filter(pk=send.row).update(status=status, message_id="m" * 64)
    ids = ",".join(str(each.pk) for each in emails.values())
    return [f"{LIST}send-test/?ids={email.pk}", f"{LIST}send-test/?ids={ids}", f"{LIST}tests/{'a' * 32}/"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_fault(visit, admin, pages, scheme):
    """axe-core finds none."""
    page = visit(admin, color_scheme=scheme)
    for address in pages:
        page.goto(address)
        expect(page.locator("#content")).to_be_visible()
        assert violations(page) == [], address


def test_no_page_scrolls_sideways(visit, admin, pages):
    page = visit(admin)
    for width, address in product((320, 390, 1280), pages):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_hostile_values_stay_text(visit, admin, emails):
    """In inputs, in the preview and in the texts beside it."""
    hostile = "</textarea><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    samples = {"first_name": hostile, "items_html": hostile, "order_number": "{{" * 500_000}
    StoredEmail.objects.filter(email_id=account.RECEIPT).update(sample_variables=samples)
    page = visit(admin)
    open_page(page, emails[account.RECEIPT])
    expect(page.get_by_role("textbox", name="items_html")).to_have_value(hostile)
    page.get_by_role("textbox", name="total").fill(hostile)
    expect(shown(page)).to_contain_text("<img src=x")
    settle(page)
    expect(page).to_have_title("Send a test | Django site admin")
