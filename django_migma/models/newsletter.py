"""Newsletters: one row per send to a segment or tag, so that the same one goes out once, whatever happens."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_migma.api.errors import Conflict

from .delivery import KEY_LIFETIME
from .fields import storable

UNKNOWN, FAILED = "unknown", "failed"
_ENDS = {"completed", "partial", "failed", "sent", "cancelled"}


class NewsletterQuerySet(models.QuerySet["Newsletter"]):
    def begin(self, *, alias: str, key_digest: str, digest: str, account: str, **about: Any) -> Newsletter:
        """Return the row of a key, made if there is none: before the request, so that a killed process leaves it.

        Raises `Conflict` if the key was used for another newsletter, or if it is in doubt and Migma no longer
        recognises the key: after 24 hours, or under another API key.
        """
        texts = {name: storable(value, 255) for name, value in about.items() if name in _TEXTS}
        row, row_is_new = self.get_or_create(
            alias=alias,
            key_digest=key_digest,
            defaults={"digest": digest, "account": account, "status": UNKNOWN, **about, **texts},
        )
        row.is_new = row_is_new
        if row.digest != digest:
            raise Conflict(
                "This idempotency key was used for another newsletter: another email, audience, subject, sender or "
                "time, or other variables",
                hint="Use a new key for a changed newsletter, or send it unchanged.",
                code="IDEMPOTENCY_CONFLICT",
            )
        is_forgotten = row.created_at < timezone.now() - KEY_LIFETIME or row.account != account
        if row.status == UNKNOWN and not row.migma_id and is_forgotten:
            raise Conflict(
                f"Whether this newsletter went out is unknown since {row.created_at:%Y-%m-%d %H:%M} UTC, and Migma "
                "no longer recognises its key",
                hint="Look it up in Migma's dashboard. If it did not go out, send it with a new key.",
                code="KEY_EXPIRED",
            )
        if row.status == FAILED and not row.migma_id:
            row.try_again()
        return row

    def in_doubt(self, digest: str) -> Self:
        """Rows of a newsletter like this one of which nobody knows whether it went out, newest first.

        Only those whose key Migma still knows: a repeat with it finds out.
        """
        since = timezone.now() - KEY_LIFETIME
        found = self.filter(digest=digest, status=UNKNOWN, migma_id="", created_at__gte=since)
        return found.order_by("-pk")


_TEXTS = {"caller_key", "template", "recipient_id", "recipient_name", "subject", "from_email"}


class Newsletter(models.Model):
    """One send to a segment or tag, by the key that keeps it from going out twice.

    ``status`` is Migma's word; ``unknown`` from before the request until there is an answer, ``failed`` also where
    Migma refused it. ``digest`` is a SHA-256 of what is sent to whom and when, ``key_digest`` of the caller's key,
    which Migma gets. ``request`` is the body, byte for byte: a repeat must be the same. ``migma_id``: of the batch,
    or of the campaign where there is a time.
    """

    alias = models.CharField(_("mailer"), max_length=64, blank=True)
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
    migma_id = models.CharField(_("Migma's id"), max_length=64, blank=True, db_index=True)
    status = models.CharField(_("status"), max_length=32)
    total = models.IntegerField(_("people"), null=True)
    queued = models.IntegerField(_("queued"), null=True)
    sent = models.IntegerField(_("sent"), null=True)
    failed = models.IntegerField(_("failed"), null=True)
    error = models.TextField(_("error"), blank=True)
    throttle_reason = models.TextField(_("throttled because"), blank=True)
    resumes_at = models.DateTimeField(_("goes on at"), null=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    is_new = False
    """Set by ``begin``: no request was made for this row before."""

    objects: ClassVar = NewsletterQuerySet.as_manager()

    class Meta:
        verbose_name = _("newsletter")
        verbose_name_plural = _("newsletters")
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["alias", "key_digest"], name="django_migma_newsletter_key")
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.recipient_type} {self.recipient_name or self.recipient_id})"

    @property
    def is_finished(self) -> bool:
        return self.status in _ENDS

    def try_again(self) -> None:
        """Before another request: until it is answered, nobody knows."""
        self.finished_at = None
        self._change(status=UNKNOWN)

    def settle(self, migma_id: str, status: str) -> None:
        """Remember that Migma has taken it."""
        self._change(migma_id=migma_id, status=status, error="")

    def fail(self, error: str, *, in_doubt: bool) -> None:
        """Remember that it was refused, or that nobody knows."""
        self._change(error=error, status=UNKNOWN if in_doubt else FAILED)

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
            resumes_at=throttle.resumes_at if throttle else None,
        )

    def _change(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self, name, value)
        if self.is_finished and self.finished_at is None:
            self.finished_at = timezone.now()
        self.save(update_fields=[*changes, "finished_at", "updated_at"])
