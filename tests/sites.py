"""A site in processes of its own: a database on disk, a sandbox that takes its mail, a broker where it needs one.

For programs that start and kill such processes, each of which finds its settings in ``tests.site_settings``.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

from django_migma.sandbox.options import Switches
from django_migma.sandbox.server import Sandbox
from tests import services

SQLITE_OPTIONS = {
    "timeout": 120,  # longer than a process that holds the lock may be kept from going on
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}
DATABASES = ("sqlite", "postgresql")
PATIENT: dict[str, Any] = {"timeout": (60, 300), "lease": 1200}
"""For a site whose workers nobody waits for: a busy machine takes no worker's rows away, and repeats no request."""


class Site:
    """What its programs share, seen from the process that starts them."""

    def __init__(self, sandbox: Sandbox, server: services.Server | None, folder: Path) -> None:
        self.sandbox = sandbox
        self.server = server  # of PostgreSQL
        self.log = folder / "log"

    def ledger(self) -> Counter[str]:
        """How many mails the sandbox has accepted for each recipient."""
        return Counter(message.body["recipientEmail"] for message in self.sandbox.store.messages())


@contextlib.contextmanager
def running_site(
    *,
    database: str,
    engine: str = "",
    concurrency: int = 16,
    timeout: tuple[float, float] = (1, 3),
    lease: float = 5,
    **switches: Any,
) -> Iterator[Site]:
    """Set up the Django of this process, too, as one of the site: once for each process.

    ``database`` is one of `DATABASES`; ``engine`` is "tasks", "celery" or nothing; ``switches`` are the sandbox's.
    ``timeout`` and ``lease`` are short, so that what a killed worker leaves behind is taken up in seconds.
    """
    chosen = Switches(**{"verified_domains": ("*",), "any_id": True, "max_messages": 10**6, **switches})
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="migma-site-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made))
        sandbox = stack.enter_context(Sandbox(switches=chosen))
        site = {"api_url": sandbox.api_url, "api_key": sandbox.keys.full, "concurrency": concurrency}
        site |= {"timeout": timeout, "lease": lease}
        server = stack.enter_context(services.postgresql()) if database == "postgresql" else None
        site["database"] = services.database(server) if server else _sqlite(folder)
        site["engine"] = engine and f"django_migma.engines.{engine}"
        if engine == "celery":
            site["broker"] = services.redis_url(stack.enter_context(services.redis()))
        os.environ["SITE"] = json.dumps(site)
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.site_settings"
        django.setup()
        if engine == "celery":
            import tests.soak.celery_app  # noqa: F401 - makes its broker the one that wake-ups go to
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        try:
            yield Site(sandbox, server, folder)
        finally:
            connections.close_all()


def _sqlite(folder: Path) -> dict[str, Any]:
    path = str(folder / "db.sqlite3")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": SQLITE_OPTIONS}
