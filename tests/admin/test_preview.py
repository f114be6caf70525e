"""The preview: what it shows, and what it must not be able to do."""

import pytest

from django_migma.admin.preview import defused, samples
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


def test_hostile_html_has_its_hands_tied(tester, hostile):
    response = tester.get(admin_url("preview", hostile.pk))
    assert policy(response) == CLOSED | {"style-src 'unsafe-inline'", "img-src data:", "font-src data:"}
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-DNS-Prefetch-Control"] == "off"
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))
    assert response["Content-Type"] == "text/html; charset=utf-8"


def test_remote_content_comes_when_asked_for_and_scripts_never(tester, hostile):
    found = policy(tester.get(admin_url("preview", hostile.pk), {"remote_images": "1"}))
    assert found == CLOSED | {
        "style-src 'unsafe-inline' https: http:",
        "img-src https: http: data:",
        "font-src https: http: data:",
    }


def test_links_lead_nowhere(tester, hostile):
    """They would open windows, which the frame may not; those that stay in the frame meet the page's policy."""
    assert tester.get(admin_url("preview", hostile.pk)).content.endswith(b'</html><base target="_blank">')
    text = tester.get(admin_url("change", hostile.pk)).content.decode()
    assert '<meta http-equiv="Content-Security-Policy" content="frame-src \'self\'">' in text


def test_the_page_shows_two_widths_in_frames_that_may_do_nothing(tester, hostile):
    text = tester.get(admin_url("change", hostile.pk)).content.decode()
    for width in ("desktop", "phone"):
        assert (
            f'<iframe class="migma-{width}" sandbox referrerpolicy="no-referrer" '
            f'src="{admin_url("preview", hostile.pk)}" title="Preview at {width} width"></iframe>'
        ) in text
    assert text.count("<iframe") == 2
    assert "tracker.example" not in text
    assert "parent.document" not in text


def test_remote_images_are_a_link_away_and_keep_the_way_back(tester, hostile):
    page = admin_url("change", hostile.pk)
    frame = admin_url("preview", hostile.pk)
    closed = tester.get(page, {"_changelist_filters": "q=a"}).content.decode()
    show = f'href="{page}?_changelist_filters=q%3Da&amp;remote_images=1" data-migma-preview="{frame}?remote_images=1"'
    assert f"<p>\n      Nothing is fetched from other servers.\n      <a {show}>Show remote images</a>" in closed
    assert "<p hidden>\n      Images, fonts and styles come" in closed
    opened = tester.get(page, {"_changelist_filters": "q=a", "remote_images": "1"}).content.decode()
    assert opened.count(f'src="{frame}?remote_images=1"') == 2
    hide = f'<a href="{page}?_changelist_filters=q%3Da" data-migma-preview="{frame}">Hide remote images</a>'
    assert "<p hidden>\n      Nothing is fetched" in opened
    assert f"which see your address.\n      {hide}" in opened


def test_variables_show_their_defaults_or_their_names(welcome):
    welcome.variable_names = ["first_name", "order-number", "shop.url", "_", "total", "paid"]
    welcome.default_variables = {"first_name": "Ada", "total": 12.5, "paid": True, "extra": None}
    assert samples(welcome) == {
        "first_name": "Ada",
        "order-number": "[order number]",
        "shop.url": "[shop url]",
        "_": "[_]",
        "total": "12.5",
        "paid": "true",
        "extra": "null",
    }


def test_half_characters_do_not_break_the_page(admin_client, welcome):
    """SQL by hand can write what no form accepts; here it can be mended."""
    StoredEmail.objects.update(default_variables={"first_name": "\ud83d!", "\ude00": ["\ud83d"]})
    assert admin_client.get(admin_url("preview", welcome.pk)).content.startswith(b"<p>?!</p>")
    text = admin_client.get(admin_url("change", welcome.pk)).content.decode()
    assert "<dd>Hello ?!</dd>" in text
    assert "{&quot;first_name&quot;: &quot;\\ud83d!&quot;" in text


META = '<meta rel="preconnect" href="https://evil.example">'


@pytest.mark.parametrize("opening", ["<link", "<LINK", "<Link", "<{{gap}}link"])
def test_links_of_the_head_connect_to_nobody(tester, welcome, opening):
    """No policy governs preconnect. A meta takes its place: void too, and at home in a head."""
    html = f'<head>{opening} rel="preconnect" href="https://evil.example"></head><p>'
    StoredEmail.objects.update(html=html, default_variables={"gap": ""})
    assert META in tester.get(admin_url("preview", welcome.pk)).content.decode().replace("<META", "<meta")
    allowed = tester.get(admin_url("preview", welcome.pk), {"remote_images": "1"}).content.decode()
    assert META not in allowed
    assert 'link rel="preconnect"' in allowed.lower()


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    ("html", "harmless"),
    [
        ('<iframe srcdoc="&lt;link&gt;">x</iframe>', '<iframe-x srcdoc="&lt;link&gt;">x</iframe-x>'),
        ("<IFRAME/srcdoc=a>", "<IFRAME-x/srcdoc=a>"),
        ("<object data=a>x</object>", "<object-x data=a>x</object-x>"),
        ("<portal src=a></portal>", "<portal-x src=a></portal-x>"),
        ("<fencedframe></fencedframe>", "<fencedframe-x></fencedframe-x>"),
        ("<frameset><frame src=a></frameset>", "<frameset><meta src=a></frameset>"),
        ("<embed\nsrc=a>", "<meta\nsrc=a>"),
        ('<base target="_self">', '<meta target="_self">'),
        ("<linked><basement><p>&lt;iframe a-link", "<linked><basement><p>&lt;iframe a-link"),
    ],
)
def test_frames_become_elements_that_mean_nothing(html, harmless, remote):
    """A frame's srcdoc is a document of its own; a base would count before ours."""
    assert defused(html, remote=remote) == harmless


def test_sample_values_cannot_add_markup(tester, welcome):
    StoredEmail.objects.update(default_variables={"first_name": "<b>Ada</b>"})
    assert tester.get(admin_url("preview", welcome.pk)).content.startswith(b"<p>&lt;b&gt;Ada&lt;/b&gt;</p>")
    text = tester.get(admin_url("change", welcome.pk)).content.decode()
    assert "<dd>Hello &lt;b&gt;Ada&lt;/b&gt;</dd>" in text
    assert ">&lt;b&gt;Ada&lt;/b&gt;</pre>" in text


def test_without_html_the_page_says_how_to_get_it(tester, receipt):
    text = tester.get(admin_url("change", receipt.pk)).content.decode()
    assert "There is no HTML here yet" in text
    assert "manage.py migma_sync" in text
    assert "<iframe" not in text
    assert tester.get(admin_url("preview", receipt.pk)).status_code == 404


def test_the_frame_asks_who_is_looking(client, person, hostile):
    url = admin_url("preview", hostile.pk)
    nobody = person()
    assert nobody.get(url).status_code == 403
    assert nobody.get(admin_url("preview", 999)).status_code == 403, "nor what there is"
    assert person("change", name="bob").get(url).status_code == 200
    assert person("view", name="eve").get(admin_url("preview", 999)).status_code == 404
    assert client.get(url)["Location"] == f"{admin_url('changelist').partition('django_migma')[0]}login/?next={url}"
