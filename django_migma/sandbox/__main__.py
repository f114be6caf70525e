"""``python -m django_migma.sandbox``, and the same for a manage.py command."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from django_migma.sandbox.host_and_origin import is_loopback
from django_migma.sandbox.options import add_arguments, switches_from
from django_migma.sandbox.pages.setup import settings_to_paste
from django_migma.sandbox.server import Sandbox
from django_migma.sandbox.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Seconds until Python lets another thread go on. A request waits for several turns, and with the usual 5 ms, someone
# who looks at a long list while mail pours in would double the time of the slowest ones.
_TURN = 0.0005
_WARNING = """\
Warning: {host} is not loopback. Whoever reaches this port can read the mail and use its keys, which are the same \
everywhere. Clients beyond this machine need MIGMA["ALLOW_HTTP"] = True, and --allowed-host NAME here if they call \
it by a name, as neighbouring containers do.
"""
_GREETING = """\
Migma sandbox on {sandbox.url}
Open it in a browser: it is the inbox, with faults to order, keys and stored emails. Stop it with Ctrl-C.
{chance}
Settings, to paste at the end of settings.py
{settings}
"""
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
        sandbox = Sandbox(
            host=host, port=port, allowed_hosts=options["allowed_hosts"], switches=switches_from(options)
        )
    except ValueError as error:
        stderr.write(f"{error}\n")
        return 2
    except (OSError, OverflowError) as error:
        stderr.write(f"Cannot listen on {host}, port {port}: {error}; see --host and --port (0: any free one).\n")
        return 1
    terminal = None if options["quiet"] else Terminal(stdout)
    usual_turn = sys.getswitchinterval()
    try:
        sandbox.faults.script(*options["script"])
        if not is_loopback(host):
            stderr.write(_WARNING.format(host=host))
        stdout.write(_greeting(sandbox))
        stdout.flush()
        if terminal is not None:
            sandbox.on_send = terminal.show
        sys.setswitchinterval(_TURN)
        sandbox.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        sys.setswitchinterval(usual_turn)
        sandbox.stop()
        if terminal is not None:
            terminal.close()
    return 0


def _greeting(sandbox: Sandbox) -> str:
    chance = _CHANCE.format_map(vars(sandbox)) if sandbox.switches.fault_rate else ""
    return _GREETING.format(sandbox=sandbox, chance=chance, settings=settings_to_paste(sandbox.url))


if __name__ == "__main__":
    sys.exit(main())
