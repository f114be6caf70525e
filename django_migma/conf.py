"""Settings: the dict ``MIGMA`` and the options of a mailer, as one frozen `Config`. Read at each use.

`Setting` and `Config` are tuples, since frozen dataclasses of so many fields take 2 ms of every start.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import repeat
from typing import Any, NamedTuple

import django
from django.conf import settings
from django.utils.functional import Promise

from .addresses import display_name_error, parse
from .api.credentials import API_URL, Secret, api_key_error, api_url_error
from .api.errors import InvalidAddress
from .api.rate_limits import parse_rate
from .api.types import PROVIDER_TYPES, is_object_id
from .exceptions import configuration_error


class Setting(NamedTuple):
    """The default of a setting, and the rule for its values: it returns an error text, or an empty string."""

    default: Any
    validate: Callable[[Any], str]


def _rule(fits: Callable[[Any], bool], expected: str) -> Callable[[Any], str]:
    return lambda value: "" if fits(value) else f"must be {expected}, not {value!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_timeout(value: Any) -> bool:
    pair = value if isinstance(value, list | tuple) else (value, value)
    return len(pair) == 2 and all(_is_number(item) and item > 0 for item in pair)


def _is_project_id(value: Any) -> bool:
    # Migma documents the 24 hex digits for emails and conversations only.
    return isinstance(value, str) and re.fullmatch(r"[\w-]{1,100}", value, re.ASCII) is not None


def _are_features(value: Any) -> bool:
    is_list = isinstance(value, list | tuple | set) and all(isinstance(name, str) for name in value)
    return is_list or isinstance(value, bool)


def _whole_number(smallest: int) -> Callable[[Any], str]:
    return _rule(
        lambda value: isinstance(value, int) and _is_number(value) and value >= smallest,
        f"a whole number from {smallest}",
    )


def _choice(*choices: str) -> Callable[[Any], str]:
    return _rule(lambda value: value in choices, f"one of {', '.join(choices)}")


def _text(value: Any) -> str:
    return "" if isinstance(value, str | Promise) else f"must be a string, not {type(value).__name__}"


def _rate(value: Any) -> str:
    try:
        parse_rate(value)
    except ValueError as error:
        return str(error)
    return ""


def _address(value: Any) -> str:
    try:
        parse(value, "it")
    except InvalidAddress:
        return "must be one address, such as hello@example.com or Example <hello@example.com>"
    return ""


ENGINES = ("django_migma.engines.tasks", "django_migma.engines.celery")
SCHEDULE = (15, 60, 300, 900, 3600, 10800)  # seconds between attempts; the last one repeats
_DAY = 86_400  # seconds; Migma keeps keys no longer, and much larger numbers are no times


class QueueSettings(NamedTuple):
    """The keys of ``QUEUE`` in lower case.

    ``engine``: the module that wakes a worker after a commit; None where ``migma_deliver`` runs all the time.
    ``schedule``: seconds to wait after the first failed attempt, the second and so on. ``lease``: seconds that a
    worker has for the rows that it has claimed; None for the default, which depends on ``TIMEOUT``.
    """

    engine: str | None = None
    schedule: tuple[float, ...] = SCHEDULE
    lease: float | None = None


def _queue(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"must be a dict, not {type(value).__name__}"
    if unknown := sorted(str(name) for name in value if name not in {"ENGINE", "SCHEDULE", "LEASE"}):
        return f"has the unknown key {unknown[0]!r}. Known are ENGINE, LEASE, SCHEDULE"
    engine, schedule, lease = map(value.get, ("ENGINE", "SCHEDULE", "LEASE"))
    if is_set(engine) and engine not in ENGINES:
        return f"has the ENGINE {engine!r}. Choose {' or '.join(ENGINES)}, or None for migma_deliver"
    if schedule is not None and not _is_schedule(schedule):
        return f"has the SCHEDULE {schedule!r}. Give seconds above 0, up to a day, such as {SCHEDULE!r}"
    if lease is not None and not _is_wait(lease):
        return f"has the LEASE {lease!r}. Give seconds above 0, up to a day, or None"
    return ""


def _is_schedule(value: Any) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) > 0
    return is_list and all(map(_is_wait, value))


def _is_wait(value: Any) -> bool:
    return _is_number(value) and 0 < value <= _DAY


def _queue_settings(value: Mapping[str, Any]) -> QueueSettings:
    return QueueSettings(
        engine=value.get("ENGINE") or None,
        schedule=tuple(value.get("SCHEDULE") or SCHEDULE),
        lease=value.get("LEASE"),
    )


_boolean = _rule(lambda value: isinstance(value, bool), "True or False")
_seconds = _rule(lambda value: _is_number(value) and value > 0, "a number of seconds above 0")
_timeout = _rule(_is_timeout, "seconds above 0, or a pair of them (connect, read)")

SETTINGS: dict[str, Setting] = {
    "API_KEY": Setting(None, lambda value: "" if callable(value) else api_key_error(value)),
    "API_URL": Setting(API_URL, _text),
    "ALLOW_HTTP": Setting(False, _boolean),
    "FROM_EMAIL": Setting(None, _address),
    "FROM_NAME": Setting(None, lambda value: _text(value) or display_name_error(value)),
    "REPLY_TO": Setting(None, _address),
    "PROVIDER_TYPE": Setting(None, _choice(*PROVIDER_TYPES)),
    "PROJECT_ID": Setting(None, _rule(_is_project_id, "the id of a Migma project (letters and digits, 100 at most)")),
    "LAYOUT_EMAIL_ID": Setting(None, _rule(is_object_id, "the id of a stored email, 24 hex digits")),
    "STORED_EMAILS": Setting({}, _rule(lambda value: isinstance(value, Mapping), "a dict of stored emails by key")),
    "TRANSACTIONAL": Setting(None, _boolean),
    "REDIRECT_TO": Setting(None, _address),
    "TIMEOUT": Setting((3.05, 10), _timeout),
    "MAX_RETRIES": Setting(4, _whole_number(0)),
    "RETRY_DEADLINE": Setting(20, _seconds),
    "RATE_LIMIT": Setting(None, _rate),
    "RATE_LIMIT_WAIT": Setting(600, _rule(_is_number, "a number of seconds from 0")),
    "MAX_CONCURRENCY": Setting(16, _whole_number(1)),
    "IGNORE_UNSUPPORTED_FEATURES": Setting([], _rule(_are_features, "a list of feature names, or True")),
    "FALLBACK": Setting(None, _text),
    "MISSING_VARIABLES": Setting("warn", _choice("raise", "warn", "ignore")),
    "FAIL_SILENTLY": Setting(False, _boolean),
    "DELIVERY_LOG": Setting(False, _boolean),
    "TEST_SENDS_PER_HOUR": Setting(100, _whole_number(0)),
    "QUEUE": Setting({}, _queue),
}
_OPTIONS = {name: name.lower() for name in SETTINGS}
OPTION_NAMES = frozenset(_OPTIONS.values())
_WITHOUT_KEY = [name for name in SETTINGS if name != "API_KEY"]


class Config(NamedTuple):
    """The settings of one ``send_messages`` call, validated. The manual describes each."""

    api_key: Secret
    api_url: str
    allow_http: bool
    from_email: str | None
    from_name: str | None
    reply_to: str | None
    provider_type: str | None
    project_id: str | None
    layout_email_id: str | None
    stored_emails: Mapping[str, Any]
    transactional: bool | None
    redirect_to: str | None
    timeout: tuple[float, float]
    max_retries: int
    retry_deadline: float
    rate_limit: str | None
    rate_limit_wait: float
    max_concurrency: int
    ignore_unsupported_features: frozenset[str] | bool
    fallback: str | None
    missing_variables: str
    fail_silently: bool
    delivery_log: bool
    test_sends_per_hour: int
    queue: QueueSettings


def is_set(value: Any) -> bool:
    """Whether a setting has a value. None and an empty string count as unset, as empty environment variables are."""
    return value is not None and value != ""


def get_setting(name: str, options: Mapping[str, Any]) -> Any:
    """Return the value of a setting: the mailer's option, else the key of ``MIGMA``, else the default."""
    return next(_values([name], options))[1]


