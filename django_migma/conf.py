"""Settings: the dict ``MIGMA`` and the options of a mailer, as one frozen `Config`. Read at each use."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import repeat
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.functional import Promise

from .addresses import parse
from .api.credentials import API_URL, Secret, api_key_error, api_url_error
from .api.errors import InvalidAddress
from .api.rates import parse_rate
from .api.types import PROVIDER_TYPES, is_object_id
from .exceptions import configuration_error

_LONGEST_PROJECT_ID = 100
"""Characters: what the column of the stored emails holds."""


class Setting(NamedTuple):
    """A key of ``MIGMA``: its default, and a rule that says what is wrong with a value (empty: nothing)."""

    default: Any
    problem: Callable[[Any], str]


def _text(value: Any) -> str:
    return "" if isinstance(value, str | Promise) else f"must be a string, not {type(value).__name__}"


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else f"must be True or False, not {value!r}"


def _whole(smallest: int) -> Callable[[Any], str]:
    def problem(value: Any) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= smallest
        return "" if fits else f"must be a whole number from {smallest}, not {value!r}"

    return problem


def _seconds(value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if is_number and 0 < value < math.inf else f"must be a number of seconds above 0, not {value!r}"


def _seconds_or_none(value: Any) -> str:
    return "" if value == 0 and not isinstance(value, bool) else _seconds(value).replace("above", "from")


def _rate(value: Any) -> str:
    try:
        parse_rate(value)
    except ValueError as error:
        return str(error)
    return ""


def _timeout(value: Any) -> str:
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) == 2 and not any(_seconds(item) for item in pair):
        return ""
    return f"must be seconds above 0, or a pair of them (connect, read), not {value!r}"


def _address(value: Any) -> str:
    try:
        parse(value, "it")
    except InvalidAddress:
        return "must be one address, such as hello@example.com or Example <hello@example.com>"
    return ""


def _email_id(value: Any) -> str:
    return "" if is_object_id(value) else f"must be the id of a stored email, 24 hex digits, not {value!r}"


def _project_id(value: Any) -> str:
    # Migma documents the 24 hex digits for emails and conversations only.
    fits = isinstance(value, str) and value.isascii() and value.replace("-", "").replace("_", "").isalnum()
    if fits and len(value) > _LONGEST_PROJECT_ID:
        return f"must be the id of a Migma project, of {_LONGEST_PROJECT_ID} characters at most, not {len(value)}"
    return "" if fits else f"must be the id of a Migma project (letters and digits), not {value!r}"


def _choice(*choices: str) -> Callable[[Any], str]:
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}, not {value!r}"


def _features(value: Any) -> str:
    names = isinstance(value, list | tuple | set) and all(isinstance(name, str) for name in value)
    return "" if names or isinstance(value, bool) else f"must be a list of feature names, or True, not {value!r}"


def _key(value: Any) -> str:
    return "" if callable(value) else api_key_error(value)


SETTINGS: dict[str, Setting] = {
    "API_KEY": Setting(None, _key),
    "API_URL": Setting(API_URL, _text),
    "ALLOW_HTTP": Setting(False, _boolean),
    "FROM_EMAIL": Setting(None, _address),
    "FROM_NAME": Setting(None, _text),
    "REPLY_TO": Setting(None, _address),
    "PROVIDER_TYPE": Setting(None, _choice(*PROVIDER_TYPES)),
    "PROJECT_ID": Setting(None, _project_id),
    "LAYOUT_EMAIL_ID": Setting(None, _email_id),
    "TRANSACTIONAL": Setting(None, _boolean),
    "REDIRECT_TO": Setting(None, _address),
    "TIMEOUT": Setting((3.05, 10), _timeout),
    "MAX_RETRIES": Setting(4, _whole(0)),
    "RETRY_DEADLINE": Setting(20, _seconds),
    "RATE_LIMIT": Setting(None, _rate),
    "RATE_LIMIT_WAIT": Setting(600, _seconds_or_none),
    "MAX_CONCURRENCY": Setting(16, _whole(1)),
    "IGNORE_UNSUPPORTED_FEATURES": Setting([], _features),
    "MISSING_VARIABLES": Setting("warn", _choice("raise", "warn", "ignore")),
    "FAIL_SILENTLY": Setting(False, _boolean),
}
_OPTIONS = {name: name.lower() for name in SETTINGS}
OPTION_NAMES = frozenset(_OPTIONS.values())
_WITHOUT_KEY = [name for name in SETTINGS if name != "API_KEY"]


class Config(NamedTuple):
    """What one ``send_messages`` call works with. The fields are the settings, checked; see README for each.

    A tuple, since a dataclass of so many fields takes 2 ms of every start.
    """

    api_key: Secret
    api_url: str
    allow_http: bool
    from_email: str | None
    from_name: str | None
    reply_to: str | None
    provider_type: str | None
    project_id: str | None
    layout_email_id: str | None
    transactional: bool | None
    redirect_to: str | None
    timeout: tuple[float, float]
    max_retries: int
    retry_deadline: float
    rate_limit: str | None
    rate_limit_wait: float
    max_concurrency: int
    ignore_unsupported_features: frozenset[str] | bool
    missing_variables: str
    fail_silently: bool


def is_set(value: Any) -> bool:
    """Whether a setting says anything: None and an empty string do not, so that empty environment variables work."""
    return value is not None and value != ""


def get_setting(name: str, options: Mapping[str, Any]) -> Any:
    """The value of a setting: the mailer's option, else the key of ``MIGMA``, else the default."""
    return next(_values([name], options))[1]


