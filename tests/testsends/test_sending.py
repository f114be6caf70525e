"""Test sends: one call after the other, within a time limit, with an outcome for each."""

import time

import pytest
from django.core.mail import EmailMessage
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import ConnectTimeoutError

from django_migma.api.errors import (
    AuthenticationError,
    Forbidden,
    InvalidAddress,
    StoredEmailNotFound,
)
from django_migma.mailers import mailer
from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS
from django_migma.stored_emails import StoredEmailData
from django_migma.testsends.sending import (
    MAX_TESTS,
    SECONDS,
    TestSend,
    parse_addresses,
    send_live,
    send_live_tests,
    send_tests,
)
from tests.api.clocks import FakeClock

TEST_SEND = "http://127.0.0.1:9/v1/emails/test/send"
WELCOME = StoredEmailData(name="welcome", email_id=account.WELCOME)
RECEIPT = StoredEmailData(name="receipt", email_id=account.RECEIPT)
SERIES = StoredEmailData(name="series", conversation_id=account.SERIES_CONVERSATION)
ANSWER = {"messageId": "m1", "emailId": account.WELCOME, "sentTo": "a@example.org"}
ACCEPTED = (200, {"success": True, "data": ANSWER})


def outcomes(*stored, to="ada@example.org", **options):
    """The outcomes of sending these to one address."""
    return list(send_tests(mailer().config(), [TestSend(stored=one, to=to) for one in stored], **options))


def refusal(status, text, **more):
    return status, {"success": False, "error": text, **more}


@pytest.fixture
def answers(wire):
    """Let the endpoint of test sends answer with these in turn."""
    return lambda *given: wire.answers(*given, url=TEST_SEND)


class TestSending:
    def test_each_goes_out_once_as_it_is_stored(self, migma_sandbox):
        found = outcomes(WELCOME, RECEIPT)
        assert [outcome.status for outcome in found] == ["accepted", "accepted"]
        assert [message.body for message in migma_sandbox.store.messages()] == [
            {"to": "ada@example.org", "emailId": account.WELCOME},
            {"to": "ada@example.org", "emailId": account.RECEIPT},
        ]
        assert found[0].email_id == account.WELCOME
        assert found[0].text == "The sandbox accepted it."

    def test_a_conversation_with_one_email_goes_by_its_own_id(self, migma_sandbox):
        [outcome] = outcomes(StoredEmailData(name="c", conversation_id=account.WELCOME_CONVERSATION))
        assert outcome.status == "accepted"
        assert migma_sandbox.store.messages()[0].body["conversationId"] == account.WELCOME_CONVERSATION

    def test_the_address_goes_out_in_the_form_that_dns_knows(self, wire, answers):
        answers(ACCEPTED)
        assert outcomes(WELCOME, to="Ada <ada@straße.example>")[0].status == "accepted"
        assert wire.body["to"] == "ada@xn--strae-oqa.example"

    def test_it_begins_when_the_first_outcome_is_asked_for(self, wire, answers):
        answers(ACCEPTED)
        sending = send_tests(mailer().config(), [TestSend(stored=WELCOME, to="a@example.org")])
        assert len(wire.mock.calls) == 0
        assert next(sending).status == "accepted"


class TestRedirected:
    """With ``REDIRECT_TO``, as on a staging site, no test reaches another address."""

    @pytest.fixture(autouse=True)
    def redirect(self, migma):
        migma(REDIRECT_TO="Staging <staging@straße.example>")

    def test_a_test_goes_to_that_address_and_its_outcome_says_so(self, wire, answers):
        answers(ACCEPTED)
        [outcome] = outcomes(WELCOME)
        assert wire.body["to"] == "staging@xn--strae-oqa.example"
        assert (outcome.to, outcome.status) == ("ada@example.org", "accepted")
        assert outcome.text == "The sandbox accepted it. REDIRECT_TO sends it to Staging <staging@straße.example>."

    def test_a_doubt_says_where_to_look(self, answers):
        answers(refusal(500, ""))
        [outcome] = outcomes(WELCOME)
        assert outcome.status == "unknown"
        assert outcome.text.endswith(" REDIRECT_TO sends it to Staging <staging@straße.example>.")

    def test_an_invalid_address_is_refused_all_the_same(self, wire):
        [outcome] = outcomes(WELCOME, to="nobody")
        assert (outcome.status, wire.bodies) == ("failed", [])


