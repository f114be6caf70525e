"""What travels between the socket and the endpoints: requests, answers and refusals.

Envelope of Migma's newest OpenAPI excerpt (mid 2026): ``{"success": true, "data": …}``, and
``{"success": false, "error": "<text>", "code"?: "<CODE>", "data"?: {…}}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request, read whole."""

    method: str
    path: str  # without the query
    query: Mapping[str, str]  # of a repeated name the last value
    headers: Mapping[str, str]  # by lower-case name
    body: bytes


class Line(Protocol):
    """The connection, as a fault sees it. Writing raises ConnectionError once the client has left."""

    def start(self, answer: Answer, framing: tuple[str, str] | None = None) -> None:
        """Status and headers, at once; Content-Length of the whole body unless ``framing`` is another header."""

    def send(self, data: bytes) -> None:
        """At once."""

    def wait(self, seconds: float) -> bool:
        """False as soon as the client has left or the sandbox is stopped."""

    def close(self) -> None:
        """End of stream, unannounced, once the answer is through."""

    def reset(self) -> None:
        """RST instead of an end of stream."""


Delivery = Callable[["Line", "Answer"], None]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer; Content-Length is added on sending."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Headers = ()
    delivery: Delivery | None = None  # None: whole, in one piece


class Refusal(Exception):
    """An answer that is an error envelope, raised by whoever finds the fault."""

    def __init__(
        self,
        status: int,
        text: str,
        *,
        code: str | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code
        self.data = data
        self.headers = headers

    def answer(self) -> Answer:
        envelope: dict[str, Any] = {"success": False, "error": self.text}
        if self.code is not None:
            envelope["code"] = self.code
        if self.data is not None:
            envelope["data"] = self.data
        return json_answer(envelope, status=self.status, headers=self.headers)


def json_answer(value: Any, *, status: int = 200, headers: Headers = ()) -> Answer:
    return Answer(status=status, body=json.dumps(value).encode(), headers=headers)


def success(data: Any, **beside: Any) -> Answer:
    """The success envelope; ``beside`` holds keys next to ``data``, such as ``count`` of some lists."""
    return json_answer({"success": True, "data": data, **beside})


def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be one JSON object declared as such."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # The only media type in the OpenAPI excerpts. What Migma does with another one is unknown.
        raise Refusal(400, "Content-Type must be application/json")
    try:
        value = json.loads(request.body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not valid JSON") from None
    if not isinstance(value, dict):
        raise Refusal(400, "The request body must be a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity: Python writes them, JSON has none


def timestamp(moment: datetime) -> str:
    """ISO 8601 as JavaScript writes it, such as ``2026-06-01T09:30:00.000Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
