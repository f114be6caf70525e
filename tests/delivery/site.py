"""A site with a database in a file, for workers in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    "timeout": 60,
}
MIGRATED = "from django.core.management import call_command; call_command('migrate', verbosity=0)"


class Site:
    """A project whose mail goes to ``url``. ``template`` is the folder of a site whose tables are copied."""

    def __init__(self, folder: Path, url: str, template: Site | None = None, **migma: object) -> None:
        self.path = folder / "site.sqlite3"
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(self.path), "OPTIONS": OPTIONS}
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.delivery.settings",
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONUNBUFFERED": "1",
            "TEST_DATABASE": json.dumps(database),
            "TEST_MIGMA": json.dumps({"API_URL": url, **migma}),
        }
        if template:
            shutil.copy(template.path, self.path)
        else:
            self.run(MIGRATED)

    def run(self, script: str) -> str:
        """Run a script in a Python with this site's settings, and return what it printed."""
        code = f"import django; django.setup()\n{script}"
        command = [sys.executable, "-W", "error", "-c", code]
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    def insert(self, count: int) -> None:
        """Let so many mails wait."""
        self.run(f"from tests.delivery.rows import waiting; waiting({count})")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``migma_deliver``."""
        command = [sys.executable, "-W", "error", "-m", "django", "migma_deliver", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def rows(self) -> dict[tuple[str, int], int]:
        """How many rows there are of each status and number of attempts."""
        with closing(sqlite3.connect(self.path)) as database:
            found = database.execute(
                "SELECT status, attempts, count(*) FROM django_migma_delivery GROUP BY status, attempts"
            )
            return {(status, attempts): count for status, attempts, count in found}
