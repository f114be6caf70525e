"""What a test asks of a sandbox: the mails that readers got, those that they did not get, and a wait for more."""

from __future__ import annotations

from threading import Thread

import pytest

from django_migma.sandbox import account
from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests.sandbox.asking import PATIENCE, ask, eventually, received, send, sent, single

UNVERIFIED = "hello@unverified.example"


def to(recipient):
    return single(recipientEmail=recipient)


def test_mails_are_what_readers_got_oldest_first(sandbox):
    send(sandbox, to("one@example.com"))
    send(sandbox, single(**{"from": UNVERIFIED}))
    send(sandbox, to("two@example.com"))
    assert [mail.recipient for mail in sandbox.mails] == ["one@example.com", "two@example.com"]
    first = sandbox.mails[0]
    assert (first.subject, first.template, first.attempts) == ("Welcome, Kim", "welcome", 1)
    assert (first.variables["first_name"], first.missing_variables, first.problem) == ("Kim", [], "")
    assert "Hello Kim" in first.html
    assert "Hello Kim,\nthe kettle is on.\n" in first.text


def test_a_refused_mail_says_why(sandbox):
    send(sandbox, single(**{"from": UNVERIFIED}))
    assert sandbox.mails == []
    [mail] = sandbox.not_accepted
    assert mail.is_refused
    assert "the domain unverified.example is not verified" in mail.problem
    assert (mail.html, mail.text, mail.missing_variables) == ("", "", [])


def test_a_lost_reply_and_its_repeat_are_one_mail(sandbox):
    sandbox.fail_next("503", "lost")
    send(sandbox, single(), idempotency_key="order-1")
    [mail] = sandbox.not_accepted
    assert mail.problem == "The sandbox strikes: fault 503"
    with sent(sandbox, single(), idempotency_key="order-1") as connection, pytest.raises(ConnectionResetError):
        received(connection)
    send(sandbox, single(), idempotency_key="order-1")
    [mail] = sandbox.mails
    assert mail.attempts == 3
    assert sandbox.not_accepted == []


def test_a_fault_without_an_error_text_is_named(sandbox):
    sandbox.fail_next("502")
    send(sandbox, single())
    assert sandbox.not_accepted[0].problem == "fault 502"


def test_without_idempotency_keys_each_copy_counts():
    with Sandbox(switches=Switches(idempotency=False)) as sandbox:
        for _ in range(2):
            send(sandbox, single(), idempotency_key="order-1")
        first, second = sandbox.mails
        assert first.message.id != second.message.id
        assert (first.attempts, second.attempts) == (1, 1)
        assert len(sandbox.wait_for(2)) == 2


def test_a_mail_is_told_in_a_line(sandbox):
    """What pytest shows when an assert has failed."""
    send(sandbox, single(), idempotency_key="order-1")
    send(sandbox, single(), idempotency_key="order-1")
    send(sandbox, single(**{"from": UNVERIFIED}))
    send(sandbox, {})
    assert list(map(repr, sandbox.mails)) == ["<Mail 'Welcome, Kim' to reader@example.com, 2 requests, accepted>"]
    first, second = map(repr, sandbox.not_accepted)
    assert first.startswith("<Mail 'Welcome, Kim' to reader@example.com, not accepted: from: the domain ")
    assert second.startswith("<Mail '' to nobody, not accepted: ")


def test_the_key_is_in_no_line(sandbox):
    send(sandbox, single(), idempotency_key="order-1")
    assert sandbox.keys.full not in repr(sandbox.mails)


def test_waiting_ends_when_the_mail_is_there(sandbox):
    sandbox.fail_next("busy-0.3")
    thread = Thread(target=send, args=(sandbox, to("late@example.com")))
    thread.start()
    [mail] = sandbox.wait_for(1, timeout=PATIENCE)
    thread.join()
    assert mail.recipient == "late@example.com"


def test_waiting_in_vain_says_what_has_come(sandbox):
    send(sandbox, single())
    send(sandbox, single(**{"from": UNVERIFIED}))
    with pytest.raises(AssertionError) as caught:
        sandbox.wait_for(2, timeout=0.01)
    first, *came = str(caught.value).splitlines()
    assert first == "After 0.01 s, 1 of 2 mails are accepted."
    assert came == list(map(repr, sandbox.mails + sandbox.not_accepted))


def test_waiting_for_a_request_that_never_came_gives_a_hint(sandbox):
    with pytest.raises(AssertionError, match=r"No request has come\. .+ captureOnCommitCallbacks.+ needs a worker\."):
        sandbox.wait_for(1, timeout=0.01)


def test_waiting_ends_with_the_sandbox():
    with Sandbox() as sandbox:
        pass
    thread = Thread(target=wait_in_vain, args=(sandbox,), daemon=True)
    thread.start()
    assert eventually(lambda: not thread.is_alive())


def wait_in_vain(sandbox):
    with pytest.raises(AssertionError, match="0 of 1"):
        sandbox.wait_for(1, timeout=10 * PATIENCE)


def test_a_test_send_is_a_mail_too(sandbox):
    ask(sandbox, "POST", "/v1/emails/test/send", body={"to": "tester@example.com", "emailId": account.RECEIPT})
    assert [(mail.recipient, mail.is_test) for mail in sandbox.mails] == [("tester@example.com", True)]
