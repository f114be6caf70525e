"""Nothing that a site sends runs script in the sandbox, reaches its pages or the network. Chromium's log judges."""

import json
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from django_migma.sandbox import account
from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.api.clocks import until
from tests.sandbox.asking import ask, raw, request_bytes, send, single

from .chromium import path_or_skip
from .conftest import PATIENCE
from .test_preview import HOSTILE, PICTURES
from .visiting import press

EVIL = "evil.example"
ALSO_PICTURES = {"svg.png", "input", "style.css", "font.woff2"}
TAKEN = "console.log('taken'); top.document.title = 'taken'; document.title = 'taken'"
MORE = """
<link rel="dns-prefetch" href="{there}/dns"><link rel="preconnect" href="{there}">
<link rel="prefetch" href="{there}/prefetch"><link rel="preload" as="image" href="{there}/preload.png">
<link rel="modulepreload" href="{there}/module.js"><link rel="prerender" href="{there}/prerender">
<link rel="icon" href="{there}/icon.png"><link rel="manifest" href="{there}/manifest.json">
<script type="speculationrules">{{"prefetch": [{{"urls": ["{there}/speculation"]}}]}}</script>
<style>@font-face {{ font-family: f; src: url({there}/font.woff2) }} p {{ font-family: f }}</style>
<embed src="{there}/embed"><audio src="{there}/audio.mp3" autoplay></audio><input type="image" src="{there}/input">
<iframe src="/_sandbox/messages"></iframe><img src="/_sandbox/events"><img src="/v1/projects">
<form action="/mail/1/delete" method="post"><button>Delete it</button></form>
<a href="/mail/1/delete" target="_top">Go</a><svg><use href="{there}/use.svg#a"/><image href="{there}/svg.png"/></svg>
"""
TEXT = (
    """</title></textarea></script>'"><script>{taken}</script>"""
    """<img src="{there}/text" onerror="{taken}">{{{{first_name}}}}"""
)


@pytest.fixture
def there(elsewhere):
    """The address of another site."""
    return f"http://{EVIL}:{elsewhere.server_port}"


