"""What a send leaves behind: a status per recipient, a return value or one error, and a way to send again."""

import contextlib
import copy
import pickle
import threading
from itertools import chain

import pytest
import requests
from django.core.mail import EmailMessage
from urllib3.exceptions import MaxRetryError, NewConnectionError

from django_migma import signals
from django_migma.exceptions import (
    AuthenticationError,
    Forbidden,
    InvalidRequest,
    InvalidResponse,
    NoResponse,
    SendFailed,
    ServerError,
    TemporaryError,
    TemporarySendFailed,
    UnsupportedFeature,
)
from django_migma.message import MigmaMessage
from tests.api.clocks import FakeClock, until
from tests.conftest import SENDING

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
OK = (200, {"success": True, "data": {"id": "m1", "status": "queued", "provider": "migma", "sendId": "s1"}})
REFUSED = (400, {"success": False, "error": "Invalid email address"})


def mail(*to, **kwargs):
    return MigmaMessage(
        **({"subject": "Hello", "to": list(to) or ["a@example.org"], "template_id": EMAIL_ID} | kwargs)
    )


class WatchedClock(FakeClock):
    """Counts how often it was read."""

    readings = 0

    def monotonic(self):
        now = super().monotonic()
        self.readings += 1
        return now


class TimeoutErrorOfAQueue(Exception):
    """Like Celery's SoftTimeLimitExceeded."""


@pytest.fixture
def wire(wire, migma):
    """Calls go one after another, so that answers meet the calls in order, and are not repeated."""
    migma(MAX_CONCURRENCY=1, MAX_RETRIES=0)
    return wire


class TestOneRecipient:
    def test_accepted(self, wire):
        wire.answers(OK)
        message = mail()
        assert message.send() == 1
        recipient = message.migma_status.recipients["a@example.org"]
        assert (recipient.status, recipient.message_id, recipient.send_id) == ("queued", "m1", "s1")
        assert (recipient.provider, recipient.attempts, recipient.replayed) == ("migma", 1, False)
        assert recipient.idempotency_key == wire.keys[0]
        assert recipient.error is None
        assert message.migma_status.message_id == "m1"
        assert repr(message.migma_status) == "<MessageStatus: queued; 1 recipients>"

    @pytest.mark.parametrize("word", ["sent", "queued", "processing"])
    def test_migmas_words_are_kept(self, wire, word):
        wire.answers((200, {"success": True, "data": {"status": word}}))
        message = mail()
        message.send()
        assert message.migma_status.status == {word}

    @pytest.mark.parametrize("data", [None, {}, {"status": None}])
    def test_success_without_a_word_is_queued(self, wire, data):
        wire.answers((200, {"success": True, "data": data}))
        message = mail()
        assert message.send() == 1
        assert message.migma_status.status == {"queued"}
        assert message.migma_status.message_id is None

    def test_success_with_an_unheard_word_is_unknown(self, wire):
        """Never a wrong "accepted"."""
        wire.answers((200, {"success": True, "data": {"status": "rejected"}}))
        message = mail()
        with pytest.raises(InvalidResponse, match="success with the status 'rejected', which is not known") as caught:
            message.send()
        assert message.migma_status.status == {"unknown"}
        assert caught.value.may_have_been_accepted

    def test_a_replay_says_so(self, wire):
        wire.answers((*OK, {"Idempotent-Replayed": "true"}))
        message = mail()
        message.send()
        assert message.migma_status.recipients["a@example.org"].replayed

    @pytest.mark.parametrize(
        ("answer", "error", "word"),
        [
            (REFUSED, InvalidRequest, "failed"),
            ((200, {"success": False, "error": "no"}), Exception, "failed"),
            ((503, {"success": False, "error": "busy"}), ServerError, "failed"),
            ((500, {"success": False, "error": "oops"}), ServerError, "unknown"),
            ((502, "<html>"), ServerError, "unknown"),
            ((200, "<html>"), InvalidResponse, "unknown"),
            ((200, ""), InvalidResponse, "unknown"),
            ((200, '{"success": tr'), InvalidResponse, "unknown"),
            ((302, "", {"Location": "http://elsewhere.example"}), InvalidResponse, "unknown"),
            (requests.ConnectionError("cut"), NoResponse, "unknown"),
        ],
    )
    def test_no_clear_yes(self, wire, answer, error, word):
        wire.answers(answer)
        message = mail()
        with pytest.raises(error) as caught:
            message.send()
        recipient = message.migma_status.recipients["a@example.org"]
        assert recipient.status == word
        assert recipient.error is caught.value
        assert recipient.attempts == 1
        assert "a@example.org" not in str(caught.value)

    def test_a_time_limit_from_outside_goes_on_to_the_caller(self, wire, connection):
        """What a task queue raises in the middle of a call leaves that call in doubt and starts no other."""
        wire.answers(OK, TimeoutErrorOfAQueue())
        messages = [mail(), mail(), mail()]
        with pytest.raises(TimeoutErrorOfAQueue):
            connection().send_messages(messages)
        assert [message.migma_status.status for message in messages] == [{"queued"}, {"unknown"}, {"not_attempted"}]
        assert len(wire.mock.calls) == 2

    def test_a_bug_is_not_blamed_on_migma(self, wire):
        """An error that is none of ours is raised as it is, quiet mode or not, and leaves the status open."""
        wire.answers(ZeroDivisionError("a bug"))
        message = mail()
        with pytest.raises(ZeroDivisionError, match="a bug"):
            message.send()
        assert message.migma_status.status == {"unknown"}


