"""Values for the variables of a stored email, in previews and tests: known, shown, typed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError

from django_migma.conf import get_setting
from django_migma.exceptions import ConfigurationError
from django_migma.models.fields import validate_variables
from django_migma.stored_emails import DeclaredEmails
from django_migma.variables import value_to_text, without_empty

if TYPE_CHECKING:
    from django_migma.models import StoredEmail

INPUT = "value."  # begins the names of inputs for values
LONG = 60  # characters from which on a value is shown in several lines, or cut off


def known_values(email: StoredEmail) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the defaults and the samples of an email: those of its row, and those that the settings declare."""
    defaults, samples = _mapping(email.default_variables), _mapping(email.sample_variables)
    all_declared = DeclaredEmails(get_setting("STORED_EMAILS", {}))
    if email.key is None or email.key not in all_declared:
        return defaults, samples
    try:
        declared = all_declared[email.key]
    except ConfigurationError:  # the system checks report it
        return defaults, samples
    return {**defaults, **declared.default_variables}, {**samples, **declared.sample_variables}


def _mapping(value: object) -> dict[str, Any]:
    """The value, or nothing for what a form brought that is shown again with its errors."""
    return dict(value) if isinstance(value, Mapping) else {}


def shown_values(email: StoredEmail, typed: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a text for each variable: its sample, its default, or its name in brackets, such as ``[first name]``.

    ``typed`` replaces samples by name; an empty text takes the sample away.
    """
    names = {name: f"[{re.sub('[-_. ]+', ' ', name).strip() or name}]" for name in email.variable_names}
    defaults, samples = known_values(email)
    texts = {name: value_to_text(value) for name, value in samples.items()} | dict(typed or {})
    given = {name: text for name, text in texts.items() if text}
    return names | {name: value_to_text(value) for name, value in defaults.items()} | given


def without_sample(email: StoredEmail) -> list[str]:
    """Return the variables that have neither a sample nor a default, and that Migma fills for no contact."""
    defaults, samples = known_values(email)
    known = {*defaults, *without_empty(samples), *email.optional_variables}
    return [name for name in email.variable_names if name not in known]


def value_widget(name: str, text: str) -> forms.Widget:
    """The input for a value. A text that is long or has several lines, and HTML, has room for them."""
    attrs = {"spellcheck": "false", "autocomplete": "off"}
    if is_html(name) or "\n" in text or "\r" in text or len(text) > LONG:
        return forms.Textarea(attrs={**attrs, "rows": 4, "cols": 40})
    return forms.TextInput(attrs=attrs)


def is_html(name: str) -> bool:
    """Whether the name of a variable promises HTML."""
    return name.lower().endswith("_html")


def posted_texts(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts that inputs named ``value.NAME`` have brought."""
    return {name.removeprefix(INPUT): str(text) for name, text in data.items() if name.startswith(INPUT)}


def read_values(texts: Mapping[str, str], samples: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as values. A sample that was not touched stays as it is, whatever its type.

    A text in the place of another JSON value is JSON where it can be.
    """
    return {name: _read(text.replace("\r\n", "\n"), samples.get(name)) for name, text in texts.items()}


def _read(text: str, sample: Any) -> Any:
    if text == value_to_text(sample).replace("\r\n", "\n"):
        return sample
    return text if sample is None or isinstance(sample, str) else _json_or_text(text)


def _json_or_text(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse)
        validate_variables({"it": value})
    except (ValueError, RecursionError, ValidationError):
        return text
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
