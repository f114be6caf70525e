"""Variables: their values as plain JSON, and their placeholders in the texts of a stored email or of a message."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from .api.errors import SerializationError

_MAX_DEPTH = 100
_MAX_INTEGER = 10**4300  # Python refuses to write a longer one
_NAME = r"([\w.-]++)"
_ENCODED_SPACE = r"[\s+]*+(?:%20[\s+]*+)*+"
_PLACEHOLDER = rf"(?i:\{{\{{\s*+{_NAME}\s*+\}}\}}|%7B%7B{_ENCODED_SPACE}{_NAME}{_ENCODED_SPACE}%7D%7D)"
"""``{{name}}``, also percent-encoded, as in links. Migma documents names only: no filters, no conditions.

Possessive, since a repeated group that may give back keeps a state per repetition: 9 MB of plus signs took 1 GB.
"""


def placeholder_names(*texts: str) -> list[str]:
    """Return the names of the placeholders in some texts, each once, in alphabetical order.

    Migma's newest answers do not list them, so they are read from subject, preheader and HTML.
    """
    return sorted({found[1] or found[2] for text in texts for found in re.finditer(_PLACEHOLDER, text)})


def render_placeholders(text: str, values: Mapping[str, str]) -> str:
    """Return the text with placeholders replaced where there is a value.

    For previews and a message's own texts: Migma fills stored emails itself. Values are not read for placeholders.
    """
    return re.sub(_PLACEHOLDER, lambda found: values.get(found[1] or found[2], found[0]), text)


def value_to_text(value: Any) -> str:
    """Return a variable's value as readers see it: None is nothing, and what is no text is written as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that fill something in: an empty sample is none, so that readers see the default."""
    return {name: value for name, value in values.items() if value not in (None, "")}


def to_json_value(value: Any, path: str, depth: int = 0) -> Any:
    """Return the value in JSON's own types: dates, decimals, UUIDs and lazy texts become strings.

    Raises `SerializationError`, which names the path, for anything else: NaN, keys that are neither text nor number,
    lone surrogates, more than 100 levels (as of a structure that contains itself).
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        return int(value) if abs(value) < _MAX_INTEGER else _fail(path, "it has more than 4,300 digits")
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _fail(path, f"{value} is no JSON number")
    if depth >= _MAX_DEPTH:
        return _fail(path.partition("[")[0], f"it has more than {_MAX_DEPTH} levels, or contains itself")
    if isinstance(value, Mapping):
        return {
            _name(name, path): to_json_value(item, f"{path}[{name!r}]", depth + 1) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_json_value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    return to_json_value(_encode(value, path), path, depth + 1)


def _text(value: str, path: str) -> str:
    if value.encode(errors="ignore").decode() != value:
        _fail(path, "it holds a lone surrogate, which is no text that UTF-8 can carry")
    return str.__str__(value)  # str() of an enum member may be its name


def _name(name: Any, path: str) -> str:
    """A key as text: numbers, True, False and None as Python's own encoder writes them."""
    if isinstance(name, str):
        return _text(name, path)
    if name is None or isinstance(name, bool | int) or (isinstance(name, float) and math.isfinite(name)):
        return json.dumps(name)
    return str(_fail(path, f"the key {name!r} is neither text nor number"))


def _encode(value: Any, path: str) -> Any:
    from django.core.serializers.json import DjangoJSONEncoder  # noqa: PLC0415 - lazy: it imports django.db.models

    try:
        return DjangoJSONEncoder().default(value)
    except TypeError:
        problem = f"JSON has no type for {type(value).__name__}"
    except ValueError as error:  # Django's encoder refuses times with an offset
        problem = str(error)
    return _fail(path, problem)


def _fail(path: str, problem: str) -> Any:
    raise SerializationError(f"{path} cannot be sent: {problem}", hint="Pass text, numbers, dates, lists or dicts.")