class TestFailures:
    def test_a_series_says_that_migma_wants_one_email_and_the_next_still_goes_out(self, migma_sandbox):
        first, second = outcomes(SERIES, WELCOME)
        assert first.status == "failed"
        assert first.text == (
            "Migma answered 400: conversationId: this is a series of 2 emails; emailId is required. "
            "Correct what Migma names, and try again. "
            "If the conversation is a series, give the id of one email of the series."
        )
        assert second.status == "accepted"

    def test_an_id_that_migma_does_not_know(self, migma_sandbox):
        [outcome] = outcomes(StoredEmailData(name="x", email_id="0" * 24))
        assert outcome.status == "failed"
        assert outcome.text == (
            f"Migma answered 404: Email not found: emailId {'0' * 24}. "
            "Check the id, and that it belongs to the workspace of this API key."
        )

    def test_a_faulty_address_is_refused_here_and_the_next_still_goes_out(self, migma_sandbox):
        sends = [TestSend(stored=WELCOME, to=to) for to in ("nobody", "ada@example.org")]
        first, second = send_tests(mailer().config(), sends)
        assert (first.status, second.status) == ("failed", "accepted")
        assert isinstance(first.error, InvalidAddress)
        assert first.text == (
            "The recipient is not an address. Give one address, such as bob@example.com or Bob <bob@example.com>."
        )

    @pytest.mark.parametrize("stored", [StoredEmailData(name="x"), StoredEmailData(name="x", email_id="short")])
    def test_a_row_without_a_usable_id_is_an_outcome_too(self, wire, stored):
        [outcome] = outcomes(stored)
        assert outcome.status == "failed"
        assert isinstance(outcome.error, StoredEmailNotFound)
        assert outcome.text == "The stored email 'x' has no id of 24 hex digits. Give it the id that Migma shows."

    def test_a_refused_key_is_tried_once_and_the_rest_says_why(self, migma_sandbox, migma):
        migma(API_KEY=KEYS.revoked)
        first, second = outcomes(WELCOME, RECEIPT)
        assert (first.status, second.status) == ("failed", "not_attempted")
        assert first.text == (f"Migma answered 401: This API key was revoked. {AuthenticationError.hint}")
        assert second.text == f"Not sent: {first.text}"
        assert sum(migma_sandbox.store.stats()["requests"].values()) == 1

    def test_a_key_that_may_not_send_is_tried_once(self, migma_sandbox, migma):
        migma(API_KEY=KEYS.no_send)
        first, second = outcomes(WELCOME, RECEIPT)
        assert (first.status, second.status) == ("failed", "not_attempted")
        assert isinstance(second.error, Forbidden)
        assert first.text == (
            "Migma answered 403: This API key lacks the permission email:send. "
            "Give the API key the permission email:send in Migma's dashboard."
        )

    def test_without_a_connection_nothing_went_out_and_the_rest_is_not_tried(self, wire, answers):
        answers(ConnectTimeout(ConnectTimeoutError()))
        first, second = outcomes(WELCOME, RECEIPT)
        assert (first.status, second.status) == ("failed", "not_attempted")
        assert first.text == (
            "Migma did not answer in time (no connection was made, ConnectTimeoutError). "
            "Check API_URL, DNS, proxy and firewall, and try again."
        )
        assert len(wire.mock.calls) == 1

    @pytest.mark.parametrize("fault", ["lost", "500", "half", "html"])
    def test_what_may_have_arrived_is_in_doubt_and_never_sent_again(self, migma_sandbox, fault):
        migma_sandbox.faults.script(fault)
        first, second = outcomes(WELCOME, RECEIPT)
        assert (first.status, second.status) == ("unknown", "accepted")
        assert first.text.startswith("It may have arrived: check the inbox before you send it again. ")
        assert "idempotency" not in first.text
        assert migma_sandbox.store.stats()["requests"] == {"POST /v1/emails/test/send": 2}

    def test_another_refusal_is_shown_with_its_status(self, answers):
        answers(refusal(503, ""))
        [outcome] = outcomes(WELCOME)
        assert outcome.status == "failed"
        assert (
            outcome.text
            == "Migma answered 503: no reason given. Try again later; if it lasts, see Migma's status page."
        )

    def test_migmas_text_is_shown_without_addresses(self, answers):
        answers(refusal(400, "ada@example.org bounced"))
        assert outcomes(WELCOME)[0].text == (
            "Migma answered 400: <address> bounced. Correct what Migma names, and try again."
        )


