"""The pictures of the stored emails, which the admin shows after "Show pictures"."""

from xml.etree import ElementTree as ET

import pytest
import requests

from django_migma.sandbox import account, thumbnails
from tests.sandbox.asking import PATIENCE

SVG = "{http://www.w3.org/2000/svg}"


def picture(sandbox, email_id, **headers):
    return requests.get(f"{sandbox.url}/thumbnails/{email_id}.svg", headers=headers, timeout=PATIENCE)


@pytest.mark.parametrize("email_id", account.EMAIL_NAMES)
def test_each_stored_email_has_a_picture(sandbox, email_id):
    """Drawn without anything that could run, be styled or come from elsewhere."""
    answer = picture(sandbox, email_id)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    drawing = ET.fromstring(answer.content)
    assert {part.tag.removeprefix(SVG) for part in drawing.iter()} <= {
        "svg",
        "rect",
        "circle",
        "path",
        "text",
        "tspan",
    }
    assert not {name for part in drawing.iter() for name in part.attrib} & {"style", "href", "onload"}


def test_no_two_pictures_are_alike(sandbox):
    assert len({picture(sandbox, email_id).text for email_id in account.EMAIL_NAMES}) == len(account.EMAIL_NAMES)


def test_a_picture_shows_the_heading_and_the_colours_of_its_design(sandbox):
    welcome = picture(sandbox, account.WELCOME).text
    assert ">Hello [first</text>" in welcome
    assert 'fill="#2f5d46"' in welcome
    assert ">Choose a new</text>" in picture(sandbox, account.PASSWORD_RESET).text


def test_what_a_design_says_is_escaped_and_what_it_lacks_is_left_out():
    drawing = thumbnails.draw("<h1>Tea &amp; &lt;cake&gt;</h1><p>Soon</p>")
    assert ">Tea &amp; &lt;cake&gt;</text>" in drawing
    ET.fromstring(drawing)
    assert drawing.count("<text") == 2
    ET.fromstring(thumbnails.draw("<p>No heading</p>"))


def test_the_admin_of_a_site_may_show_it_from_another_origin(sandbox):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image", "Accept": "image/svg+xml,*/*"}
    assert picture(sandbox, account.WELCOME, **headers).status_code == 200


@pytest.mark.parametrize("email_id", ["0" * 24, "..%2f..%2fserver", "x"])
def test_an_unknown_email_has_none(sandbox, email_id):
    assert picture(sandbox, email_id).status_code == 404


def test_viewers_of_pictures_are_no_requests_of_an_application(sandbox):
    picture(sandbox, account.WELCOME)
    assert sandbox.store.stats()["requests"] == {}