class TestSeveralRecipients:
    def test_every_one_is_attempted(self, wire):
        wire.answers(REFUSED, OK, REFUSED)
        message = mail("a@example.org", "b@example.org", "c@example.org")
        with pytest.raises(SendFailed, match="2 failures in one call, and 1 messages sent") as caught:
            message.send()
        statuses = {address: status.status for address, status in message.migma_status.recipients.items()}
        assert statuses == {"a@example.org": "failed", "b@example.org": "queued", "c@example.org": "failed"}
        assert isinstance(caught.value.__cause__, InvalidRequest)
        assert "@example.org" not in str(caught.value)

    def test_exactly_one_failure_is_raised_itself(self, wire):
        wire.answers(OK, REFUSED)
        with pytest.raises(InvalidRequest, match=r"Migma answered 400: Invalid email address\. Correct what"):
            mail("a@example.org", "b@example.org").send()

    def test_a_message_counts_with_one_accepted_recipient(self, wire, migma):
        migma(FAIL_SILENTLY=True)
        wire.answers(OK, REFUSED)
        assert mail("a@example.org", "b@example.org").send() == 1

    def test_message_id_is_a_set(self, wire):
        wire.answers((200, {"success": True, "data": {"id": "m1"}}), (200, {"success": True, "data": {"id": "m2"}}))
        message = mail("a@example.org", "b@example.org")
        message.send()
        assert message.migma_status.message_id == {"m1", "m2"}

    def test_the_first_thousand_failures_are_kept(self, wire, connection):
        with pytest.raises(SendFailed) as caught:
            connection().send_messages(mail(tags=["refused"]) for _ in range(1003))
        assert (caught.value.failed_count, len(caught.value.failures)) == (1003, 1000)

    def test_doubt_of_any_failure_is_kept(self, wire, connection):
        """Also of one after the first thousand."""
        wire.answers((500, {"success": False, "error": "oops"}))
        refused = (mail(tags=["refused"]) for _ in range(1000))
        with pytest.raises(SendFailed) as caught:
            connection().send_messages(chain(refused, [mail()]))
        assert caught.value.may_have_been_accepted

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_one_temporary_failure_asks_to_be_tried_again(self, wire, status):
        """``autoretry_for=(TemporaryError,)`` in a task catches it."""
        wire.answers((status, {"success": False, "error": "later"}))
        with pytest.raises(TemporaryError):
            mail().send()

    def test_failures_that_are_all_temporary_are_so_together(self, wire):
        wire.answers((503, {"success": False, "error": "busy"}), requests.ConnectionError("cut"))
        with pytest.raises(TemporarySendFailed, match=r"2 failures in one call.*Send again later, with the same"):
            mail("a@example.org", "b@example.org").send()

    def test_one_failure_that_stays_makes_all_of_them_a_plain_send_failed(self, wire):
        wire.answers((503, {"success": False, "error": "busy"}), REFUSED)
        with pytest.raises(SendFailed) as caught:
            mail("a@example.org", "b@example.org").send()
        assert not isinstance(caught.value, TemporaryError)
        assert caught.value.hint == ""

    def test_a_refusal_after_the_first_thousand_failures_counts(self, wire, connection):
        """Those that are not kept for ``failures`` are not forgotten."""
        wire.answers((503, {"success": False, "error": "busy"}))
        messages = chain((mail() for _ in range(1001)), [mail(tags=["refused"])])
        with pytest.raises(SendFailed) as caught:
            connection().send_messages(messages)
        assert all(isinstance(error, ServerError) for _, error in caught.value.failures)
        assert not isinstance(caught.value, TemporaryError)

    def test_send_failed_pickles_with_its_messages(self, wire):
        wire.answers(REFUSED)
        with pytest.raises(SendFailed) as caught:
            mail("a@example.org", "b@example.org").send()
        again = pickle.loads(pickle.dumps(caught.value))
        assert again.failed_count == 2
        assert str(again) == str(caught.value)


