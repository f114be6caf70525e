"""The views of /v1: Migma's API as far as this package's client may use it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import account, batches, logs
from django_migma.sandbox.account import ACCOUNT
from django_migma.sandbox.exchanges import Message, parsed_size
from django_migma.sandbox.idempotency import once_per_key
from django_migma.sandbox.protocol import (
    ApiError,
    endpoint,
    json_object,
    new_id,
    query_choice,
    query_int,
    success,
    timestamp,
)
from django_migma.sandbox.validation import raise_for, send_errors, send_test_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.http import HttpResponse

    from django_migma.sandbox.server import Request

    Body = Mapping[str, Any]


@endpoint("email:send")
@once_per_key
def send(request: Request) -> HttpResponse:
    """POST /v1/sending: one mail to one address, or one batch to a segment or a tag; once per Idempotency-Key."""
    sandbox = request.sandbox
    body = json_object(request)
    raise_for(send_errors(body, sandbox.switches))
    content = account.find_content(body, any_id=sandbox.switches.any_id)
    is_batch = body["recipientType"] != "email"
    recipients = account.count_recipients(body, content.project) if is_batch else None
    answer = _answer(body, recipients)
    if content.email is not None:
        answer |= {name: content.email[name] for name in ("emailId", "conversationId")}
    message = Message(
        **_received(request, body, answer),
        id=answer["id"],
        idempotency_key=request.idempotency_key,
        recipients=recipients,
        subject_template=body["subject"],
        html_template=content.html,
        variables=body.get("variables", {}),
    )
    if sandbox.switches.missing_variables == "error" and (names := message.missing_variables()):
        raise ApiError(400, f"variables: no value for {', '.join(names)}", data={"missing": names})
    _keep(request, message)
    return success(answer)


def _keep(request: Request, message: Message) -> None:
    request.sandbox.store.add_message(message)
    request.message = message


def _answer(body: Body, recipients: int | None) -> dict[str, Any]:
    answer = {"id": new_id(), "provider": body.get("providerType", "migma"), "status": "queued"}
    if recipients is None:
        # The tracking id of the newer Node SDK. Nothing says that it equals `id`, so it does not.
        return answer | {"sendId": new_id(), "sentCount": 1, "message": "Email queued"}
    return answer | {"batchId": answer["id"], "message": f"Batch of {recipients} queued"}


def _received(request: Request, body: Body, answer: Body) -> dict[str, Any]:
    return {
        "received_at": request.sandbox.store.clock(),
        "endpoint": request.endpoint,
        "key_name": request.key_name,
        "body": body,
        "answer": answer,
        "switches": request.sandbox.switches,
        "size": parsed_size(request.body),
    }


@endpoint("email:send")
def send_test(request: Request) -> HttpResponse:
    """POST /v1/emails/test/send: one stored email as it is. Migma's Node SDK offers no Idempotency-Key here."""
    request.take_time()
    body = json_object(request)
    raise_for(send_test_errors(body))
    stored = account.find_stored_email(body)
    answer = {
        "messageId": new_id(),
        "conversationId": stored["conversationId"],
        "emailId": stored["emailId"],
        "sentTo": body["to"],
        "sentAt": timestamp(request.sandbox.store.clock()),
        "subject": stored["subject"],
    }
    message = Message(
        **_received(request, body, answer),
        id=answer["messageId"],
        subject_template=stored["subject"],
        html_template=stored["html"],
        variables={},
    )
    _keep(request, message)
    return success(answer)


@endpoint("email:read")
def batch_status(request: Request, batch_id: str) -> HttpResponse:
    """Where a send to a segment or tag is. Whether Migma knows a batch at once is unknown, see ``batch_delay``."""
    store = request.sandbox.store
    batch = store.batch(batch_id)
    found = batches.batch_status(batch, store.clock()) if batch else None
    if found is None:
        raise ApiError(404, f"Batch not found: {batch_id}")
    return success(found)


# No source states a permission for listing projects, and there is none that would fit. Those of the lists of emails,
# of one email and of webhook events are inferred from their neighbours. Whether Migma answers an unknown `projectId`
# with 404 or with an empty list is not public: 404 here.


