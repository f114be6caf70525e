"""Lines of output that any terminal can show, and that no text of others can forge."""

from __future__ import annotations

import shutil
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
    stream.write(f"{_encodable(stream, printable(text))}\n")


def _encodable(stream: OutputWrapper, line: str) -> str:
    # Django's wrapper hides the stream's encoding before 6.1.
    encoding = getattr(stream, "encoding", None) or sys.stdout.encoding or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_ASCII_MARKS).encode(encoding, "replace").decode(encoding)
    return line


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

    @property
    def columns(self) -> int:
        """How long a line on the terminal may be. A longer one would go on in the next row, and stay there."""
        return shutil.get_terminal_size().columns - 1

    def show(self, text: str) -> None:
        """Show how it goes by now; on a terminal, as much as fits into one row."""
        if self._is_quiet:
            return
        if self.is_terminal:
            self._is_open = True  # first: Ctrl-C may come as soon as the line is there
            self._write_anew(_encodable(self._stream, printable(text)[: self.columns]))
        elif time.monotonic() - self._shown_at >= SECONDS_BETWEEN_LINES:
            self._shown_at = time.monotonic()
            self.write_line(text)

    def write_line(self, text: str) -> None:
        """Write a line that stays."""
        self.end()
        if not self._is_quiet:
            write_line(self._stream, text)
            self._stream.flush()

    def erase(self) -> None:
        """Take the line away, for one that says it better."""
        if self._is_open:
            self._write_anew("")
            self._is_open = False

    def _write_anew(self, text: str) -> None:
        self._stream.write(f"\r{text}\x1b[K", str, ending="")
        self._stream.flush()

    def end(self) -> None:
        """Leave the line as it is; what follows begins on the next one."""
        if self._is_open:
            self._stream.write("\n", ending="")
            self._is_open = False