class TestStopping:
    """What would hit every call alike stops the call."""

    def send(self, connection, messages, error):
        with pytest.raises(error):
            connection().send_messages(messages)
        return [next(iter(message.migma_status.status)) for message in messages]

    def test_401(self, wire, connection):
        wire.answers(OK, (401, {"success": False, "error": "no"}))
        words = self.send(connection, [mail() for _ in range(5)], AuthenticationError)
        assert words == ["queued", "failed", "not_attempted", "not_attempted", "not_attempted"]
        assert len(wire.mock.calls) == 2

    def test_401_in_the_middle_of_a_message(self, wire):
        wire.answers((401, {"success": False, "error": "no"}))
        message = mail("a@example.org", "b@example.org")
        with pytest.raises(AuthenticationError, match=r"Check the API key \(MIGMA\['API_KEY'\]\)"):
            message.send()
        assert [status.status for status in message.migma_status.recipients.values()] == ["failed", "not_attempted"]

    def test_403_before_anything_was_accepted(self, wire, connection):
        wire.answers((403, {"success": False, "error": "Missing permission email:send"}))
        words = self.send(connection, [mail() for _ in range(3)], Forbidden)
        assert words == ["failed", "not_attempted", "not_attempted"]

    def test_403_later_is_about_that_mail_alone(self, wire, connection):
        wire.answers(OK, (403, {"success": False, "error": "domain"}), OK)
        assert self.send(connection, [mail() for _ in range(3)], Forbidden) == ["queued", "failed", "queued"]

    def test_no_connection_for_a_whole_deadline(self, wire, migma, connection):
        migma(API_URL="http://127.0.0.1:9/v1", MAX_RETRIES=10, MAX_CONCURRENCY=1)
        wire.mock.add_passthru("http://127.0.0.1:9/")
        messages = [mail() for _ in range(200)]
        backend = connection()
        backend.clock = FakeClock()
        with pytest.raises((SendFailed, NoResponse)):
            backend.send_messages(messages)
        assert messages[0].migma_status.status == {"failed"}
        assert messages[-1].migma_status.status == {"not_attempted"}

    def test_one_bad_route_among_good_ones_is_no_outage(self, wire, migma, connection):
        """Calls that began before another one succeeded prove nothing."""
        migma(MAX_RETRIES=0, MAX_CONCURRENCY=2)
        backend = connection()
        backend.clock = FakeClock()
        began, late = threading.Event(), []

        def answer(request):
            if b"slow@" in request.body:
                began.set()
                until(lambda: len(late) > 2)
                raise requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))
            if b"late@" in request.body:
                late.append(request)
            return 200, {}, '{"success": true}'

        wire.mock.add_callback("POST", SENDING, answer)

        def generate():
            yield mail()
            yield mail("slow@example.org")
            assert began.wait(60)
            backend.clock.now += 100
            for _ in range(20):
                yield mail("late@example.org")

        with pytest.raises(NoResponse, match="no connection was made"):
            backend.send_messages(generate())
        assert len(wire.bodies) == 22

    def test_a_slow_generator_is_no_outage(self, wire, migma, connection):
        """What counts is how long the API has been out of reach, not how long the caller took."""
        migma(API_URL="http://127.0.0.1:9/v1")
        wire.mock.add_passthru("http://127.0.0.1:9/")
        backend = connection()
        backend.clock = FakeClock()

        def slowly():
            backend.clock.now += 100
            for _ in range(3):
                yield mail()

        with pytest.raises(SendFailed, match="3 failures"):
            backend.send_messages(slowly())

    def test_a_refusal_that_is_collected_late_is_no_outage(self, wire, migma, connection):
        """What counts is when a call ended, not when the generator gave time to look at it."""
        migma(MAX_CONCURRENCY=2)
        wire.accepts()
        mail().send()
        wire.mock.reset()
        refused = requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))
        backend, readings = connection(), []
        backend.clock = WatchedClock()

        def answer(request):
            if b"refused@" in request.body:
                readings.append(backend.clock.readings)
                raise refused
            return 200, {}, '{"success": true}'

        wire.mock.add_callback("POST", SENDING, answer)

        def slowly():
            yield mail("refused@example.org")
            until(lambda: readings and backend.clock.readings > readings[0])  # its thread has noted when it ended
            backend.clock.now += 100
            for _ in range(20):
                yield mail()

        with pytest.raises(NoResponse, match="no connection was made"):
            backend.send_messages(slowly())
        assert len(wire.bodies) == 21

    def test_answers_before_a_refused_connection_are_no_outage(self, wire, connection):
        """Four 503s take most of the deadline; the API has answered all the same, and goes on to."""
        refused = requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused")))
        busy = (503, {"success": False, "error": "busy"}, {"Retry-After": "4"})
        wire.answers(*[busy] * 4, refused, (200, {"success": True}))
        backend = connection(max_concurrency=1, max_retries=4, retry_deadline=20)
        backend.clock = FakeClock()
        messages = [mail() for _ in range(3)]
        with pytest.raises(NoResponse, match=r"after 5 attempts"):
            backend.send_messages(messages)
        assert [message.migma_status.status for message in messages] == [{"failed"}, {"queued"}, {"queued"}]

    def test_a_wait_for_a_rate_limit_is_no_outage(self, wire, connection):
        """The first call waits ten minutes, and then finds no connection: that has not lasted for a deadline."""
        clock = FakeClock()
        wire.answers(
            (429, {"success": False, "error": "slow down"}, {"Retry-After": "500"}),
            requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "refused"))),
        )
        backend = connection(max_concurrency=1, max_retries=0)
        backend.clock = clock
        messages = [mail() for _ in range(3)]
        with pytest.raises(SendFailed, match="3 failures"):
            backend.send_messages(messages)
        assert clock.slept[0] == 500
        assert len(wire.bodies) == 4

    def test_an_iterator_is_not_consumed_further(self, wire, connection):
        wire.answers((401, {"success": False, "error": "no"}))
        messages = iter([mail() for _ in range(3)])
        with pytest.raises(AuthenticationError):
            connection().send_messages(messages)
        assert len(list(messages)) == 2

    def test_messages_with_bad_addresses_are_marked_too(self, wire, connection):
        wire.answers((401, {"success": False, "error": "no"}))
        messages = [mail(), mail("nobody", "b@example.org")]
        self.send(connection, messages, AuthenticationError)
        assert list(messages[1].migma_status.recipients) == ["nobody", "b@example.org"]


