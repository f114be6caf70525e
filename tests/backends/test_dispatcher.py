"""Sends in flight: many at a time, in bounded numbers, from threads that end; and what an interrupt leaves behind."""

import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import django
import pytest
from django.core.mail import send_mail

from django_migma import signals
from django_migma.api import SendResult
from django_migma.backends import EmailBackend
from django_migma.exceptions import SendFailed
from django_migma.message import MigmaMessage
from tests.conftest import SENDING
from tests.processes import run

EMAIL_ID = "665f1c2ab7d3e4f5a6b70001"
OK = 200, {}, '{"success": true, "data": {"id": "m", "status": "queued"}}'


def mail(number=0, **kwargs):
    to = [f"r{number}@example.org"]
    return MigmaMessage(**({"subject": f"{number}", "to": to, "template_id": EMAIL_ID} | kwargs))


def statuses(messages):
    return [next(iter(message.migma_status.status)) for message in messages]


@pytest.fixture
def proven(wire):
    """A wire whose key has been accepted, so that calls go to threads at once; answers come from a function."""
    wire.accepts()
    mail().send()
    wire.mock.reset()

    def answer_with(callback):
        wire.mock.add_callback("POST", SENDING, callback)
        return wire

    return answer_with


@pytest.fixture
def wait_for_threads():
    """Wait for the threads that this test starts, and return those that have not ended."""
    earlier = set(threading.enumerate())

    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "django-migma" and thread not in earlier]

    def wait():
        return [thread for thread in threads() if thread.join(60) or thread.is_alive()]

    return wait


def test_a_single_call_needs_no_thread(proven, connection):
    seen = []
    proven(lambda request: seen.append(threading.current_thread()) or OK)
    connection().send_messages([mail()])
    assert seen == [threading.current_thread()]


def test_a_generator_is_sent_and_settled_in_order(proven, connection):
    """post_send comes in the caller's thread and in the order of the messages, whatever order the answers take."""
    settled, gate = [], threading.Event()

    def answer(request):
        if b'"subject":"0"' in request.body:
            gate.wait(60)
        elif b'"subject":"7"' in request.body:
            gate.set()
        return OK

    def note(sender, message, **kwargs):
        settled.append((message.subject, threading.current_thread()))

    proven(answer)
    signals.post_send.connect(note)
    try:
        assert connection().send_messages(mail(number) for number in range(20)) == 20
    finally:
        signals.post_send.disconnect(note)
    assert settled == [(f"{number}", threading.current_thread()) for number in range(20)]


def test_the_window_is_bounded(proven, connection, migma):
    """A generator is never read further ahead than a few calls per place in flight."""
    migma(MAX_CONCURRENCY=2)
    answered, ahead = [], []

    def generate():
        for number in range(200):
            ahead.append(number - len(answered))
            yield mail(number)

    proven(lambda request: answered.append(1) or OK)
    assert connection().send_messages(generate()) == 200
    assert max(ahead) <= 2 * 2 + 1


def test_a_slow_first_answer_does_not_let_the_rest_pile_up(proven, connection, migma):
    """Messages wait behind the first to be settled in order, but not without end."""
    migma(MAX_CONCURRENCY=2)
    release, built, piled_up = threading.Event(), [], []

    def generate():
        for number in range(300):
            built.append(number)
            yield mail(number)

    def answer(request):
        if b'"subject":"0"' in request.body:
            release.wait(60)
            time.sleep(0.1)  # in which more would come
            piled_up.append(len(built))
        elif b'"subject":"60"' in request.body:
            release.set()
        return OK

    proven(answer)
    assert connection().send_messages(generate()) == 300
    assert piled_up[0] <= 2 * 32 + 1


def test_threads_end_with_the_call(proven, connection, wait_for_threads):
    proven(lambda request: OK)
    connection().send_messages([mail(number) for number in range(50)])
    assert wait_for_threads() == []


def test_where_no_thread_can_be_started_the_caller_makes_the_calls(proven, connection):
    """A machine out of threads or memory still sends."""
    seen = set()
    proven(lambda request: seen.add(threading.current_thread()) or OK)
    before = threading.stack_size(1 << 46)  # more than there is: starting a thread fails
    try:
        assert connection().send_messages([mail(number) for number in range(5)]) == 5
    finally:
        threading.stack_size(before)
    assert seen == {threading.current_thread()}


