"""Who may speak to the sandbox: programs and people of this machine, and no page of another site.

Its keys are public and its pages ask for none, so a web page that a developer happens to open must not reach it:

- A page that rebinds its own name to 127.0.0.1 counts as the same origin for the browser. The ``Host`` header gives
  it away: that is a name, and one that nobody has told the sandbox.
- Any page can submit a form to another site, or fetch from it without reading the answer. Browsers say so in
  ``Sec-Fetch-Site``, which no script can set. Where they leave it out (plain HTTP to another machine), ``Origin``
  tells the same. Programs send neither of them.

No answer allows other origins (CORS), so what they may fetch they still cannot read.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from django.http import HttpRequest

# Underscores, which no public name has, stand in names of neighbouring containers.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::[0-9]+)?", re.IGNORECASE | re.ASCII)


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and loopback addresses; False for any other name, whatever it resolves to."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_allowed_host(name: str) -> str:
    """A name to answer to, in lower case. Raises ValueError for anything but a name."""
    if not name or _host_name(name) != name.lower():
        raise ValueError(f"an allowed host must be a name such as sandbox, without port or path, not {name!r}")
    return name.lower()


def _host_name(text: str) -> str:
    """The name or address, in lower case, of a host with or without a port; empty if it is none."""
    found = _HOST.fullmatch(text)
    return (found[1] or found[2]).lower() if found else ""


def why_refused(request: HttpRequest, *, bound_host: str, allowed_hosts: AbstractSet[str]) -> str:
    """The reason, if the host is not the sandbox's, or for what pages of other sites may not do; else empty."""
    host = request.META.get("HTTP_HOST", "")
    name = _host_name(host)
    if name not in {"localhost", bound_host.lower(), *allowed_hosts} and not _is_address(name):
        return (
            f"The Host header {host[:100]!r} is no name of this sandbox. Use localhost or an IP address, "
            "or start the sandbox with --allowed-host NAME"
        )
    if _comes_from_another_site(request, host, allowed_hosts) and not _may_be_linked(request):
        return (
            "This came from a page of another site, which may only link to the sandbox. Call it from a program or "
            "from its own pages; if they have a name of their own, start it with --allowed-host NAME"
        )
    return ""


def is_from_a_page(request: HttpRequest) -> bool:
    """Whether a browser says that a page has sent it; of a page's own GET requests it may say nothing."""
    return "HTTP_SEC_FETCH_SITE" in request.META or "HTTP_ORIGIN" in request.META


def _is_address(name: str) -> bool:
    """Any address will do: a page that rebinds needs a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _comes_from_another_site(request: HttpRequest, host: str, allowed_hosts: AbstractSet[str]) -> bool:
    if site := request.META.get("HTTP_SEC_FETCH_SITE"):
        return site not in {"same-origin", "none"}  # none: typed, or a bookmark
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return False
    authority = re.sub("^https?://", "", origin)
    # The name is enough for allowed ones: a proxy may change the port, or the Host header.
    return authority.lower() != host.lower() and _host_name(authority) not in allowed_hosts


def _may_be_linked(request: HttpRequest) -> bool:
    """Pages and pictures by GET; what is no page only in a tab, and Migma's API not at all."""
    if request.method not in {"GET", "HEAD"} or request.path.startswith("/v1/"):
        return False
    return not request.path.startswith("/_sandbox/") or request.META.get("HTTP_SEC_FETCH_DEST") == "document"
