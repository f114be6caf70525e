"""Requests and stored emails as text: readable, and ready to be copied into a shell or a Django site."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_migma.sandbox.exchanges import Exchange

MAX_COPIED = 50_000  # bytes of a body that is worth pasting


def readable(content: bytes) -> str:
    """JSON with line breaks and indents; anything else as text."""
    text = content.decode(errors="replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def head(exchange: Exchange) -> str:
    """The request line and the headers that are kept; the API key by its name."""
    key = f"<the key {exchange.key_name}>" if exchange.key_name else "<no key of this sandbox>"
    lines = [f"{_method(exchange)} {exchange.path} HTTP/1.1", f"Authorization: Bearer {key}"]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in exchange.head.items())])


def curl(exchange: Exchange, url: str) -> str:
    """A command that repeats the request. The API key is a variable of the shell: what is pasted may be shared."""
    words = [
        f"curl -X {_method(exchange)} {shlex.quote(url + exchange.path)}",
        '-H "Authorization: Bearer $MIGMA_API_KEY"',
        "-H 'Content-Type: application/json'",
    ]
    if exchange.idempotency_key is not None:
        words.append(f"-H {shlex.quote('Idempotency-Key: ' + exchange.idempotency_key)}")
    is_short = len(exchange.body) <= MAX_COPIED
    words.append(f"--data-raw {shlex.quote(exchange.body.decode(errors='replace'))}" if is_short else "-d @body.json")
    return " \\\n  ".join(words)


def _method(exchange: Exchange) -> str:
    return exchange.endpoint.partition(" ")[0]


def django_code(exchange: Exchange) -> str:
    """Python that sends the same mail; empty for a batch, a test send, and what is no mail at all."""
    body = exchange.payload
    if exchange.is_test or body.get("recipientType") != "email" or len(exchange.body) > MAX_COPIED:
        return ""
    return _message(
        subject=exchange.subject,
        body=body.get("template"),
        from_email=exchange.sender,
        to=[exchange.recipient],
        reply_to=[body["replyTo"]] if body.get("replyTo") else None,
        template_id=account.EMAIL_NAMES.get(exchange.email_id, exchange.email_id) if "emailId" in body else None,
        conversation_id=None if "emailId" in body else body.get("conversationId"),
        merge_global_data=body.get("variables"),
        idempotency_key=exchange.idempotency_key,
    )


def stored_email_code(email: account.Json, values: Mapping[str, str], *, to: str) -> str:
    """Python that sends a stored email. The layout needs no id: any mail of Django's is put into it."""
    if email["id"] == account.LAYOUT:
        arguments = f"{_literal(values['subject'])}, {_literal(values['body_text'])}, None, {_literal([to])}"
        return f"from django.core.mail import send_mail\n\nsend_mail({arguments})"
    return _message(subject=email["subject"], to=[to], template_id=email["id"], merge_global_data=values)


def _message(**arguments: Any) -> str:
    """Python that builds a message and sends it. Arguments without a value are left out."""
    lines = "".join(f"    {name}={_literal(value)},\n" for name, value in arguments.items() if value)
    return f"from django_migma.message import MigmaMessage\n\nMigmaMessage(\n{lines}).send()"


def _literal(value: Any) -> str:
    """A value as people write it in Python: strings in double quotes, a dict with a line for each item."""
    if isinstance(value, dict):
        lines = "".join(f"        {_leaf(name)}: {_leaf(item)},\n" for name, item in value.items())
        return f"{{\n{lines}    }}"
    return f"[{', '.join(map(_leaf, value))}]" if isinstance(value, list) else _leaf(value)


def _leaf(value: Any) -> str:
    written = repr(value)
    return f'"{written[1:-1]}"' if isinstance(value, str) and '"' not in value else written
