"""Sending tests from the admin: the page, and its button."""

import html

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from django_migma.models import Delivery, StoredEmail

from .conftest import CONVERSATION, RECEIPT, TEST_SEND, WELCOME, admin_url, messages_of

TAKEN = (200, {"success": True, "data": {"messageId": "m1", "sentTo": "x", "subject": "s"}})


def ask(client, *emails, **options):
    return client.get(admin_url("send_test"), {"ids": ",".join(str(email.pk) for email in emails)}, **options)


def confirm(client, page, addresses="ada@example.org", **fields):
    """Press the page's button."""
    return client.post(page.context["page_url"], posted(page, addresses, **fields), follow=True)


def posted(page, addresses="ada@example.org", kind="stored", **fields):
    """What the page's form brings back. With script or without, that is the same."""
    tokens = [row["token"] for row in page.context["emails"]]
    destination = page.context["destination"].fingerprint
    return {"token": tokens, "destination": destination, "addresses": addresses, "kind": kind, **fields}


def choose(client, *emails, **fields):
    """Pick these in the list, and the action."""
    data = {"action": "send_test", "_selected_action": [email.pk for email in emails], **fields}
    return client.post(admin_url("changelist"), data, follow=True)


@pytest.fixture
def taken(wire):
    wire.answers(TAKEN, url=TEST_SEND)
    return wire


def test_the_page_shows_destination_emails_and_recipients(tester, taken, welcome, receipt):
    text = ask(tester, welcome, receipt).content.decode()
    assert "<strong>Sandbox</strong>: on this machine; no mail is delivered." in text
    assert "<code>http://127.0.0.1:9/v1</code>" in text
    assert "ada@example.org</textarea>" in text
    assert "<caption>2 emails</caption>" in text
    assert f"<code>{WELCOME}</code>" in text
    assert "Each address gets 2 tests, one of each email." in text
    assert "At most 50 tests are sent at a time:" in text
    assert "at most 25 addresses here." in text
    assert "From Migma's own sender, without values: the reader may see {{first_name}}." in html.unescape(text)
    alone = ask(tester, welcome).content.decode()
    assert "Each address gets 1 test." in alone
    assert "at most 50 addresses here." in alone
    assert taken.bodies == []


def test_the_page_says_that_migma_is_live(tester, mailer, migma, welcome):
    migma(API_URL="https://api.migma.ai/v1")
    text = ask(tester, welcome).content.decode()
    assert "<strong>Migma, live</strong>: the addresses below get real mail." in text
    assert "<code>https://api.migma.ai/v1</code>" in text


def test_the_page_says_that_tests_are_redirected(tester, taken, migma, welcome):
    migma(REDIRECT_TO="staging@example.net")
    page = ask(tester, welcome)
    assert (
        "<code>REDIRECT_TO</code> is set: every test goes to <strong>staging@example.net</strong>, not to the "
        "addresses below."
    ) in page.content.decode()
    sent = confirm(tester, page)
    assert messages_of(sent)[0][1] == (
        "Test of “Welcome” to ada@example.org: The sandbox accepted it. REDIRECT_TO sends it to staging@example.net. "
        '<a href="http://127.0.0.1:9/mail/m1">See it</a>'
    )
    assert taken.body["to"] == "staging@example.net"
    migma(REDIRECT_TO="staging@example.net", API_URL="https://api.migma.ai/v1")
    assert "<strong>Migma, live</strong>: real mail is delivered." in ask(tester, welcome).content.decode()


def test_a_redirect_that_was_set_or_removed_meanwhile_is_shown_first(tester, taken, migma, welcome):
    migma(REDIRECT_TO="staging@example.net")
    page = ask(tester, welcome)
    migma(REDIRECT_TO=None)
    assert messages_of(confirm(tester, page))[0][0] == "warning"
    assert taken.bodies == []


