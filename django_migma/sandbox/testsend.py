"""POST /v1/emails/test/send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_migma.sandbox import fields, selection
from django_migma.sandbox.rendering import Content
from django_migma.sandbox.sending import new_id
from django_migma.sandbox.store import Message
from django_migma.sandbox.wire import Refusal, json_object, success, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django_migma.sandbox.calls import Call
    from django_migma.sandbox.wire import Answer


def send_test(call: Call) -> Answer:
    """One stored email to one address, as it is stored: no variables, no choice of sender or subject.

    An Idempotency-Key is ignored: Migma's Node SDK offers none here.
    """
    call.take_time()
    body = json_object(call.request)
    if problems := _broken_rules(body):
        raise Refusal(400, "; ".join(problems), data={"problems": problems})
    email = selection.stored_email(body)
    now = call.site.store.clock()
    answer = {
        "messageId": new_id(),
        "conversationId": email.conversation_id,
        "emailId": email.id,
        "sentTo": body["to"],
        "sentAt": timestamp(now),
        "subject": email.subject,
    }
    message = Message(
        id=answer["messageId"],
        received_at=now,
        endpoint=call.endpoint,
        key_name=call.key_name,
        idempotency_key=None,
        body=body,
        answer=answer,
        content=Content(
            subject_source=email.subject,
            html_source=email.html,
            variables={},
            switches=call.site.switches,
        ),
    )
    call.site.store.add_message(message)
    return success(answer)


def _broken_rules(body: Mapping[str, Any]) -> list[str]:
    problems = [*fields.address(body, "to", required=True)]
    problems += fields.hex_id(body, "emailId")
    problems += fields.hex_id(body, "conversationId")
    if "emailId" not in body and "conversationId" not in body:
        problems.append("emailId or conversationId is required")
    return problems
