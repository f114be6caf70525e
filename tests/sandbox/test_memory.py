"""What the sandbox remembers is bounded in number and in bytes, whatever is sent to it."""

from __future__ import annotations

import http.client
import json
import tracemalloc
from contextlib import contextmanager

import pytest
from django.http import HttpResponse

from django_migma.sandbox import account, idempotency, inbox, store
from django_migma.sandbox.idempotency import IdempotencyStore
from tests.sandbox.asking import FULL, PATIENCE, ask, batch, eventually, get, is_idle, send, single

MB = 1_000_000


def large(number: int = 0, **changes):
    """A body of 9 MB that no other number has."""
    name = str(number).rjust(9 * MB, "x")
    return json.dumps(single(variables={"first_name": name, "shop_url": ""}, **changes)).encode()


@contextmanager
def bounded(size: int, sandbox=None):
    """Fails if more memory than this, in bytes, is in use at the end, once a sandbox holds no request any more."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        assert sandbox is None or eventually(lambda: is_idle(sandbox))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < size


def held(sandbox):
    return sum(mail.size for mail in sandbox.store.inbox.mails())


def test_large_mails_push_older_ones_out_of_the_inbox_the_messages_and_the_logs(start):
    sandbox = start()
    send(sandbox, single())
    # At most: the parsed bodies of the messages, and as many raw ones in the inbox.
    with bounded(inbox.MAX_BYTES + store.MAX_BYTES + 20 * MB, sandbox):
        for number in range(12):
            assert send(sandbox, large(number), idempotency_key=str(number)).status == 200
    assert [mail.id for mail in sandbox.store.inbox.mails()] == ["13", "12", "11"]
    assert held(sandbox) <= inbox.MAX_BYTES
    for kept in (sandbox.store.messages(), sandbox.store.single_sends()):
        assert sum(message.size for message in kept) <= store.MAX_BYTES
        assert len(kept) == 7
    assert sandbox.store.stats()["accepted"] == 13


def test_large_batches_are_bounded_too(start):
    sandbox = start()
    names = [str(number).rjust(9 * MB, "x") for number in range(9)]
    ids = [send(sandbox, batch(variables={"first_name": name})).data["id"] for name in names]
    assert [sandbox.store.batch(id_) is None for id_ in ids] == [True] * 2 + [False] * 7


def test_values_that_are_larger_as_objects_than_as_text_count_as_what_they_take(start):
    """A hundred thousand empty lists are 6 MB in memory, and 0.3 MB on the wire."""
    sandbox = start()
    body = single(variables={"first_name": [[]] * 100_000})
    with bounded(inbox.MAX_BYTES + 20 * MB, sandbox):
        for number in range(20):
            assert send(sandbox, body, idempotency_key=str(number)).status == 200
    assert 1 < len(sandbox.store.inbox.mails()) < 20


def test_refused_bodies_count_as_what_they_take_once_somebody_has_looked_at_them(start):
    """Their JSON is parsed for the list, and kept for the next look at it."""
    sandbox = start()
    body = single(recipientEmail="nobody", variables={"first_name": [[]] * 100_000})
    with bounded(inbox.MAX_BYTES + 20 * MB, sandbox):
        for number in range(20):
            assert send(sandbox, body, idempotency_key=str(number)).status == 400
        assert get(sandbox, "/", key=None).status == 200
    assert 1 < len(sandbox.store.inbox.mails()) < 20


def test_the_newest_mail_stays_however_large_it_is(start):
    sandbox = start()
    with bounded(inbox.MAX_BYTES + 20 * MB, sandbox):
        for number in range(12):
            send(sandbox, large(number), idempotency_key="order-1")
    [mail] = sandbox.store.inbox.mails()
    assert mail.size <= inbox.MAX_BYTES
    assert (mail.attempts, mail.is_accepted) == (12, True)
    assert (mail.exchanges[0].number, mail.exchanges[-1].number) == (1, 12)
    assert mail.message == mail.exchanges[0].message


def test_repeats_of_a_large_mail_share_its_body(start):
    sandbox = start()
    with bounded(40 * MB, sandbox):
        for _ in range(15):
            send(sandbox, large(), idempotency_key="order-1")
    [mail] = sandbox.store.inbox.mails()
    assert len(mail.exchanges) == 15
    assert mail.size < 20 * MB


def test_of_5000_mails_the_newest_are_kept(start):
    sandbox = start(max_messages=300)
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {FULL}", "Content-Type": "application/json"}
    body = json.dumps(single())
    for number in range(5000):
        connection.request("POST", "/v1/sending", body=body, headers=headers | {"Idempotency-Key": str(number)})
        connection.getresponse().read()
    connection.close()
    mails = sandbox.store.inbox.mails()
    assert [mail.id for mail in mails] == [str(number) for number in range(5000, 4700, -1)]
    assert len(sandbox.store.messages()) == 300
    # Keys outlive the mail.
    assert send(sandbox, single(), idempotency_key="0").headers["Idempotent-Replayed"] == "true"


def test_of_200_requests_under_one_key_the_first_and_the_last_are_kept_and_the_accepted_one(sandbox):
    sandbox.faults.script(*["503"] * 7)
    for _ in range(200):
        send(sandbox, single(), idempotency_key="order-1")
    [mail] = sandbox.store.inbox.mails()
    places = [exchange.number - mail.exchanges[0].number for exchange in mail.exchanges]
    assert places == [0, 1, 2, 3, 4, 7, *range(156, 200)]
    assert (mail.attempts, mail.dropped, len(mail.exchanges)) == (200, 150, 50)
    assert mail.exchanges[5].result == "accepted"


def answered(keys: IdempotencyStore, key: str, size: int) -> None:
    assert keys.begin("full", key, "/v1/sending", b"") is None
    keys.finish("full", key, HttpResponse(b"x" * size))


def test_keys_are_remembered_up_to_many_bytes_of_answers_and_the_oldest_go_first(clock):
    keys = IdempotencyStore(clock)
    size = idempotency.MAX_BYTES // 8
    keys.begin("full", "running", "/v1/sending", b"")
    for key in range(10):
        answered(keys, str(key), size)
    known = [key for key in range(10) if keys.begin("full", str(key), "/v1/sending", b"") is not None]
    assert known == [3, 4, 5, 6, 7, 8, 9]
    with pytest.raises(Exception, match="still being processed"):
        keys.begin("full", "running", "/v1/sending", b"")


def test_keys_whose_day_is_over_take_no_memory(clock):
    keys = IdempotencyStore(clock)
    with bounded(2 * MB):
        for key in range(5):
            answered(keys, str(key), MB)
        clock.forward(hours=24)
        answered(keys, "next", MB)


def test_a_test_send_is_bounded_with_the_messages(start):
    sandbox = start()
    body = {"to": "tester@example.com", "emailId": account.WELCOME, "note": "x" * 9 * MB}
    for _ in range(8):
        assert ask(sandbox, "POST", "/v1/emails/test/send", body=body).status == 200
    assert len(sandbox.store.messages()) == 7
    assert sandbox.store.single_sends() == []
