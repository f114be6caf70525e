"""From a stored email and a segment or tag to one request, and its send, once per key."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import router
from django.utils import timezone

from django_migma import content
from django_migma.api.credentials import account_digest
from django_migma.api.errors import Conflict, Forbidden, InvalidResponse, MigmaError, MissingVariables
from django_migma.api.types import CampaignRequest, FrozenRequest, SendRequest, SendResult
from django_migma.backends.base import make_client
from django_migma.backends.direct import stored_email_resolver
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import Mailer, mailer
from django_migma.message import MigmaMessage
from django_migma.payload import read_subject, resolve_reply_to, resolve_sender, to_variables
from django_migma.variables import placeholder_names

from .audiences import Audience, find_audience
from .following import BATCH, CAMPAIGN, Batch, batch_of, newsletter_model

if TYPE_CHECKING:
    from django_migma.api import MigmaClient
    from django_migma.conf import Config
    from django_migma.models import Newsletter
    from django_migma.models.newsletter import NewsletterQuerySet

MIN_AHEAD = dt.timedelta(minutes=1)
"""A send cannot have an earlier time. How far ahead Migma wants it is unknown; a minute leaves time for the calls."""

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
        return f"{self.template}-{self.audience.id}-{timezone.localdate()}-{self.digest[:12]}"

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
        return meant or rows.filter(key_digest=_digest(_own_key(idempotency_key or self.usual_key()))).first()

    def previous(self) -> Newsletter | None:
        """Return the last row of this email to this audience, for somebody to see that this is another one."""
        rows = self._rows()
        return None if rows is None else rows.last_of(template=self.template, recipient_id=self.audience.id)

    def _rows(self) -> NewsletterQuerySet | None:
        """The rows of this mailer, where a row that was just written is seen for sure; None without the app."""
        model = newsletter_model()
        if model is None:
            return None
        return model.objects.using(router.db_for_write(model)).filter(alias=self.mailer.alias or "")

    def refuse_past(self) -> None:
        """Raise ValueError for a time that has passed, or is less than a minute ahead."""
        if self.scheduled_at and self.scheduled_at < timezone.now() + MIN_AHEAD:
            raise ValueError("scheduled_at must be at least a minute ahead. Leave it out to send now.")

    def send(self, idempotency_key: str) -> Batch:
        """Send it, see `send_batch`."""
        own_key = _own_key(idempotency_key)
        key, known = _digest(own_key), self.remembered(own_key)
        if known is None or known.is_refused:
            self.refuse_past()
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
        account = account_digest(self.config.api_url, self.config.api_key)
        lease = dt.timedelta(seconds=2 * self.config.retry_deadline + 1)  # for two requests with their attempts
        row = model.objects.begin(
            alias=self.mailer.alias or "",
            key_digest=key,
            digest=self.digest,
            account=account,
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
            row.claim(account, lease)
            if not (row.migma_id or row.is_claimed):
                time.sleep(_CLAIM_POLL)
        return row

    def _submit(self, key: str, body: bytes) -> Batch:
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


def send_batch(
    template_id: Any,
    *,
    segment: str | None = None,
    tag: str | None = None,
    subject: str = "",
    variables: Mapping[str, Any] | None = None,
    from_email: str | None = None,
    transactional: bool | None = None,
    scheduled_at: dt.datetime | None = None,
    idempotency_key: str,
    using: str | None = None,
) -> Batch:
    """Send a stored email to everybody in a segment or with a tag, by one request, and return the `Batch`.

    ``template_id``: the key of a stored email, a `StoredEmail`, or Migma's id. ``segment`` or ``tag``: a name or an
    id. ``variables`` are the same for everybody; Migma adds what it knows of each contact. ``subject`` and
    ``from_email`` replace those of the stored email and of the settings. ``transactional``: True only for mail that
    people expect whatever their subscription, as it goes to the unsubscribed too; ``TRANSACTIONAL`` does not count
    here. ``scheduled_at``: an aware time, at least a minute ahead; it goes by a campaign of Migma's.
    ``idempotency_key``: a text that stands for this newsletter, such as ``"letter-2026-05"``. A second call with it
    sends nothing and returns the same batch, once a first call has ended: with the app installed at any time, without
    it for the 24 hours in which Migma knows the key. ``using``: an alias of ``MAILERS``.

    Raises `UnusableAudience`, `StoredEmailNotFound`, `MissingVariables`, `Conflict` for a key that was used for
    another batch, `ConfigurationError`, ValueError, TypeError, RuntimeError inside a transaction, and the other
    errors of the API. If one says that it ``may_have_been_accepted``, repeat the call as it was to find out.
    """
    _own_key(idempotency_key)
    return prepare_batch(
        template_id,
        segment=segment,
        tag=tag,
        subject=subject,
        variables=variables,
        from_email=from_email,
        transactional=transactional,
        scheduled_at=scheduled_at,
        using=using,
    ).send(idempotency_key)


def prepare_batch(
    template_id: Any,
    *,
    segment: str | None = None,
    tag: str | None = None,
    subject: str = "",
    variables: Mapping[str, Any] | None = None,
    from_email: str | None = None,
    transactional: bool | None = None,
    scheduled_at: dt.datetime | None = None,
    using: str | None = None,
) -> PreparedBatch:
    """Return what `send_batch` would send, without sending it. Asks Migma for the segments or tags of the project."""
    chosen_mailer = mailer(using)
    config = chosen_mailer.config()
    _refuse_redirect(config)
    _refuse_time(scheduled_at, transactional)
    message = MigmaMessage(subject, "", from_email, template_id=template_id)
    chosen = _choose(message, config)
    filled, missing = _variables(chosen, variables, config)
    client = make_client(config)
    project_id = chosen.stored.project_id or config.project_id or ""
    audience = find_audience(client, project_id, segment=segment, tag=tag)
    _refuse_series(client, chosen)
    fields = _shared_fields(message, config, chosen) | {"variables": filled or None}
    if scheduled_at is None:
        request = _send_body(chosen, audience, transactional, fields)
    else:
        request = _campaign_body(client, chosen, audience, project_id, fields)
    return PreparedBatch(
        mailer=chosen_mailer,
        config=config,
        client=client,
        template=chosen.stored.name or chosen.email_id or "",
        audience=audience,
        missing_variables=missing,
        scheduled_at=scheduled_at,
        request=request,
    )


def _shared_fields(message: MigmaMessage, config: Config, chosen: content.Content) -> dict[str, Any]:
    from_email, from_name = resolve_sender(message, config, chosen.stored)
    return {
        "from_email": from_email,
        "from_name": from_name,
        "subject": chosen.subject,
        "reply_to": resolve_reply_to(message, config),
        "provider_type": chosen.stored.provider_type or config.provider_type,
    }


def _refuse_redirect(config: Config) -> None:
    if config.redirect_to:
        raise ConfigurationError(
            "REDIRECT_TO is set, and a batch cannot be redirected: Migma alone knows its recipients. Send yourself a "
            "test with migma_send_test --live, or use a mailer without REDIRECT_TO."
        )


def _choose(message: MigmaMessage, config: Config) -> content.Content:
    subject = read_subject(message)
    chosen = content.choose(message, subject, config, stored_email_resolver(config), merges=False)
    if not chosen.subject:
        raise ValueError("No subject is known for this stored email. Give subject.")
    return chosen


def _refuse_time(scheduled_at: dt.datetime | None, transactional: bool | None) -> None:
    if scheduled_at is None:
        return
    if timezone.is_naive(scheduled_at):
        raise ValueError("scheduled_at must be aware: give it a time zone, such as timezone.make_aware(…) does.")
    if transactional:
        raise ValueError(
            "A send with a time goes by a campaign, and campaigns have no field for transactional. Give one of them."
        )


def _variables(
    chosen: content.Content, given: Mapping[str, Any] | None, config: Config
) -> tuple[dict[str, Any], frozenset[str]]:
    """The variables for everybody, and the names that the stored email is known to use beyond them."""
    stored = chosen.stored
    filled = {
        **to_variables(stored.default_variables, f"default_variables of the stored email {stored.name!r}"),
        **to_variables(given, "variables"),
    }
    used = stored.body_variables.union(placeholder_names(chosen.subject)) - stored.optional_variables
    missing = frozenset() if config.missing_variables == "ignore" else used - filled.keys()
    if missing and config.missing_variables == "raise":
        names = tuple(sorted(missing))
        hint = "Pass them in variables, or name them in its optional_variables if Migma fills them from the contact."
        reason = f"The stored email {stored.name!r} uses {', '.join(names)}, which the batch would not have"
        raise MissingVariables(reason, hint=hint, names=names)
    return filled, missing


def _refuse_series(client: MigmaClient, chosen: content.Content) -> None:
    """A conversation may hold several emails, and then it does not say which one is meant."""
    if chosen.conversation_id is None:
        return
    try:
        emails = client.generation_status(chosen.conversation_id).emails
    except Forbidden:
        return  # a key may send and not read; Migma refuses a series as well
    if len(emails) > 1:
        ids = ", ".join(each.email_id for each in emails)
        raise ValueError(f"The conversation is a series of {len(emails)} emails. Give the id of one of them: {ids}.")


def _send_body(
    chosen: content.Content, audience: Audience, transactional: bool | None, fields: dict[str, Any]
) -> bytes:
    return SendRequest(
        recipient_type=audience.kind,
        recipient_id=audience.id,
        email_id=chosen.email_id,
        conversation_id=chosen.conversation_id,
        transactional=transactional,
        **fields,
    ).body


def _campaign_body(
    client: MigmaClient, chosen: content.Content, audience: Audience, project_id: str, fields: dict[str, Any]
) -> bytes:
    """The draft of a campaign, which needs the ids of the conversation and of the project."""
    conversation_id = chosen.conversation_id or client.get_email(chosen.email_id or "").conversation_id
    if not project_id:
        raise ConfigurationError(
            "A send with a time needs the id of the project. Set PROJECT_ID, or run migma_sync, whose stored emails "
            "know their project."
        )
    return CampaignRequest(
        project_id=project_id,
        name=fields["subject"],
        conversation_id=conversation_id,
        email_id=chosen.email_id,
        recipient_type="tag" if audience.kind == "tag" else "audience",
        recipient_id=audience.id,
        **fields,
    ).body


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _own_key(key: Any) -> str:
    if not isinstance(key, str) or not key.strip():
        raise ValueError(
            "idempotency_key must be a text that is the same whenever this newsletter is meant, such as "
            "'letter-2026-05': it keeps the newsletter from going out twice."
        )
    return key.strip()
