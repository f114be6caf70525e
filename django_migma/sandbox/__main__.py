"""``python -m django_migma.sandbox``, and the same for a manage.py command."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import django

from django_migma.sandbox import account
from django_migma.sandbox.control import is_loopback
from django_migma.sandbox.options import add_arguments, switches_from
from django_migma.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WARNING = """\
Warning: {host} is not loopback. Whoever reaches this port can read the mail and use the keys below, which are the \
same everywhere. Clients beyond this machine need MIGMA["ALLOW_HTTP"] = True.
"""
_GREETING = """\
Migma sandbox on {sandbox.url}
Its inbox: {sandbox.url}/   Stop it with Ctrl-C.
{chance}
API keys
  {sandbox.keys.full}     may do everything
  {sandbox.keys.no_send}  may read, not send
  {sandbox.keys.revoked}  is refused

Stored emails of Fernhill Coffee (project {account.FERNHILL})
{emails}

Settings, to paste at the end of settings.py
{mailer}
MIGMA = {{
    "API_URL": "{sandbox.api_url}",
    "API_KEY": "{sandbox.keys.full}",
    "FROM_EMAIL": "Fernhill Coffee <hello@fernhill.example>",
    "LAYOUT_EMAIL_ID": "{account.LAYOUT}",
}}
"""
_MAILER = (
    'MAILERS = {"default": {"BACKEND": "django_migma.backends.EmailBackend"}}'
    if django.VERSION >= (6, 1)
    else 'EMAIL_BACKEND = "django_migma.backends.EmailBackend"'
)
_CHANCE = (
    "Faults strike by chance, rate {switches.fault_rate:g}; for the same ones again: --fault-seed {faults.seed}\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m django_migma.sandbox",
        description="A local Migma: takes mail through Migma's API, shows it, sends nothing.",
    )
    add_arguments(parser)
    return run(vars(parser.parse_args(arguments)), stdout=sys.stdout, stderr=sys.stderr)


def run(options: Mapping[str, Any], *, stdout: Any, stderr: Any) -> int:
    """Serve until Ctrl-C; return the exit status. ``options`` as parsed, streams as Django gives them to commands."""
    host, port = options["host"], options["port"]
    try:
        sandbox = Sandbox(host=host, port=port, switches=switches_from(options))
    except ValueError as error:
        stderr.write(f"{error}\n")
        return 2
    except (OSError, OverflowError) as error:
        stderr.write(f"Cannot listen on {host}, port {port}: {error}; see --host and --port (0: any free one).\n")
        return 1
    try:
        sandbox.faults.script(*options["script"])
        if not is_loopback(host):
            stderr.write(_WARNING.format(host=host))
        stdout.write(_greeting(sandbox))
        stdout.flush()
        sandbox.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        sandbox.stop()
    return 0


def _greeting(sandbox: Sandbox) -> str:
    emails = "\n".join(f"  {email_id}  {name}" for email_id, name in account.EMAIL_NAMES.items())
    chance = _CHANCE.format_map(vars(sandbox)) if sandbox.switches.fault_rate else ""
    return _GREETING.format(sandbox=sandbox, account=account, emails=emails, chance=chance, mailer=_MAILER)


if __name__ == "__main__":
    sys.exit(main())
