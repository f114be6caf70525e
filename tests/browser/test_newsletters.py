"""Newsletters in the admin, as staff see them: on a wide screen and on a phone, light and dark."""

from itertools import product

import pytest

from tests.admin.test_newsletters import newsletter

from .test_accessibility import violations

LIST = "/admin/django_migma/newsletter/"
WIDER = """() => [...document.querySelectorAll("#result_list, .readonly")]
    .filter((each) => each.scrollWidth > each.parentElement.clientWidth)
    .map((each) => each.textContent)"""


@pytest.fixture
def pages(transactional_db):
    """The addresses of the list and of the page of a newsletter with a long subject."""
    row = newsletter(subject="The beans of the year, and how to brew them " * 4, recipient_name="Coffee " * 9)
    return [LIST, f"{LIST}{row.pk}/change/"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_fault_and_nothing_is_cut_off(visit, admin, pages, scheme):
    page = visit(admin, color_scheme=scheme)
    for width, address in product((320, 390, 1280), pages):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        assert page.evaluate(WIDER) == [], (address, width)
        assert violations(page) == [], (address, width)
