"""MigmaClient: the Migma API in Python, one short method per endpoint. Usable without Django."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .credentials import API_URL, Secret, api_key_error, api_url_error
from .errors import InvalidResponse
from .rate_limits import parse_rate
from .resources import (
    BatchStatus,
    Campaign,
    CampaignStats,
    Domain,
    Email,
    EmailLog,
    EmailSummary,
    GenerationStatus,
    Page,
    Project,
    Segment,
    Tag,
    as_dict,
    as_dicts,
)
from .retries import Clock, Retry
from .types import CampaignRequest, FrozenRequest, SendRequest, SendResult, TestSendRequest, TestSendResult, encode

if TYPE_CHECKING:
    from .transport import Transport

MAX_IDEMPOTENCY_KEY = 100  # characters, from the README of Migma's SDK; more is refused, since it is undocumented


class MigmaClient:
    """Calls Migma's v1 API. Cheap to make and safe to share between threads; a process shares its connections.

    ``allow_http``: permits ``http`` to other hosts than this machine. ``timeout``: seconds per attempt, one number or
    a pair (to connect, for the whole answer). ``max_retries``: further attempts of one request. ``retry_deadline``:
    seconds for all attempts of one request, waits included. ``rate_limit``: a limit of your own such as ``"100/m"``,
    kept by all clients of the process with the same key, address and rate.

    Raises ValueError for a key, an address or a rate that cannot work. Methods raise `MigmaError` if the request
    fails, and ValueError for an unusable id or idempotency key.
    """

    def __init__(
        self,
        api_key: str,
        *,
        api_url: str = API_URL,
        allow_http: bool = False,
        timeout: float | tuple[float, float] = (3.05, 10),
        max_retries: int = 4,
        retry_deadline: float = 20,
        rate_limit: str = "",
        clock: Clock | None = None,
    ) -> None:
        problem = api_key_error(api_key)
        api_key = Secret(api_key) if isinstance(api_key, str) else Secret()
        if problem:
            raise ValueError(f"The API key {problem}.")
        if problem := api_url_error(api_url, allow_http=allow_http):
            raise ValueError(f"The API address {problem}.")
        rate = parse_rate(rate_limit) if rate_limit else None
        from .transport import Transport  # noqa: PLC0415 - lazy: it imports requests, some 30 ms

        pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        self._transport: Transport = Transport(
            api_key=api_key,
            api_url=api_url,
            retry=Retry(timeout=pair, total=max_retries, deadline=retry_deadline),
            rate=rate,
            clock=clock or Clock(),
        )

    @property
    def has_succeeded(self) -> bool:
        """Whether Migma has accepted a mail with this key and address in this process."""
        return self._transport.limiter.has_succeeded

    def send(
        self,
        request: SendRequest | FrozenRequest,
        *,
        idempotency_key: str = "",
        is_resend: bool = False,
        wait_for_rate: bool = True,
    ) -> SendResult:
        """Send one stored email to one address, or to a segment or tag. Needs the permission ``email:send``.

        ``idempotency_key``: makes repeats safe for 24 hours; up to 100 printable ASCII characters, else ValueError.
        One is made if you give none. ``is_resend``: an earlier send with this key may have been accepted; an error
        that proves nothing about it then says so, and a 409 is retried, since that send may still be running.
        ``wait_for_rate``: whether to wait for a rate limit; without, it raises `RateLimited` at once.
        """
        key = _key(idempotency_key)
        response = self._transport.request(
            "POST",
            "/sending",
            body=request.body,
            idempotency_key=key,
            is_resend=is_resend,
            wait_for_rate=wait_for_rate,
        )
        self._transport.limiter.has_succeeded = True
        attempts = response.attempts
        if not _is_send_result(response.data):
            raise InvalidResponse(
                "Migma reported success, but in a form that is not known",
                may_have_been_accepted=True,
                idempotency_key=key,
                attempts=attempts,
            )
        return SendResult.from_json(response.data, attempts=attempts, replayed=response.replayed, idempotency_key=key)

    def send_test(self, request: TestSendRequest) -> TestSendResult:
        """Send a stored email as a test. Needs ``email:send``. Never repeated: no key is documented for it."""
        response = self._transport.request("POST", "/emails/test/send", body=encode(request.to_json()))
        return TestSendResult.from_json(response.data)

    def batch_status(self, batch_id: str) -> BatchStatus:
        """The state of a send to a segment or tag. Needs ``email:read``."""
        return BatchStatus.from_json(self._get(f"/sending/batches/{_segment(batch_id)}"))

    def list_projects(self, *, limit: int = 20, offset: int = 0) -> Page[Project]:
        """The projects (brands) of the workspace, ``limit`` a page, from ``offset`` on."""
        data = as_dict(self._get("/projects", {"limit": limit, "offset": offset}))
        return Page.from_json(data, tuple(Project.from_json(item) for item in as_dicts(data.get("projects"))))

    def list_emails(
        self, project_id: str, *, limit: int = 20, page: int = 1, status: str = "", search: str = ""
    ) -> Page[EmailSummary]:
        """The conversations of a project, ``limit`` (up to 100) a page. Needs ``email:read``.

        ``status``: pending, processing, completed or failed. ``search``: in title or subject. The items carry no
        email id, see `generation_status`.
        """
        query = {"projectId": _identifier(project_id), "limit": limit, "page": page}
        data = as_dict(self._get("/projects/emails", query | _given(status=status, search=search)))
        return Page.from_json(data, tuple(EmailSummary.from_json(item) for item in as_dicts(data.get("emails"))))

    def generation_status(self, conversation_id: str) -> GenerationStatus:
        """The emails of a conversation, with their ids and HTML once finished. Needs ``email:read``."""
        return GenerationStatus.from_json(self._get(f"/projects/emails/{_segment(conversation_id)}/status"))

    def get_email(self, email_id: str) -> Email:
        """One stored email with its HTML. Needs ``email:read``."""
        return Email.from_json(self._get(f"/emails/{_segment(email_id)}"))

    def email_logs(self, email_id: str, *, limit: int = 100, cursor: str = "", status: str = "") -> Page[EmailLog]:
        """What has become of the mails of a stored email, ``limit`` (up to 100) a page. Needs ``email:read``.

        ``cursor``: ``next_cursor`` of the page before. ``status``: only mails with this one, see `EmailLog`. Migma
        keeps them for about 30 days.
        """
        query = {"limit": limit} | _given(cursor=cursor, status=status)
        data = as_dict(self._get(f"/emails/{_segment(email_id)}/logs", query))
        return Page.from_json(data, tuple(EmailLog.from_json(item) for item in as_dicts(data.get("emails"))))

    def list_domains(self, *, managed: bool = False) -> tuple[Domain, ...]:
        """The workspace's own sending domains, or those that Migma manages. Needs ``domain:read``.

        Whether the first list contains the second is not documented: ask for both.
        """
        data = self._get("/domains/managed" if managed else "/domains")
        return tuple(Domain.from_json(item) for item in as_dicts(data))

    def list_segments(self, project_id: str) -> tuple[Segment, ...]:
        """The segments of a project, with the number of contacts in each. Needs ``audience:read``.

        Migma documents no pages for this list.
        """
        data = self._get("/segments", {"projectId": _identifier(project_id)})
        return tuple(Segment.from_json(item) for item in as_dicts(data))

    def list_tags(self, project_id: str, *, limit: int = 100, page: int = 1, search: str = "") -> Page[Tag]:
        """The tags of a project, ``limit`` a page, with the number of contacts of each. Needs ``audience:read``."""
        query = {"projectId": _identifier(project_id), "limit": limit, "page": page} | _given(search=search)
        response = self._transport.request("GET", "/tags", query=query)
        items = tuple(Tag.from_json(item) for item in as_dicts(response.data))
        total = response.total
        return Page(items=items, total=total, has_more=total is not None and page * limit < total)

    def create_campaign(self, request: CampaignRequest | FrozenRequest, *, idempotency_key: str = "") -> Campaign:
        """Make a draft of a campaign. Needs ``campaign:write``, in older documents ``email:send``.

        ``idempotency_key``, here and in the next three: as for `send`.
        """
        return self._post_campaign("", idempotency_key, request.body)

    def get_campaign(self, campaign_id: str) -> Campaign:
        """A campaign and its status. Needs ``campaign:read``, in older documents ``email:read``."""
        return Campaign.from_json(self._get(f"/campaigns/{_segment(campaign_id)}"))

    def send_campaign(self, campaign_id: str, *, idempotency_key: str = "") -> Campaign:
        """Send a draft now."""
        return self._post_campaign(f"/{_segment(campaign_id)}/send", idempotency_key)

    def schedule_campaign(
        self, campaign_id: str, scheduled_at: datetime, *, timezone: str = "UTC", idempotency_key: str = ""
    ) -> Campaign:
        """Have a draft sent at a time, which must be aware, else ValueError. ``timezone``: an IANA name, as shown."""
        if scheduled_at.utcoffset() is None:
            raise ValueError("scheduled_at must be aware: give it a time zone.")
        moment = scheduled_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = encode({"scheduledAt": moment, "scheduledTimezone": timezone})
        return self._post_campaign(f"/{_segment(campaign_id)}/schedule", idempotency_key, body)

    def cancel_campaign(self, campaign_id: str, *, idempotency_key: str = "") -> Campaign:
        """Cancel a scheduled campaign."""
        return self._post_campaign(f"/{_segment(campaign_id)}/cancel", idempotency_key)

    def campaign_stats(self, campaign_id: str) -> CampaignStats:
        """How a campaign did so far. Needs ``campaign:read``."""
        return CampaignStats.from_json(self._get(f"/campaigns/{_segment(campaign_id)}/stats"))

    def _post_campaign(self, path: str, idempotency_key: str, body: bytes | None = None) -> Campaign:
        response = self._transport.request(
            "POST", f"/campaigns{path}", body=body, idempotency_key=_key(idempotency_key)
        )
        return Campaign.from_json(response.data)

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._transport.request("GET", path, query=query).data


def _key(given: str) -> str:
    """The idempotency key that was given, or a new one. Raises ValueError for an unusable one."""
    key = given or uuid.uuid4().hex
    if len(key) > MAX_IDEMPOTENCY_KEY or not (key.isascii() and key.isprintable() and key == key.strip()):
        raise ValueError("An idempotency key has at most 100 printable ASCII characters.")
    return key


def _is_send_result(data: Any) -> bool:
    """Whether this says how a send went: every field may be missing, but a status is a word."""
    return data is None or (isinstance(data, dict) and isinstance(data.get("status"), str | None))


def _given(**query: str) -> dict[str, str]:
    """The parts of a query that are not empty."""
    return {name: value for name, value in query.items() if value != ""}


def _identifier(value: str) -> str:
    if not isinstance(value, str) or value in {"", ".", ".."}:
        raise ValueError("An id must be a string that is not empty, and no path.")
    return value


def _segment(value: str) -> str:
    return quote(_identifier(value), safe="")
