"""A line for each request to send, such as "19:24:55 kim@example.com receipt → accepted, reply lost"."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import account
from django_migma.sandbox.exchanges import Result
from django_migma.sandbox.faults import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_migma.sandbox.exchanges import Exchange

_MAX_WAITING = 1000  # lines
_MAX_WHO = 60  # characters
_MAX_WHY = 120
_PAUSE = 0.05  # seconds between two writes: to wake the thread for each of a thousand lines a second slows them down
_CLOSING = 0.5  # seconds for the last lines
_REPLIES = {Reply.NONE: "reply lost", Reply.HALF: "half a reply", Reply.LATE: "reply late"}


def line(exchange: Exchange) -> str:
    """In local time. Characters that a terminal may act on are replaced: recipients and subjects may be anything."""
    name = account.EMAIL_NAMES.get(exchange.email_id, "")
    what = name if name and exchange.email_id != account.LAYOUT else f'"{_clean(exchange.subject, _MAX_WHO)}"'
    who = _clean(exchange.recipient, _MAX_WHO) or "nobody"
    test = "test " if exchange.is_test else ""
    return f"{_local_time(int(exchange.at.timestamp()))} {who} {test}{what} → {_outcome(exchange)}"


@lru_cache(maxsize=1)  # what the local time is costs system calls
def _local_time(timestamp: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(timestamp))


def _outcome(exchange: Exchange) -> str:
    if exchange.result is Result.UNTOUCHED:
        return f"struck by {exchange.fault.word}"
    reply = _REPLIES.get(exchange.reply)
    return _result(exchange) + (f", {reply}" if reply else "")


def _result(exchange: Exchange) -> str:
    match exchange.result:
        case Result.ACCEPTED:
            return "accepted"
        case Result.REPLAYED:
            return f"same answer again, {exchange.status}"
        case Result.LIMITED:
            return "over the rate limit"
    return f"refused {exchange.status}: {_clean(exchange.problem, _MAX_WHY)}"


def _clean(text: str, length: int) -> str:
    shown = text if len(text) <= length else f"{text[: length - 1]}…"
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)


class Terminal:
    """Writes the lines in a thread of its own, so that a stream that blocks or is closed holds up no request."""

    def __init__(self, stream: Any) -> None:
        """``stream``: for text, such as ``sys.stdout``."""
        self._stream = stream
        self._lock = threading.Lock()
        self._left_out = 0
        self._is_closed = threading.Event()
        self._lines: queue.Queue[str] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="migma-sandbox-terminal", daemon=True)
        self._thread.start()

    def show(self, exchange: Exchange) -> None:
        """Write the line of an exchange soon; leave it out while too many lines wait."""
        with self._lock:
            if self._lines.full():
                self._left_out += 1
                return
            if self._left_out:
                text = f"({self._left_out} more not shown)\n{line(exchange)}\n"
            else:
                text = f"{line(exchange)}\n"
            self._left_out = 0
            self._lines.put_nowait(text)

    def close(self) -> None:
        """Write what waits, unless the stream blocks."""
        self._is_closed.set()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait("")  # wakes the thread
            self._thread.join(_CLOSING)

    def _run(self) -> None:
        # Closed: there is nobody to write for.
        with contextlib.suppress(OSError, ValueError), _unbuffered(self._stream) as stream:
            while not self._is_closed.wait(_PAUSE):
                self._write(stream, self._lines.get())
            self._write(stream, "")

    def _write(self, stream: Any, first: str) -> None:
        if text := first + "".join(self._lines.get_nowait() for _ in range(self._lines.qsize())):
            stream.write(text)
            stream.flush()


@contextlib.contextmanager
def _unbuffered(stream: Any) -> Iterator[Any]:
    """Past the stream's buffer: Python flushes it at its end, and a thread may hang in a full pipe with its lock."""
    try:
        raw = open(os.dup(stream.fileno()), "wb", buffering=0)  # noqa: PTH123, SIM115 - a descriptor
    except (AttributeError, OSError, ValueError):  # no file, such as io.StringIO
        yield stream
    else:
        encoding = getattr(stream, "encoding", None)
        with io.TextIOWrapper(raw, encoding=encoding, errors="replace", write_through=True) as text:
            yield text