def _values(names: Collection[str], options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names with their values. ``settings`` is looked up once, since each send reads all names."""
    # No variable here may hold the dict, which holds the key: debug pages show the variables of each frame.
    is_dict = isinstance(getattr(settings, "MIGMA", None), Mapping)
    for name, value in zip(names, map(settings.MIGMA.get, names) if is_dict else repeat(None), strict=False):
        option = options.get(_OPTIONS[name])
        found = option if is_set(option) else value
        if isinstance(found, Promise):
            found = str(found)  # a translated FROM_NAME, for instance
        yield name, found if is_set(found) else SETTINGS[name].default


def has_mailers() -> bool:
    """Whether this site has ``MAILERS``, which came with Django 6.1, and not ``EMAIL_BACKEND``."""
    return django.VERSION >= (6, 1) and hasattr(settings, "MAILERS")


def mailer_options(alias: str | None) -> Mapping[str, Any]:
    """Return the options of a mailer in ``MAILERS``; without an alias, of the default one.

    Raises `ConfigurationError` for an unknown alias.
    """
    mailers: Mapping[str, Any] = (settings.MAILERS or {}) if has_mailers() else {}
    if alias is not None and alias not in mailers:
        known = ", ".join(map(repr, mailers)) or "none"
        raise configuration_error(f"MAILERS has no mailer {alias!r}. Those that it has: {known}.", None)
    return (mailers.get(alias or "default") or {}).get("OPTIONS") or {}


def setting_location(name: str, options: Mapping[str, Any]) -> str:
    """Return where a setting comes from, for error texts: ``MIGMA['TIMEOUT']`` or ``OPTIONS['timeout']``."""
    return f"OPTIONS['{name.lower()}']" if is_set(options.get(name.lower())) else f"MIGMA['{name}']"


def setting_error(name: str, options: Mapping[str, Any]) -> str:
    """Return what is wrong with a setting, or an empty string. A callable key is not called."""
    return _validate(name, get_setting(name, options), allow_http=get_setting("ALLOW_HTTP", options) is True)


def _validate(name: str, value: Any, *, allow_http: bool) -> str:
    if value is SETTINGS[name].default or not is_set(value):
        return ""
    if name == "API_URL" and isinstance(value, str):
        return api_url_error(value, allow_http=allow_http)
    return SETTINGS[name].validate(value)


def load_config(options: Mapping[str, Any], alias: str | None = None) -> Config:
    """Return the `Config` for one call. Calls ``API_KEY`` if it is callable. Raises `ConfigurationError`."""
    found = dict(_values(_WITHOUT_KEY, options))
    for name, value in found.items():
        if error := _validate(name, value, allow_http=found["ALLOW_HTTP"] is True):
            raise configuration_error(f"{setting_location(name, options)} {error}.", alias)
    values = {_OPTIONS[name]: value for name, value in found.items()}
    timeout, ignored = values["timeout"], values["ignore_unsupported_features"]
    values["timeout"] = tuple(timeout) if isinstance(timeout, list | tuple) else (timeout, timeout)
    values["ignore_unsupported_features"] = ignored if isinstance(ignored, bool) else frozenset(ignored)
    values["queue"] = _queue_settings(values["queue"])
    return Config(api_key=_api_key(options, alias), **values)


def _api_key(options: Mapping[str, Any], alias: str | None) -> Secret:
    error, key = _resolve_key(options)
    if error:
        advice = "Take it from Migma's dashboard, and keep it out of the code."
        raise configuration_error(f"{setting_location('API_KEY', options)} {error}. {advice}", alias)
    return key


def _resolve_key(options: Mapping[str, Any]) -> tuple[str, Secret]:
    """What is wrong with the key, and the key. Nothing is raised here, since a variable holds it unmasked."""
    value = get_setting("API_KEY", options)
    if callable(value):
        value = value()
    if not is_set(value):
        return "is not set, and nothing can be sent without a key", Secret()
    return api_key_error(value), Secret(value) if isinstance(value, str) else Secret()
