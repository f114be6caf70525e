"""Tells the pages that something has changed, by server-sent events.

An event is the number of the inbox's version and nothing else: what is new, a page fetches as a fragment of HTML for
the search that it shows. So a stream needs no escaping, has no backlog, and may leave numbers out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.http import HttpResponse

from django_migma.sandbox.faults import chunk
from django_migma.sandbox.protocol import ApiError

if TYPE_CHECKING:
    from threading import Semaphore

    from django_migma.sandbox.faults import Connection
    from django_migma.sandbox.inbox import Inbox

MAX_STREAMS = 32  # each is a thread; a browser opens one, however many tabs it has
HEARTBEAT = 15.0
"""Seconds of silence until a comment is sent: a laptop that was asleep notices a dead connection by it."""
_POLL = 1.0  # seconds until it is noticed that a client has left
_GAP = 0.25  # seconds between two events
# While mail pours in, drawing it at each gap would slow down what sends it. So above this many changes a second, each
# gap is so many times as long as the one before.
_FLOOD = 20
_GROWTH = 4
_LONGEST_GAP = 5.0  # seconds
_GLANCE = 0.001  # seconds: long enough to see whether the client is still there
_RETRY = "retry: 1000\n\n"  # milliseconds until a browser connects again; its own choice would be several seconds


class EventStream(HttpResponse):
    """A response that ends when the client leaves or the sandbox stops.

    ``known`` is the version that the client knows; ``streams`` has room for as many as may go out at a time.
    """

    def __init__(self, inbox: Inbox, *, known: int, streams: Semaphore) -> None:
        super().__init__(content_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._inbox = inbox
        self._known = known
        self._streams = streams

    def deliver(self, connection: Connection) -> None:
        """Send it, as long as it takes; or 503 if too many others are on their way."""
        if not self._streams.acquire(blocking=False):
            text = f"{MAX_STREAMS} streams are open, which is the limit: close some pages"
            connection.write(ApiError(503, text).response())
            return
        try:
            connection.start(self, None)
            self._send_changes(connection)
        finally:
            self._streams.release()
        connection.close()

    def _send_changes(self, connection: Connection) -> None:
        _send(connection, _RETRY)
        spoke, gap = time.monotonic(), _GAP
        while connection.wait(_GLANCE):
            version = self._inbox.wait(self._known, _POLL)
            if version != self._known:
                self._known = version
                _send(connection, f"id: {version}\ndata: {version}\n\n")
                connection.wait(gap)
                is_flood = self._inbox.version - version > _FLOOD * gap
                gap = min(gap * _GROWTH, _LONGEST_GAP) if is_flood else _GAP
                spoke = time.monotonic()
            elif time.monotonic() - spoke >= HEARTBEAT:
                _send(connection, ":\n\n")
                spoke = time.monotonic()


def _send(connection: Connection, text: str) -> None:
    connection.send(chunk(text.encode()))
