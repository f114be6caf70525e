"""The sandbox's own endpoints under /_sandbox/, to look at what was sent and to order faults. Not Migma's API.

They ask for no key: ``host_and_origin`` says who may use them. They send no CORS headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.events import EventStream
from django_migma.sandbox.options import Switches
from django_migma.sandbox.pages.mail_frame import html_page
from django_migma.sandbox.protocol import KEYS, ApiError, json_object, json_response, query_int, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import UnionType

    from django.http import HttpResponse

    from django_migma.sandbox.exchanges import Message
    from django_migma.sandbox.server import Request, Sandbox


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_number(value: Any, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)  # to Python, true is 1


# What POST /_sandbox/faults takes: whether a value has the right type, and the error text if not.
_FAULT_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "script": (_are_words, 'script must be an array of faults, such as {"script": ["500", "lost"]}'),
    "fault_rate": (lambda value: _is_number(value, int | float), "fault_rate must be a number from 0 to 1"),
    "fault_kinds": (_are_words, 'fault_kinds must be an array of faults, such as ["500", "lost"]'),
    "fault_seed": (
        lambda value: value is None or _is_number(value, int),
        "fault_seed must be a whole number or null",
    ),
    "rate_limit": (
        lambda value: value is None or isinstance(value, str),
        "rate_limit must be such as 10/s, 100/m or 1000/h, or null for none",
    ),
}


def about(request: Request) -> HttpResponse:
    sandbox = request.sandbox
    return json_response({
        "api_url": sandbox.api_url,
        "switches": asdict(sandbox.switches),
        "keys": asdict(KEYS),
        "messages": len(sandbox.store.messages()),
        "stats": sandbox.store.stats(),
        "endpoints": import_module(request.urlconf).ENDPOINTS,
    })  # fmt: skip


def messages(request: Request) -> HttpResponse:
    """The newest ``limit`` messages, all by default; the newest last."""
    kept = request.sandbox.store.messages()
    limit = query_int(request, "limit", default=max(1, len(kept)), low=1)
    return json_response({"total": len(kept), "messages": [_summary(request, item) for item in kept[-limit:]]})


def message(request: Request, message_id: str) -> HttpResponse:
    found = _find_message(request, message_id)
    return json_response({**_summary(request, found), "html": found.html})


def message_html(request: Request, message_id: str) -> HttpResponse:
    return html_page(request, _find_message(request, message_id).html)


def clear_messages(request: Request) -> HttpResponse:
    """Batches, logs, counters and idempotency keys stay: Migma would not forget them either."""
    return json_response({"deleted": request.sandbox.store.clear_messages()})


def stats(request: Request) -> HttpResponse:
    return json_response(request.sandbox.store.stats())


def events(request: Request) -> HttpResponse:
    """The version of the inbox now, unless the client has it from before (``Last-Event-ID``), and each later one."""
    last = request.META.get("HTTP_LAST_EVENT_ID", "")
    known = int(last) if re.fullmatch("[0-9]{1,15}", last) else -1
    return EventStream(request.sandbox.store.inbox, known=known, streams=request.sandbox.streams)


def faults(request: Request) -> HttpResponse:
    sandbox = request.sandbox
    return json_response(sandbox.faults.state() | {"rate_limit": sandbox.store.rate_limiter.rate or None})


def change_faults(request: Request) -> HttpResponse:
    """``script`` strikes the next sends, ``fault_rate`` others by chance, ``rate_limit`` sets or ends the limit.

    Only as application/json: a page of another origin needs a preflight request for that, which is not allowed.
    A call that is not understood in all its parts changes nothing.
    """
    body = json_object(request)
    if not body.keys() & _FAULT_FIELDS.keys():
        raise ApiError(400, _FAULT_FIELDS["script"][1])
    for name, (is_right, text) in _FAULT_FIELDS.items():
        if name in body and not is_right(body[name]):
            raise ApiError(400, text)
    if body.keys() & {"fault_kinds", "fault_seed"} and "fault_rate" not in body:
        raise ApiError(400, "fault_kinds and fault_seed go with a fault_rate, such as 0.1")
    _change_faults(request.sandbox, body)
    return faults(request)


def _change_faults(sandbox: Sandbox, body: Mapping[str, Any]) -> None:
    """`Switches` checks all values but the script; the script goes first, since the line may be full."""
    rate, kinds = body.get("fault_rate", 0), body.get("fault_kinds", ())
    try:
        Switches(fault_rate=rate, fault_kinds=kinds, rate=body.get("rate_limit") or "")
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    try:
        sandbox.faults.script(*body.get("script", ()))
    except ValueError as error:
        raise ApiError(400, f"script: {error}") from None
    if "fault_rate" in body:
        sandbox.faults.by_chance(rate, kinds, body.get("fault_seed"))
    if "rate_limit" in body:
        sandbox.rate_limit(body["rate_limit"])


def clear_faults(request: Request) -> HttpResponse:
    """Script and probability; recipients that ask for a fault go on doing so."""
    request.sandbox.faults.clear()
    return faults(request)


def _find_message(request: Request, message_id: str) -> Message:
    found = request.sandbox.store.message(message_id)
    if found is None:
        raise ApiError(404, f"Message not found: {message_id} (only the newest are kept)")
    return found


def _summary(request: Request, item: Message) -> dict[str, Any]:
    names = ("endpoint", "key_name", "idempotency_key", "replays", "subject", "body", "answer")
    return {
        "id": item.id,
        "html_url": f"{request.sandbox.url}/mail/{item.id}",
        "received_at": timestamp(item.received_at),
    } | {name: getattr(item, name) for name in names}
