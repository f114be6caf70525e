"""MigmaClient: the Migma API in Python, one short method per endpoint. Usable without Django."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .clock import Clock
from .credentials import API_URL, Secret, api_key_error, api_url_error
from .errors import InvalidResponse
from .patience import Allowance
from .rates import parse_rate
from .resources import (
    BatchStatus,
    Domain,
    Email,
    EmailSummary,
    GenerationStatus,
    Page,
    Project,
    as_bool,
    as_dict,
    as_dicts,
    as_int,
)
from .types import SendRequest, SendResult, TestSendRequest, TestSendResult, encoded

if TYPE_CHECKING:
    from .transport import Transport

LONGEST_IDEMPOTENCY_KEY = 100
"""Characters, from the README of Migma's SDK. What happens above is not said, so it is refused here."""


class MigmaClient:
    """Calls Migma's v1 API. Cheap to make, safe to share between threads; connections are shared per process.

    ``timeout``: seconds per attempt, one number or a pair (to connect, for the whole answer). ``max_retries``:
    further attempts. ``retry_deadline``: seconds for all attempts of one request. ``rate_limit``: a pace of our own
    such as ``"100/m"``, kept by all clients of the process with the same key, address and rate. Raises ValueError for
    a key, an address or a rate that cannot work. Every method raises a `MigmaError`.
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
        from .transport import Limits, Transport  # noqa: PLC0415 - lazy: it imports requests, some 30 ms

        pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        rate = parse_rate(rate_limit) if rate_limit else None
        limits = Limits(timeout=pair, max_retries=max_retries, retry_deadline=retry_deadline, rate=rate)
        self._transport: Transport = Transport(
            api_key=api_key, api_url=api_url, limits=limits, clock=clock or Clock()
        )

    @property
    def proven(self) -> bool:
        """Whether Migma has accepted a mail with this key and address in this process."""
        return self._transport.pace.proven

    def send(
        self,
        request: SendRequest,
        *,
        idempotency_key: str = "",
        repeated: bool = False,
        allowance: Allowance | None = None,
    ) -> SendResult:
        """Send one stored email to one person, or to a segment or tag. Permission ``email:send``.

        The key makes repeats safe for 24 hours; one is made where none is given. ValueError above 100 characters.
        ``repeated`` says that an earlier send with this key may have been accepted: an error that settles nothing
        about it then says so, and a 409 is tried again, since that send may still be running. ``allowance``: seconds
        that several sends together may wait for rate limits, beyond their deadlines.
        """
        key = idempotency_key or uuid.uuid4().hex
        carried = key.isascii() and key.isprintable() and key == key.strip()
        if len(key) > LONGEST_IDEMPOTENCY_KEY or not carried:
            raise ValueError("An idempotency key has at most 100 printable ASCII characters.")
        reply, attempts = self._transport.call(
            "POST",
            "/sending",
            body=request.body,
            idempotency_key=key,
            repeated=repeated,
            allowance=allowance,
        )
        self._transport.pace.proven = True
        if not _is_readable(reply.data):
            raise InvalidResponse(
                "Migma reported success, but in a form that is not known",
                may_have_been_accepted=True,
                idempotency_key=key,
                attempts=attempts,
            )
        return SendResult.read(reply.data, attempts=attempts, replayed=reply.replayed, idempotency_key=key)

    def send_test(self, request: TestSendRequest) -> TestSendResult:
        """Send a stored email as a test. Permission ``email:send``. Never repeated: no key is documented for it."""
        reply, _ = self._transport.call("POST", "/emails/test/send", body=encoded(request.to_json()))
        return TestSendResult.read(reply.data)

    def batch_status(self, batch_id: str) -> BatchStatus:
        """How far a send to a segment or tag has come. Permission ``email:read``."""
        return BatchStatus.read(self._get(f"/sending/batches/{_segment(batch_id)}"))

    def list_projects(self, *, limit: int = 20, offset: int = 0) -> Page[Project]:
        """The brands of the workspace."""
        data = as_dict(self._get("/projects", {"limit": limit, "offset": offset}))
        return _page(data, tuple(Project.read(item) for item in as_dicts(data.get("projects"))))

    def list_emails(
        self, project_id: str, *, limit: int = 20, page: int = 1, status: str = "", search: str = ""
    ) -> Page[EmailSummary]:
        """The conversations of a project, ``limit`` (up to 100) a page. Permission ``email:read``.

        ``status``: pending, processing, completed or failed. The items carry no email id, see `generation_status`.
        """
        query = {
            "projectId": _identifier(project_id),
            "limit": limit,
            "page": page,
            "status": status,
            "search": search,
        }
        data = as_dict(self._get("/projects/emails", {name: value for name, value in query.items() if value != ""}))
        return _page(data, tuple(EmailSummary.read(item) for item in as_dicts(data.get("emails"))))

    def generation_status(self, conversation_id: str) -> GenerationStatus:
        """The emails of a conversation, with their ids and HTML once finished. Permission ``email:read``."""
        return GenerationStatus.read(self._get(f"/projects/emails/{_segment(conversation_id)}/status"))

    def get_email(self, email_id: str) -> Email:
        """One stored email with its HTML. Permission ``email:read``."""
        return Email.read(self._get(f"/emails/{_segment(email_id)}"))

    def list_domains(self, *, managed: bool = False) -> tuple[Domain, ...]:
        """The workspace's own sending domains, or those that Migma manages. Permission ``domain:read``.

        Whether the first list holds the second is not documented: ask for both.
        """
        data = self._get("/domains/managed" if managed else "/domains")
        return tuple(Domain.read(item) for item in as_dicts(data))

    def _get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        reply, _ = self._transport.call("GET", path, query=query)
        return reply.data


def _is_readable(data: Any) -> bool:
    """Whether this says how a send went: every field may be missing, but a status is a word."""
    return data is None or (isinstance(data, dict) and isinstance(data.get("status"), str | None))


def _identifier(value: str) -> str:
    if not isinstance(value, str) or value in {"", ".", ".."}:
        raise ValueError("An id must be a string that is not empty, and no path.")
    return value


def _segment(value: str) -> str:
    return quote(_identifier(value), safe="")


def _page(data: dict[str, Any], items: tuple[Any, ...]) -> Page[Any]:
    paging = as_dict(data.get("pagination"))
    total = as_int(paging.get("total"))
    return Page(
        items=items,
        total=as_int(data.get("total")) if total is None else total,
        has_more=bool(as_bool(paging.get("hasMore"))),
        raw=data,
    )
