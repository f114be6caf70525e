"""Which queues are compared: the Django settings that make each the site's mailer, and the worker that delivers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import django

from benchmarks.messages import PROJECT_ID

_SMTP = "django.core.mail.backends.smtp.EmailBackend"
_DIRECT = "django_migma.backends.EmailBackend"
_QUEUE = "django_migma.backends.queue.EmailBackend"

Site = dict[str, Any]
"""One site: its ``contender``, ``database``, ``folder``, the ports ``http``, ``smtp`` and ``redis``, and ``migma``,
settings of ours that a measurement needs."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """``worker`` is a command line after ``python -m``, with names of a `Site` in braces.

    ``is_drained``: whether the worker ends once nothing is left; the others are stopped. ``enqueues`` names the way
    to enqueue, see `benchmarks.queue.client`.
    """

    title: str
    settings: Callable[[Site], dict[str, Any]]
    worker: str
    in_flight: int = 1
    server: str = "smtp"
    is_drained: bool = True
    enqueues: str = "mail"
    needs_redis: bool = False


def _smtp(site: Site) -> dict[str, Any]:
    return {"BACKEND": _SMTP, "OPTIONS": {"host": "127.0.0.1", "port": site["smtp"]}}


def _migma(site: Site, **more: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{site['http']}/v1"
    return {"API_URL": url, "API_KEY": "sk_test_benchmark", "PROJECT_ID": PROJECT_ID} | more | site.get("migma", {})


def _post_office(title: str, in_flight: int = 5, *, server: str = "smtp", processes: int = 1) -> Contender:
    """Its defaults are 5 threads and batches of 100; more threads need larger batches to be of use."""

    def settings(site: Site) -> dict[str, Any]:
        transport = _smtp(site) if server == "smtp" else {"BACKEND": _DIRECT}
        options = {"THREADS_PER_PROCESS": in_flight // processes, "BATCH_SIZE": 2000} if in_flight != 5 else {}
        return {
            "INSTALLED_APPS": ["post_office"],
            "MAILERS": {"default": {"BACKEND": "post_office.EmailBackend"}, "transport": transport},
            "POST_OFFICE": {"DEFAULT_MAILER": "transport"} | options,
            "MIGMA": _migma(site),
        }

    worker = f"django send_queued_mail --lockfile {{folder}}/post_office --processes {processes}"
    return Contender(
        title=title, settings=settings, worker=worker, in_flight=in_flight, server=server, enqueues="post_office"
    )


def _django_mailer(site: Site) -> dict[str, Any]:
    """It does not know MAILERS."""
    return {
        "INSTALLED_APPS": ["mailer"],
        "EMAIL_BACKEND": "mailer.backend.DbBackend",
        "MAILER_EMAIL_BACKEND": _SMTP,
        "MAILER_LOCK_PATH": f"{site['folder']}/mailer",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": site["smtp"],
    }


_TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def _tasks(site: Site) -> dict[str, Any]:
    return {"INSTALLED_APPS": ["django_tasks_db"], "TASKS": _TASKS, "MAILERS": {"default": _smtp(site)}}


def _celery(site: Site) -> dict[str, Any]:
    return {"INSTALLED_APPS": [], "MAILERS": {"default": _smtp(site)}}


def _queue(title: str, in_flight: int, engine: str = "") -> Contender:
    def settings(site: Site) -> dict[str, Any]:
        queue = {"ENGINE": f"django_migma.engines.{engine}"} if engine else {}
        mailer = (
            {"MAILERS": {"default": {"BACKEND": _QUEUE}}} if django.VERSION >= (6, 1) else {"EMAIL_BACKEND": _QUEUE}
        )
        return mailer | {
            "INSTALLED_APPS": ["django_migma", *(["django_tasks_db"] if engine == "tasks" else [])],
            "MIGMA": _migma(site, QUEUE=queue, MAX_CONCURRENCY=in_flight),
            "TASKS": _TASKS,
        }

    return Contender(
        title=title,
        settings=settings,
        worker={"": "django migma_deliver --once", "tasks": _DB_WORKER, "celery": _CELERY_WORKER}[engine],
        in_flight=in_flight,
        server="http",
        is_drained=not engine,
        needs_redis=engine == "celery",
    )


_DB_WORKER = "django db_worker --no-startup-delay --verbosity 0"
_CELERY_WORKER = "celery --app benchmarks.queue.tasks worker --loglevel ERROR"
_BY_HTTP = "through django-migma's direct backend"
CONTENDERS = {
    "migma-16": _queue("django-migma's queue, 16 in flight", 16),
    "migma-64": _queue("django-migma's queue, 64 in flight", 64),
    "post-office": _post_office("post_office, its defaults (5 threads)"),
    "post-office-16": _post_office("post_office, 16 threads", 16),
    "post-office-64": _post_office("post_office, 64 threads", 64),
    "post-office-http": _post_office(f"post_office, its defaults, {_BY_HTTP}", server="http"),
    "post-office-http-16": _post_office(f"post_office, 16 threads, {_BY_HTTP}", 16, server="http"),
    "post-office-http-64": _post_office(f"post_office, 64 threads, {_BY_HTTP}", 64, server="http"),
    "django-mailer": Contender(title="django-mailer", settings=_django_mailer, worker="django send_mail"),
    "tasks": Contender(
        title="django-tasks-db, one task per mail",
        settings=_tasks,
        worker=f"{_DB_WORKER} --batch",
        enqueues="tasks",
    ),
    "celery": Contender(
        title="Celery, its defaults, one task per mail",
        settings=_celery,
        worker=_CELERY_WORKER,
        in_flight=2,
        is_drained=False,
        enqueues="celery",
        needs_redis=True,
    ),
    "migma-tasks": _queue("django-migma's queue, woken by django-tasks-db", 16, "tasks"),
    "migma-celery": _queue("django-migma's queue, woken by Celery", 16, "celery"),
}
