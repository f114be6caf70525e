"""Texts of others, made fit for an error or a log."""

from __future__ import annotations

import re

_LONGEST_DETAIL = 300
_LONGEST_READ = 2_000
_WORD = re.compile(r"""(?:"[^"]{0,64}")?[^\s<>"(),;:]+""")
"""A quoted local part belongs to the word after it. Bounded, so that reading a hostile text takes linear time."""


def shown(detail: str) -> str:
    """Migma's text as it may stand in an error: one line without addresses or control characters, not too long."""
    read = detail
    if len(detail) > _LONGEST_READ:
        read = detail[:_LONGEST_READ].rsplit(maxsplit=1)[0] + " …"  # half an address could not be told for one
    line = _WORD.sub(_without_address, " ".join(read.split()))
    start = "".join(character if character.isprintable() else "\ufffd" for character in line[:_LONGEST_DETAIL])
    return start if len(line) <= _LONGEST_DETAIL else f"{start}…"


def _without_address(word: re.Match[str]) -> str:
    bare = word[0].strip("'@")
    return word[0].replace(bare, "<address>") if bare and ("@" in word[0] or "%40" in bare) else word[0]
