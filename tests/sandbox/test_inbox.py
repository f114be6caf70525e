"""The inbox holds the mail that an application meant, with every request to send and what became of it."""

from __future__ import annotations

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.exchanges import Result
from django_migma.sandbox.faults import Reply, parse_fault
from django_migma.sandbox.protocol import KEYS
from tests.sandbox.asking import PATIENCE, ask, batch, get, raw, received, send, sent, single
from tests.sandbox.conftest import HoldingClock

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
    assert (exchange.key_name, exchange.idempotency_key, exchange.reply) == ("full", None, Reply.WHOLE)


def test_all_requests_under_one_key_are_one_mail(sandbox):
    sandbox.faults.script("503", "lost")
    assert send(sandbox, single(), idempotency_key="order-1").status == 503
    with sent(sandbox, single(), idempotency_key="order-1") as connection, pytest.raises(ConnectionResetError):
        received(connection)
    send(sandbox, single(), idempotency_key="order-1")
    send(sandbox, single(subject="Another"), idempotency_key="order-1")
    mail = only_mail(sandbox)
    assert results(sandbox) == [["untouched", "accepted", "replayed", "conflict"]]
    assert [exchange.reply.value for exchange in mail.exchanges] == ["whole", "none", "whole", "whole"]
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


def test_newest_first_by_the_first_request(sandbox):
    for key in ("order-1", "order-2", "order-1"):
        send(sandbox, single(subject=key), idempotency_key=key)
    assert [mail.subject for mail in sandbox.store.inbox.mails()] == ["order-2", "order-1"]


def test_requests_stand_in_the_order_in_which_they_came(start):
    """Also where the first is answered last."""
    clock = HoldingClock()
    sandbox = start(clock=clock)
    clock.is_due = lambda: sandbox.store.idempotency.forgotten_at("full", "order-1")
    with sent(sandbox, single(), idempotency_key="order-1") as connection:
        assert clock.is_holding.wait(PATIENCE)
        assert send(sandbox, single(), idempotency_key="order-1").status == 409
        assert results(sandbox) == [["conflict"]]
        clock.go_on.set()
        received(connection, until=b"}}")
    assert results(sandbox) == [["accepted", "conflict"]]


def test_a_busy_request_says_how_long_it_took(sandbox):
    sandbox.faults.script("busy-0.3")
    send(sandbox, single())
    [exchange] = only_mail(sandbox).exchanges
    assert exchange.took >= 0.3
    assert exchange.reply is Reply.LATE


@pytest.mark.parametrize(
    ("word", "reply"),
    [
        ("429", "whole"),
        ("html", "whole"),
        ("close", "whole"),
        ("half", "half"),
        ("empty", "half"),
        ("endless", "half"),
        ("slow-1", "late"),
        ("busy-1", "late"),
        ("drip", "late"),
        ("lost", "none"),
        ("reset", "none"),
        ("hangup", "none"),
        ("silent-1", "none"),
    ],
)
def test_a_fault_says_how_the_answer_reaches_the_application(word, reply):
    assert parse_fault(word).kind.reply == reply


def test_the_same_key_under_another_api_key_or_endpoint_is_another_mail(sandbox):
    send(sandbox, single(), idempotency_key="order-1", key="nobody")
    send(sandbox, single(), idempotency_key="order-1", key=KEYS.no_send)
    send(sandbox, single(), idempotency_key="order-1")
    ask(sandbox, "POST", "/v1/emails/test/send", body=TEST_SEND, headers={"Idempotency-Key": "order-1"})
    assert results(sandbox) == [["accepted"], ["accepted"], ["refused"], ["refused"]]


def test_where_keys_are_ignored_a_mail_has_several_messages(start):
    sandbox = start(idempotency=False)
    ids = [send(sandbox, single(), idempotency_key="order-1").data["id"] for _ in range(2)]
    mail = only_mail(sandbox)
    assert [message.id for message in mail.messages] == ids
    assert mail.message.id == ids[0]


def test_a_replay_whose_mail_is_gone_still_counts_as_accepted(sandbox):
    send(sandbox, single(), idempotency_key="order-1")
    ask(sandbox, "DELETE", "/_sandbox/messages")
    assert sandbox.store.inbox.mails() == []
    send(sandbox, single(), idempotency_key="order-1")
    mail = only_mail(sandbox)
    assert (mail.is_accepted, mail.message, mail.messages, mail.subject) == (True, None, [], "Welcome, Kim")


def test_a_replayed_refusal_is_no_acceptance(sandbox):
    for _ in range(2):
        send(sandbox, single(subject=None), idempotency_key="order-1")
    assert results(sandbox) == [["refused", "replayed"]]
    assert (only_mail(sandbox).is_accepted, only_mail(sandbox).is_refused) == (False, True)


def test_headers_are_kept_but_never_the_api_key(sandbox):
    headers = {"Idempotency-Key": "order-1", "X-Api-Key": "secret", "User-Agent": "shop/1"}
    ask(sandbox, "POST", "/v1/sending", body=single(), headers=headers)
    [exchange] = only_mail(sandbox).exchanges
    assert list(exchange.head) == [
        "Host", "User-Agent", "Accept-Encoding", "Content-Type", "Content-Length", "Idempotency-Key",
    ]  # fmt: skip
    assert exchange.head["User-Agent"] == "shop/1"
    assert KEYS.full not in repr(exchange)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        b"[" * 100_000,
        b"\xff",
        b'{"to": 1, "recipientEmail": [], "subject": {}, "emailId": 7, "variables": [1]}',
        b'{"recipientType": "segment", "recipientId": 3, "conversationId": {}}',
        b'{"emailId": "x", "conversationId": null}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/sending", "/v1/emails/test/send"])
def test_any_garbage_has_a_mail(sandbox, path, body):
    ask(sandbox, "POST", path, body=body)
    mail = only_mail(sandbox)
    assert mail.is_refused
    assert (mail.html, mail.text, mail.variables, mail.variables_used) == ("", "", {}, [])
    assert (mail.recipient, mail.subject, mail.template) in [("", "", ""), ("segment ", "", ""), ("", "", "x")]
    assert mail.exchanges[0].body == body


def test_a_body_that_is_not_read_has_a_mail_too(sandbox):
    head = b"POST /v1/sending HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    raw(sandbox, head.replace(b"%d", b"many"))
    raw(sandbox, b"POST /v1/sending HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert [mail.exchanges[0].status for mail in sandbox.store.inbox.mails()] == [411, 400]
    assert [mail.exchanges[0].problem for mail in sandbox.store.inbox.mails()] == [
        "Chunked bodies are not read: send Content-Length",
        "Content-Length must be one whole number",
    ]
