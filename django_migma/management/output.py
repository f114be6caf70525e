"""Lines of output that any terminal can show, and that no text of others can forge."""

from __future__ import annotations

import sys
import time

from django.core.management.base import OutputWrapper

SECONDS_BETWEEN_LINES = 1.0
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


class ProgressLine:
    """How something goes: on a terminal one line that is written anew, elsewhere lines, one a second at most."""

    def __init__(self, stream: OutputWrapper, *, is_quiet: bool = False) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._is_open = False
        self._shown_at = -SECONDS_BETWEEN_LINES

    @property
    def is_terminal(self) -> bool:
        return self._stream.isatty()

    def show(self, text: str) -> None:
        """Show how it goes by now."""
        if self._is_quiet:
            return
        if self.is_terminal:
            self._stream.write(f"\r{printable(text)}\x1b[K", str, ending="")
            self._stream.flush()
            self._is_open = True
        elif time.monotonic() - self._shown_at >= SECONDS_BETWEEN_LINES:
            self._shown_at = time.monotonic()
            self.write_line(text)

    def write_line(self, text: str) -> None:
        """Write a line that stays."""
        self.end()
        if not self._is_quiet:
            write_line(self._stream, text)
            self._stream.flush()

    def end(self) -> None:
        """Leave the line as it is; what follows begins on the next one."""
        if self._is_open:
            self._stream.write("\n", ending="")
            self._is_open = False
