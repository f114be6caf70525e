"""System checks: one function per rule, run for every mailer that uses our backend."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from email.utils import parseaddr
from importlib.util import find_spec
from typing import Any

import django
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's own name
from django.db import connections, router
from django.utils.log import AdminEmailHandler

from .api.credentials import is_local
from .backends import queue
from .conf import OPTION_NAMES, SETTINGS, is_set, setting_error
from .mailers import Mailer, mailers
from .stored_emails import entry_problems

TAG = "migma"
_VALUE_CHECKS = {
    "API_KEY": ("migma.E002", "Copy the key from Migma's dashboard again; .strip() what you read from a file."),
    "PROVIDER_TYPE": (
        "migma.E003",
        "Leave it out to let Migma choose, unless you connected a provider of your own there.",
    ),
    "API_URL": ("migma.E004", "Leave API_URL out to talk to Migma; a sandbox on this machine may use http."),
    "PROJECT_ID": ("migma.E005", "Copy the id from Migma's dashboard or API."),
    "LAYOUT_EMAIL_ID": ("migma.E005", "Copy the id from Migma's dashboard or API."),
    "STORED_EMAILS": ("migma.E011", "Write STORED_EMAILS = {'welcome': '665f1c2ab7d3e4f5a6b70001'}."),
}
"""The check id and the hint for an unusable value; other settings have E006."""

Rule = Callable[[Mailer], Iterable[CheckMessage]]


def per_mailer(*, deploy: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule as a check that runs for each mailer and reports the same text once."""

    def decorate(rule: Rule) -> Rule:
        def check(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
            return list({message.msg: message for mailer in mailers() for message in rule(mailer)}.values())

        check.__name__, check.__doc__ = rule.__name__, rule.__doc__
        register(check, TAG, deploy=deploy)
        return rule

    return decorate


@per_mailer()
def known_settings(mailer: Mailer) -> Iterator[CheckMessage]:
    """E001: an unknown key, most often a typing error."""
    found = getattr(settings, "MIGMA", {})
    if not isinstance(found, Mapping):
        yield Error("MIGMA must be a dict.", hint="Write MIGMA = {'API_KEY': ...}.", id="migma.E001")
        return
    yield from _unknown("MIGMA", found, SETTINGS, str.upper)
    yield from _unknown(f"MAILERS[{mailer.alias!r}]['OPTIONS']", mailer.options, OPTION_NAMES, str.lower)


def _unknown(
    place: str, names: Iterable[object], known: Collection[str], in_case: Callable[[str], str]
) -> Iterator[CheckMessage]:
    import difflib  # noqa: PLC0415 - lazy: for a mistake only

    for name in names:
        if name not in known:
            near = difflib.get_close_matches(in_case(str(name)), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(sorted(known))}."
            yield Error(f"{place} has the unknown key {name!r}.", hint=hint, id="migma.E001")


@per_mailer()
def usable_stored_emails(mailer: Mailer) -> Iterator[CheckMessage]:
    """E011: an entry of STORED_EMAILS that cannot be used."""
    declared = mailer.value("STORED_EMAILS")
    if isinstance(declared, Mapping):  # otherwise another check says so
        for key, entry in declared.items():
            for problem, hint in entry_problems(key, entry):
                yield Error(mailer.describe("STORED_EMAILS", problem), hint=hint, id="migma.E011")


@per_mailer()
def usable_values(mailer: Mailer) -> Iterator[CheckMessage]:
    """E002 to E006: an unusable value. A callable API key is not called."""
    for name, setting in SETTINGS.items():
        if error := setting_error(name, mailer.options):
            check_id, hint = _VALUE_CHECKS.get(name, ("migma.E006", f"The default is {setting.default!r}."))
            yield Error(mailer.describe(name, error), hint=hint, id=check_id)


@per_mailer()
def known_features(mailer: Mailer) -> Iterator[CheckMessage]:
    """E009: a misspelt feature, which drops nothing, or one that cannot be dropped."""
    from .unsupported_features import HINTS, UNSUPPORTED_FEATURES  # noqa: PLC0415 - lazy: no start-up needs it

    ignored, name = mailer.value("IGNORE_UNSUPPORTED_FEATURES"), "IGNORE_UNSUPPORTED_FEATURES"
    if isinstance(ignored, bool) or setting_error(name, mailer.options):
        return
    for item in ignored:
        feature, _, header = item.lower().partition(":")
        if feature in HINTS:
            problem, hint = f"names {item!r}, which cannot be dropped", HINTS[feature]
        elif feature not in UNSUPPORTED_FEATURES or (":" in item and (feature != "headers" or not header)):
            problem, hint = f"names the unknown feature {item!r}", _nearest_feature(item, UNSUPPORTED_FEATURES)
        else:
            continue
        yield Error(mailer.describe(name, problem), hint=hint, id="migma.E009")


def _nearest_feature(item: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 - lazy: for a mistake only

    feature, _, header = item.partition(":")
    near = difflib.get_close_matches(feature.lower(), known, n=1)
    if near:
        meant = f"headers:{header}" if near == ["headers"] and header else near[0]
        return f"Did you mean {meant!r}?"
    return f"Known are {', '.join(sorted(known))}, and 'headers:' with the name of a header."


@per_mailer()
def usable_fallback(mailer: Mailer) -> Iterator[CheckMessage]:
    """E010: the mailer of ``FALLBACK`` is missing, or sends through Migma too, which would be a circle."""
    name = mailer.value("FALLBACK")
    if is_set(name) and not setting_error("FALLBACK", mailer.options):
        from .backends.fallback import fallback_problem  # noqa: PLC0415 - lazy: few sites need it

        problem, hint = fallback_problem(name)
        if problem:
            yield Error(mailer.describe("FALLBACK", problem), hint=hint, id="migma.E010")


def _lacks_key(mailer: Mailer) -> bool:
    return not is_set(mailer.value("API_KEY"))


@per_mailer()
def has_key(mailer: Mailer) -> Iterator[CheckMessage]:
    """W001: no API key. Only a warning, so that images can be built without secrets."""
    if _lacks_key(mailer):
        hint = "Set MIGMA['API_KEY'], for instance from an environment variable."
        yield Warning("There is no API key for Migma; sending will fail.", hint=hint, id="migma.W001")


@per_mailer(deploy=True)
def has_key_to_deploy(mailer: Mailer) -> Iterator[CheckMessage]:
    """E007: no API key on a deployed site."""
    if _lacks_key(mailer):
        hint = "Set MIGMA['API_KEY'] in the environment that sends mail."
        yield Error("A deployed site needs an API key for Migma.", hint=hint, id="migma.E007")


@per_mailer()
def has_sender_name(mailer: Mailer) -> Iterator[CheckMessage]:
    """W002: no name for the sender. Migma requires one, so the address would be used."""
    if not is_set(mailer.value("FROM_NAME")) and not parseaddr(_sender(mailer))[0]:
        hint = "Set MIGMA['FROM_NAME'], or write the sender as 'Example <hello@example.com>'."
        yield Warning("Readers will see the bare address as the sender's name.", hint=hint, id="migma.W002")


def _sender(mailer: Mailer) -> str:
    return str(mailer.value("FROM_EMAIL") or settings.DEFAULT_FROM_EMAIL)


@per_mailer()
def has_content_route(mailer: Mailer) -> Iterator[CheckMessage]:
    """W003: mail with a body of its own, such as a password reset, would be refused."""
    if not any(is_set(mailer.value(name)) for name in ("LAYOUT_EMAIL_ID", "PROJECT_ID", "FALLBACK")):
        hint = (
            "Set MIGMA['LAYOUT_EMAIL_ID'], 'PROJECT_ID' or 'FALLBACK', or silence this if all mail has a template_id."
        )
        yield Warning("Migma has no way to send mail with a body of its own.", hint=hint, id="migma.W003")


@per_mailer()
def has_real_sender(mailer: Mailer) -> Iterator[CheckMessage]:
    """W004: Django's placeholder is the sender, and Migma refuses domains that are not verified."""
    if "webmaster@localhost" in _sender(mailer):
        hint = "Set DEFAULT_FROM_EMAIL or MIGMA['FROM_EMAIL'] to an address of a domain verified at Migma."
        yield Warning("Mail would be sent from webmaster@localhost.", hint=hint, id="migma.W004")


@per_mailer()
def allows_http(mailer: Mailer) -> Iterator[CheckMessage]:
    """W005: the API key may travel unencrypted."""
    if mailer.value("ALLOW_HTTP") is True:
        hint = "Use it for a sandbox in a neighbouring container only."
        yield Warning("ALLOW_HTTP lets the API key travel unencrypted.", hint=hint, id="migma.W005")


@per_mailer()
def is_quiet_about_errors(mailer: Mailer) -> Iterator[CheckMessage]:
    """W008: mail about errors goes through a mailer that raises. Without ``MAILERS``, Django keeps it quiet."""
    if settings.ADMINS and mailer.alias in _error_mailers() and mailer.value("FAIL_SILENTLY") is not True:
        text = f"Mail about errors goes through MAILERS[{mailer.alias!r}], which is not quiet."
        hint = (
            "Give it an alias of its own, with 'fail_silently': True in the OPTIONS, and name that as 'using' of the "
            "AdminEmailHandler in LOGGING."
        )
        yield Warning(text, hint=hint, id="migma.W008")


def _error_mailers() -> set[str]:
    """The aliases that the handlers in force use. Without ``MAILERS`` there are none, and the handlers are quiet."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    return {getattr(one, "using", None) or "default" for one in handlers if isinstance(one, AdminEmailHandler)}


@per_mailer(deploy=True)
def allows_http_when_deployed(mailer: Mailer) -> Iterator[CheckMessage]:
    """E008: the API key may travel unencrypted on a deployed site."""
    if mailer.value("ALLOW_HTTP") is True:
        hint = "Remove ALLOW_HTTP."
        yield Error("A deployed site must not send its API key unencrypted.", hint=hint, id="migma.E008")


@per_mailer(deploy=True)
def talks_to_migma(mailer: Mailer) -> Iterator[CheckMessage]:
    """W006: a deployed site sends its mail to a sandbox."""
    url = mailer.value("API_URL")
    if not setting_error("API_URL", mailer.options) and is_local(url):
        hint = "Remove API_URL from the deployed settings."
        yield Warning(f"API_URL is a sandbox on this machine ({url}).", hint=hint, id="migma.W006")


@per_mailer(deploy=True)
def mails_true_recipients(mailer: Mailer) -> Iterator[CheckMessage]:
    """W007: a deployed site redirects its mail, so that it does not reach customers."""
    if is_set(mailer.value("REDIRECT_TO")):
        hint = "Right for staging; remove REDIRECT_TO in production."
        yield Warning("All mail is redirected to one address by REDIRECT_TO.", hint=hint, id="migma.W007")


@per_mailer()
def has_time_for_an_attempt(mailer: Mailer) -> Iterator[CheckMessage]:
    """E012: the lease of the queue's rows is over before one attempt can be, so that none would be begun."""
    if setting_error("QUEUE", mailer.options) or setting_error("TIMEOUT", mailer.options):
        return
    lease, timeout = mailer.value("QUEUE").get("LEASE"), mailer.value("TIMEOUT")
    seconds = sum(timeout) if isinstance(timeout, list | tuple) else 2 * timeout
    if lease is not None and lease <= seconds:
        problem = f"has a LEASE of {lease:g} s, and one attempt may take {seconds:g} s (TIMEOUT: connect and read)"
        hint = "Leave LEASE out, or make it at least twice as long as an attempt may take."
        yield Error(mailer.describe("QUEUE", problem), hint=hint, id="migma.E012")


_PACKAGES = {
    "django_migma.engines.celery": ("celery", "celery"),
    "django_migma.engines.tasks": ("django_tasks", "tasks"),
}
"""The package that each engine needs, and our extra that installs it. Django has its own tasks from 6.0 on."""


@per_mailer()
def has_engine(mailer: Mailer) -> Iterator[CheckMessage]:
    """E013: the package of the queue's engine is not installed."""
    engine = _engine(mailer)
    if engine is None or (engine.endswith(".tasks") and django.VERSION >= (6, 0)):
        return
    package, extra = _PACKAGES[engine]
    if find_spec(package) is None:
        hint = f"Install it: pip install 'django-migma[{extra}]'. Or leave ENGINE out, and run migma_deliver."
        yield Error(mailer.describe("QUEUE", f"needs the package {package}"), hint=hint, id="migma.E013")


def _engine(mailer: Mailer) -> str | None:
    """The engine of a mailer that uses the queue; None where the setting is faulty, which another check says."""
    if not mailer.uses_queue or setting_error("QUEUE", mailer.options):
        return None
    return mailer.value("QUEUE").get("ENGINE") or None


@per_mailer()
def has_storable_alias(mailer: Mailer) -> Iterator[CheckMessage]:
    """E014: the alias is longer than rows of the queue can hold."""
    if mailer.uses_queue and (error := queue.alias_error(mailer.alias)):
        problem, _, hint = error.partition(". ")
        yield Error(f"MAILERS[{mailer.alias!r}]: {problem}.", hint=hint, id="migma.E014")


@per_mailer()
def takes_turns_on_sqlite(mailer: Mailer) -> Iterator[CheckMessage]:
    """W009: SQLite's default lets a view that reads before it writes fail beside a worker: "database is locked"."""
    from .models import Delivery  # noqa: PLC0415 - lazy: checks are imported where models may not be

    database = connections[router.db_for_write(Delivery)]
    mode = str(database.settings_dict["OPTIONS"].get("transaction_mode") or "")
    if mailer.uses_queue and database.vendor == "sqlite" and mode.upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        text = f"The queue is in the SQLite database {database.alias!r}, whose transactions begin without a lock."
        hint = (
            "Set 'transaction_mode': 'IMMEDIATE' in its OPTIONS; otherwise a view that reads before it writes fails "
            "with 'database is locked' beside a busy worker, whatever the timeout. WAL mode helps, too."
        )
        yield Warning(text, hint=hint, id="migma.W009")


@per_mailer()
def delivers_in_a_worker(mailer: Mailer) -> Iterator[CheckMessage]:
    """W010: django.tasks has no worker, so the request that sends mail would deliver it, and wait."""
    if (_engine(mailer) or "").endswith(".tasks") and _runs_tasks_at_once():
        text = "QUEUE names the engine of django.tasks, whose default backend runs tasks at once, in the request."
        hint = "Set TASKS to a backend with workers, such as that of django-tasks-db, or use migma_deliver."
        yield Warning(text, hint=hint, id="migma.W010")


def _runs_tasks_at_once() -> bool:
    tasks = getattr(settings, "TASKS", None) or {}
    return str(tasks.get("default", {}).get("BACKEND", "ImmediateBackend")).endswith("ImmediateBackend")
