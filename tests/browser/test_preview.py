"""Hostile HTML has no effect in the preview."""

from contextlib import ExitStack

import pytest
from django.test import Client
from playwright.sync_api import expect

from .chromium import path_or_skip
from .conftest import PATIENCE
from .visiting import LIST, press, settle

FRAME = "iframe[title=Preview]"
HOSTILE = """<!doctype html>
<html><head>
<meta http-equiv="refresh" content="0; url={elsewhere}/refresh">
<link rel="stylesheet" href="{elsewhere}/style.css">
<style>@import "{elsewhere}/import.css"; body {{ background: url({elsewhere}/background.png) }}</style>
<script>top.document.title = "taken"; document.title = "run"; fetch("{elsewhere}/fetch")</script>
<script src="{elsewhere}/script.js"></script>
</head><body onload="top.document.title = 'taken'">
<p>Dear reader</p>
<img src="{elsewhere}/picture.png" onerror="top.document.title = 'taken'">
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" onload="top.document.title = 'taken'">
<svg onload="top.document.title = 'taken'"></svg>
<iframe src="{elsewhere}/frame"></iframe>
<object data="{elsewhere}/object"></object>
<video src="{elsewhere}/film.mp4" autoplay></video>
<a href="javascript:top.document.title = 'taken'">Click here</a>
<a href="{elsewhere}/link">Read on</a>
<a href="{elsewhere}/top" target="_top">Leave</a>
<a href="{elsewhere}/self" target="_self" ping="{elsewhere}/ping">Stay</a>
<a title=<link href={elsewhere}/unquoted target=_self>Unquoted</a>
<a download href="{elsewhere}/download">Save</a>
<svg width="99" height="20"><a href="{elsewhere}/svg" target="_self"><text y="15">Drawn</text></a></svg>
<svg width="99" height="20"><a target="_self"><set attributeName="hre&#102;" to="{elsewhere}/set"/>
<text y="15">Set</text></a></svg>
<map name="area"><area shape="default" href="{elsewhere}/area" target="_self"></map>
<img usemap="#area" alt="Map" width="30" height="30" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<iframe srcdoc="&lt;a h&#114;ef=&quot;{elsewhere}/inner&quot; target=_self&gt;Inner&lt;/a&gt;"></iframe>
<form action="{elsewhere}/form" method="post"><button>Win</button></form>
<form><button formaction="{elsewhere}/formaction">Win too</button></form>
</body></html>"""
OWN_TITLE = "Made here | Change stored email | Django site admin"
PICTURES = {"picture.png", "background.png", "import.css"}
TARGETS = ("Click here", "Read on", "Leave", "Stay", "Unquoted", "Save", "Drawn", "Set", "Win", "Win too")


@pytest.fixture
def page(visit, admin, stored_email, elsewhere):
    """The page of a hostile email, after everything in it has been tried."""
    stored_email(HOSTILE.format(elsewhere=f"http://127.0.0.1:{elsewhere.server_port}"))
    page = visit(admin)
    page.goto(LIST)
    page.get_by_role("link", name="Made here").click()
    read(page)
    settle(page)
    return page


def read(page):
    """Scroll to the frame, and wait for its text."""
    page.locator(FRAME).scroll_into_view_if_needed()
    expect(page.frame_locator(FRAME).get_by_text("Dear reader")).to_be_visible()


def test_nothing_runs_and_nothing_is_fetched(page, elsewhere):
    """No script runs and no other server gets a request."""
    expect(page).to_have_title(OWN_TITLE)
    assert elsewhere.asked == set()


def test_clicks_lead_nowhere(page, elsewhere):
    """Links, scripts in links and forms of the email do nothing."""
    address = page.url
    frame = page.frame_locator(FRAME)
    for text in TARGETS:
        press(frame.get_by_text(text, exact=True))
    settle(page)
    read(page)
    expect(page).to_have_title(OWN_TITLE)
    assert (page.url, page.context.pages) == (address, [page])
    assert elsewhere.asked == set()


def test_pictures_come_when_they_are_allowed_and_scripts_never(page, elsewhere):
    """One click loads pictures and imported styles, and nothing else; another click hides them again."""
    with ExitStack() as stack:
        for name in PICTURES:
            stack.enter_context(page.expect_response(f"**/{name}"))
        press(page.get_by_role("link", name="Show pictures"))
    expect(page.get_by_role("link", name="Hide pictures")).to_be_visible()
    read(page)
    expect(page).to_have_title(OWN_TITLE)
    assert elsewhere.asked == PICTURES
    press(page.get_by_role("link", name="Hide pictures"))
    expect(page.get_by_role("link", name="Show pictures")).to_be_visible()


def test_the_frame_is_as_harmless_in_a_tab_of_its_own(page, elsewhere):
    """The headers of its response restrict it."""
    page.goto(page.locator(FRAME).get_attribute("src"))
    expect(page.get_by_text("Dear reader")).to_be_visible()
    settle(page)
    expect(page).to_have_title("")
    assert elsewhere.asked == set()


@pytest.mark.parametrize("modifiers", [[], ["Control"]], ids=["", "with Ctrl"])
@pytest.mark.parametrize("query", ["", "?remote_images=1"], ids=["", "with pictures"])
def test_links_are_inert_where_no_page_is_around_them(page, elsewhere, query, modifiers):
    """In a tab of its own the HTML could lead the tab away: no policy stops that, so links have no address."""
    address = page.locator(FRAME).get_attribute("src") + query
    page.goto(address)
    targets = [page.get_by_text(text, exact=True) for text in TARGETS]
    targets.append(page.get_by_alt_text("Map"))
    for target in targets:
        target.click(modifiers=modifiers)
    settle(page)
    assert page.url.endswith(address)
    assert page.context.pages == [page]
    assert elsewhere.asked <= (PICTURES if query else set())