class TestSendingAgain:
    def test_only_those_who_are_not_accepted_are_called(self, wire):
        wire.answers(OK, REFUSED, OK)
        message = mail("a@example.org", "b@example.org")
        with pytest.raises(InvalidRequest):
            message.send()
        assert message.send() == 1
        assert [body["recipientEmail"] for body in wire.bodies] == ["a@example.org", "b@example.org", "b@example.org"]
        assert message.migma_status.status == {"queued"}
        assert list(message.migma_status.recipients) == ["a@example.org", "b@example.org"]

    def test_unchanged_it_has_the_same_key(self, wire):
        wire.answers((500, {"success": False, "error": "oops"}), OK)
        message = mail()
        with pytest.raises(ServerError):
            message.send()
        message.send()
        assert wire.keys[0] == wire.keys[1]

    def test_changed_it_has_another(self, wire):
        wire.answers((500, {"success": False, "error": "oops"}), OK)
        message = mail()
        with pytest.raises(ServerError):
            message.send()
        message.subject = "Hello again"
        message.send()
        assert wire.keys[0] != wire.keys[1]

    def test_after_full_success_it_is_a_new_mail(self, wire):
        wire.answers(OK)
        message = mail()
        message.send()
        message.send()
        assert len(set(wire.keys)) == 2

    def test_without_the_refused_recipient_no_other_is_called_twice(self, wire):
        """The natural repair: take the bad address out, and send again."""
        wire.answers(OK, REFUSED)
        message = mail("a@example.org", "b@example.org")
        with pytest.raises(InvalidRequest):
            message.send()
        message.to = ["a@example.org"]
        assert message.send() == 1
        assert len(wire.bodies) == 2
        assert message.migma_status.status == {"queued"}

    def test_a_loop_over_one_object_loses_no_recipient(self, wire):
        """One address after another in the same message, and one of them twice: each is a mail of its own."""
        wire.answers(OK, REFUSED, OK)
        message = mail("a@example.org")
        for address in ("a@example.org", "b@example.org", "c@example.org", "a@example.org"):
            message.to = [address]
            with contextlib.suppress(InvalidRequest):
                message.send()
        assert [body["recipientEmail"][0] for body in wire.bodies] == ["a", "b", "c", "a"]
        assert len(set(wire.keys)) == 4

    def test_copies_of_a_message_are_mails_of_their_own(self, wire):
        """A template that is copied before each send is not one mail for Migma."""
        wire.answers(OK)
        template = mail()
        for again in (copy.deepcopy(template), copy.copy(template), pickle.loads(pickle.dumps(template))):
            assert again.send() == 1
        assert len(set(wire.keys)) == 3
        assert template.migma_status.status == set()

    def test_shallow_copies_in_one_list_keep_statuses_of_their_own(self, wire, connection, migma):
        migma(MAX_CONCURRENCY=4)
        wire.answers(OK)
        template, copies = mail(), []
        for number in range(20):
            copies.append(copy.copy(template))
            copies[-1].to = [f"r{number}@example.org"]
        assert connection().send_messages(copies) == 20
        assert [list(one.migma_status.recipients) for one in copies] == [one.to for one in copies]

    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_the_same_object_twice_in_a_list_is_two_mails(self, wire, connection, migma, concurrency):
        migma(MAX_CONCURRENCY=concurrency)
        wire.answers(OK)
        message = mail()
        assert connection().send_messages([mail(), message, message]) == 3
        assert len(set(wire.keys)) == 3

    def test_a_cancelled_attempt_forgets_nothing(self, wire):
        """Who was accepted before is not called again after it."""

        def cancel(sender, message, **kwargs):
            raise signals.CancelSend

        wire.answers(OK, REFUSED, OK)
        message = mail("a@example.org", "b@example.org")
        with pytest.raises(InvalidRequest):
            message.send()
        signals.pre_send.connect(cancel)
        try:
            assert message.send() == 0
        finally:
            signals.pre_send.disconnect(cancel)
        message.send()
        assert [body["recipientEmail"][0] for body in wire.bodies] == ["a", "b", "b"]

    @pytest.mark.parametrize("status", [401, 409, 429])
    def test_doubt_is_not_forgotten(self, wire, status):
        """The first answer was lost; a closed door to the second says nothing about the first."""
        wire.answers(requests.ConnectionError("lost"), (status, {"success": False, "error": "no"}))
        message = mail()
        for _ in range(2):
            with pytest.raises(Exception, match="Idempotency key: ") as caught:
                message.send()
        assert caught.value.may_have_been_accepted
        assert message.migma_status.status == {"unknown"}

    def test_doubt_outlives_a_send_that_never_came_to_it(self, wire, connection):
        """The first answer was lost, the second call stops before this message, the third message is refused here."""
        wire.answers(requests.ConnectionError("lost"), (401, {"success": False, "error": "no"}))
        message = mail()
        with pytest.raises(NoResponse):
            message.send()
        key = message.migma_status.recipients["a@example.org"].idempotency_key
        with pytest.raises(AuthenticationError):
            connection().send_messages([mail(), message])
        message.tags = ["refused"]
        with pytest.raises(UnsupportedFeature):
            message.send()
        recipient = message.migma_status.recipients["a@example.org"]
        assert (recipient.status, recipient.idempotency_key) == ("unknown", key)

    def test_an_old_failure_is_not_told_as_a_new_one(self, wire):
        """The second recipient was in doubt and is not called again, as the first call shows that the key is bad."""
        wire.answers(
            (400, {"success": False, "error": "no"}),
            requests.ConnectionError("lost"),
            (401, {"success": False, "error": "no"}),
        )
        message = mail("a@example.org", "b@example.org")
        with pytest.raises(SendFailed):
            message.send()
        with pytest.raises(AuthenticationError):
            message.send()
        assert [one.status for one in message.migma_status.recipients.values()] == ["failed", "unknown"]

    def test_a_refusal_in_between_forgets_no_recipient(self, wire):
        """Accepted, then refused here for whatever reason, then mended: no second mail."""
        wire.answers(OK, REFUSED)
        message = mail("a@example.org", "b@example.org")
        with pytest.raises(InvalidRequest):
            message.send()
        message.to, message.tags, message.idempotency_key = ["a@example.org"], ["refused"], 7
        with pytest.raises(UnsupportedFeature):
            message.send()
        message.tags = None
        with pytest.raises(TypeError, match="idempotency_key must be a string"):
            message.send()
        message.idempotency_key = None
        assert message.send() == 1
        assert len(wire.bodies) == 2

    def test_another_spelling_of_a_domain_is_the_same_mailbox(self, wire):
        wire.answers(OK, REFUSED, OK)
        message = mail("a@EXAMPLE.org", "b@example.org")
        with pytest.raises(InvalidRequest):
            message.send()
        message.to = ["a@example.org", "b@example.org"]
        message.send()
        assert [body["recipientEmail"][0] for body in wire.bodies] == ["a", "b", "b"]

    def test_an_exception_from_outside_leaves_a_mail_that_can_be_taken_up(self, wire):
        """A time limit in the second of three calls: the first is not repeated, the second keeps its key."""
        wire.answers(OK, TimeoutErrorOfAQueue(), OK)
        message = mail("a@example.org", "b@example.org", "c@example.org")
        with pytest.raises(TimeoutErrorOfAQueue):
            message.send()
        assert [one.status for one in message.migma_status.recipients.values()] == [
            "queued",
            "unknown",
            "not_attempted",
        ]
        assert message.send() == 1
        assert [body["recipientEmail"][0] for body in wire.bodies] == ["a", "b", "b", "c"]
        assert wire.keys[1] == wire.keys[2]

    def test_a_conflict_with_a_doubtful_first_send_is_tried_again(self, wire, migma):
        """That send may still be running."""
        migma(MAX_RETRIES=1)
        conflict = (409, {"success": False, "error": "running"})
        wire.answers(requests.ConnectionError("lost"), requests.ConnectionError("lost"), conflict, OK)
        message = mail()
        with pytest.raises(NoResponse):
            message.send()
        assert message.send() == 1

    def test_the_callers_key_is_the_same_in_every_process(self, wire):
        wire.answers(OK)
        mail(idempotency_key="order-7").send()
        mail(idempotency_key="order-7").send()
        assert len(set(wire.keys)) == 1

    @pytest.mark.parametrize("about", [{"idempotency_key": "7"}, {"headers": {"Message-ID": "<7@example.com>"}}])
    def test_with_a_key_of_its_own_a_second_send_is_no_new_mail(self, wire, about):
        """Nor is one after a failure in part, where the accepted recipient is not called again."""
        wire.answers(OK, REFUSED, OK)
        message = mail("a@example.org", "b@example.org", **about)
        with pytest.raises(InvalidRequest):
            message.send()
        message.send()
        message.send()
        assert [body["recipientEmail"][0] for body in wire.bodies] == ["a", "b", "b", "a", "b"]
        assert len(set(wire.keys)) == 2

    def test_a_refused_message_can_be_mended(self, wire):
        wire.answers(OK)
        message = mail(tags=["a"])
        with pytest.raises(UnsupportedFeature):
            message.send()
        message.tags = None
        assert message.send() == 1


