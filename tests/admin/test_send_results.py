"""The page with the tests of one confirmation, and how many a person may send within an hour."""

import datetime as dt
import html
import re
from urllib.request import urlopen

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone

from django_migma.models import Delivery, StoredEmail
from django_migma.testsends.rows import Confirmation, begin

from .conftest import TEST_SEND, admin_url, error_answer, messages_of
from .test_send_live import send
from .test_send_test import TAKEN, ask, confirm

pytestmark = pytest.mark.django_db
FOUR = "\n".join(f"{name}@example.org" for name in "abcd")


def link_of(response):
    """The address behind "Look at them"."""
    [(_level, text)] = messages_of(response)
    return re.search('href="([^"]+)">Look at them</a>', text)[1]


def chips_of(text):
    """The words of the chips, those above the rows first."""
    return re.findall(r'<span class="migma-chip [^>]*><span[^>]*>.</span> ([^<]*)</span>', text)


@pytest.fixture
def mixed(wire):
    """Migma takes the first test, refuses the second, and leaves the third in doubt."""
    wire.answers(TAKEN, error_answer(400), error_answer(500), TAKEN, url=TEST_SEND)
    return wire


def test_more_than_three_tests_make_one_message_and_a_page(tester, mixed, welcome):
    response = confirm(tester, ask(tester, welcome), FOUR)
    [(level, text)] = messages_of(response)
    assert level == "warning"
    assert text.startswith("4 tests: 2 accepted, 1 failed, 1 unknown. <a ")
    page = tester.get(link_of(response))
    rows = page.context["rows"]
    assert [row["delivery"].recipient for row in rows] == [f"{name}@example.org" for name in "bcad"]
    text = " ".join(html.unescape(page.content.decode()).split())
    assert chips_of(text) == ["1 failed", "1 unknown", "2 accepted", "failed", "unknown", "accepted", "accepted"]
    assert "Migma answered 400: Migma's own words" in text
    assert text.count('href="http://127.0.0.1:9/mail/m1">See it</a>') == 2
    assert text.count("<code>m1</code>") == 2
    assert f'<a href="{admin_url("change", welcome.pk)}">Welcome</a>' in text


def test_three_tests_are_a_message_each(tester, mixed, welcome):
    response = confirm(tester, ask(tester, welcome), "a@example.org, b@example.org, c@example.org")
    assert [level for level, _text in messages_of(response)] == ["success", "error", "warning"]
    shown = [re.search('href="([^"]*)">([^<]*)</a>', text).groups() for _level, text in messages_of(response)]
    assert shown == [
        ("http://127.0.0.1:9/mail/m1", "See it"),
        ("http://127.0.0.1:9/?q=to%3Ab%40example.org", "Look for it"),
        ("http://127.0.0.1:9/?q=to%3Ac%40example.org", "Look for it"),
    ]


def test_a_redirected_test_is_looked_for_where_it_went(tester, wire, welcome, migma):
    migma(REDIRECT_TO="Staging <staging@example.net>")
    wire.answers(error_answer(500), url=TEST_SEND)
    [(_level, text)] = messages_of(confirm(tester, ask(tester, welcome), "a@example.org"))
    assert 'href="http://127.0.0.1:9/?q=to%3Astaging%40example.net">Look for it</a>' in text


def test_migma_itself_has_no_inbox_to_look_into(tester, wire, migma, welcome):
    migma(API_URL="https://api.migma.ai/v1")
    wire.answers(TAKEN, url="https://api.migma.ai/v1/emails/test/send")
    response = confirm(tester, ask(tester, welcome), FOUR)
    page = tester.get(link_of(response)).content.decode()
    assert "See it" not in page
    Delivery.objects.update(status="failed")
    assert "Look for it" not in tester.get(link_of(response)).content.decode()
    assert page.count("<code>m1</code>") == 4


def test_the_page_belongs_to_the_person_who_sent_them(tester, person, admin_client, mixed, welcome):
    """It has addresses. Colleagues find the tests among the deliveries, if they may see those."""
    url = link_of(confirm(tester, ask(tester, welcome), FOUR))
    assert tester.get(url).status_code == 200
    assert admin_client.get(url).status_code == 404
    tester.user.user_permissions.clear()
    assert tester.get(url).status_code == 403


@pytest.mark.parametrize("batch", ["0" * 32, "x", "f" * 31])
def test_another_id_is_none(tester, mailer, batch):
    assert tester.get(admin_url("test_results", "0").replace("/0/", f"/{batch}/")).status_code == 404


def test_the_page_shows_what_is_left_of_rows_and_emails(tester, mixed, welcome):
    """A row of another release, and an email that was deleted meanwhile."""
    url = link_of(confirm(tester, ask(tester, welcome), FOUR))
    welcome.delete()
    Delivery.objects.filter(recipient="b@example.org").update(errors="?")
    Delivery.objects.filter(recipient="c@example.org").update(errors=["?"])
    page = tester.get(url)
    assert page.status_code == 200
    assert {row["url"] for row in page.context["rows"]} == {""}
    assert {row["reason"] for row in page.context["rows"]} == {""}


def test_a_live_test_is_seen_in_the_sandbox(tester, migma_sandbox, welcome):
    StoredEmail.objects.update(from_email="hello@fernhill.example")
    url = link_of(send(tester, welcome, addresses=FOUR, values={"first_name": "Ada"}))
    ids = {message.id for message in migma_sandbox.store.messages()}
    page = tester.get(url).content.decode()
    assert set(re.findall(rf'href="{migma_sandbox.url}/mail/(\w+)"', page)) == ids
    assert len(ids) == 4