def test_the_sandbox_gets_what_is_sent(tester, migma_sandbox, welcome):
    response = confirm(tester, ask(tester, welcome))
    [message] = migma_sandbox.store.messages()
    link = f'<a href="{migma_sandbox.url}/mail/{message.id}">See it</a>'
    assert messages_of(response) == [
        ("success", f"Test of “Welcome” to ada@example.org: The sandbox accepted it. {link}")
    ]
    assert link in response.content.decode()
    assert message.body == {"to": "ada@example.org", "emailId": WELCOME}


def test_each_address_gets_each_email_and_each_outcome_is_a_message(tester, taken, welcome, receipt):
    StoredEmail.objects.filter(pk=receipt.pk).update(email_id=None, conversation_id=CONVERSATION)
    before = timezone.now()
    response = confirm(tester, ask(tester, welcome, receipt), "ada@example.org;\nBob <bob@example.org>")
    assert sorted(map(str, taken.bodies)) == sorted(
        str({"to": to} | chosen)
        for to in ("ada@example.org", "bob@example.org")
        for chosen in ({"emailId": WELCOME}, {"conversationId": CONVERSATION})
    )
    assert response.redirect_chain == [(admin_url("changelist"), 302)]
    [(level, text)] = messages_of(response)
    assert level == "success"
    assert text.startswith("4 tests: 4 accepted. <a ")
    assert {email.last_tested_at > before for email in StoredEmail.objects.all()} == {True}
    entries = [(entry.object_id, entry.get_change_message(), entry.user_id) for entry in LogEntry.objects.all()]
    assert sorted(entries) == sorted(
        (str(email.pk), "Test to 2 addresses: 2 accepted.", tester.user.pk) for email in (welcome, receipt)
    )


def test_one_email_leads_back_to_its_own_page(tester, taken, welcome):
    assert confirm(tester, ask(tester, welcome)).redirect_chain == [(admin_url("change", welcome.pk), 302)]


def test_the_same_form_sends_once(tester, taken, welcome):
    page = ask(tester, welcome)
    confirm(tester, page)
    response = confirm(tester, page)
    assert len(taken.bodies) == 1
    assert LogEntry.objects.count() == 1
    [(level, text)] = messages_of(response)
    assert level == "warning"
    assert text == (
        "Nothing was sent: since the page was opened, a test of these emails was sent, or one of them was changed or "
        "deleted. Confirm here to send another test."
    )
    assert response.redirect_chain == [(f"{admin_url('send_test')}?ids={welcome.pk}", 302)]
    confirm(tester, response)
    assert len(taken.bodies) == 2


def test_of_two_people_with_the_same_page_one_sends(tester, person, taken, welcome, receipt):
    other = person("view", "send_test", name="bob")
    page, others = ask(tester, welcome), ask(other, receipt, welcome)
    confirm(tester, page)
    assert messages_of(confirm(other, others))[0][0] == "warning"
    assert len(taken.bodies) == 1
    receipt.refresh_from_db()
    assert receipt.test_claim == 0, "all are claimed, or none"


