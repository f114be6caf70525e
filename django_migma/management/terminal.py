"""Texts for a terminal that may know few characters."""

from __future__ import annotations

import sys

from django.core.management.base import OutputWrapper

_PLAIN = str.maketrans({"✓": "+", "✗": "x"})


def say_to(stream: OutputWrapper, text: str) -> None:
    """Write a line: where the stream's encoding is narrow, marks in ASCII, and ``?`` for what else is beyond it."""
    encoding = (
        getattr(stream, "encoding", None) or sys.stdout.encoding or "utf-8"
    )  # Django's wrapper before 6.1 hides it
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    stream.write(f"{text}\n")
