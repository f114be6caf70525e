"""Model fields and validators for ids, keys, senders and variables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_migma.addresses import display_name_error, parse
from django_migma.api.errors import InvalidAddress, SerializationError
from django_migma.api.types import is_object_id
from django_migma.stored_emails import KEY
from django_migma.variables import to_json_value

if TYPE_CHECKING:
    CharField = models.CharField[str | None, str | None]
else:
    CharField = models.CharField


def validate_object_id(value: str) -> None:
    if not is_object_id(value):
        raise ValidationError(_("Migma's ids are 24 hex digits, such as 665f1c2ab7d3e4f5a6b70001."), code="object_id")


def validate_key(value: str) -> None:
    if KEY.fullmatch(value) is None:
        raise ValidationError(_("Use letters, digits, - and _ only, such as welcome or order-receipt."), code="key")
    if is_object_id(value):
        raise ValidationError(_("24 hex digits are an id of Migma's. Choose a word, such as welcome."), code="key")


def validate_address(value: str) -> None:
    try:
        parse(value, "it")
    except InvalidAddress as error:
        raise ValidationError(_("Give one address, such as hello@example.com."), code="address") from error


def validate_header(value: str) -> None:
    """Accept a text for a header of mail, such as a subject: a line break in it would add further headers."""
    if display_name_error(value):
        raise ValidationError(_("Use one line, without control characters."), code="header")


def validate_names(value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value) or not _is_storable(value):
        raise ValidationError(_('Give a list of names, such as ["first_name"].'), code="names")


def validate_variables(value: object) -> None:
    if not isinstance(value, dict):
        raise ValidationError(_('Give values by name, such as {"first_name": "there"}.'), code="variables")
    if not _is_storable(value):
        raise ValidationError(_("It holds a number or a character that JSON cannot carry."), code="json")


def _is_storable(value: object) -> bool:
    """Whether every database can store it as JSON: without NaN, lone surrogates and, for PostgreSQL, NUL."""
    try:
        return "\\u0000" not in json.dumps(to_json_value(value, "it"))
    except SerializationError:
        return False


def storable(text: str, length: int) -> str:
    """A text that every database can store, of ``length`` characters at most: without NUL and lone surrogates."""
    return text[:length].encode(errors="replace").decode().replace("\0", "\ufffd")


class NullCharField(CharField):
    """A text that is null when empty, so that it can be unique otherwise."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"null": True, "blank": True, "default": None, **options})

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(value) or None


class ObjectIdField(NullCharField):
    """An id of Migma: 24 hex digits, stored in lower case."""

    default_validators = [validate_object_id]  # noqa: RUF012 - Django's own form

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"max_length": 24, **options})

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value and value.lower()