def test_a_test_that_was_not_taken_is_looked_for_by_its_address(tester, migma_sandbox, welcome):
    """The inbox has it without an id of Migma's. What was not tried is not there."""
    migma_sandbox.faults.script("503", "500")
    addresses = "a+b@example.org, bo@example.org, c@example.org, d@example.org"
    url = link_of(confirm(tester, ask(tester, welcome), addresses))
    Delivery.objects.filter(recipient="d@example.org").update(status="not_attempted", message_id="")
    text = " ".join(tester.get(url).content.decode().split())
    assert chips_of(text)[:4] == ["1 failed", "1 unknown", "1 not attempted", "1 accepted"]
    assert chips_of(text)[4:] == ["failed", "unknown", "not attempted", "accepted"]
    links = re.findall('href="([^"]+)">Look for it</a>', text)
    assert links == [f"{migma_sandbox.url}/?q=to%3A{to}%40example.org" for to in ("a%2Bb", "bo")]
    for link, to in zip(links, ("a+b@example.org", "bo@example.org"), strict=True):
        with urlopen(link) as answer:
            found = answer.read().decode()
        assert re.findall('<span class="who">(?:<span.*?</span>)?([^<]*)</span>', found) == [to]


class TestLimit:
    """``TEST_SENDS_PER_HOUR``: for each person, counted from the rows of the last hour."""

    @pytest.fixture
    def sent(self, wire, tester, welcome, migma):
        """Three of four tests are sent."""
        migma(TEST_SENDS_PER_HOUR=4)
        wire.answers(TAKEN, url=TEST_SEND)
        confirm(tester, ask(tester, welcome), "a@example.org, b@example.org, c@example.org")
        return wire

    def test_the_page_says_how_many_are_left_and_when_there_are_more(self, tester, sent, welcome):
        Delivery.objects.update(created_at=timezone.now() - dt.timedelta(minutes=20))
        page = ask(tester, welcome)
        text = " ".join(page.content.decode().split())
        assert "1 of 4 tests an hour are left. There are more from " in text
        more_at = page.context["allowance"].more_at
        assert dt.timedelta(minutes=39) < more_at - timezone.now() <= dt.timedelta(minutes=40)

    def test_above_it_nothing_is_sent_and_the_error_names_the_setting(self, tester, sent, welcome):
        page = confirm(tester, ask(tester, welcome), "a@example.org, b@example.org")
        [error] = page.context["form"].errors["addresses"]
        assert error.startswith("You may send 4 tests an hour (TEST_SENDS_PER_HOUR), and 1 is left. There are more ")
        assert len(sent.bodies) == 3
        confirm(tester, page, "a@example.org")
        assert len(sent.bodies) == 4

    def test_each_person_has_their_own(self, person, sent, welcome):
        other = person("view", "send_test", name="bob")
        confirm(other, ask(other, welcome), "a@example.org, b@example.org, c@example.org")
        assert len(sent.bodies) == 6

    def test_after_an_hour_there_are_more(self, tester, sent, welcome):
        Delivery.objects.update(created_at=timezone.now() - dt.timedelta(hours=1))
        confirm(tester, ask(tester, welcome), "a@example.org, b@example.org, c@example.org")
        assert len(sent.bodies) == 6

    def test_what_was_not_tried_does_not_count(self, tester, wire, welcome, migma):
        migma(TEST_SENDS_PER_HOUR=4)
        wire.answers(error_answer(401), url=TEST_SEND)
        confirm(tester, ask(tester, welcome), FOUR)
        assert ask(tester, welcome).context["allowance"].left == 3

    def test_of_two_confirmations_at_once_one_is_taken_back(self, tester, sent, welcome, receipt):
        """The other one is noted before this one is counted again, but after it was let through."""
        page = ask(tester, welcome)

        def overtake(execute, sql, params, many, context):
            if sql.startswith("SELECT COUNT") and "django_migma_delivery" in sql:
                counted.append(sql)
                if len(counted) == 2:
                    other = Confirmation(person=str(tester.user.pk), batch="0" * 32)
                    begin([(receipt, receipt.as_stored(), "z@example.org")], other)
            return execute(sql, params, many, context)

        counted = []
        with connection.execute_wrapper(overtake):
            response = confirm(tester, page, "d@example.org")
        assert len(counted) >= 2
        [(level, text)] = messages_of(response)
        assert level == "error"
        assert text.startswith("You may send 4 tests an hour (TEST_SENDS_PER_HOUR), and 0 are left.")
        assert len(sent.bodies) == 3
        assert not Delivery.objects.filter(recipient="d@example.org").exists()
        assert LogEntry.objects.count() == 1, "of the three that were sent"
        Delivery.objects.filter(recipient="z@example.org").delete()
        confirm(tester, response, "d@example.org")
        assert len(sent.bodies) == 4, "the page that is shown then can send"

    def test_with_zero_nobody_may(self, tester, wire, welcome, migma):
        migma(TEST_SENDS_PER_HOUR=0)
        page = ask(tester, welcome)
        assert "0 of 0 tests an hour are left." in " ".join(page.content.decode().split())
        [error] = confirm(tester, page).context["form"].errors["addresses"]
        assert error == "You may send 0 tests an hour (TEST_SENDS_PER_HOUR), and 0 are left."
        assert wire.bodies == []

    def test_a_faulty_limit_is_named_and_nothing_can_be_sent(self, tester, wire, welcome, migma):
        migma(TEST_SENDS_PER_HOUR="many")
        text = html.unescape(ask(tester, welcome).content.decode())
        assert "Nothing can be sent: " in text
        assert "MIGMA['TEST_SENDS_PER_HOUR'] must be a whole number from 0, not 'many'." in text
