"""What an interrupt leaves behind: statuses that are true, whenever it comes and however often."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import django_migma
from django_migma import signals
from django_migma.backends import EmailBackend, dispatcher
from django_migma.backends.workers import Workers
from django_migma.exceptions import SendFailed
from django_migma.message import MigmaMessage
from tests.api.clocks import FakeClock, until
from tests.conftest import SENDING

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
OK = 200, {}, '{"success": true, "data": {"id": "m", "status": "queued"}}'
LIMITED = 429, {"Retry-After": "0"}, '{"success": false, "error": "slow down"}'
PACKAGE = str(Path(django_migma.__file__).parent)


class SoftTimeLimit(Exception):
    """Like Celery's SoftTimeLimitExceeded: raised wherever the main thread is."""


def mail(number=0, **kwargs):
    to = [f"r{number}@example.org"]
    return MigmaMessage(**({"subject": f"{number}", "to": to, "template_id": EMAIL_ID} | kwargs))


def statuses(messages):
    return [next(iter(message.migma_status.status)) for message in messages]


def unaccepted(messages):
    """The messages that have not been accepted for everybody, as far as their statuses say."""
    return [
        message
        for message in messages
        if not all(recipient.accepted for recipient in message.migma_status.recipients.values())
        or not message.migma_status.recipients
    ]


@pytest.fixture
def answering(wire):
    """A wire whose key has been accepted, so that calls go to threads at once; answers come from a function.

    At the end it waits for the threads, or a late call would meet the wire of the next test.
    """
    wire.accepts()
    mail().send()
    wire.mock.reset()
    earlier = set(threading.enumerate())

    def answer_with(callback):
        wire.mock.add_callback("POST", SENDING, callback)
        return wire

    yield answer_with
    end_threads(earlier)


def end_threads(earlier=()):
    """Wait for the threads that make calls, but for earlier ones."""
    threads = [thread for thread in {*threading.enumerate()} - {*earlier} if thread.name == "django-migma"]
    assert [thread for thread in threads if thread.join(60) or thread.is_alive()] == []


def close_workers():
    """Let the threads end that a strike has left waiting: it fell on the very line that was to end them."""
    list(map(Workers.close, [one for one in gc.get_objects() if isinstance(one, Workers)]))


@contextlib.contextmanager
def connected(signal, receiver):
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


@pytest.fixture
def stuck(answering, monkeypatch):
    """The third call gets no answer until the test is over; an interrupt waits for it a tenth of a second.

    The value waits until so many calls have begun, the third among them.
    """
    monkeypatch.setattr(dispatcher, "GRACE", 0.1)
    release, begun, changed = threading.Event(), set(), threading.Condition()

    def answer(request):
        with changed:
            begun.add(json.loads(request.body)["subject"])
            changed.notify_all()
        if b'"subject":"2"' in request.body:
            release.wait(60)
        return OK

    def wait_for(count):
        with changed:
            assert changed.wait_for(lambda: len(begun) == count and "2" in begun, timeout=60)

    answering(answer)
    yield wait_for
    release.set()