def test_two_at_the_same_moment_send_once(tester, taken, welcome, receipt):
    """The other form comes in after this one has read the rows."""
    page = ask(tester, receipt, welcome)

    def overtake(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and "test_claim" in sql and not overtaken:
            overtaken.append(True)
            StoredEmail.objects.filter(pk=max(welcome.pk, receipt.pk)).update(test_claim=1)
        return execute(sql, params, many, context)

    overtaken = []
    with connection.execute_wrapper(overtake):
        response = confirm(tester, page)
    assert overtaken
    assert messages_of(response)[0][0] == "warning"
    assert taken.bodies == []
    assert StoredEmail.objects.get(pk=min(welcome.pk, receipt.pk)).test_claim == 0, "all are claimed, or none"


def test_an_email_deleted_in_the_meantime_stops_the_rest(tester, taken, welcome, receipt):
    page = ask(tester, welcome, receipt)
    receipt.delete()
    assert messages_of(confirm(tester, page))[0][0] == "warning"
    assert taken.bodies == []


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_migma_is_asked(tester, taken, welcome, monkeypatch):
    inside = []
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    taken.mock.response_callback = lambda answer: inside.append(connection.in_atomic_block) or answer
    confirm(tester, ask(tester, welcome))
    assert inside == [False]


def test_the_action_leads_to_the_page(tester, mailer, welcome, receipt):
    response = choose(tester, welcome, receipt)
    assert len(response.redirect_chain) == 1
    assert {row["email"] for row in response.context["emails"]} == {welcome, receipt}


def test_the_detail_page_leads_to_the_page(tester, mailer, welcome):
    text = tester.get(admin_url("change", welcome.pk)).content.decode()
    assert f'<a href="{admin_url("send_test")}?ids={welcome.pk}" class="migma-send-test">Send a test…</a>' in text


def test_without_the_permission_there_is_no_action_no_button_and_no_page(person, taken, welcome):
    ada = person("view", "change", "add", "delete")
    assert "send_test" not in ada.get(admin_url("changelist")).content.decode()
    assert "send-test" not in ada.get(admin_url("change", welcome.pk)).content.decode()
    assert "No action selected" in str(messages_of(choose(ada, welcome)))
    assert ask(ada, welcome).status_code == 403
    assert ask(ada).status_code == 403, "not even where there is nothing to send"
    made_up = {"token": [f"{welcome.pk}:0:{WELCOME}:"], "addresses": "ada@example.org"}
    assert ada.post(admin_url("send_test"), made_up).status_code == 403
    assert taken.bodies == []


def test_a_user_who_may_not_see_the_emails_cannot_test_them(person, mailer, welcome):
    assert ask(person("send_test"), welcome).status_code == 403


def test_an_anonymous_visitor_is_sent_to_the_login(client, welcome):
    assert "/login/" in ask(client, welcome)["Location"]


def test_a_form_from_elsewhere_sends_nothing(tester, taken, welcome):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = tester.cookies
    made_up = {"token": [f"{welcome.pk}:0:{WELCOME}:"], "addresses": "ada@example.org"}
    assert strict.post(admin_url("send_test"), made_up).status_code == 403
    assert taken.bodies == []


def test_a_get_sends_nothing(tester, taken, welcome):
    query = {"ids": str(welcome.pk), "token": f"{welcome.pk}:0:{WELCOME}:", "addresses": "ada@example.org"}
    assert tester.get(admin_url("send_test"), query).status_code == 200
    assert taken.bodies == []


def test_a_user_without_an_address_finds_the_box_empty(tester, mailer, welcome):
    get_user_model().objects.update(email="")
    assert 'id="id_addresses">\n</textarea>' in ask(tester, welcome).content.decode()


def test_an_email_that_never_had_a_title_goes_by_its_id(tester, taken, receipt):
    StoredEmail.objects.update(title="")
    assert f"Test of “{RECEIPT}”" in messages_of(confirm(tester, ask(tester, receipt)))[0][1]


def rows_of_tests():
    names = ("recipient", "status", "stored_email", "email_id", "message_id", "is_test", "payload")
    return list(Delivery.objects.order_by("pk").values_list(*names))


def test_each_test_is_a_row_among_the_deliveries(tester, taken, welcome, receipt):
    confirm(tester, ask(tester, welcome, receipt), "Ada@example.org, bob@example.org")
    assert rows_of_tests() == [
        (to, "accepted", email.pk, email_id, "m1", True, "")
        for email, email_id in ((receipt, RECEIPT), (welcome, WELCOME))
        for to in ("ada@example.org", "bob@example.org")
    ]
    confirm(tester, ask(tester, welcome))
    first, *others, last = Delivery.objects.order_by("pk").values_list("batch", flat=True)
    assert {first} == set(others)
    assert last != first
    assert first