def test_variables_show_their_defaults(visit, admin, stored_email):
    """A variable shows its default, as text, or its name in brackets."""
    stored_email(
        "<p>Dear reader {{name}} of {{town}}</p>",
        subject="For {{name}}",
        default_variables={"name": "<b>Ada</b>"},
    )
    page = visit(admin)
    page.goto(LIST)
    page.get_by_role("link", name="Made here").click()
    read(page)
    expect(page.get_by_text("For <b>Ada</b>")).to_be_visible()
    expect(page.frame_locator(FRAME).locator("body")).to_have_text("Dear reader <b>Ada</b> of [town]")
    page.get_by_text("Plain text").click()
    expect(page.get_by_role("region", name="Plain text")).to_have_text("Dear reader <b>Ada</b> of [town]")


def test_without_html_the_page_says_how_to_get_it(visit, admin, stored_email):
    """An email that was added by hand has no preview yet."""
    stored_email("")
    page = visit(admin)
    page.goto(LIST)
    page.get_by_role("link", name="Made here").click()
    expect(page.get_by_text("Press “Sync with Migma” on the list, or run manage.py migma_sync")).to_be_visible()
    expect(page.locator("iframe")).to_have_count(0)


@pytest.fixture(params=["light", "dark"])
def of_the_system(request, chromium, site, admin):
    """A signed-in page in a browser on a system with this theme.

    The browser is told by a switch: Playwright's own emulation would decide what frames see, whatever the page says.
    """
    switch = f"--blink-settings=preferredColorScheme={['dark', 'light'].index(request.param)}"
    with chromium.browser_type.launch(executable_path=path_or_skip(), args=[switch]) as browser:
        page = browser.new_page(base_url=site, color_scheme="null")
        page.set_default_timeout(PATIENCE)
        client = Client()
        client.force_login(admin)
        page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
        yield page


def test_a_switch_shows_the_dark_version_whatever_the_theme_of_the_system(of_the_system, stored_email):
    """Mail is light until one asks for its dark version."""
    email = stored_email(
        "<style>.dark { display: none }"
        "@media (prefers-color-scheme: dark) { .dark { display: block } .light { display: none } }</style>"
        "<p class='light'>By day</p><p class='dark'>By night</p>"
    )
    of_the_system.goto(f"{LIST}{email.pk}/change/")
    frame = of_the_system.frame_locator(FRAME)
    expect(frame.get_by_text("By day")).to_be_visible()
    expect(frame.get_by_text("By night")).to_be_hidden()
    of_the_system.get_by_text("Dark", exact=True).click()
    expect(frame.get_by_text("By night")).to_be_visible()
    expect(frame.get_by_text("By day")).to_be_hidden()
    expect(of_the_system.get_by_text("This design has no dark version")).to_have_count(0)
    of_the_system.get_by_text("Light", exact=True).click()
    expect(frame.get_by_text("By day")).to_be_visible()


def test_where_a_design_has_no_dark_version_the_switch_says_so(visit, admin, stored_email):
    page = visit(admin)
    page.goto(f"{LIST}{stored_email('<p>Hello</p>').pk}/change/")
    hint = page.get_by_text("This design has no dark version of its own.")
    expect(hint).to_be_hidden()
    page.get_by_text("Dark", exact=True).click()
    expect(hint).to_be_visible()


@pytest.mark.parametrize(("window", "chosen", "other"), [(390, "Phone", "Desktop"), (1280, "Desktop", "Phone")])
def test_without_the_script_the_window_chooses_the_first_width(visit, admin, stored_email, window, chosen, other):
    """Nothing is cut off on a phone, the switch shows the width, and each width can be chosen."""
    email = stored_email("<p>{{name}}</p>", variable_names=["name"])
    page = visit(admin, java_script_enabled=False)
    page.set_viewport_size({"width": window, "height": 800})
    page.goto(f"{LIST}{email.pk}/change/")
    expect(page.get_by_text("“Show” renews only the email. Subject, preheader and plain text")).to_be_visible()
    labels = [page.locator(".migma-bar label", has_text=name) for name in (chosen, other)]

    def is_phone():
        return page.locator(FRAME).bounding_box()["width"] <= 375

    def looks():
        return [label.evaluate("label => getComputedStyle(label).backgroundColor") for label in labels]

    first, before = is_phone(), looks()
    assert first is (chosen == "Phone")
    assert before[0] != before[1]
    labels[1].click()
    assert is_phone() is not first
    assert looks() == before[::-1]
    labels[0].click()
    assert (is_phone(), looks()) == (first, before)


def test_the_source_is_shown_as_it_is_stored(visit, admin, stored_email):
    """Wrapped, so that nothing of a long line is out of sight."""
    page = visit(admin)
    source = f"<p>Dear {{{{name}}}}</p>{'<!-- x -->' * 99}"
    page.goto(f"{LIST}{stored_email(source).pk}/change/")
    page.get_by_text("Source", exact=True).click()
    shown = page.get_by_role("region", name="Source")
    expect(shown).to_have_text(source)
    assert shown.evaluate("text => text.scrollWidth <= text.clientWidth")