class TestOneInterrupt:
    def test_what_is_in_flight_is_unknown_and_what_was_answered_is_accepted(self, stuck, connection):
        messages = [mail(number) for number in range(5)]

        def interrupted():
            yield from messages[:4]
            stuck(4)
            until(lambda: statuses(messages[:4]).count("queued") == 3)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            connection().send_messages(interrupted())
        assert statuses(messages[:4]) == ["queued", "queued", "unknown", "queued"]
        assert messages[2].migma_status.recipients["r2@example.org"].idempotency_key
        assert messages[4].migma_status.status == set()

    def test_what_is_in_flight_is_given_time(self, answering, connection, monkeypatch):
        monkeypatch.setattr(dispatcher, "GRACE", 60)
        begun, release = threading.Event(), threading.Event()

        def answer(request):
            begun.set()
            release.wait(60)
            time.sleep(0.1)  # in which nobody would wait for it any more
            return OK

        def interrupted():
            yield message
            assert begun.wait(60)
            release.set()
            raise KeyboardInterrupt

        answering(answer)
        message = mail()
        with pytest.raises(KeyboardInterrupt):
            connection().send_messages(interrupted())
        assert statuses([message]) == ["queued"]

    def test_the_rest_of_a_list_is_not_attempted(self, stuck, connection):
        def interrupt(sender, message, **kwargs):
            if message.subject == "3":
                stuck(3)
                raise SystemExit

        messages = [mail(number) for number in range(6)]
        with connected(signals.pre_send, interrupt), pytest.raises(SystemExit):
            connection().send_messages(messages)
        assert statuses(messages[2:]) == ["unknown", "not_attempted", "not_attempted", "not_attempted"]

    def test_while_the_last_answers_are_waited_for(self, stuck, connection):
        """Ctrl-C after everything was handed over: the stuck call is unknown, the others are what they are."""
        messages = [mail(number) for number in range(4)]

        def interrupt(sender, message, **kwargs):
            if message.subject == "1":
                stuck(4)
                raise KeyboardInterrupt

        with connected(signals.post_send, interrupt), pytest.raises(KeyboardInterrupt):
            connection().send_messages(messages)
        assert messages[2].migma_status.status == {"unknown"}

    def test_in_the_callers_own_call(self, wire, connection):
        def interrupt(request):
            raise KeyboardInterrupt

        wire.mock.add_callback("POST", SENDING, interrupt)
        messages = [mail(0), mail(1)]
        with pytest.raises(KeyboardInterrupt):
            connection().send_messages(messages)
        assert statuses(messages) == ["unknown", "not_attempted"]

    def test_a_late_answer_still_improves_the_status(self, answering, connection, monkeypatch):
        """The call had begun; no code waits for it any more, but its thread records the result."""
        monkeypatch.setattr(dispatcher, "GRACE", 0)
        begun, release = threading.Event(), threading.Event()

        def answer(request):
            begun.set()
            release.wait(60)
            return OK

        def interrupted():
            yield from messages
            assert begun.wait(60)
            raise KeyboardInterrupt

        answering(answer)
        messages = [mail(0)]
        with pytest.raises(KeyboardInterrupt):
            connection().send_messages(interrupted())
        assert statuses(messages) == ["unknown"]
        release.set()
        end_threads()
        assert statuses(messages) == ["queued"]


class TestTwoInterrupts:
    @pytest.mark.parametrize("second", [KeyboardInterrupt, SystemExit, SoftTimeLimit])
    @pytest.mark.parametrize("first", [KeyboardInterrupt, SystemExit])
    def test_the_second_one_in_the_clean_up_of_the_first(self, stuck, connection, first, second):
        """The mail that the API has never says ``not_attempted``: sent again, it would come twice."""
        messages = [mail(number) for number in range(4)]

        def interrupted():
            yield from messages
            stuck(4)
            raise first

        def strike_again(sender, message, **kwargs):
            raise second

        # Of what a receiver of post_send raises, only what is no Exception reaches the caller.
        expected = first if issubclass(second, Exception) else second
        with connected(signals.post_send, strike_again), pytest.raises(expected):
            connection().send_messages(interrupted())
        assert statuses(messages)[2] == "unknown"
        assert not {"not_attempted", "failed"} & set(statuses(messages))

    def test_sending_again_uses_the_same_keys(self, answering, connection, monkeypatch):
        monkeypatch.setattr(dispatcher, "GRACE", 0)
        keys = {}

        def answer(request):
            keys.setdefault(json.loads(request.body)["subject"], []).append(request.headers["Idempotency-Key"])
            return OK

        def interrupted():
            yield from messages
            raise KeyboardInterrupt

        def strike_again(**kwargs):
            raise KeyboardInterrupt

        answering(answer)
        messages = [mail(number) for number in range(4)]
        with connected(signals.post_send, strike_again), pytest.raises(KeyboardInterrupt):
            connection().send_messages(interrupted())
        connection().send_messages(unaccepted(messages))
        assert statuses(messages) == ["queued"] * 4
        assert all(len(set(used)) == 1 for used in keys.values())


class Strikes:
    """Raises in the thread of `run` at the n-th line of the package that it comes to, and again some lines later."""

    TOOL = 4

    def __init__(self, first, gap, kinds):
        self.lines = 0
        self._moments = {first: kinds[0], first + gap: kinds[1]}
        self._kinds = kinds
        self._thread = None

    def run(self, send):
        """Call ``send`` in a thread of its own; True if it was not struck.

        Of its own, since an exception out of a LINE event at the end of an ``except`` clause leaves what was handled
        there on the thread's stack, as the context of all that the thread raises later. A true signal strikes
        elsewhere.
        """
        unstruck = []

        def run():
            with contextlib.suppress(*self._kinds):
                send()
                unstruck.append(True)

        self._thread = threading.Thread(target=run)
        with self:
            self._thread.start()
            self._thread.join()
        return bool(unstruck)

    def __enter__(self):
        monitoring = sys.monitoring
        monitoring.use_tool_id(self.TOOL, "strikes")
        monitoring.register_callback(self.TOOL, monitoring.events.LINE, self._line)
        monitoring.set_events(self.TOOL, monitoring.events.LINE)
        return self

    def __exit__(self, *about):
        monitoring = sys.monitoring
        monitoring.set_events(self.TOOL, 0)
        monitoring.register_callback(self.TOOL, monitoring.events.LINE, None)
        monitoring.free_tool_id(self.TOOL)

    def _line(self, code, line):  # pragma: no cover - what monitoring calls is not traced
        if not code.co_filename.startswith(PACKAGE):
            return sys.monitoring.DISABLE
        if threading.current_thread() is self._thread:
            self.lines += 1
            if kind := self._moments.pop(self.lines, None):
                raise kind
        return None


