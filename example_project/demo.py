"""The demo: a sandbox, the site, its stored emails, mail sent in six ways, a newsletter, and what became of it.

``make demo`` serves until Ctrl-C; ``make demo-once`` ends by itself, with 1 if any of the mail is missing. With
``MIGMA_QUEUE=1`` the mail goes through the queue, and a worker beside the site sends it.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import django
import environ
import requests
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections

from demo_mail import (
    BUYER,
    attempt,
    demo_sends,
    differences,
    invoice_problems,
    invoices,
    newsletter,
    print_invoices,
    print_table,
    send_letter,
    wait_for_worker,
)
from django_migma.sandbox.server import Sandbox

HERE = Path(__file__).resolve().parent
SANDBOX_PORT, SITE_PORT, PORTS_TO_TRY = 8026, 8000, 100
SECONDS_FOR_THE_WORKER = 120  # on a busy machine it alone needs half a minute to start
USERNAME, USER_EMAIL = "demo", "demo@example.com"
T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("--once", action="store_true", help="send, check and end")
    parser.add_argument(
        "--sender", default="", help="address to send from; the sandbox refuses hello@lumenbikes.example, for one"
    )
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return run(once=options.once, sender=options.sender)
    except KeyboardInterrupt:
        return int(options.once)


def run(*, once: bool, sender: str) -> int:
    """Start everything, send, check. Then serve until Ctrl-C, unless ``once``."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(on_free_port(SANDBOX_PORT, lambda port: Sandbox(port=port)))
        folder = stack.enter_context(TemporaryDirectory())  # two demos may run at once, and nothing stays behind
        is_queued = set_environment(sandbox, Path(folder), sender)
        password = set_up_site()
        fetch_stored_emails()
        site = stack.enter_context(serving(on_free_port(SITE_PORT, site_server)))
        if is_queued:
            stack.enter_context(worker())
        sends, letter = demo_sends(site, USER_EMAIL), newsletter(site)
        for send in (*sends, letter):
            attempt(send)
        queued = wait_for_worker(sends, SECONDS_FOR_THE_WORKER) if is_queued else []
        accepted = requests.get(f"{sandbox.url}/_sandbox/messages", timeout=10).json()["messages"]
        print_table([*sends, letter], accepted, "" if once else sandbox.url)
        in_files = invoices(Path(folder) / "mail")
        print_invoices(in_files, "" if once else f"{folder}/mail")
        problems = differences([*sends, letter], accepted) + invoice_problems(in_files, BUYER) + queued
        way = "went through the queue and " if is_queued else ""
        mails = f"All {len(accepted) - 1} mails {way}were accepted, each once, and so was the newsletter."
        fine = f"{mails} The invoice is in a file."
        print("\n".join(problems) or fine)
        if once:
            return 1 if problems else 0
        # The same batch again, before anybody can order a fault for the next request.
        batch = None if problems else send_letter(site)
        print_addresses(site, sandbox.url, password)
        if batch:
            batch.wait()  # so that the admin tells how it ended
        threading.Event().wait()
    return 0


def set_environment(sandbox: Sandbox, folder: Path, sender: str) -> bool:
    """Let nothing of the user's environment or ``.env`` in: the demo never mails anywhere but into its sandbox.

    Only ``MIGMA_QUEUE`` is taken over. Returns whether it is on.
    """
    is_queued = environ.Env().bool("MIGMA_QUEUE", default=False)
    names = re.findall(r"^(\w+)=", (HERE / ".env.example").read_text(), re.MULTILINE)
    names.remove("MIGMA_QUEUE")
    unused = [name for name in names if os.environ.get(name)]
    unused += [".env"] if (HERE / ".env").exists() else []
    if unused:
        print(f"The demo mails into its own sandbox only, and does not use: {', '.join(unused)}.")
    os.environ.update(dict.fromkeys(names, ""))  # empty and not absent, so that .env cannot fill them in
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "MIGMA_API_URL": sandbox.api_url,
        "MIGMA_QUEUE": str(is_queued),
        "DEFAULT_FROM_EMAIL": sender,
        "DATABASE_URL": f"sqlite:///{folder}/demo.sqlite3",
        "MAIL_FOLDER": f"{folder}/mail",
        "no_proxy": "127.0.0.1",
    }
    return is_queued


def set_up_site() -> str:
    """Make the database and an admin user for the demo. Returns the user's password, a new one each time."""
    django.setup()
    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser(USERNAME, USER_EMAIL, password, first_name="Robin")
    connections.close_all()
    return password


def fetch_stored_emails() -> None:
    """Fetch the emails of the sandbox's project, and name those that the shop sends."""
    call_command("migma_sync")
    call_command("name_stored_emails")
    connections.close_all()


class SiteServer(ThreadedWSGIServer):
    """Django's server for development."""

    allow_reuse_port = False  # newer Pythons may set it, and two demos would share a port


class QuietHandler(WSGIRequestHandler):
    """Answers requests without a line for each."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def site_server(port: int) -> SiteServer:
    """The site on a port of this machine."""
    server = SiteServer(("127.0.0.1", port), QuietHandler)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    # After the line above, which configures logging: a favicon that is not found is no news here.
    logging.getLogger("django.request").setLevel(logging.ERROR)
    return server


@contextmanager
def serving(server: SiteServer) -> Iterator[str]:
    """Serve in a thread. Gives the address."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def worker() -> Iterator[None]:
    """Run ``migma_deliver`` in a process of its own, as a server does."""
    command = [sys.executable, str(HERE / "manage.py"), "migma_deliver"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own file
        try:
            yield
        finally:
            process.terminate()


def on_free_port(first: int, bind: Callable[[int], T]) -> T:
    """What ``bind`` makes of the first port, or of the next one that is not taken."""
    for port in range(first, first + PORTS_TO_TRY):
        try:
            return bind(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            print(f"Port {port} is taken; trying {port + 1}.")
    return sys.exit(f"No port from {first} to {first + PORTS_TO_TRY - 1} is free.")


def print_addresses(site: str, sandbox_url: str, password: str) -> None:
    """Where to go from here."""
    print(
        f"""
The site         {site}/
Sign-up          {site}/sign-up/
Order            {site}/order/
Password reset   {site}/accounts/password_reset/   (of {USER_EMAIL}, for one)
Admin            {site}/admin/   {USERNAME} / {password}
Stored emails    {site}/admin/django_migma/storedemail/   (look at them, sync, send a test)
Deliveries       {site}/admin/django_migma/delivery/   (what became of each mail, and send it again)
Newsletters      {site}/admin/django_migma/newsletter/   (how far the coffee letter is)
Inbox            {sandbox_url}/   (the shop's mail, and faults to order for the next one)

Ctrl-C ends the demo.""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
