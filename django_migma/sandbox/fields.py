"""Rules for one field of a request body; each yields a text per broken rule.

A field that the OpenAPI excerpts type as a string may not be null: none is declared nullable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Body = Mapping[str, Any]

# `format: email` of JSON Schema is ASCII (`idn-email` would be the other); whether Migma takes
# non-ASCII addresses is unknown.
_ADDRESS = re.compile(
    r"""(?=.{3,254}\Z)(?=[^@"]{1,64}@|")
    (?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*|"(?:[ !\#-\[\]-~]|\\[ -~])*")
    @(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_HEX_ID = re.compile(r"[0-9a-fA-F]{24}")
_LINE_BREAK = re.compile(r"[\r\n]")


def is_address(value: object) -> bool:
    """Exactly one addr-spec: no display name, no angle brackets, no list."""
    return isinstance(value, str) and _ADDRESS.match(value) is not None


def text(body: Body, name: str, *, required: bool = False) -> Iterator[str]:
    if name not in body:
        if required:
            yield f"{name} is required"
    elif not isinstance(body[name], str):
        yield f"{name} must be a string"


def filled(body: Body, name: str, *, required: bool = False) -> Iterator[str]:
    yield from text(body, name, required=required)
    if isinstance(value := body.get(name), str) and not value.strip():
        yield f"{name} must not be empty"


def one_line(body: Body, name: str, *, required: bool = False) -> Iterator[str]:
    yield from text(body, name, required=required)
    if isinstance(value := body.get(name), str) and _LINE_BREAK.search(value):
        yield f"{name} must not contain line breaks"


def address(body: Body, name: str, *, required: bool = False) -> Iterator[str]:
    yield from text(body, name, required=required)
    if isinstance(value := body.get(name), str) and not is_address(value):
        # "Invalid email address" is the one error text of Migma's that is public.
        yield f"{name}: Invalid email address (one address, without a display name)"


def addresses(body: Body, name: str) -> Iterator[str]:
    if name not in body:
        return
    value = body[name]
    if not isinstance(value, list):
        yield f"{name} must be an array of email addresses"
    elif not all(is_address(item) for item in value):
        yield f"{name}: Invalid email address (each item one address, without a display name)"


def hex_id(body: Body, name: str) -> Iterator[str]:
    yield from text(body, name)
    if isinstance(value := body.get(name), str) and not _HEX_ID.fullmatch(value):
        yield f"{name} must be 24 hexadecimal digits"


def choice(body: Body, name: str, words: Sequence[str], *, required: bool = False) -> Iterator[str]:
    if name not in body:
        if required:
            yield f"{name} is required"
    elif body[name] not in words:
        yield f"{name} must be one of {', '.join(words)}"


def boolean(body: Body, name: str) -> Iterator[str]:
    if name in body and not isinstance(body[name], bool):
        yield f"{name} must be true or false"


def mapping(body: Body, name: str) -> Iterator[str]:
    if name in body and not isinstance(body[name], dict):
        yield f"{name} must be an object"
