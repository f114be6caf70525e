"""/faults: what people order by buttons and forms, without script."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest

from django_migma.sandbox.faults import DEFAULT_KINDS, KINDS, parse_fault
from tests.sandbox.asking import ask, get, send, single

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def page(sandbox):
    """The text of the page as it is."""
    return html.unescape(get(sandbox, "/faults", key=None).content.decode())


def press(sandbox, **fields):
    """Send one of its forms."""
    return ask(sandbox, "POST", "/faults", body=urlencode(fields).encode(), key=None, headers=FORM)


def script(sandbox):
    return sandbox.faults.state()["script"]


def test_a_button_strikes_the_next_send_and_leads_back_to_the_page(sandbox):
    """303: a reload of the page that follows does not press the button again."""
    reply = press(sandbox, deed="add", words="503")
    assert (reply.status, reply.headers["Location"]) == (303, "/faults")
    assert "1 armed" in page(sandbox)
    assert [send(sandbox, single()).status for _ in range(2)] == [503, 200]


def test_every_kind_of_fault_has_a_button_with_a_sentence_and_its_word(sandbox):
    found = re.findall(
        r'<button name="words" value="([\w-]+)"[^>]*>⚡ .+</button>\n<p id="does-\1">.+ <code .+>\1</code>',
        page(sandbox),
    )
    assert {parse_fault(word).kind for word in found} == {*KINDS} - {parse_fault("ok").kind}


def test_the_boxes_say_what_is_right(sandbox):
    shown = page(sandbox)
    assert "It took the mail, your app does not learn it" in shown
    assert "your app asks again under the same key. One mail, 2 requests." in shown
    assert "Without an Idempotency-Key the second request is a second mail." in shown


def test_a_sandbox_that_ignores_keys_says_so_where_one_expects_one_mail(start):
    assert "every request is a mail of its own" in page(start(idempotency=False))


def test_the_line_is_shown_in_order_and_its_beginning_if_it_is_long(sandbox):
    press(sandbox, deed="add", words="lost, 500,ok  slow-3 " + "503 " * 20)
    assert script(sandbox) == ["lost", "500", "ok", "slow-3", *["503"] * 20]
    shown = re.findall(r'<button name="place" value="(\d+ [\w-]+)" aria-label="(.+?)">', page(sandbox))
    assert shown[:4] == [
        ("0 lost", "Take back: Lost reply, place 1"),
        ("1 500", "Take back: 500, place 2"),
        ("2 ok", "Take back: As usual, place 3"),
        ("3 slow-3", "Take back: slow-3, place 4"),
    ]
    assert len(shown) == 12
    assert "and 12 more," in page(sandbox)


def test_one_fault_or_all_can_be_taken_back(sandbox):
    sandbox.fail_next("500", "lost", "503")
    assert press(sandbox, deed="remove", place="1 lost").status == 303
    assert script(sandbox) == ["500", "503"]
    assert press(sandbox, deed="clear").status == 303
    assert script(sandbox) == []
    assert "Sends go as usual." in page(sandbox)


@pytest.mark.parametrize("place", ["", "0 500", "1 503", "-1 503", "99999999999999999999 503", "x 503", "0"])
def test_a_fault_that_a_send_has_met_meanwhile_cannot_be_taken_back(sandbox, place):
    sandbox.fail_next("503")
    reply = press(sandbox, deed="remove", place=place)
    assert reply.status == 400
    assert "That fault is no longer there: a send has come meanwhile." in reply.content.decode()
    assert script(sandbox) == ["503"]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("500, lots", "Unknown fault 'lots'; known: 429, 429-after-N, "),
        ("", "Name a fault, such as lost, or several: 500, lost, ok."),
        (" , ", "Name a fault, such as lost, or several: 500, lost, ok."),
        ('"><script>alert(1)</script>', "Unknown fault '\"><script>alert(1)</script>'; known: "),
        ("500 " * 1001, "At most 1000 faults may wait, and 0 do; take some back."),
        ("x" * 5000, "x…"),
    ],
)
def test_what_was_typed_comes_back_with_the_error_beside_it(sandbox, typed, text):
    reply = press(sandbox, deed="add", words=typed)
    content = reply.content.decode()
    assert reply.status == 400
    assert f'name="words" value="{html.escape(typed)}"' in content
    assert text in html.unescape(content)
    assert "<script>alert" not in content
    assert script(sandbox) == []


def test_chance_begins_and_ends_with_its_form(sandbox):
    assert press(sandbox, deed="chance", share="12,5 %", seed="7", kinds="500,503").status == 303
    state = sandbox.faults.state()
    assert (state["fault_rate"], state["fault_seed"], state["fault_kinds"]) == (0.125, 7, ["500", "503"])
    shown = page(sandbox)
    assert "--fault-rate 0.125 --fault-seed 7" in shown
    assert '<option value="500,503" selected>500,503</option>' in shown
    assert press(sandbox, deed="no-chance").status == 303
    assert sandbox.faults.state()["fault_rate"] == 0


def test_chance_without_a_seed_draws_one_and_without_kinds_takes_the_usual_ones(sandbox):
    press(sandbox, deed="chance", share="100")
    assert sandbox.faults.state()["fault_kinds"] == [*DEFAULT_KINDS]
    assert f"--fault-seed {sandbox.faults.seed}" in page(sandbox)
    assert "but for faults by chance" in page(sandbox)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"share": "101"}, "Share: A number from 0 to 100, such as 10."),
        ({"share": ""}, "Share: A number from 0 to 100, such as 10."),
        ({"share": "nan"}, "Share: A number from 0 to 100, such as 10."),
        ({"share": "-1"}, "Share: A number from 0 to 100, such as 10."),
        ({"share": "9" * 400}, "Share: A number from 0 to 100, such as 10."),
        ({"seed": "lucky"}, "Seed: A whole number, or nothing for any."),
        ({"seed": "9" * 5000}, "Seed: A whole number, or nothing for any."),
        ({"kinds": "500,lots"}, "Kinds: Unknown fault 'lots'; known: "),
    ],
)
def test_a_chance_that_is_not_understood_comes_back_and_changes_nothing(sandbox, wrong, text):
    typed = {"share": "20", "seed": "11", "kinds": ",".join(DEFAULT_KINDS)} | wrong
    before = sandbox.faults.state()
    reply = press(sandbox, deed="chance", **typed)
    content = html.unescape(reply.content.decode())
    assert reply.status == 400
    assert text in content
    assert f'name="share" value="{typed["share"]}"' in content
    assert f'name="seed" value="{typed["seed"]}"' in content
    assert sandbox.faults.state() == before


def test_the_rate_limit_begins_and_ends_with_its_form(sandbox):
    assert press(sandbox, deed="limit", count=" 2 ", per="h").status == 303
    assert "2 per hour" in page(sandbox)
    assert [send(sandbox, single()).status for _ in range(3)] == [200, 200, 429]
    assert press(sandbox, deed="no-limit").status == 303
    assert send(sandbox, single()).status == 200


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"count": "0", "per": "s"}, "A whole number from 1 to 999999."),
        ({"count": "12345678", "per": "s"}, "A whole number from 1 to 999999."),
        ({"count": "", "per": "m"}, "A whole number from 1 to 999999."),
        ({"count": "5/s", "per": "m"}, "A whole number from 1 to 999999."),
        ({"count": "5", "per": "week"}, "Choose second, minute or hour."),
    ],
)
def test_a_limit_that_is_not_understood_comes_back_and_changes_nothing(sandbox, typed, text):
    reply = press(sandbox, deed="limit", **typed)
    assert reply.status == 400
    assert f"Requests: {text}" in reply.content.decode()
    assert f'name="count" value="{typed["count"]}"' in reply.content.decode()
    assert '<span class="quiet">none</span>' in page(sandbox)


def test_keys_that_are_refused_come_as_lines_to_paste(sandbox):
    shown = page(sandbox)
    assert f'<code>MIGMA["API_KEY"] = "{sandbox.keys.revoked}"</code>' in shown
    assert f'<code>MIGMA["API_KEY"] = "{sandbox.keys.no_send}"</code>' in shown


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "deed must be one of add, remove, clear, chance, no-chance, limit, no-limit"),
        (b"deed=explode&words=500", "deed must be one of add, "),
        (b"\xff\x00=%ff", "deed must be one of add, "),
        (b"deed=add&" + b"words=500&" * 300, "A form of this sandbox has at most 200 fields"),
    ],
)
def test_a_form_that_no_page_has_is_answered_in_plain_words_and_changes_nothing(sandbox, body, text):
    reply = ask(sandbox, "POST", "/faults", body=body, key=None, headers=FORM)
    assert reply.status == 400
    assert text in reply.content.decode()
    assert script(sandbox) == []


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "multipart/form-data; boundary=x"])
def test_only_a_form_is_taken(sandbox, media_type):
    headers = FORM | {"Content-Type": media_type}
    reply = ask(sandbox, "POST", "/faults", body=b"deed=add&words=500", key=None, headers=headers)
    assert reply.status == 400
    assert "A form is sent as application/x-www-form-urlencoded" in reply.content.decode()
    assert script(sandbox) == []


def test_another_method_is_answered_with_the_allowed_ones(sandbox):
    reply = ask(sandbox, "DELETE", "/faults", key=None, headers=FORM)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, POST, HEAD")