def test_an_error_in_the_callers_generator_leaves_sent_messages_accounted_for(proven, connection):
    messages = [mail(number) for number in range(5)]

    def generate():
        yield from messages
        raise LookupError("the caller's own")

    wire = proven(lambda request: OK)
    with pytest.raises(LookupError, match="the caller's own"):
        connection().send_messages(generate())
    assert statuses(messages) == ["queued"] * 5
    assert len(wire.mock.calls) == 5


def test_failures_in_threads_are_raised_in_the_callers(proven, connection):
    proven(lambda request: (400, {}, '{"success": false, "error": "no"}'))
    messages = [mail(number) for number in range(4)]
    with pytest.raises(SendFailed, match="4 failures"):
        connection().send_messages(messages)
    assert statuses(messages) == ["failed"] * 4


def test_a_stop_takes_back_what_no_thread_has_begun(proven, connection, migma):
    """A key that is revoked in the middle of a call costs one 401 per place in flight, not one per message."""
    migma(MAX_CONCURRENCY=2)
    wire = proven(lambda request: (401, {}, '{"success": false, "error": "revoked"}'))
    messages = [mail(number) for number in range(100)]
    with pytest.raises(Exception, match="Migma answered 401"):
        connection().send_messages(messages)
    assert len(wire.mock.calls) <= 4
    assert statuses(messages).count("not_attempted") == 100 - len(wire.mock.calls)


def test_refused_messages_do_not_pile_up_behind_a_slow_one(proven, connection, migma):
    """They wait to be settled in order, but the generator waits with them."""
    migma(MAX_CONCURRENCY=2)
    is_hundredth_built, piled_up = threading.Event(), []

    def generate():
        yield mail(0)
        for number in range(1, 300):
            if number == 100:
                is_hundredth_built.set()
            yield mail(number, tags=["refused"])

    def answer(request):
        piled_up.append(is_hundredth_built.wait(0.3))
        return OK

    proven(answer)
    with pytest.raises(SendFailed, match="299 failures in one call, and 1 messages sent"):
        connection().send_messages(generate())
    assert piled_up == [False]


def test_receivers_may_change_the_list(proven, connection):
    """What was given is sent, whatever becomes of the list meanwhile."""
    wire = proven(lambda request: OK)
    messages = [mail(number) for number in range(6)]

    def remove(sender, message, **kwargs):
        messages.remove(message)

    signals.post_send.connect(remove)
    try:
        assert connection().send_messages(messages) == 6
    finally:
        signals.post_send.disconnect(remove)
    assert len(wire.mock.calls) == 6


class Odd(BaseException):
    """Like gevent's Timeout, which is no Exception."""


def test_what_ends_a_thread_is_raised_in_the_callers(proven, connection):
    def answer(request):
        raise Odd

    proven(answer)
    messages = [mail(number) for number in range(2)]
    with pytest.raises((Odd, SendFailed)):
        connection().send_messages(messages)
    assert statuses(messages) == ["unknown", "unknown"]


class TestProcesses:
    def test_a_forked_child_opens_its_own_connection(self, migma_sandbox):
        """A pre-forked server may send before and after the fork."""
        result = run(
            """
            import os, warnings
            backend = EmailBackend()
            assert backend.send_messages([message()]) == 1
            pid = os.fork()
            sent = backend.send_messages([message()])
            if pid == 0:
                os._exit(0 if sent == 1 else 1)
            assert os.waitpid(pid, 0)[1] == 0 and sent == 1
            print("done")
            """,
            API_URL=migma_sandbox.api_url,
            API_KEY=migma_sandbox.keys.full,
            FROM_EMAIL="shop@fernhill.example",
            TIMEOUT=60,
            RETRY_DEADLINE=120,
        )
        assert (result.stdout, result.stderr) == ("done\n", "")
        assert len(migma_sandbox.store.messages()) == 3
        assert migma_sandbox.store.stats()["connections"] == 2

    def test_exit_does_not_wait_for_the_network(self, silent_server):
        """A script that ends with calls in flight ends at once, not when the server answers: never, here."""
        result = run(
            """
            from django_migma.api import MigmaClient
            client = MigmaClient(settings.MIGMA["API_KEY"], api_url=settings.MIGMA["API_URL"])
            client._transport.limiter.has_succeeded = True
            import os, signal
            asking, interrupted = set(), threading.Event()
            sys.addaudithook(lambda event, about: event == "http.client.send" and asking.add(about[0]))
            def interrupt(*about):
                if not interrupted.is_set():
                    interrupted.set()
                    raise KeyboardInterrupt
            def leave():
                while len(asking) < 4:
                    time.sleep(0.01)
                while not interrupted.wait(0.3):  # a signal that comes just before a thread waits does not wake it
                    os.kill(os.getpid(), signal.SIGINT)
            signal.signal(signal.SIGINT, interrupt)
            threading.Thread(target=leave, daemon=True).start()
            messages = [message() for _ in range(4)]
            try:
                EmailBackend().send_messages(messages)
            except KeyboardInterrupt:
                print([next(iter(one.migma_status.status)) for one in messages])
            """,
            API_URL=silent_server,
            TIMEOUT=3600,
            RETRY_DEADLINE=3600,
        )
        assert result.stdout == "['unknown', 'unknown', 'unknown', 'unknown']\n", result.stderr

    def test_mail_sent_while_the_interpreter_ends_needs_no_thread(self, migma_sandbox):
        """New threads cannot be started in atexit on Python 3.12; the calls are made in the caller's then."""
        result = run(
            """
            import atexit
            backend = EmailBackend()
            backend.send_messages([message()])
            atexit.register(lambda: print(backend.send_messages([message() for _ in range(3)])))
            """,
            API_URL=migma_sandbox.api_url,
            API_KEY=migma_sandbox.keys.full,
            FROM_EMAIL="shop@fernhill.example",
            TIMEOUT=60,
            RETRY_DEADLINE=120,
        )
        assert (result.stdout, result.stderr) == ("3\n", "")


