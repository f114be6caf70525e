"""The preview: what it shows, and what the HTML in it cannot do."""

import re
import time
from html import unescape

import pytest

from django_migma.admin.preview import disarm
from django_migma.admin.sample_values import shown_values
from django_migma.models import StoredEmail

from .conftest import WELCOME, admin_url

HOSTILE = (
    "<!doctype html><html><head><script>parent.document.title = 'mine'</script></head><body onload='alert(1)'>"
    "<img src='https://tracker.example/{{first_name}}.gif'><a href='https://evil.example' target='_self'>here</a>"
    "<form action='https://evil.example'><button>go</button></form></body></html>"
)
CLOSED = {"sandbox", "default-src 'none'", "form-action 'none'", "base-uri 'none'", "frame-src 'none'"} | {
    "frame-ancestors 'self'"
}


@pytest.fixture
def hostile(db):
    return StoredEmail.objects.create(email_id=WELCOME, subject="{{first_name}}", preheader="{{x}}", html=HOSTILE)


def policy(response):
    return set(response["Content-Security-Policy"].split("; "))


def test_the_frame_has_a_policy_against_hostile_html(tester, hostile):
    response = tester.get(admin_url("preview", hostile.pk))
    assert policy(response) == CLOSED | {"style-src 'unsafe-inline'", "img-src data:", "font-src data:"}
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-DNS-Prefetch-Control"] == "off"
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))
    assert response["Content-Type"] == "text/html; charset=utf-8"


def test_the_parameter_lets_pictures_in_and_no_script(tester, hostile):
    found = policy(tester.get(admin_url("preview", hostile.pk), {"remote_images": "1"}))
    assert found == CLOSED | {
        "style-src 'unsafe-inline' https: http:",
        "img-src https: http: data:",
        "font-src https: http: data:",
    }


def test_links_have_no_address(tester, hostile):
    """A policy cannot stop a link from leading its own frame away. The page keeps its frames on this site besides."""
    shown = tester.get(admin_url("preview", hostile.pk)).content.decode()
    assert "<a data-href='https://evil.example' target='_self'>here</a>" in shown
    text = tester.get(admin_url("change", hostile.pk)).content.decode()
    assert '<meta http-equiv="Content-Security-Policy" content="frame-src \'self\'">' in text


def test_the_page_shows_the_email_in_one_frame_that_may_do_nothing(tester, hostile):
    text = tester.get(admin_url("change", hostile.pk)).content.decode()
    [frame] = re.findall("<iframe[^>]*>", text)
    assert ' sandbox referrerpolicy="no-referrer" ' in frame
    assert f' src="{admin_url("preview", hostile.pk)}" title="Preview"' in frame
    source = text.partition('aria-labelledby="migma-source-heading">')[2].partition("</pre>")[0]
    assert unescape(source) == HOSTILE
    elsewhere = text.replace(source, "")
    assert "tracker.example" not in elsewhere
    assert "parent.document" not in elsewhere


def test_a_link_shows_pictures_and_keeps_the_other_parameters(tester, hostile):
    page = admin_url("change", hostile.pk)
    frame = admin_url("preview", hostile.pk)
    closed = tester.get(page, {"_changelist_filters": "q=a"}).content.decode()
    show = f'href="{page}?_changelist_filters=q%3Da&amp;remote_images=1" data-migma-preview="{frame}?remote_images=1"'
    assert f"<a {show}>Show pictures</a>" in closed
    assert '<p class="help" hidden>\n    Pictures, fonts and styles are loaded' in closed
    assert f'<a class="migma-alone" href="{frame}" target="_blank" rel="noopener">' in closed
    opened = tester.get(page, {"_changelist_filters": "q=a", "remote_images": "1"}).content.decode()
    assert opened.count(f'src="{frame}?remote_images=1"') == 1
    hide = f'<a href="{page}?_changelist_filters=q%3Da" data-migma-preview="{frame}">Hide pictures</a>'
    assert '<p class="help" hidden>\n    Nothing is loaded' in opened
    assert f"which see your IP address.\n    {hide}" in opened


def test_the_page_says_where_a_design_has_no_dark_version(tester, welcome):
    def says_so():
        return "This design has no dark version" in tester.get(admin_url("change", welcome.pk)).content.decode()

    assert says_so()
    StoredEmail.objects.update(html="<style>@media (prefers-color-scheme: dark) {}</style>")
    assert not says_so()


def test_variables_show_their_samples_defaults_or_names(welcome):
    welcome.variable_names = ["first_name", "order-number", "shop.url", "_", "total", "paid"]
    welcome.sample_variables = {"first_name": "Ada", "total": ""}
    welcome.default_variables = {"first_name": "there", "total": 12.5, "paid": True, "extra": None}
    assert shown_values(welcome) == {
        "first_name": "Ada",
        "order-number": "[order number]",
        "shop.url": "[shop url]",
        "_": "[_]",
        "total": "12.5",
        "paid": "true",
        "extra": "",
    }


def test_values_that_the_settings_declare_for_the_key_come_first(welcome, migma):
    """Samples before defaults, since messages give those; a faulty entry declares nothing."""
    welcome.key, welcome.variable_names = "welcome", ["a", "b", "c"]
    welcome.default_variables = {"a": "row", "c": "row"}
    variables = {"default_variables": {"a": "set", "b": "set"}, "sample_variables": {"b": "sample"}}
    migma(STORED_EMAILS={"other": "f" * 24, "welcome": {"email_id": "e" * 24, **variables}})
    assert shown_values(welcome) == {"a": "set", "b": "sample", "c": "row"}
    migma(STORED_EMAILS={"welcome": variables})
    assert shown_values(welcome) == {"a": "row", "b": "[b]", "c": "row"}