def test_in_quiet_mode_a_recipient_after_a_refused_key_is_said_to_be_stopped(wire, migma):
    """Not that a receiver cancelled the mail."""
    migma(FAIL_SILENTLY=True)
    wire.answers(refusal(401, "revoked"))
    first, second = send_live(mailer(), EmailMessage("s", "b", None, ["a@example.org", "b@example.org"]))
    assert first.status == "failed"
    assert (second.status, second.text) == (
        "not_attempted",
        "Not sent: an error with an earlier recipient stopped it.",
    )


class TestTime:
    def test_a_confirmation_has_fifteen_seconds(self):
        assert SECONDS == 15
        assert MAX_TESTS == 50

    def test_what_there_is_no_time_for_is_not_sent(self, wire, answers):
        answers(ACCEPTED)
        clock = FakeClock()
        sending = send_tests(mailer().config(), [TestSend(stored=WELCOME, to="a@example.org")] * 2, clock=clock)
        assert next(sending).status == "accepted"
        clock.now += SECONDS - 0.9
        outcome = next(sending)
        assert (outcome.status, outcome.error) == ("not_attempted", None)
        assert outcome.text == "Not sent: the time for these tests ran out. Send the rest again."
        assert len(wire.mock.calls) == 1

    def test_a_slow_answer_ends_with_the_time_that_is_left(self, migma_sandbox, migma):
        """The clock stands until the first outcome is here, so that no stop of the machine uses the time up."""
        migma(TIMEOUT=120, RETRY_DEADLINE=120)
        migma_sandbox.faults.script("silent")
        clock, sends = FakeClock(), [TestSend(stored=stored, to="ada@example.org") for stored in (WELCOME, RECEIPT)]
        sending = send_tests(mailer().config(), sends, seconds=1.2, clock=clock)
        began = time.monotonic()
        assert next(sending).status == "unknown"
        taken = time.monotonic() - began
        assert taken < 60
        clock.now += taken
        assert next(sending).status == "not_attempted"

    def test_a_short_retry_after_holds_the_next_call_up(self, answers):
        answers((*refusal(429, "Too many"), {"Retry-After": "3"}), ACCEPTED)
        clock = FakeClock()
        first, second = outcomes(WELCOME, RECEIPT, clock=clock)
        assert (first.status, second.status) == ("failed", "accepted")
        assert first.text == ("Migma answered 429: Too many. Wait 3 s, then try again.")
        assert sum(clock.slept) == pytest.approx(3)

    def test_a_long_retry_after_is_not_waited_for(self, wire, answers):
        answers((*refusal(429, "Too many"), {"Retry-After": "60"}))
        clock = FakeClock()
        first, second = outcomes(WELCOME, RECEIPT, clock=clock)
        assert (first.status, second.status) == ("failed", "not_attempted")
        assert second.text.startswith("Not sent: ")
        assert second.text.endswith(" Wait 60 s, then try again.")
        assert clock.slept == []
        assert len(wire.mock.calls) == 1

    def test_without_a_time_a_429_names_a_minute(self, answers):
        answers(refusal(429, ""))
        assert outcomes(WELCOME)[0].text.endswith(" Wait a minute, then try again.")

    def test_our_own_pace_is_named_as_ours(self, answers, migma):
        migma(RATE_LIMIT="1/h")
        answers(ACCEPTED)
        first, second = outcomes(WELCOME, RECEIPT)
        assert (first.status, second.status) == ("accepted", "not_attempted")
        assert second.text.startswith("Not sent: RATE_LIMIT is used up. Wait 3")


