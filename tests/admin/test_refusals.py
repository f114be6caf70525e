"""Tests that cannot be sent, and Migma's refusals: a message on a page, and nothing half done."""

import html
import secrets
import time

import pytest
import requests
from django.contrib.admin.models import LogEntry

from django_migma.models import StoredEmail

from .conftest import TEST_SEND, admin_url, error_answer, messages_of
from .test_send_test import TAKEN, ask, choose, confirm, posted

pytestmark = pytest.mark.django_db
GIVE_ONE = "Give one address, such as bob@example.com or Bob <bob@example.com>."


def errors(response):
    assert response.status_code == 200
    return list(response.context["form"].errors["addresses"])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "This field is required."),
        (" ; , \n", "Give at least one address."),
        ("ada", f"“ada” is not an address. {GIVE_ONE}"),
        (
            "ada@example.org, <b>@@example.org",
            f"“<b>@@example.org” is not an address. {GIVE_ONE}",
        ),
        (
            "x" * 1_000_000,
            f"“{'x' * 80}” has more than 1,000 characters. {GIVE_ONE}",
        ),
        ("\n".join(f"a{number}@example.org" for number in range(10_000)), "These are more than 50 addresses."),
        (
            "\n".join(f"a{number}@example.org" for number in range(26)),
            "At most 50 tests may be sent at a time. Choose fewer emails or fewer addresses.",
        ),
    ],
    ids=["nothing", "separators", "no address", "second", "long", "ten thousand", "too many calls"],
)
def test_addresses_that_will_not_do_are_refused_at_their_field(tester, wire, welcome, receipt, typed, said):
    page = ask(tester, welcome, receipt)
    before = time.process_time()
    response = confirm(tester, page, typed)
    assert time.process_time() - before < 2
    assert errors(response) == [said]
    assert "<b>" not in response.content.decode()
    assert "Nothing was sent. Please correct the error below." in response.content.decode()
    assert wire.bodies == []
    assert not StoredEmail.objects.exclude(last_tested_at=None).exists()


def test_after_a_correction_the_same_page_sends(tester, wire, welcome):
    wire.answers(TAKEN, url=TEST_SEND)
    assert messages_of(confirm(tester, confirm(tester, ask(tester, welcome), "ada")))[0][0] == "success"
    assert len(wire.bodies) == 1


def many(count):
    """Their titles have nothing in common, which could be compressed."""
    StoredEmail.objects.bulk_create(
        StoredEmail(email_id=secrets.token_hex(12), title=secrets.token_hex(40)) for _number in range(count)
    )
    return list(StoredEmail.objects.all())


TOO_MANY = "At most 50 tests may be sent at a time. Choose fewer emails or fewer addresses."


def test_more_than_fifty_emails_are_refused(tester, mailer):
    emails = many(60)
    chosen = choose(tester, *emails)
    assert messages_of(chosen) == [("error", TOO_MANY)]
    (page_url, _status), back = chosen.redirect_chain
    assert page_url.count("%2C") == 50, "no address is made of all ids"
    assert back == (admin_url("changelist"), 302)
    page = tester.get(admin_url("send_test"), {"ids": ",".join(str(email.pk) for email in emails)}, follow=True)
    assert messages_of(page) == [("error", TOO_MANY)]
    made_up = {"token": [f"{email.pk}:0::" for email in emails], "addresses": "ada@example.org"}
    assert messages_of(tester.post(admin_url("send_test"), made_up, follow=True)) == [("error", TOO_MANY)]


def test_fifty_emails_go_to_one_address(tester, wire):
    wire.answers(TAKEN, url=TEST_SEND)
    [(level, text)] = messages_of(confirm(tester, ask(tester, *many(50))))
    assert level == "success"
    assert text.startswith("50 tests: 50 accepted. <a ")
    assert len(wire.bodies) == 50


def test_the_sum_of_many_outcomes_fits_into_a_cookie(tester, wire, settings):
    settings.MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
    wire.answers(error_answer(400), *[TAKEN] * 48, error_answer(400), url=TEST_SEND)
    [(level, text)] = messages_of(confirm(tester, ask(tester, *many(50))))
    assert level == "warning"
    assert text.startswith("50 tests: 48 accepted, 2 failed. <a ")


@pytest.mark.parametrize("ids", ["", "999", "0", "x", "-1", "9" * 30, "1;DROP TABLE", "\x00", "²"])
def test_ids_that_are_none_lead_back_to_the_list(tester, mailer, ids):
    response = tester.get(admin_url("send_test"), {"ids": ids}, follow=True)
    assert response.redirect_chain == [(admin_url("changelist"), 302)]
    assert messages_of(response) == [("error", "None of the chosen emails exists. Choose again.")]