def test_values_replace_samples_and_an_empty_one_takes_the_sample_away(welcome):
    welcome.variable_names = ["a", "b", "c", "d"]
    welcome.sample_variables = {"a": "sample", "b": "sample", "c": "sample"}
    welcome.default_variables = {"b": "default"}
    found = shown_values(welcome, {"a": "typed", "b": "", "c": ""})
    assert found == {"a": "typed", "b": "default", "c": "[c]", "d": "[d]"}


def test_the_frame_shows_the_values_that_are_sent_to_it(tester, welcome):
    """So do the texts beside it; nothing is saved."""
    StoredEmail.objects.update(html="<p>{{first_name}}</p>{{rows_html}}", subject="For {{first_name}}")
    values = {"value.first_name": "<b>Bo</b>", "value.rows_html": "<b>one</b>", "key": "mine"}
    url = admin_url("preview", welcome.pk)
    assert tester.post(url, values).content.startswith(b"<p>&lt;b&gt;Bo&lt;/b&gt;</p><b>one</b><style>")
    texts = tester.post(f"{url}?texts=1", values).json()
    assert texts == {"subject": "For <b>Bo</b>", "preheader": "", "text": "<b>Bo</b>\none"}
    assert not StoredEmail.objects.exclude(sample_variables={}, key="welcome").exists()


@pytest.mark.parametrize(
    ("html", "inert"),
    [
        ('<a href="x">', '<a data-href="x">'),
        ("<A\nHREF\t = x>", "<A\ndata-HREF\t = x>"),
        ("<a title=<link href=x>", "<a title=<link data-href=x>"),
        ("<!-- <p title='--> <a/href=x>'", "<!-- <p title='--> <a/data-href=x>'"),
        ('<area href="x"><link href="x">', '<area data-href="x"><link data-href="x">'),
        ('<svg><a xlink:href="x">', '<svg><a xlink:data-href="x">'),
        (
            '<set attributeName="hre&#102;" to="x">',
            '<set data-attributeName="hre&#102;" to="x">',
        ),
        ('<iframe srcdoc="&lt;a hre&#102;=x&gt;">', '<inert-iframe data-srcdoc="&lt;a hre&#102;=x&gt;">'),
        ("<IFRAME src=//x>", "<inert-IFRAME src=//x>"),
        ("<object data=x><embed\tsrc=x>", "<inert-object data=x><inert-embed\tsrc=x>"),
        ("<frames> and <p>frame", "<frames> and <p>frame"),
        ("<p>The word href and &lt;a&gt;", "<p>The word href and &lt;a&gt;"),
    ],
)
def test_no_spelling_keeps_a_frame_or_the_address_of_a_link(html, inert):
    assert disarm(html) == inert


def test_placeholders_cannot_hide_an_address(tester, welcome):
    StoredEmail.objects.update(html="<a hr{{gap}}ef='x'>", default_variables={"gap": ""})
    assert b"<a data-href='x'>" in tester.get(admin_url("preview", welcome.pk)).content


@pytest.mark.parametrize("shape", ["<p ", "<a href=", "<!--", "<link ", "{{", "href ", "<p>text</p>"])
def test_long_html_is_shortened_and_takes_no_time(tester, welcome, shape):
    StoredEmail.objects.update(html="<p>Dear reader</p>" + shape * (1_000_000 // len(shape)))
    began = time.process_time()
    shown = tester.get(admin_url("preview", welcome.pk)).content.decode()
    page = tester.get(admin_url("change", welcome.pk)).content.decode()
    assert time.process_time() - began < 3
    assert "[shortened]<style>" in shown
    assert len(shown) < 350_000
    assert "Dear reader" in page


def test_sample_values_cannot_add_markup(tester, welcome):
    StoredEmail.objects.update(default_variables={"first_name": "<b>Ada</b>"})
    assert tester.get(admin_url("preview", welcome.pk)).content.startswith(b"<p>&lt;b&gt;Ada&lt;/b&gt;</p>")
    text = tester.get(admin_url("change", welcome.pk)).content.decode()
    assert ">Hello &lt;b&gt;Ada&lt;/b&gt;</dd>" in text
    assert ">&lt;b&gt;Ada&lt;/b&gt;</pre>" in text


def test_without_html_the_page_says_how_to_get_it(tester, receipt):
    text = tester.get(admin_url("change", receipt.pk)).content.decode()
    assert "There is no HTML yet" in text
    assert "manage.py migma_sync" in text
    assert "<iframe" not in text
    assert tester.get(admin_url("preview", receipt.pk)).status_code == 404


def test_the_frame_needs_the_permission_to_view(client, person, hostile):
    url = admin_url("preview", hostile.pk)
    stranger = person()
    assert stranger.get(url).status_code == 403
    assert stranger.get(admin_url("preview", 999)).status_code == 403, "it must not tell which rows exist"
    assert person("change", name="bob").get(url).status_code == 200
    assert person("view", name="eve").get(admin_url("preview", 999)).status_code == 404
    assert client.get(url)["Location"] == f"{admin_url('changelist').partition('django_migma')[0]}login/?next={url}"
