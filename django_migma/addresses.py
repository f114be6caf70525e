"""One address out of what Django calls an address: ``bob@example.com`` or ``Bob <bob@example.com>``."""

from __future__ import annotations

import re
from email.errors import InvalidHeaderDefect
from functools import lru_cache
from typing import Any, NamedTuple

from .api.errors import InvalidAddress

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# Strings, which re compiles at first use and keeps: start-up can do without.
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.IPv]+\]"
_PLAIN = rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)"


class Address(NamedTuple):
    """``addr_spec`` is as the caller wrote it, ``wire`` the same with its domain in ASCII (IDNA 2008).

    ``key`` is for comparing: domains are the same in any case, local parts need not be.
    """

    display_name: str
    addr_spec: str
    wire: str

    @property
    def key(self) -> str:
        """What two spellings of one mailbox have in common."""
        local, _, domain = self.wire.rpartition("@")
        return f"{local}@{domain.lower()}"


def parse(value: object, place: str) -> Address:
    """The one address in a string. ``place`` names where it stands, for the error, which never shows the address.

    Raises `InvalidAddress` for anything malformed, for several addresses, for line breaks and control characters.
    """
    text = str(value)
    if plain := re.fullmatch(_PLAIN, text):
        return Address(display_name="", addr_spec=plain[0], wire=plain[0])
    address = _parsed(text)
    if isinstance(address, Address):
        return address
    raise InvalidAddress(f"{place} {address}. Give one address, such as bob@example.com or Bob <bob@example.com>.")


def display_name_error(value: object) -> str:
    """What makes this display name unusable, or an empty string. A line break in a name would add headers."""
    return "contains a line break or another control character" if _has_control(str(value)) else ""


def split(value: object) -> list[str]:
    """The addresses in a string that may hold several, as strings; what cannot be told apart stays together."""
    text = str(value)
    header = None if "," not in text or _has_control(text) else _header(text)
    return [str(address) for address in header.addresses] if header is not None else [text]


@lru_cache(maxsize=128)
def _parsed(text: str) -> Address | str:
    """The address, or what is wrong with it. Cached, since senders with a display name come again and again."""
    if _has_control(text):
        return "contains a line break or another control character"
    header = _header(text)
    if header is None:
        return "is not an address"
    if len(header.addresses) > 1 or text.strip().endswith(","):
        return "holds several addresses, and Migma takes one"
    if not header.addresses or any(group.display_name is not None for group in header.groups):
        return "is not an address"
    found = header.addresses[0]
    broken = any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects)
    if broken or not found.username or not found.domain or found.domain not in text:
        return "is not an address"
    if _has_control(found.display_name + found.addr_spec):
        return "contains a line break or another control character"
    domain = _ascii_domain(found.domain)
    if not domain:
        return "has a domain that cannot exist"
    local = found.addr_spec[: -len(found.domain) - 1]
    return Address(display_name=found.display_name, addr_spec=found.addr_spec, wire=f"{local}@{domain}")


def _header(text: str) -> Any:
    """What Python's parser of address headers makes of the text; None where it can make nothing."""
    if text.encode(errors="ignore").decode() != text:
        return None  # a lone surrogate is half a character, and UTF-8 cannot carry it
    from email.policy import default as policy  # noqa: PLC0415 - lazy: a plain address needs no parser

    try:
        return policy.header_factory("to", text)
    except Exception:  # noqa: BLE001 - it fails in many ways: IndexError, UnboundLocalError, RecursionError
        return None


def _has_control(text: str) -> bool:
    """Whether the text has a control character or a line separator of Unicode."""
    return re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text) is not None


def _ascii_domain(domain: str) -> str:
    """The domain as DNS knows it, or an empty string."""
    if domain.isascii():
        return domain if re.fullmatch(_DOMAIN, domain) else ""
    import idna  # noqa: PLC0415 - lazy: its tables take 10 ms, and few sites ever need them

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return ""
