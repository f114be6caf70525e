"""Serves the test project as a real server does, each request in a thread with a database connection of its own."""

import sqlite3
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from threading import Thread

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
    patient = {
        **in_memory_settings["OPTIONS"],
        "timeout": 60,
    }  # seconds: whoever holds the lock may be stopped
    connections.settings["default"] = {**in_memory_settings, "NAME": str(path), "OPTIONS": patient}
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


class Elsewhere(BaseHTTPRequestHandler):
    """Another server that records its requests: the browser reports blocked requests as if they had been sent."""

    def do_GET(self):
        """Answer with an empty body of the type that the name suggests."""
        self.server.asked.add(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Type", guess_type(self.path)[0] or "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that the base class asks for

    def log_message(self, *args):
        """Print nothing."""


@contextmanager
def elsewhere():
    """Serve as another server, with the paths that were requested in ``asked``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        server.asked = set()
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
