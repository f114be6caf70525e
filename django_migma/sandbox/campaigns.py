"""The views of /v1/campaigns: a draft, which is then sent, scheduled or cancelled, and what becomes of it.

Paths, fields and statuses are those of the Node SDK of mid 2026. What the verbs answer, and with which status one is
refused that does not fit, is public nowhere: here each answers with the campaign, or with 400. Time passes when
somebody asks: a scheduled campaign is sent at the first request after its moment.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django_migma.sandbox import account, batches
from django_migma.sandbox.exchanges import Message, parsed_size
from django_migma.sandbox.idempotency import once_per_key
from django_migma.sandbox.protocol import ApiError, endpoint, json_object, new_id, success, timestamp
from django_migma.sandbox.store import Campaign
from django_migma.sandbox.validation import campaign_errors, raise_for, schedule_errors

if TYPE_CHECKING:
    from django.http import HttpResponse

    from django_migma.sandbox.server import Request
    from django_migma.sandbox.store import Store

_STATUSES = {"queued": "sending", "processing": "sending", "completed": "sent", "partial": "sent"}
"""Of a campaign, by that of its batch; the other words are the same."""
_SHOWN = ("name", "conversationId", "emailId", "from", "fromName", "replyTo", "recipientType", "recipientId")


@endpoint("campaign:write")
@once_per_key
def create(request: Request) -> HttpResponse:
    """POST /v1/campaigns: a draft. What is wrong with it is said here, and not only when it is sent."""
    store, switches = request.sandbox.store, request.sandbox.switches
    body = json_object(request)
    raise_for(campaign_errors(body, switches))
    content = account.find_content(body, any_id=switches.any_id)
    now, campaign_id = store.clock(), new_id()
    message = Message(
        id=campaign_id,
        received_at=now,
        endpoint=request.endpoint,
        key_name=request.key_name,
        body=body,
        size=parsed_size(request.body),
        answer={"provider": body.get("providerType", "migma")},
        switches=switches,
        recipients=account.count_recipients(body, content.project),
        subject_template=body.get("subject") or (content.email or {}).get("subject", ""),
        html_template=content.html,
        variables=body.get("variables", {}),
    )
    draft = Campaign(id=campaign_id, created_at=now, updated_at=now, message=message, project=content.project["_id"])
    store.add_campaign(draft)
    return success(_shown(draft, now))


@endpoint("campaign:read")
def campaigns(request: Request) -> HttpResponse:
    """GET /v1/campaigns: those of a project, newest first."""
    store = request.sandbox.store
    project = account.find_project(request.GET.get("projectId") or "")["_id"]
    found = [_up_to_date(store, each) for each in reversed(store.campaigns()) if each.project == project]
    return success({"campaigns": [_shown(each, store.clock()) for each in found], "total": len(found)})


@endpoint("campaign:read")
def campaign(request: Request, campaign_id: str) -> HttpResponse:
    """GET /v1/campaigns/{campaignId}."""
    store = request.sandbox.store
    return success(_shown(_find(store, campaign_id), store.clock()))


@endpoint("campaign:read")
def stats(request: Request, campaign_id: str) -> HttpResponse:
    """GET /v1/campaigns/{campaignId}/stats: all that were sent arrive, and one in four is opened."""
    store = request.sandbox.store
    found = _find(store, campaign_id)
    sent = batches.progress(found.batch, store.clock()).sent if found.batch else 0
    opens, clicks = sent // 4, sent // 20
    return success({
        "totalSent": sent, "totalDelivered": sent, "bounces": 0, "unsubscribes": 0,
        "uniqueOpens": opens, "totalOpens": opens, "openRate": 100 * opens / max(1, sent),
        "uniqueClicks": clicks, "totalClicks": clicks, "clickRate": 100 * clicks / max(1, sent),
        "lastUpdated": timestamp(store.clock()),
    })  # fmt: skip


@endpoint("campaign:write")
@once_per_key
def send(request: Request, campaign_id: str) -> HttpResponse:
    """POST /v1/campaigns/{campaignId}/send: now."""
    store = request.sandbox.store
    sent = _sent(store, _find_unsent(store, campaign_id), store.clock())
    request.message = sent.batch
    return _answer(store, sent)


@endpoint("campaign:write")
@once_per_key
def schedule(request: Request, campaign_id: str) -> HttpResponse:
    """POST /v1/campaigns/{campaignId}/schedule. Whether Migma takes a moment in the past is unknown; not here."""
    store, body = request.sandbox.store, json_object(request)
    raise_for(schedule_errors(body))
    moment = datetime.fromisoformat(body["scheduledAt"])
    if moment <= store.clock():
        raise ApiError(400, "scheduledAt must be in the future")
    zone = body.get("scheduledTimezone", "UTC")
    found = _find_unsent(store, campaign_id)
    request.message = found.message
    return _answer(store, store.change_campaign(found, scheduled_at=moment, scheduled_timezone=zone))


@endpoint("campaign:write")
@once_per_key
def cancel(request: Request, campaign_id: str) -> HttpResponse:
    """POST /v1/campaigns/{campaignId}/cancel."""
    store = request.sandbox.store
    return _answer(store, store.change_campaign(_find_unsent(store, campaign_id), is_cancelled=True))


def _find(store: Store, campaign_id: str) -> Campaign:
    found = store.campaign(campaign_id)
    if found is None:
        raise ApiError(404, f"Campaign not found: {campaign_id}")
    return _up_to_date(store, found)


def _find_unsent(store: Store, campaign_id: str) -> Campaign:
    found = _find(store, campaign_id)
    status = _status(found, store.clock())
    if status not in {"draft", "scheduled"}:
        raise ApiError(400, f"The campaign is {status}: only a draft or a scheduled one can be changed")
    return found


def _up_to_date(store: Store, campaign: Campaign) -> Campaign:
    """The campaign, sent if its moment has come."""
    moment = None if campaign.is_cancelled or campaign.batch else campaign.scheduled_at
    return campaign if moment is None or moment > store.clock() else _sent(store, campaign, moment)


def _sent(store: Store, campaign: Campaign, moment: datetime) -> Campaign:
    batch_id = new_id()
    answer = {**campaign.message.answer, "id": batch_id, "batchId": batch_id}
    batch = replace(campaign.message, id=batch_id, received_at=moment, answer=answer)
    changed = store.change_campaign(campaign, batch=batch)
    store.add_message(batch)
    return changed


def _answer(store: Store, campaign: Campaign) -> HttpResponse:
    return success(_shown(campaign, store.clock()))


def _status(campaign: Campaign, now: datetime) -> str:
    if campaign.is_cancelled:
        return "cancelled"
    if campaign.batch is None:
        return "draft" if campaign.scheduled_at is None else "scheduled"
    status = batches.progress(campaign.batch, now).status
    return _STATUSES.get(status, status)


def _shown(campaign: Campaign, now: datetime) -> dict[str, Any]:
    body, batch = campaign.message.body, campaign.batch
    return {
        "id": campaign.id,
        **{name: body[name] for name in _SHOWN if name in body},
        "projectId": campaign.project,
        "subject": campaign.message.subject_template,
        "status": _status(campaign, now),
        "scheduledAt": campaign.scheduled_at and timestamp(campaign.scheduled_at),
        "scheduledTimezone": campaign.scheduled_timezone,
        "batchId": batch and batch.id,
        "sentAt": batch and timestamp(batch.received_at),
        "triggeredBy": "api",
        "createdAt": timestamp(campaign.created_at),
        "updatedAt": timestamp(campaign.updated_at),
    }
