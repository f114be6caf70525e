"""Lists that meet trouble on their way: a call that is put back, a key that is revoked, no reading ahead."""

from __future__ import annotations

import pytest

from django_migma.exceptions import AuthenticationError, MigmaError, RateLimited, SerializationError
from tests.api.clocks import FakeClock
from tests.api.servers import Server, whole
from tests.faults.sending import (
    FastBackend,
    accepted,
    mails,
    misbehaving,
    recipients,
    send,
    untruths,
    words,
)
from tests.faults.stub_server import GOOD, REFUSAL, stub_server


class TestCallThatIsPutBack:
    """It got a 429 after an attempt that Migma had accepted, with a response that could not be read."""

    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_is_accepted_once(self, concurrency):
        with misbehaving() as sandbox:
            messages = mails(2)
            sandbox.faults.script("ok", "empty", "429-after-1", "429-after-1", "ok")
            send(messages, max_concurrency=concurrency)
            _, status = recipients(messages)
            assert (status.status, status.replayed, status.attempts) == ("queued", True, 4)
            assert accepted(sandbox).total() == 2
            assert untruths(messages, sandbox) == []

    def test_stays_in_doubt_where_the_time_for_waiting_is_used_up(self):
        clock = FakeClock()
        with misbehaving(clock=clock) as sandbox:
            messages = mails(3)
            sandbox.faults.script("ok", "empty", *["429-after-100"] * 5)
            send(messages, clock=clock, rate_limit_wait=150, max_concurrency=1)
            assert [status.status for status in recipients(messages)] == ["queued", "unknown", "not_attempted"]
            [_, doubtful, limited] = recipients(messages)
            assert (type(doubtful.error), doubtful.error.may_have_been_accepted) == (RateLimited, True)
            assert (type(limited.error), limited.error.may_have_been_accepted) == (RateLimited, False)
            assert untruths(messages, sandbox) == []

    def test_stays_in_doubt_where_the_list_is_stopped(self):
        """Sent again, it is a replay."""
        with misbehaving() as sandbox:
            messages = mails(3)
            sandbox.faults.script("ok", "empty", "429-after-1")
            key = sandbox.keys.full
            send(messages[:2], max_retries=0, max_concurrency=1, rate_limit_wait=0)
            send(messages[1:], max_concurrency=1, api_key="sk_unknown_to_the_sandbox")
            assert [status.status for status in recipients(messages)] == ["queued", "unknown", "not_attempted"]
            send(messages[1:], max_concurrency=1, api_key=key)
            assert words(messages) == {"queued"}
            assert accepted(sandbox).total() == 3
            assert untruths(messages, sandbox) == []


def test_a_401_withdraws_what_was_not_begun(migma):
    """The calls in flight are refused as well; no further message is read, and none of the rest is attempted."""
    accept, refuse, read = whole(GOOD), whole(REFUSAL, "401 No"), []

    def note(message):
        read.append(message)
        return message

    with stub_server():  # for its environment without proxies
        server = Server(*[accept] * 5, refuse)
        migma(API_URL=server.url)
        with pytest.raises(MigmaError, match="Migma answered 401"):
            FastBackend(max_concurrency=4).send_messages(map(note, mails(100)))
        server.stop()
    asked = [status for status in recipients(read) if status.status != "not_attempted"]
    assert len(asked) == len(server.received) <= 5 + 2 * 4
    assert [status.status for status in asked].count("queued") == 5
    assert {type(status.error) for status in asked} == {type(None), AuthenticationError}
    assert len(read) <= 5 + 3 * 4


def test_with_one_request_at_a_time_nothing_is_read_ahead():
    """A generator is asked for the next message when the last one is over."""
    with misbehaving() as sandbox:
        ahead = []

        def generate():
            for number, message in enumerate(mails(20)):
                ahead.append(number - len(sandbox.store.messages()))
                yield message

        assert FastBackend(max_concurrency=1).send_messages(generate()) == 20
        assert ahead == [0] * 20


def test_a_message_with_an_impossible_key_is_refused_and_the_others_are_sent():
    with misbehaving() as sandbox:
        messages = mails(5)
        messages[2].idempotency_key = "order-\ud800"
        with pytest.raises(SerializationError, match="idempotency_key cannot be sent: it holds a lone surrogate"):
            FastBackend().send_messages(messages)
        assert [status.status for status in recipients(messages)] == [
            *["queued"] * 2,
            "not_attempted",
            *["queued"] * 2,
        ]
        assert accepted(sandbox).total() == 4
