"""Stored emails: designs that are kept at Migma, as rows of this site, and how a message finds one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, ClassVar, Self

from django.db import Error as DatabaseError
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_migma.api.errors import StoredEmailNotFound
from django_migma.api.types import PROVIDER_TYPES
from django_migma.signals import is_inside_logging
from django_migma.stored_emails import MAX_KEY, DeclaredEmails, StoredEmailData, as_key, near_keys
from django_migma.variables import placeholder_names

from .fields import (
    NullCharField,
    ObjectIdField,
    validate_address,
    validate_header,
    validate_key,
    validate_names,
    validate_variables,
)

_TEXTS = {"subject", "preheader", "html"}
_MAX_SHOWN = 80
_NEED_NO_SAVEPOINT = {"sqlite", "mysql", "oracle"}  # databases whose transactions survive a failed query

logger = logging.getLogger("django_migma")


class StoredEmailQuerySet(models.QuerySet["StoredEmail"]):
    def named(self) -> Self:
        """Rows that code can use by their key."""
        return self.exclude(key=None)

    def keys_by_id(self, ids: Collection[str]) -> dict[str, int]:
        """Primary keys of rows by these ids of Migma's, of emails or of conversations."""
        rows = self.filter(Q(email_id__in=ids) | Q(conversation_id__in=ids))
        return {
            migmas_id: pk
            for pk, *found in rows.values_list("pk", "conversation_id", "email_id")
            for migmas_id in found
            if migmas_id is not None and migmas_id in ids
        }


class StoredEmail(models.Model):
    """A stored email: its id at Migma, the key that code uses for it, and a copy of its texts for previews.

    ``variable_names`` are the placeholders found in subject, preheader and HTML whenever the row is saved.
    ``test_claim`` is increased when a confirmed test begins, so that each confirmation sends once.
    """

    class Status(models.TextChoices):
        """Migma's words for the state of an email, and ours for one that Migma no longer has."""

        READY = "ready", _("ready")
        PROCESSING = "processing", _("in the making")
        FAILED = "failed", _("failed")
        GONE = "gone", _("no longer at Migma")

    key = NullCharField(
        _("key"),
        max_length=MAX_KEY,
        unique=True,
        validators=[validate_key],
        help_text=_("The name that code uses for this email, such as welcome: letters, digits, - and _."),
    )
    email_id = ObjectIdField(_("email id"), unique=True, help_text=_("Migma's id of the email: 24 hex digits."))
    conversation_id = ObjectIdField(
        _("conversation id"),
        help_text=_("Migma's id of the conversation that the email was made in; enough if it holds one email only."),
    )
    project_id = models.CharField(_("project id"), max_length=100, blank=True)
    title = models.TextField(_("title"), blank=True)
    subject = models.TextField(_("subject"), blank=True, validators=[validate_header])
    preheader = models.TextField(_("preheader"), blank=True)
    html = models.TextField(_("HTML"), blank=True)
    variable_names = models.JSONField(_("variables"), default=list, editable=False)
    body_variable_names = models.JSONField(_("variables of preheader and HTML"), default=list, editable=False)
    optional_variables = models.JSONField(
        _("optional variables"),
        default=list,
        blank=True,
        validators=[validate_names],
        help_text=_('Names that Migma fills from the contact, so that messages need not pass them: ["first_name"].'),
    )
    default_variables = models.JSONField(
        _("default variables"),
        default=dict,
        blank=True,
        validators=[validate_variables],
        help_text=_(
            'Values for mail that does not pass them, such as {"first_name": "there"}. Customers read these.'
        ),
    )
    sample_variables = models.JSONField(
        _("sample variables"),
        default=dict,
        blank=True,
        validators=[validate_variables],
        help_text=_('For previews and tests only; never sent to customers. Such as {"first_name": "Ada"}.'),
    )
    thumbnail_url = models.URLField(_("thumbnail"), max_length=2000, blank=True)
    status = models.CharField(_("status"), max_length=50, choices=Status, blank=True)
    from_email = models.CharField(
        _("sender's address"),
        max_length=320,
        blank=True,
        validators=[validate_address],
        help_text=_("Replaces the site's sender, unless a message names one."),
    )
    from_name = models.CharField(_("sender's name"), max_length=255, blank=True, validators=[validate_header])
    provider_type = models.CharField(
        _("provider"), max_length=20, blank=True, choices=[(name, name) for name in PROVIDER_TYPES]
    )
    synced_at = models.DateTimeField(_("last sync"), null=True, blank=True, editable=False)
    last_tested_at = models.DateTimeField(_("last test"), null=True, blank=True, editable=False)
    test_claim = models.PositiveIntegerField(_("tests begun"), default=0, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    objects = StoredEmailQuerySet.as_manager()

    class Meta:
        verbose_name = _("stored email")
        verbose_name_plural = _("stored emails")
        ordering: ClassVar = ["title", "pk"]
        permissions: ClassVar = [("send_test_storedemail", _("Can send a test of a stored email"))]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(email_id__isnull=False) | Q(conversation_id__isnull=False),
                name="django_migma_email_or_conversation",
                violation_error_message=_("Give the id of the email, or that of its conversation."),
            )
        ]

    def __str__(self) -> str:
        text = self.title or self.subject or self.email_id or self.conversation_id or "-"
        # No Truncator: it normalizes the whole text, which takes quadratic time for a run of combining marks.
        shown = text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
        return f"{self.key} ({shown})" if self.key else shown

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        self._find_variables()
        if update_fields is not None:
            update_fields = set(update_fields)
            if update_fields & _TEXTS:
                update_fields |= {"variable_names", "body_variable_names"}
        super().save(*args, update_fields=update_fields, **options)

    def clean(self) -> None:
        """Turn what a form left empty into the value that means "not given"."""
        for name in ("key", "email_id", "conversation_id"):
            setattr(self, name, getattr(self, name) or None)
        self.optional_variables = self.optional_variables or []
        self.default_variables = self.default_variables or {}
        self.sample_variables = self.sample_variables or {}

    def _find_variables(self) -> None:
        self.body_variable_names = placeholder_names(self.preheader, self.html)
        self.variable_names = sorted({*self.body_variable_names, *placeholder_names(self.subject)})

    def as_stored(self) -> StoredEmailData:
        if self._state.adding:
            self._find_variables()
        return StoredEmailData(
            name=self.key or self.email_id or self.conversation_id or "",
            email_id=self.email_id,
            conversation_id=None if self.email_id else self.conversation_id,
            subject=self.subject,
            from_email=self.from_email,
            from_name=self.from_name,
            provider_type=self.provider_type,
            default_variables=self.default_variables,
            body_variables=frozenset(self.body_variable_names),
            optional_variables=frozenset(self.optional_variables),
            sample_variables=self.sample_variables,
            project_id=self.project_id,
        )