@pytest.fixture
def hostile(there):
    """A sandbox that a hostile site has sent all kinds of mail to."""
    with Sandbox(switches=Switches(accept_template=True, verified_domains=("*",))) as sandbox:
        html = HOSTILE.format(elsewhere=there).replace("<script>", f"<script>{TAKEN};") + MORE.format(there=there)
        text = TEXT.format(taken=TAKEN, there=there)
        raw_way = {"emailId": None, "template": html, "projectId": account.FERNHILL}
        variables = {"first_name": html, "shop_url": f"javascript:{TAKEN}", text: text}
        fields = {"subject": text, "fromName": text, "variables": variables, text: text}
        wire = text.encode().decode("latin-1")
        head = {"Idempotency-Key": wire[:99], "User-Agent": wire, "X-Request-Id": wire}
        for body in (
            single(**raw_way),
            single(**fields),
            single(**fields, recipientEmail=text, replyTo=text, to=text),
        ):
            ask(
                sandbox,
                "POST",
                "/v1/sending",
                body=body,
                headers=head | {"Idempotency-Key": json.dumps(body)[-99:-9]},
            )
        ask(sandbox, "POST", "/v1/sending", body=single(subject="\ud83d" + text), headers=head)
        ask(sandbox, "POST", "/v1/sending", body=f"{{{text}".encode(), headers=head)
        ask(sandbox, "POST", "/v1/emails/test/send", body={"emailId": text, "to": text}, headers=head)
        raw(sandbox, request_bytes(single(), key=text).replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
        send(sandbox, single(emailId={text: [text]}, recipientEmail=[text], subject={text: 1}, variables=[text]))
        yield sandbox


@contextmanager
def logged_page(chromium, path, sandbox):
    """A page of a browser of its own, which writes down all that it does on the network."""
    rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    arguments = [f"--log-net-log={path}", "--net-log-capture-mode=Everything", rules]
    started = chromium.browser_type.launch(executable_path=path_or_skip(), args=arguments)
    with started as browser, browser.new_context(base_url=sandbox.url) as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.said = []
        context.on("console", lambda message: page.said.append(message.text))
        context.on("dialog", lambda dialog: page.said.append(dialog.message))
        yield page
        assert "taken" not in page.said
        assert context.pages == [page]


def all_addresses(page, sandbox):
    """Every page of the sandbox, with every tab of every mail, and each mail alone."""
    yield from ("/", "/faults", "/emails", "/setup", "/nowhere")
    for mail in sandbox.store.inbox.mails():
        page.goto(f"/mail/{mail.id}")
        for tab in page.get_by_role("navigation", name="Parts of the mail").get_by_role("link").all():
            yield f"/mail/{mail.id}{tab.get_attribute('href')}"
        yield f"/mail/{mail.id}/html"


def contacted(log):
    """The hosts that the browser has looked up, connected to or asked, by its own log."""
    found = set()
    for event in json.loads(log.read_text())["events"]:
        noted = event.get("params", {})
        found |= {urlsplit(noted.get(name, "").split(" ")[0]).hostname for name in ("url", "group_id")}
        found.add(noted.get("host", "").rpartition("://")[2].rpartition(":")[0])
    return found - {None, ""}


def test_nothing_runs_and_nothing_reaches_the_network(chromium, hostile, elsewhere, there, tmp_path):
    """On no page, in no tab, and not where the mail stands alone; also if a search is hostile."""
    log = tmp_path / "net.json"
    text = TEXT.format(taken=TAKEN, there=there)
    with logged_page(chromium, log, hostile) as page:
        addresses = list(dict.fromkeys(all_addresses(page, hostile)))
        for address in addresses:
            page.goto(address)
            page.wait_for_load_state()
            assert not page.title().endswith("taken"), address
            assert page.url == f"{hostile.url}{address}"
        page.goto("/")
        page.get_by_role("searchbox").fill(f"{text} nowhere")
        page.get_by_role("searchbox").press("Enter")
        expect(page.get_by_text("Clear it")).to_be_visible()
        assert not page.title().endswith("taken")
    assert elsewhere.asked == set()
    assert EVIL not in contacted(log)


def test_load_them_loads_the_pictures_of_that_mail_only(chromium, hostile, elsewhere, tmp_path):
    """With its styles and fonts, and nothing else of it; the next mail is as silent as before."""
    log = tmp_path / "net.json"
    first, *others = reversed(hostile.store.inbox.mails())
    with logged_page(chromium, log, hostile) as page:
        page.goto(f"/mail/{first.id}")
        page.get_by_role("link", name="Load them").click()
        expect(page.frame_locator("iframe").get_by_text("Dear reader")).to_be_visible()
        until(lambda: elsewhere.asked >= PICTURES | ALSO_PICTURES)
        page.wait_for_load_state()
        assert elsewhere.asked == PICTURES | ALSO_PICTURES
        elsewhere.asked.clear()
        for mail in others:
            page.goto(f"/mail/{mail.id}")  # until its frame is loaded, too
        assert elsewhere.asked == set()
    assert EVIL in contacted(log), "the log is of use"


def test_clicks_in_a_mail_change_nothing_and_leave_no_page(chromium, hostile, elsewhere, tmp_path):
    """A link may open where it is meant to, in a tab of its own."""
    with logged_page(chromium, tmp_path / "net.json", hostile) as page:
        [*_, first] = hostile.store.inbox.mails()
        page.goto(f"/mail/{first.id}")
        for text in ("Click here", "Win", "Win too", "Delete it", "Go"):
            press(page.frame_locator("iframe").get_by_text(text, exact=True))
            expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.url == f"{hostile.url}/mail/{first.id}"
    assert hostile.store.inbox.mail(first.id)
    assert elsewhere.asked == set()
