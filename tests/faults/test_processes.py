"""Threads, forks, signals and the end of an interpreter, while mail is sent or waits."""

from __future__ import annotations

import threading

import pytest

from django_migma import signals
from tests.api.clocks import until
from tests.faults.sending import FastBackend, accepted, mail, misbehaving, recipients, send, untruths, words
from tests.processes import run

KINDS = ("500", "reset", "lost", "half", "html", "503", "429-after-1")


@pytest.fixture
def sandbox():
    with misbehaving(fault_rate=0.3, fault_seed=3, fault_kinds=KINDS) as running:
        yield running


def settings_for(sandbox, **migma):
    """The settings of another process that sends to this sandbox."""
    return {
        "API_URL": sandbox.api_url,
        "API_KEY": sandbox.keys.full,
        "FROM_EMAIL": "shop@b.example",
        "TIMEOUT": 60,
        "MAX_RETRIES": 50,
        "RETRY_DEADLINE": 600,
        **migma,
    }


def wait_for_threads(earlier):
    """Wait for the end of the backend's threads, but not for ``earlier`` ones: an interrupt may leave some behind."""
    until(lambda: not any(thread.name == "django-migma" for thread in {*threading.enumerate()} - earlier))


def test_one_backend_serves_many_threads_at_once(sandbox):
    earlier = set(threading.enumerate())
    messages = [mail(f"r{number}@example.org") for number in range(160)]
    send(messages, threads=16, max_retries=50, max_concurrency=4)
    assert words(messages) == {"queued"}
    assert untruths(messages, sandbox) == []
    wait_for_threads(earlier)


def test_a_pre_forked_server_may_send_before_and_after_the_fork(sandbox):
    """Four children are forked while threads of the parent are sending; each child sends from threads as well."""
    result = run(
        """
        import os
        backend = EmailBackend()
        assert backend.send_messages([message()]) == 1
        mine = [message() for _ in range(40)]
        sender = threading.Thread(target=backend.send_messages, args=(mine,))
        sender.start()
        children = []
        for _ in range(4):
            child = os.fork()
            if not child:
                sent = backend.send_messages([message() for _ in range(20)])
                os._exit(0 if sent == 20 else 1)
            children.append(child)
        ends = [os.waitpid(child, 0)[1] for child in children]
        sender.join()
        print(ends, {word for one in mine for word in one.migma_status.status})
        """,
        warnings="default",  # newer Pythons warn of any fork beside threads, which is what this is about
        **settings_for(sandbox),
    )
    assert result.stdout == "[0, 0, 0, 0] {'queued'}\n", result.stderr
    taken = accepted(sandbox)
    assert (len(taken), taken.total()) == (121, 121)


def test_an_interrupt_does_not_wait_for_a_rate_limit():
    """Ctrl-C while a list waits for an hour: the statuses are true, and nothing is sent later."""
    with misbehaving() as sandbox:
        sandbox.faults.script("ok", "ok", *["429-after-3000"] * 20)
        result = run(
            """
            import os, signal
            from django_migma.api.retries import Clock
            is_waiting, is_awake = threading.Event(), threading.Event()
            class Watched(Clock):
                def sleep(self, seconds):
                    is_waiting.set()
                    try:
                        super().sleep(seconds)
                    finally:
                        is_awake.set()
            backend = EmailBackend(rate_limit_wait=3600)
            backend.clock = Watched()
            backend.send_messages([message()])
            def leave():
                is_waiting.wait()
                time.sleep(0.5)
                os.kill(os.getpid(), signal.SIGINT)
                while not is_awake.wait(10):  # it came before the main thread slept, and did not wake it
                    os.kill(os.getpid(), signal.SIGINT)
            threading.Thread(target=leave, daemon=True).start()
            messages = [message() for _ in range(100)]
            began = time.monotonic()
            try:
                backend.send_messages(messages)
            except KeyboardInterrupt:
                left = [thread for thread in threading.enumerate() if thread.name == "django-migma"]
                for thread in left:
                    thread.join(60)
                stuck = [thread for thread in left if thread.is_alive()]
                words = {word for one in messages for word in one.migma_status.status}
                print(sorted(words), stuck, time.monotonic() - began < 600)
            """,
            **settings_for(sandbox),
        )
        assert result.stdout == "['failed', 'not_attempted', 'queued'] [] True\n", result.stderr
        assert accepted(sandbox).total() == 2


def test_a_process_that_ends_does_not_wait_for_a_rate_limit():
    """The main thread ends while another one, a daemon, sends a list."""
    with misbehaving() as sandbox:
        sandbox.faults.script("ok", *["429-after-3000"] * 20)
        result = run(
            """
            backend = EmailBackend(rate_limit_wait=3600)
            backend.send_messages([message()])
            messages = [message() for _ in range(30)]
            threading.Thread(target=backend.send_messages, args=(messages,), daemon=True).start()
            while sum(thread.name == "django-migma" for thread in threading.enumerate()) < 16:
                time.sleep(0.01)
            print("done")
            """,
            **settings_for(sandbox),
        )
        assert (result.stdout, result.stderr) == ("done\n", "")


def test_leaving_in_the_middle_of_a_batch_leaves_true_statuses(sandbox):
    """A receiver raises SystemExit while some requests are in flight and others wait."""
    earlier = set(threading.enumerate())
    messages = [mail(f"r{number}@example.org") for number in range(100)]

    def leave(sender, message, **kwargs):
        if message is messages[60]:
            raise SystemExit

    signals.pre_send.connect(leave)
    try:
        with pytest.raises(SystemExit):
            FastBackend(max_retries=50).send_messages(messages)
    finally:
        signals.pre_send.disconnect(leave)
    wait_for_threads(earlier)  # one that is left behind may still be about to learn that its mail was accepted
    assert untruths(messages, sandbox) == []
    assert len(recipients(messages)) == 100
    assert "queued" in words(messages[:60])
    assert words(messages[60:]) == {"not_attempted"}
