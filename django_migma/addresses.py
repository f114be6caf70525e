"""One address out of what Django calls an address: ``bob@example.com`` or ``Bob <bob@example.com>``."""

from __future__ import annotations

import re
from email.errors import InvalidHeaderDefect
from functools import lru_cache
from typing import Any, NamedTuple

from .api.errors import InvalidAddress

_MAX_LENGTH = 1000  # characters, name included: Python's parser takes quadratic time, 9 seconds for 100 kB

# Strings, which re compiles at first use and keeps: start-up does not need them.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.IPv]+\]"
_PLAIN = rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*"
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"

_NO_ADDRESS = "is not an address"
_NOT_ASCII = "has letters outside ASCII before the @, which Migma is not known to take"
_HAS_CONTROL = "contains a line break or another control character"


class Address(NamedTuple):
    """``addr_spec`` is the address as the caller wrote it.

    ``wire`` is the address as Migma gets it, and what addresses are compared by: the domain in ASCII (IDNA 2008) and
    in lower case, the local part as it was written, since its case may matter.
    """

    display_name: str
    addr_spec: str
    wire: str


def parse(value: object, place: str) -> Address:
    """Return the one address in a string. ``place`` says where it stands, for the error, which never shows it.

    Raises `InvalidAddress` for anything malformed, for several addresses, for line breaks and other control
    characters, and for more than 1,000 characters.
    """
    text = str(value)
    if len(text) > _MAX_LENGTH:
        address: Address | str = f"has more than {_MAX_LENGTH:,} characters"
    elif re.fullmatch(_PLAIN, text):
        return Address(display_name="", addr_spec=text, wire=lower_domain(text))
    else:
        address = _parse(text)
    if isinstance(address, Address):
        return address
    hint = "Give one address, such as bob@example.com or Bob <bob@example.com>."
    raise InvalidAddress(f"{place} {address}", hint=hint)


def split(value: object) -> list[str]:
    """Return the addresses in a string that may hold several. What cannot be parsed stays one string."""
    text = str(value)
    is_list = "," in text and len(text) <= _MAX_LENGTH and not _has_control(text)
    header = _header(text) if is_list else None
    return [str(address) for address in header.addresses] if header is not None else [text]


def display_name_error(value: object) -> str:
    """Return what makes a display name unusable, or an empty string. A line break in it would add headers."""
    text = str(value)
    if re.search("[\ud800-\udfff]", text):  # as of an environment variable in another encoding
        return "contains half a character, which UTF-8 cannot carry"
    return _HAS_CONTROL if _has_control(text) else ""


@lru_cache(maxsize=128)
def _parse(text: str) -> Address | str:
    """Return the address, or what is wrong with it. Cached, since most mail comes from one of a few senders."""
    if _has_control(text):
        return _HAS_CONTROL
    header = _header(text)
    if header is None:
        return _NO_ADDRESS
    if len(header.addresses) > 1 or text.strip().endswith(","):
        return "holds several addresses, and Migma takes one"
    if not header.addresses or any(group.display_name is not None for group in header.groups):
        return _NO_ADDRESS
    found = header.addresses[0]
    is_broken = any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects)
    if is_broken or not found.username or not found.domain or found.domain not in text:
        return _NO_ADDRESS
    if _has_control(found.display_name + found.addr_spec):
        return _HAS_CONTROL
    domain = _ascii_domain(found.domain)
    local = found.addr_spec[: -len(found.domain) - 1]
    if not domain or not local.isascii():
        return _NOT_ASCII if domain else "has a domain that cannot exist"
    return Address(display_name=found.display_name, addr_spec=found.addr_spec, wire=f"{local}@{domain.lower()}")


def lower_domain(address: str) -> str:
    """Return the address with its domain in lower case: the same mailbox in another spelling."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain.lower()}"


def _header(text: str) -> Any:
    if text.encode(errors="ignore").decode() != text:
        return None  # a lone surrogate, which UTF-8 cannot carry
    from email.policy import default as policy  # noqa: PLC0415 - lazy: a plain address needs no parser

    try:
        return policy.header_factory("to", text)
    except Exception:  # noqa: BLE001 - it fails in many ways: IndexError, UnboundLocalError, RecursionError
        return None


def _has_control(text: str) -> bool:
    return re.search(_CONTROL, text) is not None


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain if re.fullmatch(_DOMAIN, domain) else ""
    import idna  # noqa: PLC0415 - lazy: its tables take 10 ms, and few sites need them

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return ""