class Ledger:
    """What the API has accepted, by recipient, each key once."""

    def __init__(self):
        self.keys = {}

    def accept(self, request):
        body = json.loads(request.body)
        self.keys.setdefault(body["recipientEmail"], set()).add(request.headers["Idempotency-Key"])

    def contradictions(self, messages):
        """Accepted mail that a status denies, and statuses that claim what was not accepted."""
        statuses = [pair for message in messages for pair in message.migma_status.recipients.items()]
        denied = [one for address, one in statuses if address in self.keys and not (one.accepted or one.in_doubt)]
        claimed = [one for address, one in statuses if address not in self.keys and one.accepted]
        return Counter([f"accepted, but {one.status}" for one in denied] + ["not accepted" for _ in claimed])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
@pytest.mark.parametrize(
    "kinds",
    [(KeyboardInterrupt, KeyboardInterrupt), (SoftTimeLimit, SystemExit)],
    ids=["Ctrl-C twice", "soft time limit and exit"],
)
def test_no_line_is_a_wrong_moment(answering, connection, migma, monkeypatch, kinds):
    """Struck at every few lines, twice: statuses agree with the API, and sending again doubles nothing."""
    # After an exception, the calls that a strike has cut off are waited for so long. Requests go by another clock.
    migma(MAX_CONCURRENCY=2, RETRY_DEADLINE=0.2, TIMEOUT=0.2, RATE_LIMIT_WAIT=5)
    monkeypatch.setattr(EmailBackend, "clock", FakeClock())
    monkeypatch.setattr(dispatcher, "GRACE", 0.05)
    monkeypatch.setattr("django_migma.api.retries.BACKOFF_FACTOR", 0.001)
    ledger, requests = Ledger(), []

    def answer(request):
        requests.append(request)
        if len(requests) % 4 == 3:
            return LIMITED
        ledger.accept(request)
        return OK

    answering(answer)
    first, last, rounds_interrupted, found = 1, 10_000, 0, Counter()
    while first <= last:
        requests.clear()
        # Each round has recipients of its own: a call that an interrupt has left in flight may be late.
        two = mail(0, to=[f"a{first}@example.org", f"b{first}@example.org"])
        messages = [two, *(mail(f"{first}-{number}") for number in range(3))]
        strikes = Strikes(first, gap=first % 37 + 1, kinds=kinds)
        if strikes.run(lambda: connection().send_messages(messages)):  # noqa: B023 - called at once
            last = strikes.lines
        rounds_interrupted += last > first
        found += ledger.contradictions(messages)
        connection().send_messages(unaccepted(messages))
        found += ledger.contradictions(messages)
        assert all(status == "queued" for message in messages for status in message.migma_status.status)
        first += 13
    close_workers()
    assert rounds_interrupted > 10
    found["doubled"] += sum(len(keys) > 1 for keys in ledger.keys.values())
    assert +found == Counter()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_no_line_of_sending_again_is_a_wrong_moment(answering, connection, migma, monkeypatch):
    """A mail that was accepted for one recipient, and perhaps for another, is sent again and struck."""
    migma(MAX_CONCURRENCY=2, MAX_RETRIES=0)
    monkeypatch.setattr(dispatcher, "GRACE", 0.05)
    ledger, is_mended = Ledger(), False

    def answer(request):
        recipient = json.loads(request.body)["recipientEmail"]
        if recipient.startswith("b") and not is_mended:
            ledger.accept(request)
            return 500, {}, '{"success": false, "error": "oops"}'
        if recipient.startswith("c") and not is_mended:
            return 400, {}, '{"success": false, "error": "no"}'
        ledger.accept(request)
        return OK

    answering(answer)
    first, last = 1, 10_000
    while first <= last:
        is_mended = False
        message = mail(0, to=[f"{name}{first}@example.org" for name in "abc"])
        with pytest.raises(SendFailed):
            message.send()
        is_mended = True
        strikes = Strikes(first, gap=10_000, kinds=(KeyboardInterrupt, KeyboardInterrupt))
        if strikes.run(message.send):
            last = strikes.lines
        if message in unaccepted([message]):
            message.send()
        first += 3
    close_workers()
    assert sum(len(keys) > 1 for keys in ledger.keys.values()) == 0
