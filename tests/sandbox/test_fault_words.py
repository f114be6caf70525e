"""The words that name the faults."""

from __future__ import annotations

import re

import pytest

from django_migma.sandbox.faults import KINDS, parse_fault

WORDS = [word for kind in KINDS for word in kind.words]


@pytest.mark.parametrize(
    ("word", "seconds"), [("slow", 30), ("slow-0.5", 0.5), ("silent-12", 12), ("busy", 30), ("429-after-7", 7)]
)
def test_a_word_may_carry_seconds(word, seconds):
    assert parse_fault(word).seconds == seconds


@pytest.mark.parametrize(
    "word",
    [
        *("", "lots", "LOST", "500-2", "429-after", "429-after-", "429-date-0.5", "429-2", "-500", "lost-2", "ok-1"),
        *("slow-", "slow-x", "slow--1", "slow-1.", "slow-123456", "slow-\u0661", "lost-always"),
    ],
)
def test_an_unknown_word_is_refused_with_the_known_ones(word):
    with pytest.raises(ValueError, match=f"^unknown fault {re.escape(repr(word))}; known: ") as refused:
        parse_fault(word)
    assert str(refused.value).endswith(", ".join(WORDS))
