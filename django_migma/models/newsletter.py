"""Newsletters: one row per send to a segment or tag, so that the same one goes out once, whatever happens."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from django.conf import settings
from django.db import connections, models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_migma.api.errors import Conflict

from .delivery import KEY_LIFETIME
from .fields import storable

UNKNOWN, FAILED = "unknown", "failed"
_ENDS = {"completed", "partial", "failed", "sent", "cancelled"}


class NewsletterQuerySet(models.QuerySet["Newsletter"]):
    def begin(
        self, *, is_sandbox: bool, key_digest: str, digest: str, account: str, lease: dt.timedelta, **about: Any
    ) -> Newsletter:
        """Return the row of a key, made if there is none: before the request, so that a killed process leaves it.

        A new row is claimed for ``lease``. Raises `Conflict` if the key was used for another newsletter, or if it is
        in doubt and Migma no longer recognises the key: after 24 hours, or under another API key. Raises
        RuntimeError inside a transaction.
        """
        _refuse_transaction(router.db_for_write(self.model))
        texts = {name: storable(value, 255) for name, value in about.items() if name in _TEXTS}
        until = timezone.now() + lease
        times = {"claimed_until": until, "scheduled_at": to_column(about.get("scheduled_at"))}
        new = {"digest": digest, "account": account, "status": UNKNOWN, **about, **texts, **times}
        row, is_new = self.get_or_create(is_sandbox=is_sandbox, key_digest=key_digest, defaults=new)
        row.is_claimed = is_new
        row.check_key(digest, account)
        return row

    def not_refused(self) -> NewsletterQuerySet:
        return self.exclude(status=FAILED, migma_id="")

    def last_of(self, *, template: str, recipient_id: str) -> Newsletter | None:
        """Return the last row of this email to this audience, whatever else is in it."""
        found = self.filter(template=storable(template, 255), recipient_id=storable(recipient_id, 255))
        return found.order_by("-pk").first()

    def to_repeat(self, *, template: str, recipient_id: str, digest: str) -> Newsletter | None:
        """Return the last row of this email to this audience, if sending it without a key would mean that one.

        That is a row in doubt, however old and even if the newsletter was changed since; and one that is the same,
        if it was begun in the last 12 hours: midnight makes no other newsletter of it, and a daily one goes out.
        """
        row = self.last_of(template=template, recipient_id=recipient_id)
        if row is None or row.is_in_doubt:
            return row
        is_recent = row.created_at > timezone.now() - dt.timedelta(hours=12)
        return row if is_recent and row.digest == digest else None


_CHANGED = "Use a new key for a changed newsletter, or send it unchanged."
_CHANGED_IN_DOUBT = (
    "Whether that one went out is unknown: send it unchanged to find out, or look it up in Migma's dashboard. Then "
    "use a new key for the changed one."
)


def _refuse_transaction(database: str) -> None:
    """A rollback would take the row away and not the mail, and until the end no other process would see the row."""
    if not connections[database].in_atomic_block:
        return
    try:
        with transaction.atomic(using=database, durable=True):  # passes in a TestCase, which is no transaction to it
            pass
    except RuntimeError:
        text = "A newsletter cannot be sent inside a transaction, whose rollback would forget it and not call it back"
        raise RuntimeError(f"{text}. Call it afterwards, from a task or with transaction.on_commit.") from None


def to_column(moment: dt.datetime | None) -> dt.datetime | None:
    """An aware time as the columns have it: local without ``USE_TZ``."""
    if moment is None or settings.USE_TZ:
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone())


def aware(moment: dt.datetime) -> dt.datetime:
    """The time of a column with its time zone."""
    return timezone.make_aware(moment, timezone.get_default_timezone()) if timezone.is_naive(moment) else moment


_TEXTS = {"caller_key", "template", "recipient_id", "recipient_name", "subject", "from_email"}


class Newsletter(models.Model):
    """One send to a segment or tag, by the key that keeps it from going out twice.

    A key is one newsletter, whichever mailer sends it: ``alias`` is that of the first. What went to a sandbox is
    another one (``is_sandbox``), so that a rehearsal keeps no newsletter from Migma.
    ``status`` is Migma's word; ``unknown`` from before the request until there is an answer, ``failed`` also where
    Migma refused it. ``digest`` is a SHA-256 of what is sent to whom and when, ``key_digest`` of the caller's key,
    which Migma gets. ``request`` is the body, byte for byte: a repeat must be the same. ``migma_id``: of the batch,
    or of the campaign where there is a time. ``claimed_until``: a process makes the request at this moment, and no
    other does; if it dies, until then. ``created_at``: when it was begun, anew after a refusal.
    """

    alias = models.CharField(_("mailer"), max_length=64, blank=True)
    is_sandbox = models.BooleanField(_("sandbox"))
    account = models.CharField(_("account"), max_length=64, editable=False)
    key_digest = models.CharField(_("idempotency key"), max_length=64)
    caller_key = models.CharField(_("key"), max_length=255)
    digest = models.CharField(_("digest"), max_length=64, editable=False)
    kind = models.CharField(_("kind"), max_length=16)
    template = models.CharField(_("stored email"), max_length=255)
    recipient_type = models.CharField(_("recipient type"), max_length=16)
    recipient_id = models.CharField(_("recipient id"), max_length=255)
    recipient_name = models.CharField(_("recipients"), max_length=255, blank=True)
    subject = models.CharField(_("subject"), max_length=255)
    from_email = models.CharField(_("sender"), max_length=320)
    transactional = models.BooleanField(_("transactional"), null=True)
    scheduled_at = models.DateTimeField(_("scheduled at"), null=True)
    request = models.TextField(_("request"), editable=False)
    migma_id = models.CharField(_("Migma's id"), max_length=255, blank=True, db_index=True)
    status = models.CharField(_("status"), max_length=32)
    total = models.IntegerField(_("people"), null=True)
    queued = models.IntegerField(_("queued"), null=True)
    sent = models.IntegerField(_("sent"), null=True)
    failed = models.IntegerField(_("failed"), null=True)
    error = models.TextField(_("error"), blank=True)
    throttle_reason = models.TextField(_("throttled because"), blank=True)
    resumes_at = models.DateTimeField(_("goes on at"), null=True)
    claimed_until = models.DateTimeField(_("being sent until"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    is_claimed = False
    """Whether this process makes the request: set by ``begin`` for a new row, else by ``claim``."""
    is_repeat = False
    """Set by ``claim``: an earlier request may have been accepted."""

    objects: ClassVar = NewsletterQuerySet.as_manager()

    class Meta:
        verbose_name = _("newsletter")
        verbose_name_plural = _("newsletters")
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["is_sandbox", "key_digest"], name="django_migma_newsletter_key")
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.recipient_type} {self.recipient_name or self.recipient_id})"

    @property
    def is_finished(self) -> bool:
        return self.status in _ENDS

    @property
    def is_in_doubt(self) -> bool:
        """Whether nobody knows if it went out."""
        return self.status == UNKNOWN and not self.migma_id

    @property
    def is_refused(self) -> bool:
        """Whether Migma refused it, so that it did not go out."""
        return self.status == FAILED and not self.migma_id

    def check_key(self, digest: str, account: str) -> None:
        """Raise `Conflict` if this key cannot send what is meant, see `NewsletterQuerySet.begin`."""
        if self.digest != digest:
            raise Conflict(
                "This idempotency key was used for another newsletter: another email, audience, subject, sender or "
                "time, or other variables",
                hint=_CHANGED_IN_DOUBT if self.is_in_doubt else _CHANGED,
                code="IDEMPOTENCY_CONFLICT",
            )
        is_forgotten = self.created_at < timezone.now() - KEY_LIFETIME or self.account != account
        if self.is_in_doubt and is_forgotten:
            raise Conflict(
                f"Whether this newsletter went out is unknown since {aware(self.created_at):%Y-%m-%d %H:%M %Z}, and "
                "Migma no longer recognises its key",
                hint="Look it up in Migma's dashboard. If it did not go out, send it with a new key.",
                code="KEY_EXPIRED",
            )

    def claim(self, alias: str, account: str, lease: dt.timedelta) -> None:
        """Take it for a request of this process, if it has no answer and no other process makes one.

        What Migma does with two requests of one key at the same time is unknown: two timers that fire at once must
        not find out.
        """
        now = timezone.now()
        rows = Newsletter.objects.using(self._state.db).filter(pk=self.pk, migma_id="").exclude(claimed_until__gt=now)
        self.is_claimed = bool(rows.update(claimed_until=now + lease))
        self.refresh_from_db()
        self.is_repeat = self.is_in_doubt
        if self.is_claimed and self.is_refused:  # until this request is answered, nobody knows
            self._change(status=UNKNOWN, alias=alias, account=account, created_at=now, finished_at=None)

    def release(self) -> None:
        """Let other processes have it."""
        self._change(claimed_until=None)

    def settle(self, migma_id: str, status: str) -> None:
        """Remember that Migma has taken it."""
        self._change(migma_id=storable(migma_id, 255), status=storable(status, 32), error="")

    def fail(self, error: str, *, in_doubt: bool) -> None:
        """Remember that it was refused, or that nobody knows."""
        self._change(error=storable(error, 10_000), status=UNKNOWN if in_doubt else FAILED)

    def follow(self, batch: Any) -> None:
        """Remember what Migma says of the batch by now."""
        throttle, counts = batch.throttle, batch.counts
        self._change(
            status=storable(batch.status, 32),
            error=storable(batch.error, 10_000),
            total=self.total if counts.total is None else counts.total,
            queued=counts.queued,
            sent=counts.sent,
            failed=counts.failed,
            throttle_reason=throttle.reason if throttle else "",
            resumes_at=to_column(throttle.resumes_at) if throttle else None,
        )

    def _change(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self, name, value)
        if self.is_finished and self.finished_at is None:
            self.finished_at = timezone.now()
        self.save(update_fields=[*changes, "finished_at", "updated_at"])
