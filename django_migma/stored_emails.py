"""Stored emails by their keys: what a send needs of one, and those that the setting ``STORED_EMAILS`` declares.

Keys in settings are versioned with the code and need neither the app nor a database. Rows of the app may add to them,
see `django_migma.models.stored_email`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from django.utils.functional import Promise

from .addresses import display_name_error, parse
from .api.errors import InvalidAddress, SerializationError, StoredEmailNotFound
from .api.types import is_object_id
from .exceptions import ConfigurationError
from .variables import to_json_value

KEY = re.compile("[-a-zA-Z0-9_]+")
MAX_KEY = 100
_ID = "Migma's id of an email, 24 hex digits"
_MAX_SHOWN = 80


class StoredEmailData(NamedTuple):
    """What a send needs of a stored email: its ids, and what this site knows beyond them.

    ``name`` is its key or id, for error texts. ``body_variables`` are the names in its preheader and HTML,
    ``optional_variables`` those that Migma fills from the contact. ``sample_variables`` are for previews and tests
    only. ``project_id`` is known to rows alone. A tuple, since the models need the class at every start, and a
    dataclass takes a millisecond to make.
    """

    name: str
    email_id: str | None = None
    conversation_id: str | None = None
    subject: str = ""
    from_email: str = ""
    from_name: str = ""
    provider_type: str = ""
    default_variables: Mapping[str, Any] = {}
    body_variables: frozenset[str] = frozenset()
    optional_variables: frozenset[str] = frozenset()
    sample_variables: Mapping[str, Any] = {}
    project_id: str = ""

    def completed_by(self, other: StoredEmailData) -> StoredEmailData:
        """Return this one, with the fields that it leaves out taken from another. Variables are merged by name.

        ``body_variables`` are taken only if both have the same id: otherwise they belong to another email's text.
        """
        is_same = self.email_id == other.email_id
        return self._replace(
            subject=self.subject or other.subject,
            from_email=self.from_email or other.from_email,
            from_name=self.from_name or other.from_name,
            provider_type=self.provider_type or other.provider_type,
            default_variables={**other.default_variables, **self.default_variables},
            body_variables=other.body_variables if is_same else frozenset(),
            optional_variables=self.optional_variables | other.optional_variables,
            sample_variables={**other.sample_variables, **self.sample_variables},
            project_id=other.project_id if is_same else "",
        )


NO_STORED_EMAIL = StoredEmailData(name="")  # for mail that names no stored email, or one not known here

Resolver = Callable[[Any], StoredEmailData]
"""Returns the stored email for a ``template_id`` that is not a raw id; raises `StoredEmailNotFound` or TypeError."""


class DeclaredEmails(Mapping[str, StoredEmailData]):
    """The stored emails of the setting ``STORED_EMAILS``. Each is validated and made when it is first looked up.

    So a faulty one stops only the mail that uses it, and a send validates only those that it uses.
    """

    def __init__(self, setting: Mapping[str, Any]) -> None:
        self._setting = setting
        self._made: dict[str, StoredEmailData] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._setting)

    def __len__(self) -> int:
        return len(self._setting)

    def __contains__(self, key: object) -> bool:
        return key in self._setting

    def __getitem__(self, key: str) -> StoredEmailData:
        """Return the stored email of a key. Raises `ConfigurationError` for a faulty one."""
        if key not in self._made:
            for problem, hint in entry_problems(key, self._setting[key]):
                raise ConfigurationError(f"STORED_EMAILS {problem}. {hint}")
            self._made[key] = _stored_email_data(key, self._setting[key])
        return self._made[key]

    def usable(self) -> list[StoredEmailData]:
        """Return those without a fault. The system checks report the others."""
        return [self[key] for key, entry in self._setting.items() if not any(entry_problems(key, entry))]


class SettingsResolver:
    """The `Resolver` of a site without the app: all keys are in ``STORED_EMAILS``."""

    def __init__(self, declared: DeclaredEmails) -> None:
        self._declared = declared

    def __call__(self, template_id: Any) -> StoredEmailData:
        """Return the stored email of a key. Raises `StoredEmailNotFound`, which names similar keys, and TypeError."""
        key = as_key(template_id)
        if key in self._declared:
            return self._declared[key]
        where = "Add the key to MIGMA['STORED_EMAILS'], or the app to INSTALLED_APPS."
        hint = near_keys(key, self._declared) or where
        raise StoredEmailNotFound(
            f"No stored email is known by the key {key[:MAX_KEY]!r}: MIGMA['STORED_EMAILS'] does not have it, and "
            "other keys need the app, but 'django_migma' is not in INSTALLED_APPS",
            hint=f"{hint} Or give Migma's id of the email as template_id, 24 hex digits.",
        )


def as_key(template_id: Any) -> str:
    """Return a ``template_id`` as a key. Raises TypeError for what is no string."""
    if not isinstance(template_id, str):
        raise TypeError(f"template_id must be a key, an id or a StoredEmail, not {type(template_id).__name__}.")
    return template_id


def near_keys(key: str, known: Iterable[str], most: int = 3) -> str:
    """Return a question that names similar keys, in any case of letters; an empty string if there are none."""
    import difflib  # noqa: PLC0415 - lazy: for a mistake only

    by_lower_case = {str(name).lower(): str(name) for name in known}
    near = difflib.get_close_matches(key[:MAX_KEY].lower(), by_lower_case, n=most)
    return f"Did you mean {' or '.join(repr(by_lower_case[name]) for name in near)}?" if near else ""


def entry_problems(key: Any, entry: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with one entry of the setting: each problem, to be read after the setting's name, and a hint."""
    name = repr(key)[:_MAX_SHOWN]
    if not isinstance(key, str) or not KEY.fullmatch(key) or len(key) > MAX_KEY or is_object_id(key):
        hint = f"Write {str(key)!r}." if type(key) is int else "Choose a word, such as welcome or order-receipt."
        yield f"has the key {name}, which must be a string of letters, digits, - and _, and no id", hint
    elif isinstance(entry, Mapping):
        yield from _field_problems(name, entry)
    elif not is_object_id(entry):
        yield f"must give {name} {_ID}, or a dict with email_id, not {_shown(entry)}", "Copy the id from Migma."


