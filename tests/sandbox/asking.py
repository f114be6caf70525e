"""Plain HTTP to a sandbox, with the standard library: these tests judge the sandbox, so our own client stays out."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import account
from django_migma.sandbox.protocol import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message

    from django_migma.sandbox.server import Sandbox

FULL = KEYS.full
PATIENCE = 60.0
"""Seconds for what happens at once on a machine that is not busy. Nobody waits for them unless it does not happen."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Message
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        assert self.json["success"] is True, self.json
        return self.json["data"]

    @property
    def error(self) -> str:
        assert self.json["success"] is False, self.json
        return self.json["error"]


def ask(
    sandbox: Sandbox,
    method: str,
    path: str,
    *,
    body: object = None,
    key: str | None = FULL,
    headers: dict[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own; ``body`` is bytes, or becomes JSON."""
    sent = {"Authorization": f"Bearer {key}"} if key is not None else {}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        sent["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body=body, headers=sent | (headers or {}))
        response = connection.getresponse()
        return Answer(status=response.status, headers=response.headers, content=response.read())
    finally:
        connection.close()


def get(sandbox: Sandbox, path: str, **options: Any) -> Answer:
    return ask(sandbox, "GET", path, **options)


def send(sandbox: Sandbox, body: object, *, idempotency_key: str | None = None, key: str | None = FULL) -> Answer:
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return ask(sandbox, "POST", "/v1/sending", body=body, key=key, headers=headers)


def raw(sandbox: Sandbox, request: bytes) -> bytes:
    """Send bytes as they are; return everything until the sandbox closes."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def single(**changes: Any) -> dict[str, Any]:
    """The body of a good send to one address; a change of None removes the field."""
    body = {
        "recipientType": "email",
        "recipientEmail": "reader@example.com",
        "from": "hello@fernhill.example",
        "fromName": "Fernhill Coffee",
        "subject": "Welcome, {{first_name}}",
        "emailId": account.WELCOME,
        "variables": {"first_name": "Kim", "shop_url": "https://fernhill.example/shop"},
    }
    return _changed(body, changes)


def batch(**changes: Any) -> dict[str, Any]:
    """The body of a good send to a tag."""
    body = {
        "recipientType": "tag",
        "recipientId": account.CUSTOMERS_TAG,
        "from": "hello@fernhill.migma.email",
        "fromName": "Fernhill Coffee",
        "subject": "New beans",
        "emailId": account.WELCOME,
    }
    return _changed(body, changes)


def _changed(body: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changes = {name.rstrip("_"): value for name, value in changes.items()}  # from_ for the keyword
    return {name: value for name, value in (body | changes).items() if value is not None}


def request_bytes(body: object, *, idempotency_key: str = "", key: str = FULL) -> bytes:
    """POST /v1/sending as it goes over the wire, on a connection to be kept."""
    content = json.dumps(body).encode()
    head = f"POST /v1/sending HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    head += "Content-Type: application/json\r\n"
    head += f"Idempotency-Key: {idempotency_key}\r\n" if idempotency_key else ""
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


@contextmanager
def sent(sandbox: Sandbox, body: object, **options: str) -> Iterator[socket.socket]:
    """A connection over which one request has gone out and nothing was read yet."""
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=PATIENCE) as connection:
        connection.sendall(request_bytes(body, **options))
        yield connection


def received(connection: socket.socket, *, until: bytes = b"") -> bytes:
    """Read up to and including ``until``, or to the end of the stream."""
    answer = b""
    while not until or not answer.endswith(until):
        chunk = connection.recv(1 if until else 65536)
        if not chunk:
            break
        answer += chunk
    return answer


def is_idle(sandbox: Sandbox) -> bool:
    """Whether no connection is open any more, so that nothing is still being answered, recorded or printed."""
    return not sandbox._server._open


def eventually(happened: Callable[[], object]) -> bool:
    """Whether it happens in the end."""
    end = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(happened())
