"""The command line: ``python -m django_migma.sandbox``, and the same for a manage.py command."""

from __future__ import annotations

import argparse
import errno
import sys
from typing import TYPE_CHECKING, Any, Protocol, get_args

from django_migma.sandbox import data, stored
from django_migma.sandbox.hosts import is_loopback
from django_migma.sandbox.server import Sandbox
from django_migma.sandbox.switches import MissingVariables, Switches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_PORT = 8026
_HIGHEST_PORT = 65535


class Output(Protocol):
    """A text stream, or what Django hands its commands as one."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help=f"port to listen on, 0 for any free one (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--max-messages",
        type=_positive,
        default=Switches.max_messages,
        help=f"how many accepted messages to keep (default: {Switches.max_messages})",
    )
    _add_switches(parser)
    _add_account(parser)


def _add_switches(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("switches", "What is not publicly known of Migma, to be tried both ways.")
    group.add_argument(
        "--accept-template",
        action="store_true",
        help="take raw HTML as template + projectId (default: refuse it)",
    )
    group.add_argument(
        "--escape-variables",
        action="store_true",
        help="HTML-escape the values of variables (default: put them in as they are)",
    )
    group.add_argument(
        "--missing-variables",
        choices=get_args(MissingVariables),
        default=Switches.missing_variables,
        help="a placeholder without a variable stays, disappears, or is refused (default: keep)",
    )
    group.add_argument(
        "--no-subject-variables",
        dest="subject_variables",
        action="store_false",
        help="leave placeholders in the subject alone (default: replace them)",
    )
    group.add_argument(
        "--errors-free-key",
        dest="errors_consume_key",
        action="store_false",
        help="forget an Idempotency-Key whose answer was 4xx (default: replay that answer)",
    )


def _add_account(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("account", "What of your own account the sandbox should know.")
    group.add_argument(
        "--verified-domain",
        dest="verified_domains",
        metavar="DOMAIN",
        action="append",
        default=[],
        help="a further domain to accept senders from, * for any; may be repeated",
    )
    group.add_argument(
        "--any-id",
        action="store_true",
        help="take any well-formed id of an email, conversation or project (default: the sandbox's own)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m django_migma.sandbox",
        description="A local Migma: takes mail through Migma's API, shows it, sends nothing.",
    )
    add_arguments(parser)
    return run(vars(parser.parse_args(arguments)), stdout=sys.stdout, stderr=sys.stderr)


def run(options: Mapping[str, Any], *, stdout: Output, stderr: Output) -> int:
    """Serve until Ctrl-C; the exit status. ``options`` as parsed; further keys are ignored."""
    host, port = options["host"], options["port"]
    try:
        sandbox = Sandbox(host=host, port=port, switches=_switches(options))
    except OSError as error:
        stderr.write(_cannot_listen(host, port, error))
        return 1
    try:
        if not is_loopback(host):
            stderr.write(_warning(host))
        stdout.write(_greeting(sandbox))
        stdout.flush()
        sandbox.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        sandbox.stop()
    return 0


def _switches(options: Mapping[str, Any]) -> Switches:
    return Switches(
        accept_template=options["accept_template"],
        escape_variables=options["escape_variables"],
        missing_variables=options["missing_variables"],
        subject_variables=options["subject_variables"],
        verified_domains=tuple(options["verified_domains"]),
        errors_consume_key=options["errors_consume_key"],
        any_id=options["any_id"],
        max_messages=options["max_messages"],
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {_HIGHEST_PORT}")


def _positive(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken; choose another one with --port (0: any free one).\n"
    return f"Cannot listen on {host}, port {port}: {error.strerror}; see --host and --port.\n"


def _warning(host: str) -> str:
    return (
        f"Warning: {host} is not loopback. Whoever reaches this port can read the mail and use the "
        "keys below, which are the same everywhere. Clients beyond this machine need "
        'MIGMA["ALLOW_HTTP"] = True.\n'
    )


def _greeting(sandbox: Sandbox) -> str:
    emails = "\n".join(f"  {email.id}  {email.file.removesuffix('.html')}" for email in stored.EMAILS_BY_ID.values())
    return f"""\
Migma sandbox on {sandbox.url}
What it accepted: {sandbox.url}/_sandbox/messages   Stop it with Ctrl-C.

API keys
  {sandbox.keys.full}     may do everything
  {sandbox.keys.no_send}  may read, not send
  {sandbox.keys.revoked}  is refused

Stored emails of Fernhill Coffee (project {data.FERNHILL})
{emails}

Settings
  # Django 6.1 and later; before it: EMAIL_BACKEND = "django_migma.backends.EmailBackend"
  MAILERS = {{"default": {{"BACKEND": "django_migma.backends.EmailBackend"}}}}
  MIGMA = {{
      "API_URL": "{sandbox.api_url}",
      "API_KEY": "{sandbox.keys.full}",
      "FROM_EMAIL": "Fernhill Coffee <hello@fernhill.example>",
      "LAYOUT_EMAIL_ID": "{data.LAYOUT}",
  }}
"""
