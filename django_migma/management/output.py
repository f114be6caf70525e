"""Lines of output that any terminal can show, and that no text of others can forge."""

from __future__ import annotations

import sys

from django.core.management.base import OutputWrapper

_ASCII_MARKS = str.maketrans({"✓": "+", "✗": "x"})


def printable(text: str) -> str:
    """The text on one line, with spaces for control characters: those of an escape sequence would move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def write_line(stream: OutputWrapper, text: str) -> None:
    """Write a printable line. In a narrow encoding, marks become ASCII and other characters beyond it ``?``."""
    line = printable(text)
    # Django's wrapper hides the stream's encoding before 6.1.
    encoding = getattr(stream, "encoding", None) or sys.stdout.encoding or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.translate(_ASCII_MARKS).encode(encoding, "replace").decode(encoding)
    stream.write(f"{line}\n")