def test_a_form_without_emails_leads_back_to_the_list(tester, wire):
    response = tester.post(admin_url("send_test"), {"addresses": "ada@example.org"}, follow=True)
    assert messages_of(response) == [("error", "None of the chosen emails exists. Choose again.")]


@pytest.mark.parametrize("seen", ["{pk}:1:{id}:", "{pk}:0::", "{pk}:never", "{pk}", "{pk}:0:{id}:,999:0::"])
def test_a_form_that_was_made_up_sends_nothing(tester, wire, welcome, seen):
    page = ask(tester, welcome)
    made_up = {"token": seen.format(pk=welcome.pk, id=welcome.email_id).split(",")}
    response = tester.post(page.context["page_url"], posted(page) | made_up, follow=True)
    assert [level for level, _text in messages_of(response)] == ["warning"]
    assert wire.bodies == []


def test_when_all_are_gone_one_message_says_so(tester, wire, welcome):
    page = ask(tester, welcome)
    welcome.delete()
    response = confirm(tester, page)
    assert response.redirect_chain == [(admin_url("changelist"), 302)]
    assert messages_of(response) == [("error", "None of the chosen emails exists. Choose again.")]


REFUSALS = {
    "400": (error_answer(400), "error", "Migma answered 400: Migma's own words."),
    "401": (error_answer(401), "error", "Check the API key (MIGMA['API_KEY'])"),
    "403": (error_answer(403), "error", "Give the API key the permission email:send in Migma's dashboard."),
    "404": (error_answer(404), "error", "Migma answered 404: Migma's own words."),
    "429": (error_answer(429, **{"Retry-After": "60"}), "error", "Wait 60 s, then try again."),
    "500": (error_answer(500), "warning", "It may have arrived: check the inbox before you send it again."),
    "502": ((502, "<h1>Bad Gateway</h1>"), "warning", "It may have arrived"),
    "a proxy's page": ((200, "<h1>Sign in</h1>"), "warning", "It may have arrived"),
    "down": (requests.ConnectionError("refused"), "warning", "It may have arrived"),
    "slow": (requests.ReadTimeout("late"), "warning", "It may have arrived"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_is_a_message_and_an_entry(tester, wire, welcome, case):
    answer, level, said = REFUSALS[case]
    wire.answers(answer, url=TEST_SEND)
    [(shown_level, text)] = messages_of(confirm(tester, ask(tester, welcome)))
    assert shown_level == level
    assert text.startswith("Test of “Welcome” to ada@example.org: ")
    assert said in html.unescape(text)
    assert said in LogEntry.objects.get().get_change_message()


def test_after_a_refused_key_the_rest_is_not_sent_and_says_so(tester, wire, welcome, receipt):
    """A key that is refused once is refused again."""
    wire.answers(error_answer(401), url=TEST_SEND)
    response = confirm(tester, ask(tester, welcome, receipt))
    assert len(wire.bodies) == 1
    assert [level for level, _text in messages_of(response)] == ["error", "warning"]
    assert "Not sent: " in messages_of(response)[1][1]


@pytest.mark.parametrize("word", ["500", "reset", "hangup", "half", "html", "redirect", "429-after-60"])
def test_a_fault_on_the_way_is_a_message_within_the_time(tester, migma_sandbox, welcome, word):
    """Of what it would take otherwise, the least is the minute that the last one asks for."""
    migma_sandbox.faults.script(word)
    before = time.monotonic()
    response = confirm(tester, ask(tester, welcome))
    assert time.monotonic() - before < 45
    assert migma_sandbox.store.stats()["requests"] == {"POST /v1/emails/test/send": 1}
    assert response.status_code == 200
    assert len(messages_of(response)) == 1


def test_a_silent_migma_costs_no_more_than_its_timeout(tester, migma_sandbox, migma, welcome):
    migma(TIMEOUT=0.2)
    migma_sandbox.faults.script("silent-90")
    before = time.monotonic()
    [(level, text)] = messages_of(confirm(tester, ask(tester, welcome)))
    assert time.monotonic() - before < 45
    assert level == "warning"
    assert "Migma did not answer in time" in text


def test_a_faulty_setting_is_named_on_the_page_and_nothing_can_be_sent(tester, wire, migma, welcome):
    page = ask(tester, welcome)
    migma(API_KEY=None)
    for response in (ask(tester, welcome), confirm(tester, page)):
        text = response.content.decode()
        assert "Nothing can be sent: MAILERS" in text or "Nothing can be sent: MIGMA" in text
        assert "is not set, and nothing can be sent without a key" in text
        assert 'value="Send"' not in text
    assert wire.bodies == []
    assert not StoredEmail.objects.exclude(last_tested_at=None).exists()
