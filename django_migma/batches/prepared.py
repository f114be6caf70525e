"""A batch that is known and not sent, and its one send per key."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import router
from django.utils import timezone

from django_migma.api.credentials import account_digest
from django_migma.api.errors import Conflict, Forbidden, InvalidRequest, InvalidResponse, MigmaError, NotFound
from django_migma.api.types import FrozenRequest, SendResult
from django_migma.mailers import Mailer

from .audiences import Audience
from .following import BATCH, CAMPAIGN, Batch, batch_of, newsletter_model

if TYPE_CHECKING:
    from django_migma.api import MigmaClient
    from django_migma.conf import Config
    from django_migma.models import Newsletter
    from django_migma.models.newsletter import NewsletterQuerySet

MIN_AHEAD = dt.timedelta(minutes=1)
"""A send cannot have an earlier time. How far ahead Migma wants it is unknown; a minute leaves time for the calls."""

_REPEATED = "Migma may repeat this refusal for a day: once it is put right, give a new idempotency key."

_CLAIM_POLL = 0.25  # seconds between two looks at what another process makes of the same send


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """A batch that is not sent yet: all that will happen, for somebody to look at.

    ``template`` is the stored email's key or id. ``missing_variables`` are names that the stored email is known to
    use and that neither the call nor the defaults fill; Migma may fill them from each contact. ``request`` is the
    body of the one request: of a send, or of the draft of a campaign where it has a time.
    """

    mailer: Mailer
    config: Config
    client: MigmaClient
    template: str
    audience: Audience
    missing_variables: frozenset[str]
    scheduled_at: dt.datetime | None
    request: bytes

    @cached_property
    def body(self) -> dict[str, Any]:
        """The request as JSON, with Migma's names: ``from``, ``fromName``, ``subject``, ``variables`` and so on."""
        found: dict[str, Any] = json.loads(self.request)
        return found

    @property
    def kind(self) -> str:
        """``campaign`` where the send has a time, else ``batch``."""
        return BATCH if self.scheduled_at is None else CAMPAIGN

    @property
    def digest(self) -> str:
        """A SHA-256 in hex of what would be sent to whom, and when: the same for the same batch."""
        moment = "" if self.scheduled_at is None else self.scheduled_at.astimezone(dt.UTC).isoformat()
        return hashlib.sha256(b"\0".join([self.kind.encode(), moment.encode(), self.request])).hexdigest()

    def usual_key(self) -> str:
        """A key that is the same today for the same batch, for callers without a better one."""
        today = timezone.localdate(dt.datetime.now(dt.UTC))
        return f"{self.template}-{self.audience.id}-{today}-{self.digest[:12]}"

    def remembered(self, idempotency_key: str = "") -> Newsletter | None:
        """Return the row of this key; without a key, of the batch that is meant, see `Newsletter.objects.to_repeat`.

        None if there is none, and without the app.
        """
        rows = self._rows()
        if rows is None:
            return None
        meant = None
        if not idempotency_key:
            meant = rows.to_repeat(template=self.template, recipient_id=self.audience.id, digest=self.digest)
        return meant or rows.filter(key_digest=_digest(checked_key(idempotency_key or self.usual_key()))).first()

    def previous(self) -> Newsletter | None:
        """Return the last row of this email to this audience that Migma has not refused: this is another one."""
        rows = self._rows()
        if rows is None:
            return None
        return rows.not_refused().last_of(template=self.template, recipient_id=self.audience.id)

    @property
    def _account(self) -> str:
        return account_digest(self.config.api_url, self.config.api_key)

    def _rows(self) -> NewsletterQuerySet | None:
        """The rows of Migma or of sandboxes, where one just written is seen for sure; None without the app."""
        model = newsletter_model()
        if model is None:
            return None
        return model.objects.using(router.db_for_write(model)).filter(is_sandbox=self.mailer.is_sandbox)

    def check(self, row: Newsletter | None) -> None:
        """Raise `Conflict` if the key of the row cannot send this, ValueError if it is too late for a new send."""
        if row is not None:
            row.check_key(self.digest, self._account)
        is_new = row is None or row.is_refused
        if is_new and self.scheduled_at and self.scheduled_at < dt.datetime.now(dt.UTC) + MIN_AHEAD:
            raise ValueError("scheduled_at must be at least a minute ahead. Leave it out to send now.")

    def send(self, idempotency_key: str) -> Batch:
        """Send it, see `send_batch`."""
        own_key = checked_key(idempotency_key)
        key = _digest(own_key)
        self.check(self.remembered(own_key))
        row = self._begin(own_key, key)
        if row is None:
            return self._submit(key, self.request)
        if row.migma_id:
            return batch_of(row, self.client, replayed=True)
        try:
            batch = self._submit(key, row.request.encode())
            row.settle(batch.id, batch.status)
        except MigmaError as error:
            # Once in doubt, only an answer to the send ends it: that Migma refuses the repeat proves nothing.
            error.may_have_been_accepted |= row.is_repeat
            # By a coded conflict, Migma knows the key from a newsletter that this site has forgotten.
            row.fail(str(error), in_doubt=error.may_have_been_accepted or isinstance(error, Conflict))
            raise
        finally:
            row.release()
        batch.on_refresh = row.follow
        return batch

    def _begin(self, own_key: str, key: str) -> Newsletter | None:
        """The row that remembers this key, made if there is none, for this process alone; None without the app.

        While another process sends it, this waits for what becomes of that.
        """
        model = newsletter_model()
        if model is None:
            return None
        lease = dt.timedelta(seconds=2 * self.config.retry_deadline + 1)  # for two requests with their attempts
        alias = self.mailer.alias or ""
        row = model.objects.begin(
            alias=alias,
            is_sandbox=self.mailer.is_sandbox,
            key_digest=key,
            digest=self.digest,
            account=self._account,
            lease=lease,
            caller_key=own_key,
            kind=self.kind,
            template=self.template,
            recipient_type=self.audience.kind,
            recipient_id=self.audience.id,
            recipient_name=self.audience.name,
            total=self.audience.count,
            subject=self.body["subject"],
            from_email=self.body["from"],
            transactional=self.body.get("transactional"),
            scheduled_at=self.scheduled_at,
            request=self.request.decode(),
        )
        while not (row.migma_id or row.is_claimed):
            row.claim(alias, self._account, lease)
            if not (row.migma_id or row.is_claimed):
                time.sleep(_CLAIM_POLL)
        return row

    def _submit(self, key: str, body: bytes) -> Batch:
        try:
            return self._request(key, body)
        except (InvalidRequest, Forbidden, NotFound) as error:
            error.hint = f"{error.hint} {_REPEATED}"
            raise

    def _request(self, key: str, body: bytes) -> Batch:
        if self.scheduled_at is None:
            result = _send(self.client, FrozenRequest(body), key)
            found = Batch(client=self.client, id=result.batch_id or result.id, status=result.status or "queued")
            found.replayed = result.replayed
        else:
            draft = self.client.create_campaign(FrozenRequest(body), idempotency_key=f"{key}-draft")
            if draft.id:
                scheduled = self.client.schedule_campaign(
                    draft.id, self.scheduled_at, idempotency_key=f"{key}-schedule"
                )
                draft = replace(draft, status=scheduled.status or "scheduled")
            found = Batch(client=self.client, id=draft.id, kind=CAMPAIGN, status=draft.status)
        if not found.id:
            text = "Migma accepted the batch, but gave no id, so it cannot be followed"
            raise InvalidResponse(text, may_have_been_accepted=True, idempotency_key=key)
        found.idempotency_key, found.scheduled_at = key, self.scheduled_at
        return found


def _send(client: MigmaClient, request: FrozenRequest, key: str) -> SendResult:
    try:
        return client.send(request, idempotency_key=key)
    except Conflict as error:
        if error.code:
            raise
    # Another process sends the same batch at this moment: its answer will be ours.
    return client.send(request, idempotency_key=key, is_resend=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def checked_key(key: Any) -> str:
    if not isinstance(key, str) or not key.strip():
        raise ValueError(
            "idempotency_key must be a text that is the same whenever this newsletter is meant, such as "
            "'letter-2026-05': it keeps the newsletter from going out twice."
        )
    return key.strip()
