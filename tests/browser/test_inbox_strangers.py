"""What pages of other sites can do to a sandbox, tried from such pages by a real browser: nothing."""

import pytest
from playwright.sync_api import expect

from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import send, single

from .chromium import path_or_skip
from .conftest import PATIENCE

EVIL, NAME = "evil.example", "sandbox.internal"
# All of it with the published key. "no-cors" is what needs no permission of the other site.
TRIES = """async (sandbox) => {
  const headers = { Authorization: "Bearer sk_test_sandbox_full", "Content-Type": "application/json" };
  const tries = [
    ["/_sandbox/messages", {}],
    ["/_sandbox/messages", { method: "DELETE" }],
    ["/_sandbox/faults", { method: "POST", headers, body: '{"script": ["lost"]}' }],
    ["/v1/sending", { method: "POST", headers, body: "{}" }],
    ["/", {}],
  ];
  const simple = [
    ["/_sandbox/faults", '{"script": ["lost"]}'], ["/mail/1/delete", ""], ["/v1/sending", "{}"],
    ["/faults", new URLSearchParams({ deed: "strike", word: "lost" })],
    ["/setup", new URLSearchParams({ deed: "forget", sure: "yes" })],
  ].map(([path, body]) => [path, { method: "POST", mode: "no-cors", body }]);
  const read = [];
  for (const [path, options] of [...tries, ...simple]) {
    const answer = await fetch(sandbox + path, options).catch(() => null);
    if (answer && answer.type !== "opaque") read.push(path);
  }
  return read;
}"""
FORM = """<form method="post" action="{sandbox}/setup">
<input name="deed" value="forget"><input name="sure" value="yes"><button>Win a prize</button></form>"""


@pytest.fixture
def page(chromium):
    """A page of a browser for which all names lead to this machine."""
    rules = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP {NAME} 127.0.0.1"
    started = chromium.browser_type.launch(executable_path=path_or_skip(), args=[rules])
    with started as browser, browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


@pytest.fixture
def sandbox():
    """One with a mail, that neighbours call by a name."""
    with Sandbox(allowed_hosts=[NAME]) as running:
        send(running, single())
        yield running


@pytest.mark.parametrize("host", [EVIL, "127.0.0.1"], ids=["another site", "another port of this machine"])
def test_another_site_can_neither_read_nor_change_anything(page, sandbox, elsewhere, host):
    page.goto(f"http://{host}:{elsewhere.server_port}/")
    assert page.evaluate(TRIES, sandbox.url) == []
    page.set_content(FORM.format(sandbox=sandbox.url))
    page.get_by_role("button").click()
    expect(page.get_by_text("This came from a page of another site")).to_be_visible()
    assert len(sandbox.store.inbox.mails()) == 1
    assert sandbox.faults.state()["script"] == []


def test_another_site_may_link_to_a_mail_but_not_put_it_into_a_frame(page, sandbox, elsewhere):
    page.goto(f"http://{EVIL}:{elsewhere.server_port}/")
    page.set_content(f"<a href='{sandbox.url}/mail/1'>See</a><iframe src='{sandbox.url}/mail/1'></iframe>")
    expect(page.frame_locator("iframe").get_by_role("heading", name="Welcome, Kim")).to_have_count(0)
    page.get_by_role("link", name="See").click()
    expect(page.get_by_role("heading", name="Welcome, Kim")).to_be_visible()


def test_a_page_that_rebinds_its_name_is_refused(page, sandbox):
    """For the browser it is then the same origin."""
    answer = page.goto(f"http://{EVIL}:{sandbox.port}/")
    assert answer.status == 403
    assert page.evaluate("fetch('/_sandbox/messages').then((answer) => answer.status)") == 403
    assert page.evaluate("fetch('/mail/1/delete', {method: 'POST'}).then((answer) => answer.status)") == 403
    assert len(sandbox.store.inbox.mails()) == 1


def test_by_an_allowed_name_the_pages_work(page, sandbox):
    """Over plain HTTP a browser sends no Sec-Fetch-Site to a name: the origin has to do."""
    page.goto(f"http://{NAME}:{sandbox.port}/mail/1")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No mail yet")).to_be_visible()
    page.get_by_role("button", name="Send a sample mail").click()
    expect(page.locator(".row")).to_have_count(1)