@endpoint()
def projects(request: Request) -> HttpResponse:
    """Paged by offset, unlike all other lists."""
    # The list's limits are not public; those of the list of emails are.
    limit = query_int(request, "limit", default=20, low=1, high=100)
    offset = query_int(request, "offset", default=0, low=0)
    status = query_choice(request, "status", ("pending", "processing", "active", "error"))
    found = [project for project in ACCOUNT["projects"] if status in (None, project["status"])]
    more = offset + limit < len(found)
    pagination = {"total": len(found), "limit": limit, "offset": offset, "hasMore": more}
    return success({"projects": found[offset : offset + limit], "pagination": pagination})


@endpoint("audience:read")
def tags(request: Request) -> HttpResponse:
    """``count`` is of all pages together."""
    project = _project(request)
    order = query_choice(request, "sortBy", ("createdAt", "name")) or "createdAt"
    backwards = query_choice(request, "sortOrder", ("asc", "desc")) == "desc"
    search = request.GET.get("search", "").lower()
    found = [tag for tag in ACCOUNT["tags"][project["_id"]] if search in tag["name"].lower()]
    found.sort(key=itemgetter(order), reverse=backwards)
    return success(_page(request, found)[0], count=len(found))


@endpoint("audience:read")
def segments(request: Request) -> HttpResponse:
    found = ACCOUNT["segments"][_project(request)["_id"]]
    return success(found, count=len(found))


@endpoint("email:read")
def emails(request: Request) -> HttpResponse:
    """Conversations, newest first; their emails are in the status of each."""
    project = _project(request)
    status = query_choice(request, "status", ("pending", "processing", "completed", "failed"))
    search = request.GET.get("search", "").lower()
    page, pagination = _page(request, account.listed_emails(project, status=status, search=search))
    return success({"emails": page, "pagination": pagination})


@endpoint("email:read")
def conversation_status(request: Request, conversation_id: str) -> HttpResponse:
    """The answer to polling a conversation; ``result`` is there once it is completed."""
    found = account.find_conversation(conversation_id)
    shown = {name: value for name, value in found.items() if name not in {"projectId", "title"}}
    if result := found.get("result"):
        shown["result"] = result | {"emails": [_with_thumbnail(request, each) for each in result["emails"]]}
    return success(shown)


@endpoint("email:read")
def email(request: Request, email_id: str) -> HttpResponse:
    """One stored email. The newest types have no list of its variables, so there is none here."""
    found = account.find_email(email_id)
    shown = {name: value for name, value in found.items() if name not in {"slot", "sendOffsetDays"}}
    updated_at = account.find_conversation(found["conversationId"])["updatedAt"]
    return success(_with_thumbnail(request, {**shown, "slotUuid": None, "warnings": [], "updatedAt": updated_at}))


def _with_thumbnail(request: Request, email: dict[str, Any]) -> dict[str, Any]:
    """The email with the address of its picture in this sandbox."""
    return email | {"thumbnailUrl": f"{request.sandbox.url}/thumbnails/{email['id']}.svg"}


@endpoint("email:read")
def email_logs(request: Request, email_id: str) -> HttpResponse:
    """Single sends of one stored email, newest first. Whether Migma lists test sends and batches here is unknown."""
    limit = query_int(request, "limit", default=20, low=1, high=100)
    status = query_choice(request, "status", logs.STATUSES)
    if not request.sandbox.switches.any_id:
        account.find_email(email_id)
    store = request.sandbox.store
    cursor = request.GET.get("cursor")
    return success(
        logs.page(store.single_sends(), email_id, store.clock(), limit=limit, cursor=cursor, status=status)
    )


@endpoint("domain:read")
def domains(_request: Request, *, managed: bool) -> HttpResponse:
    """A bare array. Whether Migma's list of custom domains holds managed ones too is not stated; here it does not."""
    return success([domain for domain in ACCOUNT["domains"] if domain["isManagedDomain"] == managed])


@endpoint("webhook:read")
def webhook_events(request: Request) -> HttpResponse:
    """All that any source names; the descriptions are the sandbox's own."""
    events = ACCOUNT["webhookEvents"]
    return success({"events": events, "total": len(events)})


def _project(request: Request) -> dict[str, Any]:
    project_id = request.GET.get("projectId")
    if not project_id:
        raise ApiError(400, "projectId is required")
    return account.find_project(project_id)


def _page(request: Request, found: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    limit = query_int(request, "limit", default=20, low=1, high=100)
    page = query_int(request, "page", default=1, low=1)
    pagination = {"total": len(found), "page": page, "limit": limit, "hasMore": page * limit < len(found)}
    return found[(page - 1) * limit : page * limit], pagination