class TestParseAddresses:
    @pytest.mark.parametrize(
        ("typed", "found"),
        [
            ("", []),
            (" ,;\r\n , ", []),
            ("a@example.org", ["a@example.org"]),
            ("a@example.org, b@example.org;c@example.org\nd@example.org", [f"{x}@example.org" for x in "abcd"]),
            ("a@example.org,a@EXAMPLE.org", ["a@example.org"]),
            ('"Doe, Ada" <a@example.org>, Bob <b@example.org>', ["a@example.org", "b@example.org"]),
            ("ada@straße.example", ["ada@straße.example"]),
        ],
    )
    def test_each_mailbox_once_whatever_separates_them(self, typed, found):
        assert parse_addresses(typed) == found

    @pytest.mark.parametrize("typed", ["nobody", "a b@example.org", 'x"@', "a@b@c", "x" * 2_000 + "@example.org"])
    def test_the_position_is_named_and_not_the_address(self, typed):
        with pytest.raises(InvalidAddress) as caught:
            parse_addresses(f"a@example.org,, {typed}, c@example.org")
        assert str(caught.value).startswith("Address 2 ")
        assert str(caught.value).endswith(" Give one address, such as bob@example.com or Bob <bob@example.com>.")
        assert typed not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None

    def test_no_more_than_a_confirmation_can_send_to(self):
        fifty = ",".join(f"a{number}@example.org" for number in range(MAX_TESTS))
        assert len(parse_addresses(f"{fifty},a0@example.org")) == MAX_TESTS
        with pytest.raises(InvalidAddress, match=r"^These are more than 50 addresses\.$"):
            parse_addresses(f"{fifty},b@example.org")

    @pytest.mark.parametrize(
        "typed",
        [
            ",".join(f"Name {number} <a{number}@example.org>" for number in range(200_000)),
            '"' * 1_000_000,
            '"a\n' * 300_000,
            "a" * 1_000_000,
        ],
        ids=["addresses", "quotes", "open quotes", "letters"],
    )
    def test_a_text_of_megabytes_is_refused_at_once(self, typed):
        began = time.thread_time()
        with pytest.raises(InvalidAddress):
            parse_addresses(typed)
        assert time.thread_time() - began < 5


class TestLive:
    """Tests through a mailer of the site."""

    @staticmethod
    def message(send):
        return EmailMessage("s", "b", None, [send.to])

    def outcomes(self, count=2, **options):
        sends = [TestSend(stored=WELCOME, to=f"a{number}@example.org") for number in range(count)]
        return send_live_tests(mailer(), sends, self.message, batch="", **options)

    def test_what_there_is_no_time_for_is_not_sent(self, wire, migma):
        migma(LAYOUT_EMAIL_ID=account.WELCOME)
        wire.accepts()
        clock = FakeClock()
        sending = self.outcomes(clock=clock)
        assert next(sending).status == "accepted"
        clock.now += SECONDS - 0.9
        outcome = next(sending)
        assert (outcome.status, len(wire.mock.calls)) == ("not_attempted", 1)
        assert outcome.text == "Not sent: the time for these tests ran out. Send the rest again."

    def test_a_slow_answer_and_its_repeats_end_with_the_time_that_is_left(self, migma_sandbox, migma):
        """Four seconds, of which the machine may take three."""
        migma(LAYOUT_EMAIL_ID=account.LAYOUT, TIMEOUT=120, RETRY_DEADLINE=120)
        migma_sandbox.faults.script("silent", "silent", "silent")
        began = time.monotonic()
        first, second = self.outcomes(seconds=4)
        assert time.monotonic() - began < 60
        assert (first.status, second.status) == ("unknown", "not_attempted")

    def test_a_rate_limit_that_lets_no_call_be_made_is_no_failure(self, wire, migma):
        migma(LAYOUT_EMAIL_ID=account.WELCOME, RATE_LIMIT="1/h")
        wire.accepts()
        first, second = self.outcomes()
        assert (first.status, second.status) == ("accepted", "not_attempted")
        assert second.text.startswith("Not sent: RATE_LIMIT is used up. Wait 3")
        assert len(wire.mock.calls) == 1
