"""Names and addresses that mean this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - recognised, not bound


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and loopback addresses; False for any other name, whatever it resolves to."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(host: str, port: int) -> str:
    """An address that works from this machine, also when ``host`` is a wildcard."""
    reachable = _WILDCARDS.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def host_in(header: str) -> str:
    """The host of a ``Host`` header, without port and brackets; empty when unreadable."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
