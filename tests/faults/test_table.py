"""Every fault of the sandbox, once and always: the status, the number of POSTs, and whether the mail was accepted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from django_migma.message import MigmaMessage
from django_migma.sandbox.faults import KINDS, parse_fault
from django_migma.sandbox.server import Sandbox
from tests.api.clocks import until
from tests.faults.sending import PATIENCE, accepted, mail, misbehaving, recipients, send, untruths, words

RETRIES = 2
TRIED = 1 + RETRIES
MANY = 60
"""Retries for what gets through in the end, though a busy machine may come too late again and again."""
SLOW = ("silent", "slow", "busy", "drip", "endless")
THREADS, EACH = 4, 3


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a message comes to that meets a fault.

    ``posts`` is the number of requests, the smallest where it depends on how long the waits turn out; ``most`` is the
    largest then.
    """

    status: str
    posts: int
    accepted: bool
    most: int = 0
    retries: int = RETRIES


def at_the_first(posts: int = 2, **more: int) -> Expected:
    """The next attempt gets through."""
    return Expected(status="queued", posts=posts, accepted=True, **more)


def after_a_timeout() -> Expected:
    """The next attempt gets through, unless the machine is too busy to answer it within the short timeout as well."""
    return at_the_first(most=1 + MANY, retries=MANY)


def given_up(status: str, posts: int, *, accepted: bool = False, **more: int) -> Expected:
    return Expected(status=status, posts=posts, accepted=accepted, **more)


ONCE_AND_ALWAYS = {
    "429": (at_the_first(), given_up("failed", TRIED)),
    "429-after-1": (at_the_first(), given_up("failed", TRIED)),
    "429-date-1": (at_the_first(), given_up("failed", TRIED)),
    "503": (at_the_first(), given_up("failed", TRIED)),
    "503-after-1": (at_the_first(), given_up("failed", TRIED)),
    "503-date-1": (at_the_first(), given_up("failed", TRIED)),
    "500": (at_the_first(), given_up("unknown", TRIED)),
    "502": (at_the_first(), given_up("unknown", TRIED)),
    "504": (at_the_first(), given_up("unknown", TRIED)),
    "html": (at_the_first(), given_up("unknown", TRIED)),
    "redirect": (given_up("unknown", 1), given_up("unknown", 1)),
    "reset": (at_the_first(), given_up("unknown", TRIED)),
    "hangup": (at_the_first(), given_up("unknown", TRIED)),
    "silent-60": (after_a_timeout(), given_up("unknown", TRIED)),
    "lost": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    "half": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    "empty": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    "slow-60": (after_a_timeout(), given_up("unknown", TRIED, accepted=True)),
    # 409 while the first request is still running, then a replay of its response; a client that was stopped meanwhile
    # finds the replay, or even the response.
    "busy-1": (at_the_first(1, most=1 + MANY, retries=MANY), at_the_first(1, most=1 + MANY, retries=MANY)),
    "drip": (after_a_timeout(), given_up("unknown", TRIED, accepted=True)),
    "endless": (after_a_timeout(), given_up("unknown", TRIED, accepted=True)),
    # The next request opens a new connection, unless the server has not come to closing the old one yet.
    "close": (at_the_first(1, retries=MANY), at_the_first(1, retries=MANY)),
}
CASES = [
    pytest.param(f"{word}{often}@sandbox.example", expected, id=f"{word}{often or '-once'}")
    for word, both in ONCE_AND_ALWAYS.items()
    for often, expected in zip(("", "-always"), both, strict=True)
]


def options(address: str) -> dict[str, object]:
    """How to send. Only a fault that takes its time meets a short timeout: a busy machine must not add to others."""
    return {"timeout": (PATIENCE, 0.5 if address.startswith(SLOW) else PATIENCE), "rate_limit_wait": 0}


def test_the_table_holds_every_fault():
    assert {parse_fault(word).kind.name for word in ONCE_AND_ALWAYS} == {kind.name for kind in KINDS} - {"ok"}


def check(messages: list[MigmaMessage], expected: Expected, sandbox: Sandbox, *, extra_posts: int = 0) -> None:
    """Each of the messages came to what is expected."""
    assert words(messages) == {expected.status}
    assert sandbox.store.stats()["faults"]
    # The server may read the last request when the client has given it up.
    until(lambda: _posts(sandbox) >= len(messages) * expected.posts)
    until(lambda: accepted(sandbox).total() >= len(messages) * expected.accepted)
    assert accepted(sandbox).total() == len(messages) * expected.accepted
    assert untruths(messages, sandbox) == []
    assert _posts(sandbox) <= len(messages) * ((expected.most or expected.posts) + extra_posts)
    # Every POST is an attempt. An attempt over a connection that the server has just closed is no POST.
    assert sum(status.attempts for status in recipients(messages)) >= _posts(sandbox)


def _posts(sandbox: Sandbox) -> int:
    return sandbox.store.stats()["sending_posts"]


@pytest.mark.parametrize(("address", "expected"), CASES)
def test_one_message_meets_a_fault(address, expected):
    with misbehaving() as sandbox:
        message = mail(address)
        send([message], max_retries=expected.retries, **options(address))
        check([message], expected, sandbox)


@pytest.mark.parametrize(("address", "expected"), CASES)
def test_many_threads_meet_a_fault(address, expected):
    """The threads share a backend, and each sends a list, whose requests are made in further threads."""
    # A call of a list asks once, goes back into the queue, and may then wait as long as a single mail.
    extra_posts = 1 if address.startswith("429") else 0
    with misbehaving() as sandbox:
        messages = [mail(address) for _ in range(THREADS * EACH)]
        send(messages, threads=THREADS, max_retries=expected.retries, **options(address))
        check(messages, expected, sandbox, extra_posts=extra_posts)


def test_a_script_strikes_one_post_after_the_other():
    """Whatever the recipient. A connection that ends before the first byte of a response is an attempt as well."""
    with misbehaving() as sandbox:
        sandbox.faults.script("500", "lost", "ok")
        message = mail("ada@example.org")
        send([message])
        check([message], Expected(status="queued", posts=3, accepted=True), sandbox)
        [recipient] = recipients([message])
        assert recipient.replayed