def _values(names: Collection[str], options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names with their values. Each send asks for all of them, so the settings are looked up once."""
    # No variable here ever holds the dict: a debug page shows the variables of each frame, and it holds the key.
    known = isinstance(getattr(settings, "MIGMA", None), Mapping)
    for name, value in zip(names, map(settings.MIGMA.get, names) if known else repeat(None), strict=False):
        option = options.get(_OPTIONS[name])
        found = option if is_set(option) else value
        if isinstance(found, Promise):
            found = str(found)  # a translated FROM_NAME, for instance
        yield name, found if is_set(found) else SETTINGS[name].default


def setting_location(name: str, options: Mapping[str, Any]) -> str:
    """Where a setting stands, for texts."""
    return f"OPTIONS['{name.lower()}']" if is_set(options.get(name.lower())) else f"MIGMA['{name}']"


def setting_error(name: str, options: Mapping[str, Any]) -> str:
    """What is wrong with a setting that is given, or an empty string. A callable key is not called."""
    return _problem(name, get_setting(name, options), allow_http=get_setting("ALLOW_HTTP", options) is True)


def _problem(name: str, value: Any, *, allow_http: bool) -> str:
    if value is SETTINGS[name].default or not is_set(value):
        return ""
    if name == "API_URL" and isinstance(value, str):
        return api_url_error(value, allow_http=allow_http)
    return SETTINGS[name].problem(value)


def load_config(options: Mapping[str, Any], alias: str | None = None) -> Config:
    """The `Config` for one call. Calls ``API_KEY`` if it is callable. Raises `ConfigurationError`."""
    found = dict(_values(_WITHOUT_KEY, options))
    for name, value in found.items():
        if problem := _problem(name, value, allow_http=found["ALLOW_HTTP"] is True):
            raise configuration_error(f"{setting_location(name, options)} {problem}.", alias)
    values = {_OPTIONS[name]: value for name, value in found.items()}
    timeout, ignored = values["timeout"], values["ignore_unsupported_features"]
    values["timeout"] = tuple(timeout) if isinstance(timeout, list | tuple) else (timeout, timeout)
    values["ignore_unsupported_features"] = ignored if isinstance(ignored, bool) else frozenset(ignored)
    return Config(api_key=_api_key(options, alias), **values)


def _api_key(options: Mapping[str, Any], alias: str | None) -> Secret:
    place = setting_location("API_KEY", options)
    problem, key = _resolved_key(options)
    if problem:
        raise configuration_error(
            f"{place} {problem}. Take it from Migma's dashboard, and keep it out of the code.", alias
        )
    return key


def _resolved_key(options: Mapping[str, Any]) -> tuple[str, Secret]:
    """What is wrong with the key, and the key. Nothing is raised here, where it lies open in a variable."""
    value = get_setting("API_KEY", options)
    if callable(value):
        value = value()
    if not is_set(value):
        return "is not set, and nothing can be sent without a key", Secret()
    return api_key_error(value), Secret(value) if isinstance(value, str) else Secret()