def _field_problems(name: str, entry: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for field in entry:
        if field not in _FIELDS:
            hint = near_keys(str(field), _FIELDS, most=1) or f"Known are {', '.join(sorted(_FIELDS))}."
            yield f"has the unknown field {repr(field)[:_MAX_SHOWN]} in {name}", hint
    for field, (fits, expected) in _FIELDS.items():
        value = entry.get(field)
        if (field == "email_id" or (value is not None and value != "")) and not fits(value):
            hint = "Copy the id from Migma." if field == "email_id" else "Correct it, or leave it out."
            yield f"must give {name} {expected} as {field!r}, not {_shown(value)}", hint


def _shown(value: Any) -> str:
    """Ids and texts as they are, of other values only the type: variables may hold anything."""
    return repr(value)[:_MAX_SHOWN] if isinstance(value, str | int | None) else type(value).__name__


def _is_line(value: Any) -> bool:
    return isinstance(value, str | Promise) and not display_name_error(str(value))


def _is_address(value: Any) -> bool:
    try:
        return bool(parse(value, "it"))
    except InvalidAddress:
        return False


def _are_variables(value: Any) -> bool:
    try:
        to_json_value(value, "it")
    except SerializationError:
        return False
    return isinstance(value, Mapping)


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(name, str) for name in value)


_VARIABLES = (_are_variables, "a dict of values that JSON can carry")
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "email_id": (is_object_id, _ID),
    "subject": (_is_line, "one line of text"),
    "from_email": (_is_address, "one address, such as Example <hello@example.com>"),
    "default_variables": _VARIABLES,
    "optional_variables": (_are_names, "a list of names"),
    "sample_variables": _VARIABLES,
}


def _stored_email_data(key: str, entry: Any) -> StoredEmailData:
    given = entry if isinstance(entry, Mapping) else {"email_id": entry}
    from_email = str(given.get("from_email") or "")
    return StoredEmailData(
        name=key,
        email_id=given["email_id"].lower(),
        subject=str(given.get("subject") or ""),
        from_email=from_email,
        from_name=parse(from_email, "from_email").display_name if from_email else "",
        default_variables=given.get("default_variables") or {},
        optional_variables=frozenset(given.get("optional_variables") or ()),
        sample_variables=given.get("sample_variables") or {},
    )
