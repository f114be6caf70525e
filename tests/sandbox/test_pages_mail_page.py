"""The page of a mail: its head, its tabs, and the frame that shows it."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape

import pytest

from django_migma.sandbox import account
from tests.sandbox.asking import ask, batch, get, send, single
from tests.sandbox.test_verdicts import TEST_SEND, newest, sends, text

TABS = ("mail", "variables", "requests", "json", "source", "links")


def page(sandbox, query="", **options):
    """The page of the newest mail."""
    return get(sandbox, f"{newest(sandbox)}?{query}", key=None, **options).content.decode()


def frame(sandbox, query=""):
    """The newest mail itself."""
    return get(sandbox, f"{newest(sandbox)}/html?{query}", key=None)


def head(sandbox):
    """The head of the page, by label."""
    labels = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page(sandbox), re.DOTALL)
    return {label: text(value) for label, value in labels}


def raw_html(html, **changes):
    return single(emailId=None, projectId=account.FERNHILL, template=html, **changes)


@pytest.fixture
def raw(start):
    """A sandbox that takes raw HTML."""
    return start(accept_template=True)


def test_the_head_says_to_whom_from_whom_and_what_became_of_it(sandbox):
    sends(sandbox, single(replyTo="help@fernhill.example"))
    found = head(sandbox)
    assert re.fullmatch(r"✓ accepted once · transactional · \d\d:\d\d:\d\d", found["Became"])
    del found["Became"]
    assert {name: found[name] for name in ("To", "From", "Reply to", "Email")} == {
        "To": "reader@example.com",
        "From": "Fernhill Coffee <hello@fernhill.example>",
        "Reply to": "help@fernhill.example",
        "Email": f"Welcome {account.WELCOME} Copy",
    }
    assert '<h1 id="subject">Welcome, Kim</h1>' in page(sandbox)


def test_batches_are_marketing_and_tests_have_migmas_sender(sandbox):
    send(sandbox, batch())
    assert "· marketing ·" in head(sandbox)["Became"]
    ask(sandbox, "POST", "/v1/emails/test/send", body=TEST_SEND)
    assert head(sandbox)["From"] == "Migma's own sender"
    assert "· test send ·" in head(sandbox)["Became"]


def test_a_sender_without_a_name_is_its_address(sandbox):
    send(sandbox, {"from": "a@b.example", "emailId": "f" * 24})
    assert head(sandbox)["From"] == "a@b.example"
    assert head(sandbox)["Email"] == f"{'f' * 24} Copy"


def test_the_head_of_garbage_says_only_what_is_known(sandbox):
    send(sandbox, b"{nonsense")
    found = head(sandbox)
    assert "From" not in found
    assert re.fullmatch(r"✕ refused 400 · \d\d:\d\d:\d\d", found["Became"])


def test_an_id_that_migma_gave_leads_to_the_mail(sandbox):
    """Commands and the admin know a mail by that."""
    message_id = send(sandbox, single()).data["id"]
    reply = get(sandbox, f"/mail/{message_id}?tab=json", key=None)
    assert (reply.status, reply.headers["Location"]) == (303, f"{newest(sandbox)}?tab=json")


@pytest.mark.parametrize("mail_id", ["0", "-1", "99999", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 10_000])
@pytest.mark.parametrize("tail", ["", "/html"])
def test_what_is_gone_or_no_mail_is_said_as_a_page(sandbox, mail_id, tail):
    sends(sandbox, single())
    reply = get(sandbox, f"/mail/{mail_id}{tail}", key=None, headers={"Accept": "text/html"})
    assert (reply.status, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "root:" not in reply.content.decode()


def test_a_mail_that_is_gone_says_why(sandbox):
    assert "Only the newest 500 are kept" in get(sandbox, "/mail/99999", key=None).content.decode()


@pytest.mark.parametrize("tab", [*TABS, "nonsense"])
def test_each_tab_works_for_mail_that_is_no_mail(sandbox, tab):
    for body in (b"", b"{nonsense", [], {}, {"variables": [1], "from": 3, "subject": None, "recipientType": []}):
        send(sandbox, body, idempotency_key="")
        reply = get(sandbox, f"{newest(sandbox)}?tab={tab}", key=None)
        assert reply.status == frame(sandbox).status == 200
        assert ("no email that the sandbox knows" in text(reply.content.decode())) == (
            tab not in TABS[1:4] + TABS[5:]
        )


def test_widths_and_colours_are_links_that_keep_the_rest(sandbox):
    sends(sandbox, single())
    found = page(sandbox, "width=phone&scheme=dark&q=kim")
    assert '<iframe class="phone dark"' in found
    assert 'href="?width=tablet&amp;scheme=dark&amp;q=kim"' in found
    assert 'href="?width=phone&amp;scheme=light&amp;q=kim"' in found
    assert '<iframe class="fit light"' in page(sandbox, "width=huge&scheme=green")


def test_the_frame_is_opaque_and_fetches_nothing_from_elsewhere(sandbox):
    sends(sandbox, single())
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"' in page(sandbox)
    policy = frame(sandbox).headers["Content-Security-Policy"]
    assert policy.startswith(
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data: "
    )
    assert not re.search(r"https?:[ ;]", policy)
    asked = frame(sandbox, "images=1").headers["Content-Security-Policy"]
    assert re.search(r"img-src [^;]* https: http:;", asked)
    assert "default-src 'none'" in asked


def test_links_of_a_mail_open_in_windows_of_their_own(sandbox):
    sends(sandbox, single())
    assert frame(sandbox).content.endswith(b'<base target="_blank">')


def test_remote_images_are_counted_and_loaded_when_asked(raw):
    html = """<img src="https://a.example/1.gif"><img src=https://a.example/1.gif>
    <td background='//b.example/2.png' style="background: url( 'http://c.example/3.png')">
    <img src="http://localhost:8000/static/logo.png"><img src="https://127.0.0.1/x">
    <img src="data:image/gif;base64,">"""
    sends(raw, raw_html(html))
    assert "3 remote images not loaded. Load them" in text(page(raw))
    assert '<a href="?width=phone&amp;images=1">' in page(raw, "width=phone")
    loaded = page(raw, "images=1")
    assert "remote image" not in loaded
    assert re.search(r'src="/mail/\d+/html\?images=1"', loaded)


def test_what_was_not_accepted_is_shown_as_it_would_have_been(sandbox):
    sandbox.faults.script("500")
    sends(sandbox, single())
    assert "Not accepted: this is what it would have been." in text(page(sandbox))
    assert "Hello Kim" in text(frame(sandbox).content.decode())
    sends(sandbox, raw_html("<p>Hello {{first_name}}"), key="raw")
    assert frame(sandbox).content.startswith(b"<p>Hello Kim")


@pytest.mark.parametrize("rule", ["keep", "blank", "error"])
def test_missing_variables_can_be_marked_in_the_text(start, rule):
    """In text only: an attribute takes no element, and what a variable brings along is not missing."""
    raw = start(accept_template=True, missing_variables=rule)
    html = (
        "<!doctype html><title>{{a}}</title><style>{{a}}</style><!-- {{a}} --><p title='{{a}}'>One {{a}}, two "
        "{{ b }}, {{c}}</p><textarea>{{a}}</textarea> 1 < 2 {{a}}"
    )
    sends(raw, raw_html(html, subject="Hi", variables={"c": "{{c}}"}))
    assert "2 missing variables. Mark them" in text(page(raw))
    marked = re.findall(r"<mark[^>]*>(.*?)</mark>", frame(raw, "marks=1").content.decode())
    assert marked == ["{{a}}", "{{ b }}", "{{a}}"]
    assert "Unmark them" in text(page(raw, "marks=1"))
    assert b"<mark" not in frame(raw).content


@pytest.mark.parametrize("start_of", ["<!-- ", "<style>", "<p "])
def test_markup_without_an_end_has_no_text(raw, start_of):
    sends(raw, raw_html(f"{{{{a}}}}{start_of}{{{{a}}}}"))
    assert frame(raw, "marks=1").content.count(b"<mark") == 1


@pytest.mark.parametrize("piece", ["<style", "<!--", "<a href='", "{{", "src= ", "<![", "<p>{{a}}</p>"])
def test_a_large_mail_of_one_piece_is_shown_in_every_way(raw, piece):
    sends(raw, raw_html(piece * (400_000 // len(piece))))
    for tab in ("mail", "variables", "source", "links"):
        assert get(raw, f"{newest(raw)}?tab={tab}", key=None).status == 200
    assert frame(raw, "marks=1").status == 200


def test_the_variables_say_where_they_are_used_and_what_is_wrong(sandbox):
    variables = {"first_name": "Kim <b>", "shop_ulr": "https://x.example", "number": 3}
    sends(sandbox, single(variables=variables, subject="{{first_name}} {{number}}"))
    rows = re.findall(r"<tr>(.*?)</tr>", page(sandbox, "tab=variables"), re.DOTALL)[1:]
    assert [text(row) for row in rows] == [
        (
            "first_name HTML Kim <b> subject, body ✓ filled ? unknown : whether Migma escapes it; here it is left as "
            "it is (--escape-variables)"
        ),
        "number 3 subject ✓ filled ? unknown : how Migma writes what is no text; send text",
        "shop_url body ✕ missing : the reader sees {{shop_url}}",
        "shop_ulr https://x.example nowhere ! unused : did you mean shop_url?",
    ]


def test_switches_decide_what_is_said_of_variables(start):
    sandbox = start(escape_variables=True, missing_variables="blank")
    sends(sandbox, single(variables={"first_name": "<b>"}))
    found = text(page(sandbox, "tab=variables"))
    assert "here it is escaped" in found
    assert "the reader sees nothing there (--missing-variables blank)" in found


def test_many_and_long_variables_are_cut(sandbox):
    sends(sandbox, single(variables={f"name_{number}": "x" * 3000 for number in range(600)}))
    found = text(page(sandbox, "tab=variables"))
    assert "… 3000 characters in all" in found
    assert "and 102 more" in found


def test_a_mail_without_variables_says_so(raw):
    sends(raw, raw_html("<p>Hello", variables=None, subject="Hello"))
    assert "This mail has no variables" in page(raw, "tab=variables")
    assert "This mail has no links" in page(raw, "tab=links")


def test_requests_show_what_came_and_what_left(sandbox):
    sandbox.faults.script("lost", "500")
    sends(sandbox, *[single()] * 3, single(subject="Other"))
    found = page(sandbox, "tab=requests")
    pieces = [text(piece) for piece in re.findall(r"<pre[^>]*>(.*?)</pre>", found, re.DOTALL)]
    assert pieces[0].startswith("POST /v1/sending HTTP/1.1 Authorization: Bearer <the key full> Host: 127.0.0.1")
    assert '"recipientEmail": "reader@example.com"' in pieces[0]
    assert pieces[1].startswith('200 { "success": true')
    assert found.count("Same body as request 1") == 2
    assert found.count("Answer as prepared") == 1
    assert re.search(r'<span class="when">\+ \d+ ms</span>', found)
    assert sandbox.keys.full not in found


def test_a_long_time_is_told_in_words(start, clock):
    sandbox = start(clock=clock)
    for seconds in (0, 2.5, 200, 7000):
        clock.forward(seconds=seconds)
        sends(sandbox, single())
    times = re.findall(r'<span class="when">(.*?)</span>', page(sandbox, "tab=requests"))
    assert times == ["0 ms", "+ 2.50 s", "+ 3 min 22 s", "+ 2 h 0 min"]


def test_the_key_of_another_account_is_named_by_nothing(sandbox):
    send(sandbox, single(), key="sk_live_secret")
    for tab in TABS:
        assert "sk_live_secret" not in page(sandbox, f"tab={tab}")
    assert "no key of this sandbox" in text(page(sandbox, "tab=json"))


def test_json_can_be_sent_again_from_a_shell(sandbox):
    """The shell itself takes the command apart; a function in place of curl prints what it was given."""
    body = single(subject='It\'s $HOME `id` "quoted" \\ é')
    sends(sandbox, body, key="it's; a $key")
    [command] = re.findall(r'data-copy="(curl .*?)"', page(sandbox, "tab=json"), re.DOTALL)
    script = f'curl() {{ printf "%s\\0" "$@"; }}\n{unescape(command)}'
    printed = subprocess.run(["sh", "-c", script], env={"MIGMA_API_KEY": "mine"}, capture_output=True, check=True)
    words = printed.stdout.decode().split("\0")[:-1]
    assert words[:3] == ["-X", "POST", f"{sandbox.api_url}/sending"]
    assert {"Authorization: Bearer mine", "Idempotency-Key: it's; a $key"} <= set(words)
    assert json.loads(words[-1]) == body


def test_json_can_be_sent_again_from_django(sandbox):
    """The code is run against a stand-in that notes the arguments."""
    sends(sandbox, single(replyTo="help@fernhill.example"), key="order-1")
    [code] = re.findall(r'data-copy="(from django_migma.*?)"', page(sandbox, "tab=json"), re.DOTALL)
    compiled = unescape(code).replace("from django_migma.message import MigmaMessage", "")

    class Noted:
        def __init__(self, **arguments):
            noted.update(arguments)

        def send(self):
            noted["sent"] = True

    noted = {}
    exec(compiled, {"MigmaMessage": Noted})
    assert noted == {
        "subject": "Welcome, {{first_name}}",
        "from_email": "Fernhill Coffee <hello@fernhill.example>",
        "to": ["reader@example.com"],
        "reply_to": ["help@fernhill.example"],
        "template_id": "welcome",
        "merge_global_data": {"first_name": "Kim", "shop_url": "https://fernhill.example/shop"},
        "idempotency_key": "order-1",
        "sent": True,
    }


def test_a_conversation_and_a_batch_in_django(sandbox):
    send(sandbox, single(emailId=None, conversationId=account.WELCOME_CONVERSATION))
    assert f'conversation_id="{account.WELCOME_CONVERSATION}"' in unescape(page(sandbox, "tab=json"))
    send(sandbox, batch())
    assert "In Django" not in page(sandbox, "tab=json")


def test_what_is_larger_than_a_megabyte_is_shown_on_demand(raw):
    sends(raw, raw_html("<p>" + "x" * 1_100_000))
    for tab in ("source", "json"):
        found = page(raw, f"tab={tab}")
        assert "of 1.1 MB. Show it" in text(found)
        assert len(found) < 300_000
        assert len(page(raw, f"tab={tab}&whole=1")) > 1_100_000
    found = page(raw, "tab=requests")
    assert "characters more" in found
    assert "-d @body.json" in found
    assert "In Django" not in page(raw, "tab=json")


def test_the_source_is_the_html_as_it_was_rendered(raw):
    sends(raw, raw_html("<p>Hello {{first_name}}"))
    assert "&lt;p&gt;Hello Kim</pre>" in page(raw, "tab=source")


def test_links_are_listed_with_their_text_and_not_fetched(raw):
    html = """<a href="https://a.example/?x=1&amp;y=2">Two
    words</a><a href=" https://b.example/u/unsubscribe "><img alt="Leave" src=x></a><a name=x>none</a>
    <map><area href="mailto:help@example.com" alt="Write"></map><a href="javascript:alert(1)"></a> after
    <img alt=y>"""
    sends(raw, raw_html(html))
    found = page(raw, "tab=links")
    items = [text(item) for item in re.findall(r"<li>(<p>.*?)</li>", found, re.DOTALL)]
    assert items == [
        "Two words https://a.example/?x=1&y=2",
        "Leave unsubscribe https://b.example/u/unsubscribe",
        "Write mailto:help@example.com",
        "(no text) javascript:alert(1)",
    ]
    assert 'href="javascript' not in found


def test_many_links_are_cut(raw):
    sends(raw, raw_html("<a href=x>y</a>" * 30_000))
    found = text(page(raw, "tab=links"))
    assert re.search(r"and \d+ more", found)
    assert "only its beginning was searched" in found
