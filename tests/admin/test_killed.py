"""A process that is killed between two tests leaves a row for each and an entry, with no gap and no false word."""

import json
import sqlite3
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from .test_send_changes import BEGUN

ROOT = Path(__file__).parents[2]
CONFIRMING = """
    import sys
    import django
    from django.conf import settings
    sys.path.insert(0, sys.argv[1])
    from tests import settings as base
    values = {name: getattr(base, name) for name in dir(base) if name.isupper()}
    values["MIGMA"] = dict(values["MIGMA"], API_URL=sys.argv[3], MAX_RETRIES=0)
    values["DATABASES"] = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[2], "ATOMIC_REQUESTS": True}
    }
    settings.configure(**values, ALLOWED_HOSTS=["testserver"])
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client
    from django_migma.admin.send_test_records import form_token
    from django_migma.mailers import current_destination
    from django_migma.models import StoredEmail
    call_command("migrate", verbosity=0)
    email = StoredEmail.objects.create(email_id="a" * 24, subject="Hello", from_email="shop@example.com")
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    address = f"/admin/django_migma/storedemail/send-test/?ids={email.pk}"
    fields = {"token": form_token(email), "destination": current_destination().fingerprint, "kind": sys.argv[4]}
    client.post(address, {**fields, "addresses": "a@example.org, b@example.org, c@example.org"})
    sys.exit("The process was not killed.")
"""


class Killing(BaseHTTPRequestHandler):
    """Accepts the first mail, and kills the process that sends the second before it can read an answer."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        if self.server.asked == 2:
            assert self.server.is_known.wait(60)
            self.server.sender.kill()
            return
        data = {"id": "m1", "messageId": "m1", "status": "queued", "provider": "migma"}
        body = json.dumps({"success": True, "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Print nothing."""


@pytest.fixture
def killing():
    with ThreadingHTTPServer(("127.0.0.1", 0), Killing) as server:
        server.asked, server.is_known = 0, Event()
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["customers", "stored"])
def test_a_killed_process_leaves_no_gap(killing, tmp_path, kind):
    """``ATOMIC_REQUESTS`` is on: what is noted before the calls is committed all the same."""
    path = tmp_path / "db.sqlite3"
    url = f"http://127.0.0.1:{killing.server_port}/v1"
    arguments = [str(ROOT), str(path), url, kind]
    killing.sender = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CONFIRMING), *arguments])
    killing.is_known.set()
    assert killing.sender.wait(timeout=300) == -9
    assert killing.asked == 2
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT recipient, status, in_doubt FROM django_migma_delivery ORDER BY id"
        ).fetchall()
        entries = database.execute("SELECT change_message FROM django_admin_log").fetchall()
    database.close()
    assert rows == [
        ("a@example.org", "accepted", 0),
        ("b@example.org", "unknown", 1),
        ("c@example.org", "unknown", 1),
    ]
    assert entries == [(BEGUN.replace("ada@example.org", "3 addresses"),)]