class TestMigmaMessage:
    def test_starts_with_an_empty_status(self):
        message = mail()
        assert message.migma_status.status == set()
        assert message.migma_status.message_id is None
        assert repr(message.migma_status) == "<MessageStatus: not sent; 0 recipients>"
        assert message.anymail_status is message.migma_status

    def test_knows_no_other_keywords(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'template'"):
            MigmaMessage(template=EMAIL_ID)

    def test_status_travels_with_a_copy(self, wire):
        wire.answers(REFUSED)
        message = mail()
        with pytest.raises(InvalidRequest):
            message.send()
        again = copy.deepcopy(message)
        assert again.migma_status.status == {"failed"}
        assert str(again.migma_status.recipients["a@example.org"].error).startswith("Migma answered 400")


class TestSignals:
    @pytest.fixture
    def heard(self):
        heard = []

        def listen(name):
            def receiver(sender, **kwargs):
                kwargs.pop("signal")
                heard.append((name, sender.__name__, kwargs))

            return receiver

        receivers = {name: listen(name) for name in ("pre_send", "post_send", "batch_finished")}
        for name, receiver in receivers.items():
            getattr(signals, name).connect(receiver)
        yield heard
        for name, receiver in receivers.items():
            getattr(signals, name).disconnect(receiver)

    def test_order_and_arguments(self, wire, connection, heard):
        wire.answers(OK, REFUSED)
        backend, messages = connection(), [mail(), mail()]
        with pytest.raises(InvalidRequest):
            backend.send_messages(messages)
        assert [(name, sender) for name, sender, _ in heard] == [
            ("pre_send", "EmailBackend"),
            ("post_send", "EmailBackend"),
            ("pre_send", "EmailBackend"),
            ("post_send", "EmailBackend"),
            ("batch_finished", "EmailBackend"),
        ]
        assert heard[0][2] == {"message": messages[0], "alias": backend.alias}
        status = messages[1].migma_status
        assert heard[3][2] == {"message": messages[1], "status": status, "alias": backend.alias}
        assert heard[4][2] == {"messages_sent": 1, "alias": backend.alias}

    def test_pre_send_may_change_the_message(self, wire):
        def give_design(sender, message, **kwargs):
            message.template_id = EMAIL_ID

        wire.answers(OK)
        signals.pre_send.connect(give_design)
        try:
            EmailMessage("Hello", "text", None, ["a@example.org"]).send()
        finally:
            signals.pre_send.disconnect(give_design)
        assert wire.body["emailId"] == EMAIL_ID

    def test_pre_send_may_cancel(self, wire, heard):
        def cancel(sender, message, **kwargs):
            raise signals.CancelSend

        signals.pre_send.connect(cancel)
        message = mail()
        try:
            assert message.send() == 0
        finally:
            signals.pre_send.disconnect(cancel)
        assert message.migma_status.recipients == {}
        assert [name for name, _, _ in heard] == ["pre_send", "batch_finished"]

    def test_an_error_in_pre_send_reaches_the_caller_and_leaves_true_statuses(self, wire, connection):
        def fail(sender, message, **kwargs):
            if message.subject == "bad":
                raise RuntimeError("receiver")

        wire.answers(OK)
        signals.pre_send.connect(fail)
        messages = [mail(), mail(subject="bad"), mail()]
        try:
            with pytest.raises(RuntimeError, match="receiver"):
                connection().send_messages(messages)
        finally:
            signals.pre_send.disconnect(fail)
        assert [message.migma_status.status for message in messages] == [
            {"queued"},
            {"not_attempted"},
            {"not_attempted"},
        ]

    def test_an_error_in_post_send_hides_no_mail(self, wire, caplog):
        def fail(sender, **kwargs):
            raise RuntimeError("receiver")

        wire.answers(OK)
        signals.post_send.connect(fail)
        try:
            assert mail().send() == 1
        finally:
            signals.post_send.disconnect(fail)
        assert "receiver" in caplog.text
