"""Serves the test project as a real server does: each request in a thread with a database connection of its own."""

import sqlite3
from contextlib import contextmanager

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connections
from django.test import override_settings
from django.test.testcases import LiveServerThread

MIDDLEWARE = ("django.middleware.csrf.CsrfViewMiddleware", "django.middleware.clickjacking.XFrameOptionsMiddleware")


@contextmanager
def database_on_disk(path):
    """Move the test database from memory to a file, and back.

    A database in memory has one connection, which all threads would share: simultaneous requests would run in one
    transaction. No site works like that.
    """
    in_memory, in_memory_settings = connections["default"], connections.settings["default"]
    in_memory.ensure_connection()
    on_disk = sqlite3.connect(path)
    in_memory.connection.backup(on_disk)
    on_disk.close()
    connections.settings["default"] = {**in_memory_settings, "NAME": str(path)}
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"], connections["default"] = in_memory_settings, in_memory


@contextmanager
def live_site():
    """Serve the site with its static files and the usual middleware; yield its address."""
    with override_settings(
        MIDDLEWARE=[*settings.MIDDLEWARE, *MIDDLEWARE],
        ALLOWED_HOSTS=["127.0.0.1"],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick
    ):
        server = LiveServerThread("127.0.0.1", StaticFilesHandler)
        server.daemon = True
        server.start()
        server.is_ready.wait()
        try:
            assert not server.error, server.error
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.terminate()
