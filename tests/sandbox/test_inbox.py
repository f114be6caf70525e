"""The inbox holds the mail that an application meant, with every request to send and what became of it."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.exchanges import Result
from django_migma.sandbox.faults import Delivered
from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import ask, batch, get, received, send, sent, single

TEST_SEND = {"to": "tester@example.com", "emailId": account.RECEIPT}


def results(sandbox):
    """Of each mail, newest first, the results of its requests."""
    return [[exchange.result.value for exchange in mail.exchanges] for mail in sandbox.store.inbox.mails()]


def only_mail(sandbox):
    [mail] = sandbox.store.inbox.mails()
    return mail


def test_a_mail_is_in_the_inbox_before_its_answer_has_come(sandbox):
    answer = send(sandbox, single())
    mail = only_mail(sandbox)
    assert (mail.recipient, mail.subject, mail.template) == ("reader@example.com", "Welcome, Kim", "welcome")
    assert mail.html == sandbox.store.messages()[0].html
    assert mail.variables == single()["variables"]
    assert (mail.attempts, mail.is_accepted, mail.is_refused, mail.is_test, mail.is_read) == (
        1,
        True,
        False,
        False,
        False,
    )
    [exchange] = mail.exchanges
    assert (exchange.result, exchange.status, exchange.answer) == (Result.ACCEPTED, 200, answer.content)
    assert (exchange.key_name, exchange.idempotency_key, exchange.delivered) == ("full", None, Delivered.WHOLE)


def test_all_requests_under_one_key_are_one_mail(sandbox):
    sandbox.faults.script("503", "lost")
    assert send(sandbox, single(), idempotency_key="order-1").status == 503
    with sent(sandbox, single(), idempotency_key="order-1") as connection, pytest.raises(ConnectionResetError):
        received(connection)
    send(sandbox, single(), idempotency_key="order-1")
    send(sandbox, single(subject="Another"), idempotency_key="order-1")
    mail = only_mail(sandbox)
    assert results(sandbox) == [["untouched", "accepted", "replayed", "conflict"]]
    assert [exchange.delivered.value for exchange in mail.exchanges] == ["whole", "nothing", "whole", "whole"]
    assert [exchange.fault.word for exchange in mail.exchanges] == ["503", "lost", "ok", "ok"]
    assert len(mail.messages) == 1
    assert mail.subject == "Welcome, Kim"


def test_a_request_without_a_key_is_a_mail_of_its_own(sandbox):
    for _ in range(2):
        send(sandbox, single())
    assert results(sandbox) == [["accepted"], ["accepted"]]


@pytest.mark.parametrize(
    ("key", "body", "key_name", "problem"),
    [
        (None, single(), "", "Missing API key: send it as Authorization: Bearer <key>"),
        ("nobody", single(), "", "Invalid API key"),
        (KEYS.revoked, single(), "revoked", "This API key was revoked"),
        (KEYS.no_send, single(), "no_send", "This API key lacks the permission email:send"),
        (KEYS.full, b"{", "full", "The request body is not valid JSON"),
    ],
)
def test_a_refused_request_is_in_the_inbox_with_the_reason(sandbox, key, body, key_name, problem):
    send(sandbox, body, key=key)
    mail = only_mail(sandbox)
    assert (mail.is_refused, mail.is_accepted, mail.message, mail.html) == (True, False, None, "")
    assert (mail.exchanges[0].key_name, mail.exchanges[0].problem) == (key_name, problem)


def test_a_request_over_the_rate_limit_is_limited_and_not_refused(start):
    sandbox = start(rate="1/h")
    for _ in range(2):
        send(sandbox, single(), idempotency_key="order-1")
    send(sandbox, single(), idempotency_key="order-2")
    assert results(sandbox) == [["limited"], ["accepted", "limited"]]
    assert not sandbox.store.inbox.mails()[0].is_refused


def test_a_test_send_says_so(sandbox):
    ask(sandbox, "POST", "/v1/emails/test/send", body=TEST_SEND)
    mail = only_mail(sandbox)
    assert (mail.is_test, mail.recipient, mail.template) == (True, "tester@example.com", "receipt")
    assert mail.missing_variables


def test_a_batch_names_its_segment_or_tag(sandbox):
    send(sandbox, batch())
    send(sandbox, batch(recipientType="audience", recipientId=account.COFFEE_LOVERS))
    send(sandbox, batch(recipientType="segment", recipientId="f" * 24))
    assert [mail.recipient for mail in sandbox.store.inbox.mails()] == [
        f"segment {'f' * 24}",
        "segment Coffee lovers, 412 recipients",
        "tag customers, 1240 recipients",
    ]


def test_nothing_but_sends_is_recorded(sandbox):
    for path in ("/", "/_sandbox/messages", "/v1/domains", "/v1/sending"):
        get(sandbox, path)
    assert sandbox.store.inbox.mails() == []


def test_a_mail_is_found_by_its_id_and_by_its_message_id(sandbox):
    message_id = send(sandbox, single()).data["id"]
    mail = only_mail(sandbox)
    assert sandbox.store.inbox.mail(mail.id) == mail == sandbox.store.inbox.mail(message_id)
    assert sandbox.store.inbox.mail("nothing") is None
