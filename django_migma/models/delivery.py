"""Deliveries: one row per mail and recipient, from the queue's waiting list to what became of the mail."""

from __future__ import annotations

import datetime as dt
import hashlib
import sys
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from django.db import IntegrityError, connections, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_migma import signals

from .fields import NullCharField, storable
from .stored_email import StoredEmail

KEY_LIFETIME = dt.timedelta(hours=23)
"""How long a repeat with the same key is safe, counted from the first attempt: Migma keeps keys for 24 hours."""

_SENT_ANEW = (
    "alias", "recipient", "subject", "from_email", "stored_email_id", "email_id", "is_test", "caller_key", "payload",
)  # fmt: skip
_TAKEN_OVER = ("status", "provider", "message_id", "send_id", "replayed", "finished_at")
MAX_ERRORS = 20
MAX_CALLER_KEY = 255


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries by what may happen to them. None of these reads the payload, which may be large."""

    def due(self, now: dt.datetime | None = None) -> Self:
        """Rows that a worker may claim: they wait and their time has come, or a lease has run out."""
        return self.filter(due_at__lte=now or timezone.now())

    def on_their_way(self) -> Self:
        """Rows that are waiting or being sent."""
        return self.filter(status__in=Delivery.UNFINISHED)

    def finished(self) -> Self:
        """Rows that nobody has to do anything about: everything but waiting, sending and unknown."""
        return self.exclude(status__in=[*Delivery.UNFINISHED, Delivery.Status.UNKNOWN])

    def in_doubt(self) -> Self:
        """Rows that Migma may have accepted, and that a person must decide about."""
        return self.filter(status=Delivery.Status.UNKNOWN)

    def for_key(self, start: str) -> Self:
        """Rows of mail whose key in your code begins with a text, newest first, without their requests.

        End it where the part ends that you mean: ``order-3-`` for all mail about that order, since ``order-3`` finds
        ``order-30-receipt`` as well. Raises ValueError for an empty text, which would find everybody's mail.
        """
        if not start:
            raise ValueError(
                "for_key() needs the beginning of a key, such as 'order-3-'. An empty one fits all mail."
            )
        begins = self.beginning_with("caller_key", storable(start, MAX_CALLER_KEY))
        return self.filter(begins).defer("payload").order_by("-pk")

    def first_id_since(self, moment: dt.datetime) -> int:
        """The id from which on rows were created at this moment or later; one above the last id where none was.

        Ids are in order of arrival, and there is no index on dates: some 20 look-ups by id halve a million rows.
        """
        rows = Delivery.objects.using(self.db).order_by("pk").values_list("pk", "created_at")
        (low, _created), (last, _created) = rows.first() or (0, moment), rows.last() or (-1, moment)
        high = last + 1
        while low < high:
            middle = (low + high) // 2
            found, created_at = rows.filter(pk__gte=middle).first() or (last, moment)
            low, high = (low, middle) if created_at >= moment else (found + 1, high)
        return low

    def beginning_with(self, name: str, text: str) -> Q:
        """The condition that a text column begins with this text, in a form that uses its index.

        PostgreSQL uses it for a ``LIKE``, whatever the collation; the others for a range, which they then look into.
        """
        begins = Q(**{f"{name}__startswith": text})
        if connections[self.db].vendor == "postgresql":
            return begins
        return Q(**{f"{name}__gte": text, f"{name}__lt": text + chr(sys.maxunicode)}) & begins


class Delivery(models.Model):
    """One mail to one recipient, and what has become of it.

    ``due_at`` is when a worker may claim the row next; while it is being sent, the end of the worker's lease; null
    once the status is final. ``payload`` is the body of the request, byte for byte, and empty from the moment Migma
    has accepted it; rows of mail that was sent directly never have one. ``payload_digest`` is its SHA-256 in hex,
    kept for mail with a key of the caller's, so that another mail with this key is noticed. ``first_attempt_at``
    starts the 23 hours in which a repeat with the same key is safe. ``in_doubt``: an earlier attempt may have been
    accepted, by the account ``account``. ``errors`` holds the last 20 failed attempts, see
    `django_migma.delivery.outcomes`.
    """

    class Status(models.TextChoices):
        """The states, in the order in which a row may take them. From ``accepted`` on, none is undone."""

        WAITING = "waiting", _("waiting")
        SENDING = "sending", _("being sent")
        ACCEPTED = "accepted", _("accepted")
        DELIVERED = "delivered", _("delivered")
        OPENED = "opened", _("opened")
        CLICKED = "clicked", _("clicked")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained of")
        SUPPRESSED = "suppressed", _("suppressed")
        FALLBACK = "fallback", _("sent by another mailer")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")
        CANCELLED = "cancelled", _("given up")
        NOT_ATTEMPTED = "not_attempted", _("not attempted")

    UNFINISHED: ClassVar = (Status.WAITING, Status.SENDING)
    RETRIED: ClassVar = (Status.FAILED, Status.UNKNOWN, Status.CANCELLED)
    _REPLACED: ClassVar[dict[str, tuple[Status, ...]]] = {
        Status.ACCEPTED: (*UNFINISHED, *RETRIED, Status.NOT_ATTEMPTED),
        Status.UNKNOWN: (*RETRIED, Status.NOT_ATTEMPTED),
        Status.FAILED: (Status.FAILED, Status.NOT_ATTEMPTED),
    }

    idempotency_key = NullCharField(_("idempotency key"), max_length=64, null=True, editable=False)
    alias = models.CharField(_("mailer"), max_length=64, blank=True)
    recipient = models.CharField(_("recipient"), max_length=320)
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    from_email = models.CharField(_("sender"), max_length=320, blank=True)
    stored_email = models.ForeignKey(
        StoredEmail,
        verbose_name=_("stored email"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="deliveries",
    )
    email_id = models.CharField(_("email id"), max_length=24, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.WAITING)
    priority = models.PositiveSmallIntegerField(_("priority"), default=0)
    due_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    first_attempt_at = models.DateTimeField(_("first attempt"), null=True, blank=True)
    in_doubt = models.BooleanField(_("may have been accepted"), default=False)
    account = models.CharField(max_length=12, blank=True, editable=False)
    claimed_by = models.CharField(_("worker"), max_length=32, blank=True, editable=False)
    provider = models.CharField(_("provider"), max_length=16, blank=True)
    message_id = models.CharField(_("Migma's message id"), max_length=64, blank=True)
    send_id = models.CharField(_("Migma's send id"), max_length=64, blank=True)
    replayed = models.BooleanField(_("found at Migma"), default=False)
    errors = models.JSONField(_("errors"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    tracked_at = models.DateTimeField(_("last tracked"), null=True, blank=True)
    batch = models.CharField(_("batch"), max_length=32, blank=True)
    is_test = models.BooleanField(_("test"), default=False)
    resent_from = models.ForeignKey(
        "self", verbose_name=_("repeats"), null=True, blank=True, on_delete=models.SET_NULL, related_name="repeats"
    )
    caller_key = models.CharField(_("key in the code"), max_length=MAX_CALLER_KEY, blank=True)
    payload_digest = models.CharField(max_length=64, blank=True, editable=False)
    payload = models.TextField(_("request"), blank=True, editable=False)  # last: a row is read without it

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering: ClassVar = ["-pk"]
        permissions: ClassVar = [
            ("retry_delivery", _("Can try a delivery again with the same key")),
            ("resend_delivery", _("Can send a delivery anew")),
            ("cancel_delivery", _("Can give a delivery up")),
        ]
        constraints: ClassVar = [
            # Not unique=True: that makes a second, equally large index on PostgreSQL.
            models.UniqueConstraint(fields=["idempotency_key"], name="django_migma_delivery_key"),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "sending"], due_at__isnull=False)
                | (~Q(status__in=["waiting", "sending"]) & Q(due_at__isnull=True)),
                name="django_migma_due_until_final",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["alias", "priority", "due_at"], name="django_migma_due"),
            models.Index(fields=["status"], name="django_migma_status"),
            # The opclass, which other databases ignore, lets PostgreSQL find beginnings, and whole values too.
            models.Index(fields=["recipient"], name="django_migma_recipient", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["send_id"], name="django_migma_send_id"),
            models.Index(fields=["caller_key"], name="django_migma_caller_key", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return f"{self.subject or self.email_id or '-'} ({self.get_status_display()})"

    def may_retry(self, account: str, now: dt.datetime | None = None) -> bool:
        """Whether "try again with the same key" is safe, for `account_digest` of the mailer's settings of today.

        A row in doubt only within 23 hours of its first attempt, and with the account of that attempt.
        """
        if self.status not in self.RETRIED or not self.payload:
            return False
        return not self.in_doubt or (self.account == account and self._key_is_alive(now or timezone.now()))

    def _key_is_alive(self, now: dt.datetime) -> bool:
        return self.first_attempt_at is not None and now - self.first_attempt_at < KEY_LIFETIME

    def retry(self, account: str) -> bool:
        """Let a worker try again with the same key; False where that is not safe, or the row has changed since."""
        now = timezone.now()
        if not self.may_retry(account, now):
            return False
        first_attempt_at = self.first_attempt_at if self.in_doubt else None
        return self._change(
            status=self.Status.WAITING, due_at=now, first_attempt_at=first_attempt_at, finished_at=None
        )

    def give_up(self) -> bool:
        """Never send a row that waits, has failed or is in doubt; False while it is being sent, or once accepted."""
        if self.status not in {self.Status.WAITING, self.Status.FAILED, self.Status.UNKNOWN}:
            return False
        return self._change(status=self.Status.CANCELLED, due_at=None, finished_at=timezone.now())

    def send_anew(self, *, key: str = "") -> Delivery | None:
        """Queue the same request under a new key, as a row of its own; None where the request is not kept any more.

        The recipient may get the mail twice if Migma has accepted the first one. ``key`` is the new key, in place of
        a random one; None is returned too if a row with this key exists.
        """
        if not self.payload or self.status in self.UNFINISHED:
            return None
        values = {name: getattr(self, name) for name in _SENT_ANEW}
        values |= {"due_at": timezone.now(), "resent_from": self}
        new_key = key or hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        try:
            with transaction.atomic(using=self._state.db):
                return Delivery.objects.using(self._state.db).create(idempotency_key=new_key, **values)
        except IntegrityError:
            return None

    def bring_forward(self, later: Delivery) -> bool:
        """Take over what became of the same mail when it was sent again; False where that is no step forward.

        ``later`` is a row that is not stored. A row that is accepted stays accepted, one in doubt is only ever
        resolved by an acceptance, and one that a worker has is left to it until then.
        """
        if self.status not in self._REPLACED.get(later.status, ()):
            return False
        values = {name: getattr(later, name) for name in _TAKEN_OVER}
        values["attempts"] = self.attempts + later.attempts
        values["errors"] = with_errors(self.errors, later.errors)
        is_accepted = later.status == self.Status.ACCEPTED
        values |= {
            "due_at": None,
            "claimed_by": "",
            "in_doubt": not is_accepted and (self.in_doubt or later.in_doubt),
        }
        if later.email_id:
            values["email_id"] = later.email_id
        if not self.in_doubt:
            values |= {"account": later.account, "first_attempt_at": self.first_attempt_at or later.first_attempt_at}
        if is_accepted:
            values["payload"] = ""
        if not self._state.adding:
            return self._change(**values)
        for name, value in values.items():
            setattr(self, name, value)
        return True

    def _change(self, **values: object) -> bool:
        """Update the row if its status and doubt are still those of this object, and this object with it."""
        rows = Delivery.objects.using(self._state.db)
        unchanged = rows.filter(pk=self.pk, status=self.status, in_doubt=self.in_doubt)
        if not unchanged.update(**values):
            return False
        previous = self.status
        for name, value in values.items():
            setattr(self, name, value)
        transaction.on_commit(lambda: announce(self, previous), using=self._state.db)
        return True


def with_errors(earlier: object, later: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A row's ``errors`` and those that follow: the last 20. What another release has left there may be no list."""
    return [*(earlier if isinstance(earlier, list) else []), *later][-MAX_ERRORS:]


def announce(delivery: Delivery, previous: str) -> None:
    """Send ``delivery_updated`` for a change of status that is committed."""
    if delivery.status != previous:
        signals.send_robust(signals.delivery_updated, Delivery, delivery=delivery, previous=previous)
