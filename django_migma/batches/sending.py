"""From a stored email and a segment or tag to one request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from django_migma import content
from django_migma.api.errors import Forbidden, MissingVariables
from django_migma.api.types import CampaignRequest, SendRequest
from django_migma.backends.base import make_client
from django_migma.backends.direct import stored_email_resolver
from django_migma.exceptions import ConfigurationError
from django_migma.mailers import mailer
from django_migma.message import MigmaMessage
from django_migma.payload import read_subject, resolve_reply_to, resolve_sender, to_variables
from django_migma.variables import placeholder_names

from .audiences import Audience, find_audience
from .following import Batch
from .prepared import PreparedBatch, checked_key

if TYPE_CHECKING:
    from django_migma.api import MigmaClient
    from django_migma.conf import Config


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
    sends nothing and returns the same batch, once a first call has ended: with the app installed at any time; without
    it, only for the 24 hours in which Migma knows the key. ``using``: an alias of ``MAILERS``.

    Raises `UnusableAudience`, `StoredEmailNotFound`, `MissingVariables`, `Conflict` for a key that was used for
    another batch, `ConfigurationError`, ValueError, TypeError, RuntimeError inside a transaction, and the other
    errors of the API. If one says that it ``may_have_been_accepted``, repeat the call as it was to find out.
    """
    checked_key(idempotency_key)
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
