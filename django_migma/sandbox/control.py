"""The sandbox's own endpoints under /_sandbox/, to look at what was sent and to order faults. Not Migma's API.

They ask for no key, so they answer only where the Host header names this machine: a web page that rebinds its own
name to 127.0.0.1 would otherwise read the mail through the developer's browser. They send no CORS headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_migma.sandbox.calls import number
from django_migma.sandbox.hosts import host_in, is_loopback
from django_migma.sandbox.wire import Answer, Refusal, json_answer, json_object, timestamp

if TYPE_CHECKING:
    from django_migma.sandbox.calls import Call
    from django_migma.sandbox.store import Message
    from django_migma.sandbox.wire import Request

PREFIX = "/_sandbox"

# A mail may hold whatever a site's users typed: no scripts, no forms, no same-origin access to the sandbox. Links may
# open, in new windows too, and images may come from the developer's own site.
_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "img-src https: data: http://127.0.0.1:* http://localhost:*; style-src 'unsafe-inline'; "
    "font-src https: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
_MAIL_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)


def refuse_strangers(request: Request, bound_host: str) -> None:
    host = host_in(request.headers.get("host", ""))
    if not is_loopback(host) and host != bound_host.lower():
        raise Refusal(403, f"{PREFIX}/ answers only to this machine: open it as localhost")


def home(_call: Call) -> Answer:
    """Where people look first."""
    return Answer(status=302, body=b"", headers=(("Location", f"{PREFIX}/messages"),))


def messages(call: Call) -> Answer:
    """The newest ``limit`` messages, all by default; the newest last."""
    kept = call.site.store.messages()
    limit = number(call, "limit", default=max(1, len(kept)), low=1)
    return json_answer({"total": len(kept), "messages": [_summary(call, m) for m in kept[-limit:]]})


def message(call: Call) -> Answer:
    found = _find(call)
    return json_answer({**_summary(call, found), "html": found.html})


def message_html(call: Call) -> Answer:
    # "replace": JSON may carry lone surrogates, which UTF-8 cannot.
    body = _find(call).html.encode(errors="replace")
    kind = "text/html; charset=utf-8"
    return Answer(status=200, body=body, content_type=kind, headers=_MAIL_HEADERS)


def clear_messages(call: Call) -> Answer:
    """Batches, counters and idempotency keys stay: Migma would not forget them either."""
    return json_answer({"deleted": call.site.store.clear_messages()})


def stats(call: Call) -> Answer:
    return json_answer(call.site.store.stats())


def faults(call: Call) -> Answer:
    """What is to come, and the words there are."""
    return json_answer(call.site.faults.state())


def script_faults(call: Call) -> Answer:
    """``{"script": ["500", "lost"]}`` strikes the next sends.

    Only as application/json, which a page of another origin may not send unasked: it would have to ask by OPTIONS,
    which is not answered with leave.
    """
    script = json_object(call.request).get("script")
    if not isinstance(script, list) or not all(isinstance(word, str) for word in script):
        raise Refusal(400, 'script must be an array of faults, such as {"script": ["500", "lost"]}')
    try:
        call.site.faults.script(*script)
    except ValueError as error:
        raise Refusal(400, f"script: {error}") from None
    return faults(call)


def clear_faults(call: Call) -> Answer:
    """Script and probability; recipients that ask for a fault go on doing so."""
    call.site.faults.clear()
    return faults(call)


def _find(call: Call) -> Message:
    found = call.site.store.message(call.ids["messageId"])
    if found is None:
        raise Refusal(404, f"Message not found: {call.ids['messageId']} (only the newest are kept)")
    return found


def _summary(call: Call, item: Message) -> dict[str, Any]:
    return {
        "id": item.id,
        "html_url": f"{call.site.url}{PREFIX}/messages/{item.id}/html",
        "received_at": timestamp(item.received_at),
        "endpoint": item.endpoint,
        "key_name": item.key_name,
        "idempotency_key": item.idempotency_key,
        "replays": item.replays,
        "subject": item.subject,
        "body": item.body,
        "answer": item.answer,
    }