class StoredEmailResolver:
    """Finds stored emails by key during one send: among those that the settings declare, and among the rows.

    There is one query for all keys, made when the first key is looked up. One that fails is not repeated: a generator
    of a million messages must not ask a dead database each time. ``rows_complete_declared`` says whether a row adds
    what the settings leave out; without that, only other keys need the database.
    """

    def __init__(self, declared: DeclaredEmails | None = None, *, rows_complete_declared: bool = True) -> None:
        self._declared = declared or DeclaredEmails({})
        self._rows_complete_declared = rows_complete_declared
        self._has_warned = False

    def __call__(self, template_id: Any) -> StoredEmailData:
        """The stored email of a key, or of a `StoredEmail` without a query.

        Raises `StoredEmailNotFound`, which names similar keys, TypeError, `ConfigurationError` and, for a key that
        the settings do not declare, the errors of the database.
        """
        if isinstance(template_id, StoredEmail):
            return template_id.as_stored()
        key = as_key(template_id)
        if key in self._declared:
            return self._complete(self._declared[key])
        known = self._rows
        if isinstance(known, Exception):
            raise known
        if key not in known:
            raise _unknown_key(key, [*self._declared, *known])
        return known[key].as_stored()

    def _complete(self, declared: StoredEmailData) -> StoredEmailData:
        rows = self._rows if self._rows_complete_declared else {}
        if isinstance(rows, Exception):
            self._warn(rows)
            return declared
        row = rows.get(declared.name)
        return declared.completed_by(row.as_stored()) if row else declared

    @cached_property
    def _rows(self) -> dict[str, StoredEmail] | Exception:
        """The rows by key, or the error of the query, such as pytest-django's in a test without the database."""
        rows = StoredEmail.objects.named().defer("title", "preheader", "html")  # these may be long
        try:
            with self._savepoint(rows.db):
                return {str(row.key): row for row in rows}
        except Exception as error:  # noqa: BLE001
            return error

    def _savepoint(self, alias: str) -> AbstractContextManager[Any]:
        """A savepoint where a failed query would break the site's transaction, as in PostgreSQL."""
        database = transaction.get_connection(alias)
        is_needed = self._declared and database.in_atomic_block and database.vendor not in _NEED_NO_SAVEPOINT
        return transaction.atomic(using=alias) if is_needed else nullcontext()

    def _warn(self, error: Exception) -> None:
        """Log once that mail goes out without what rows add, but not for a mail that logging itself sends."""
        if isinstance(error, DatabaseError) and not self._has_warned and not is_inside_logging():
            self._has_warned = True
            logger.warning(
                "The table of stored emails cannot be read (%s), so mail is sent with STORED_EMAILS alone. Check the "
                "database, and run manage.py migrate.",
                type(error).__name__,
            )


def _unknown_key(key: str, known: Iterable[str]) -> StoredEmailNotFound:
    hint = near_keys(key, known) or "Give a stored email this key in the admin, or add it to MIGMA['STORED_EMAILS']."
    reason = f"No stored email has the key {key[:MAX_KEY]!r}"
    return StoredEmailNotFound(reason, hint=f"{hint} A raw id has 24 hex digits.")
