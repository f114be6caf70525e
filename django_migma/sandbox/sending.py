"""POST /v1/sending."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import idempotency, selection
from django_migma.sandbox.rendering import Content
from django_migma.sandbox.rules import broken_rules
from django_migma.sandbox.store import Batch, Message
from django_migma.sandbox.wire import Refusal, json_object, success

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_migma.sandbox.calls import Call
    from django_migma.sandbox.idempotency import Slot
    from django_migma.sandbox.selection import Selected
    from django_migma.sandbox.wire import Answer

    Body = Mapping[str, Any]


def new_id() -> str:
    return secrets.token_hex(12)  # 24 hexadecimal digits


def send(call: Call) -> Answer:
    """One mail to one address, or one batch to a segment or a tag; once per Idempotency-Key."""
    key = call.request.headers.get("idempotency-key")
    if key is None or not call.site.switches.idempotency:
        return _accept(call, None)
    slot = idempotency.slot_for(call.key_name, key, call.request.body)
    earlier = call.site.store.ledger.begin(slot)
    if earlier is None:
        return _accept_once(call, slot)
    call.site.store.count_replay(call.key_name, key)
    return earlier


def _accept_once(call: Call, slot: Slot) -> Answer:
    kept = None
    consume = call.site.switches.errors_consume_key
    try:
        answer = _accepted_or_refused(call, slot.idempotency_key)
        kept = answer if idempotency.is_remembered(answer.status, errors_consume_key=consume) else None
    finally:  # also when the sandbox itself fails: a 500 frees the key
        call.site.store.ledger.finish(slot, kept)
    return answer


def _accepted_or_refused(call: Call, idempotency_key: str) -> Answer:
    try:
        return _accept(call, idempotency_key)
    except Refusal as refusal:
        return refusal.answer()


def _accept(call: Call, idempotency_key: str | None) -> Answer:
    call.take_time()
    body = json_object(call.request)
    if problems := broken_rules(body, call.site.switches):
        raise Refusal(400, "; ".join(problems), data={"problems": problems})
    selected = selection.content(body, any_id=call.site.switches.any_id)
    content = _content(call, body, selected)
    single = body["recipientType"] == "email"
    answer = _single(body, selected) if single else _batch(call, body, selected)
    message = Message(
        id=answer["id"],
        received_at=call.site.store.clock(),
        endpoint=call.endpoint,
        key_name=call.key_name,
        idempotency_key=idempotency_key,
        body=body,
        answer=answer,
        content=content,
    )
    call.site.store.add_message(message)
    return success(answer)


def _content(call: Call, body: Body, selected: Selected) -> Content:
    content = Content(
        subject_source=body["subject"],
        html_source=selected.html,
        variables=body.get("variables", {}),
        switches=call.site.switches,
    )
    if call.site.switches.missing_variables == "error" and (names := content.missing()):
        raise Refusal(400, f"variables: no value for {', '.join(names)}", data={"missing": names})
    return content


def _single(body: Body, selected: Selected) -> dict[str, Any]:
    # `sendId` is the tracking id of the newer Node SDK; nothing says that it equals `id`, so it does not.
    about = {"status": "queued", "sendId": new_id(), "sentCount": 1, "message": "Email queued"}
    return {"id": new_id(), "provider": _provider(body), **about, **_echo(selected)}


def _batch(call: Call, body: Body, selected: Selected) -> dict[str, Any]:
    recipients = selection.batch_size(body, selected.project)
    batch = Batch(id=new_id(), created_at=call.site.store.clock(), body=body, recipients=recipients)
    call.site.store.add_batch(batch)
    about = {"status": "queued", "batchId": batch.id, "message": f"Batch of {recipients} queued"}
    return {"id": batch.id, "provider": _provider(body), **about, **_echo(selected)}


def _provider(body: Body) -> str:
    provider: str = body.get("providerType", "migma")
    return provider


def _echo(selected: Selected) -> dict[str, str]:
    email = selected.email
    if email is None:
        return {}
    return {"emailId": email.id, "conversationId": email.conversation_id}