@pytest.fixture
def silent_server():
    """A server that accepts connections and never says a word."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def test_threads_of_a_site_share_connections(migma_sandbox, migma):
    """Sixteen threads that mail at the same time open no more connections than there are threads."""
    migma(PROJECT_ID=None, LAYOUT_EMAIL_ID="665f1c2ab7d3e4f5a6b70004", TIMEOUT=60, RETRY_DEADLINE=120)

    def work():
        return sum(send_mail("Hello", "text", None, ["ada@example.org"]) for _ in range(5))

    with ThreadPoolExecutor(16) as pool:
        sent = [pool.submit(work) for _ in range(16)]
    assert sum(future.result() for future in sent) == 80
    assert len(migma_sandbox.store.messages()) == 80
    assert migma_sandbox.store.stats()["connections"] <= 16


class AcceptingClient:
    """Accepts every request."""

    has_succeeded = True

    def send(self, request, *, idempotency_key, **options):
        return SendResult(status="queued", idempotency_key=idempotency_key)


class AcceptingBackend(EmailBackend):
    def open_client(self):
        return self.config(), AcceptingClient()


def test_one_mail_to_many_recipients_keeps_few_bodies_in_memory(mailer, migma):
    """Each body is encoded when its call starts, and let go when it is over: 2,000 of them would be 200 MB."""
    message = mail(
        to=[f"r{number}@example.org" for number in range(2_000)],
        template_id=None,
        body="x" * 100_000,
        merge_data={f"r{number}@example.org": {"number": number} for number in range(2_000)},
    )
    backend = AcceptingBackend(alias="default") if django.VERSION >= (6, 1) else AcceptingBackend()
    tracemalloc.start()
    try:
        assert backend.send_messages([message]) == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30 * 1024 * 1024


def test_an_interrupt_while_a_thread_starts_leaves_no_thread(proven, connection, monkeypatch, wait_for_threads):
    """It has started, but was not counted yet."""
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    proven(lambda request: OK)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection().send_messages([mail(number) for number in range(6)])
    assert wait_for_threads() == []


def test_a_call_keeps_its_key_when_it_goes_back_into_line(proven, connection, migma):
    """Also where the generator gives the message object another key meanwhile."""
    migma(MAX_CONCURRENCY=2)
    answers, keys = iter([(500, {}, "{}"), (429, {"Retry-After": "0"}, "{}")]), []
    last_is_made = threading.Event()

    def answer(request):
        if b"r1@" not in request.body:
            return OK
        last_is_made.wait(10)
        keys.append(request.headers["Idempotency-Key"])
        return next(answers, OK)

    def generate():
        message = mail()
        for number in range(3):
            message.to, message.idempotency_key = [f"r{number}@example.org"], f"key-{number}"
            yield message
        last_is_made.set()

    proven(answer)
    connection().send_messages(generate())
    assert len(keys) == 3
    assert len(set(keys)) == 1
