"""Every fault, once and always, met by one message and by many threads: status, POSTs, and what was accepted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from django_migma.message import MigmaMessage
from django_migma.sandbox.faults import KINDS, parse_fault
from django_migma.sandbox.server import Sandbox
from tests.faults.sending import accepted, mail, misbehaving, recipients, send, untruths, words

RETRIES = 2
TRIED = 1 + RETRIES
SPARED = 1
"""A connection that ends before the first byte of an answer gets one POST that does not count."""
OPTIONS = {"timeout": (3, 0.5), "retry_deadline": 200, "rate_limit_wait": 0}
THREADS, EACH = 4, 3


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What becomes of a message that meets a fault: its status, its POSTs, and whether the mail was accepted.

    ``most``: the most POSTs, where their number depends on how long the waits turn out.
    """

    status: str
    posts: int
    accepted: bool
    most: int = 0
    retries: int = RETRIES


def at_the_first(posts: int = 2, **more: int) -> Expected:
    """The next attempt gets through."""
    return Expected(status="queued", posts=posts, accepted=True, **more)


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
    "reset": (at_the_first(), given_up("unknown", TRIED + SPARED)),
    "hangup": (at_the_first(), given_up("unknown", TRIED + SPARED)),
    "silent-5": (at_the_first(), given_up("unknown", TRIED)),
    "lost": (at_the_first(), given_up("unknown", TRIED + SPARED, accepted=True)),
    "half": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    "empty": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    "slow-5": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    # 409 while the first request is still running; when it is over, its answer again.
    "busy-0.8": (at_the_first(3, most=13, retries=12), at_the_first(3, most=13, retries=12)),
    "drip": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    "endless": (at_the_first(), given_up("unknown", TRIED, accepted=True)),
    # What is kept is only replaced: the next request opens a new connection.
    "close": (at_the_first(1), at_the_first(1)),
}
CASES = [
    pytest.param(f"{word}{often}@sandbox.example", expected, id=f"{word}{often or '-once'}")
    for word, both in ONCE_AND_ALWAYS.items()
    for often, expected in zip(("", "-always"), both, strict=True)
]


def test_the_table_holds_every_fault():
    assert {parse_fault(word).kind.name for word in ONCE_AND_ALWAYS} == {kind.name for kind in KINDS} - {"ok"}


def check(messages: list[MigmaMessage], expected: Expected, sandbox: Sandbox) -> None:
    """All of them came to what is expected of each."""
    assert words(messages) == {expected.status}
    assert accepted(sandbox).total() == len(messages) * expected.accepted
    assert untruths(messages, sandbox) == []
    posts = sandbox.store.stats()["sending_posts"] / len(messages)
    assert expected.posts <= posts <= (expected.most or expected.posts)


@pytest.mark.parametrize(("address", "expected"), CASES)
def test_one_message_meets_a_fault(address, expected):
    with misbehaving() as sandbox:
        message = mail(address)
        send([message], max_retries=expected.retries, **OPTIONS)
        check([message], expected, sandbox)
        [recipient] = recipients([message])
        spared = recipient.attempts < sandbox.store.stats()["sending_posts"]
        assert spared == (address.startswith(("reset", "hangup", "lost")))


@pytest.mark.parametrize(("address", "expected"), CASES)
def test_many_threads_meet_a_fault(address, expected):
    """Threads of the site's that share a backend, each with a call whose requests are in threads of their own."""
    with misbehaving() as sandbox:
        messages = [mail(address) for _ in range(THREADS * EACH)]
        send(messages, threads=THREADS, max_retries=expected.retries, **OPTIONS)
        check(messages, expected, sandbox)


def test_a_script_strikes_one_post_after_the_other():
    """Whatever the recipient."""
    with misbehaving() as sandbox:
        sandbox.faults.script("500", "lost", "ok")
        message = mail("ada@example.org")
        send([message])
        [recipient] = recipients([message])
        assert (recipient.status, recipient.replayed, recipient.attempts) == ("queued", True, 2)
        assert sandbox.store.stats()["sending_posts"] == 3
        assert untruths([message], sandbox) == []
