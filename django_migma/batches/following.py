"""A batch that Migma has taken, followed until it ends."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from django.apps import apps
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_migma.api.errors import MigmaError, NotFound, TemporaryError
from django_migma.api.resources import as_int, as_str
from django_migma.api.retries import Clock
from django_migma.backends.base import make_client
from django_migma.mailers import mailer

if TYPE_CHECKING:
    from django_migma.api import BatchStatus, MigmaClient
    from django_migma.models import Newsletter

BATCH, CAMPAIGN = "batch", "campaign"
_ENDS = {BATCH: {"completed", "partial", "failed"}, CAMPAIGN: {"sent", "failed", "cancelled"}}
_FIRST_WAIT, _LAST_WAIT = 1.0, 15.0  # seconds between two questions; each wait is half as long again
PATIENCE = 120.0  # seconds of 404 after a send, or of an API that is away, before waiting gives up


@dataclass(frozen=True, kw_only=True)
class BatchCounts:
    """People of a batch: all, and those whose mail waits, was sent or failed. None where Migma does not say."""

    total: int | None = None
    queued: int | None = None
    sent: int | None = None
    failed: int | None = None


@dataclass(frozen=True, kw_only=True)
class BatchThrottle:
    """Why a batch waits, in Migma's words, when it should go on, and how many people still wait for their mail."""

    reason: str = ""
    resumes_at: dt.datetime | None = None
    remaining: int | None = None


@dataclass(kw_only=True)
class Batch:
    """A send to a segment or tag that Migma has taken.

    ``id`` is Migma's: of a batch, or, where the send has a time, of a campaign (``kind`` says which). ``status`` is
    Migma's word. A batch: queued, processing, throttled, and at its end completed, partial or failed. A campaign:
    scheduled, sending, throttled, and at its end sent, failed or cancelled; also draft and pending_review.
    ``idempotency_key``: what Migma knows it by, a hash of yours. ``replayed``: it was sent before under this key.
    """

    client: MigmaClient = field(repr=False)
    id: str
    kind: str = BATCH
    status: str = ""
    counts: BatchCounts = field(default_factory=BatchCounts)
    throttle: BatchThrottle | None = None
    error: str = ""
    scheduled_at: dt.datetime | None = None
    idempotency_key: str = ""
    replayed: bool = False
    on_refresh: Callable[[Batch], object] | None = field(default=None, repr=False)
    clock: Clock = field(default_factory=Clock, repr=False)

    @property
    def is_finished(self) -> bool:
        """Whether its status will not change any more. An unknown word counts as unfinished."""
        return self.status in _ENDS[self.kind]

    def refresh(self) -> Self:
        """Ask Migma for its status, and return itself. Raises the errors of the API; the key needs ``email:read``."""
        batch_id = self.id
        if self.kind == CAMPAIGN:
            campaign = self.client.get_campaign(self.id)
            self.status, self.error, batch_id = campaign.status or self.status, campaign.error, campaign.batch_id
        if batch_id:
            self._read(self.client.batch_status(batch_id))
        if self.on_refresh:
            self.on_refresh(self)
        return self

    def _read(self, found: BatchStatus) -> None:
        if self.kind == BATCH:
            self.status = found.status or self.status
        self.error = found.error or self.error
        self.counts = BatchCounts(
            total=found.total_count, queued=found.queued_count, sent=found.sent_count, failed=found.failed_count
        )
        self.throttle = _throttle(found.throttle) if found.status == "throttled" else None

    def wait(
        self,
        timeout: float | None = None,
        *,
        on_change: Callable[[Batch], object] | None = None,
        on_error: Callable[[MigmaError], object] | None = None,
    ) -> Self:
        """Ask for the status until the batch ends, or for ``timeout`` seconds; return itself, see ``is_finished``.

        ``on_change`` is called after every answer. Migma may not know a batch right after it was sent, and the API
        may be away for a while: only after two minutes of that are the errors raised, and until then ``on_error`` is
        called with each. Others are raised at once.
        """
        end = math.inf if timeout is None else self.clock.monotonic() + timeout
        wait, patience = _FIRST_WAIT, self.clock.monotonic() + PATIENCE
        while True:
            try:
                self.refresh()
                patience = self.clock.monotonic() + PATIENCE
                if on_change:
                    on_change(self)
            except (NotFound, TemporaryError) as error:
                if self.clock.monotonic() >= patience:
                    raise
                if on_error:
                    on_error(error)
            left = end - self.clock.monotonic()
            if self.is_finished or left <= 0:
                return self
            self.clock.sleep(min(wait, left))
            wait = min(_LAST_WAIT, wait * 1.5)

    def cancel(self) -> Self:
        """Cancel a send that has a time, before that. Raises ValueError for a batch: Migma cannot stop one."""
        if self.kind != CAMPAIGN:
            raise ValueError("A batch cannot be cancelled: Migma has no call for it. Only a scheduled send can.")
        self.client.cancel_campaign(self.id, idempotency_key=f"cancel-{self.id}"[:100])
        return self.refresh()


def find_batch(batch_id: str, *, using: str | None = None) -> Batch:
    """Return the batch or campaign with this id of Migma's, and ask for its status.

    ``using``: an alias of ``MAILERS``, by default the one that sent it. Raises `NotFound` if Migma knows neither, and
    the other errors of the API.
    """
    model = newsletter_model()
    row = model.objects.filter(migma_id=batch_id).first() if model else None
    client = make_client(mailer(using or (row.alias if row else "") or None).config())
    if row is not None:
        return batch_of(row, client).refresh()
    try:
        return Batch(client=client, id=batch_id).refresh()
    except NotFound:
        return Batch(client=client, id=batch_id, kind=CAMPAIGN).refresh()


def batch_of(row: Newsletter, client: MigmaClient, *, replayed: bool = False) -> Batch:
    """Return the batch that a row remembers. A refresh updates the row."""
    from django_migma.models.newsletter import aware  # noqa: PLC0415 - models need the app

    return Batch(
        client=client,
        id=row.migma_id,
        kind=row.kind,
        status=row.status,
        counts=BatchCounts(total=row.total, queued=row.queued, sent=row.sent, failed=row.failed),
        error=row.error,
        scheduled_at=row.scheduled_at and aware(row.scheduled_at),
        idempotency_key=row.key_digest,
        replayed=replayed,
        on_refresh=row.follow,
    )


def newsletter_model() -> type[Newsletter] | None:
    """The model whose rows remember batches; None without the app, where only Migma remembers them."""
    if not (apps.apps_ready and apps.is_installed("django_migma")):
        return None
    from django_migma.models import Newsletter  # noqa: PLC0415 - models need the app

    return Newsletter


def _throttle(told: dict[str, Any]) -> BatchThrottle:
    try:
        resumes_at = parse_datetime(as_str(told.get("expiresAt")))
    except ValueError:
        resumes_at = None
    if resumes_at is not None and timezone.is_naive(resumes_at):
        resumes_at = None  # its time zone would have to be guessed
    return BatchThrottle(
        reason=as_str(told.get("reason")), resumes_at=resumes_at, remaining=as_int(told.get("remainingCount"))
    )
