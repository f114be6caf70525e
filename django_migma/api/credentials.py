"""The API key and the API's address: the rules for both, and a string type that does not show a key."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

API_URL = "https://api.migma.ai/v1"  # before 16 February 2026 Migma's own SDK used /api/v1

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"(?i:{_LABEL}(\.{_LABEL})*\.?|[0-9a-f:.]+)"  # compiled at first use: it takes a millisecond


class Secret(str):
    """A string that does not show itself in tracebacks, logs and debug pages.

    ``+`` and the network see the real characters; ``repr()``, ``str()`` and f-strings see a mask. A copy is the same
    object, a pickle an empty string: a key does not belong in a queue or a cache.
    """

    __slots__ = ()

    def __new__(cls, value: str = "") -> Self:
        """A secret made from a secret stays as it is: ``str()`` of it would be the mask."""
        return value if isinstance(value, cls) else super().__new__(cls, value)

    def __repr__(self) -> str:
        return "'********'"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, ("",)

    def as_bearer(self) -> Secret:
        """The value of the ``Authorization`` header, masked too."""
        return Secret("Bearer " + self)


def account_digest(api_url: str, api_key: str) -> str:
    """Tell API keys and addresses apart without showing them: 12 hex digits of their SHA-256.

    Migma keeps idempotency keys per API key, so a repeat under another one is a new mail.
    """
    return hashlib.sha256(f"{api_url.rstrip('/')}\0".encode() + api_key.encode()).hexdigest()[:12]


def api_key_error(key: object) -> str:
    """Why this API key is unusable, or an empty string.

    Checked before a header is built: ``requests`` and ``http.client`` quote a bad header in their errors, with the
    key. No prefix is required, since Migma's own documents name several.
    """
    if not isinstance(key, str):
        return f"must be a string or a callable that returns one, not {type(key).__name__}"
    if not key:
        return "is empty"
    if key.split() != [key]:
        return "contains white space (a line break at its end is the usual cause: strip it)"
    if not key.isprintable():
        return "contains control characters"
    if not key.isascii() and any(ord(character) > 255 for character in key):
        return "contains characters that no HTTP header can carry (only latin-1 can)"
    return ""


def api_url_error(url: object, *, allow_http: bool = False) -> str:
    """Why this API address is unusable, or an empty string."""
    if not isinstance(url, str):
        return f"must be a string, not {type(url).__name__}"
    return _url_text_error(url, allow_http=allow_http)


@lru_cache(maxsize=64)
def _url_text_error(url: str, *, allow_http: bool) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a readable URL"
    rules = (
        (parts.scheme in {"http", "https"} and re.fullmatch(_HOST, host or ""), f"must look like {API_URL}"),
        (parts.username is None, "must not contain a user name or password: they would replace the API key"),
        ("?" not in url and "#" not in url, "must not have a query or a fragment"),
        (url.isascii() and url.isprintable() and " " not in url, "contains white space or characters beyond ASCII"),
        (
            parts.scheme == "https" or allow_http or is_loopback(host or ""),
            "sends the API key unencrypted: use https, or set ALLOW_HTTP for a sandbox in a trusted network",
        ),
    )
    return next((error for is_kept, error in rules if not is_kept), "")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_local(url: str) -> bool:
    """Whether an API address is this machine's own: a sandbox."""
    return is_loopback(urlsplit(url).hostname or "")
