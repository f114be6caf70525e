"""What one attempt came to: a reply, or a failure that is not raised yet. Pure functions over status and body.

Failures stay values until the last attempt is over: an error raised outside any ``except`` carries no
``__context__``, and so none of the frames below us, which hold the API key.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from . import errors, retries
from .resources import as_dict, as_str
from .texts import shown

LARGEST_BODY = 10 * 1024 * 1024
"""Bytes of an answer that we are willing to read."""
_MOST_CONTAINERS = 100_000
"""Lists and objects, which take a hundred times the memory of their text."""
_DEEPEST = 64
_SHORTEST_SECRET = 8
_LONE_SURROGATE_OR_NUL = re.compile("[\ud800-\udfff\0]")
"""What UTF-8 cannot write, and what PostgreSQL does not store."""
_ERROR_CLASSES: dict[int, type[errors.APIError]] = {
    400: errors.InvalidRequest,
    401: errors.AuthenticationError,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.InvalidRequest,
    429: errors.RateLimited,
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A success: ``data`` of the envelope, and whether it repeats an earlier answer.

    ``made`` counts the request that it took."""

    data: Any
    replayed: bool = False
    made: int = 1


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An attempt without a clear yes. ``what`` is a sentence; ``retried`` says that another attempt may help.

    ``accepted`` is None where this attempt settles nothing about earlier ones, False where it proves that nothing
    was accepted, True where Migma may have accepted. ``pause`` is a ``Retry-After`` in seconds.
    ``unanswered``: the connection ended before the first byte of an answer. ``made`` is 0 where no request went out.
    """

    error: type[errors.MigmaError]
    what: str
    retried: bool = False
    accepted: bool | None = None
    pause: float | None = None
    unanswered: bool = False
    made: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)


def read(
    status: int, headers: Mapping[str, str], body: bytes, *, secret: str, first: bool, now: float
) -> Reply | Failure:
    """The outcome of an answer with this status, headers and body. ``now`` is in seconds since 1970.

    Some servers quote a bad key in their refusal: ``secret`` is masked wherever it stands.
    """
    envelope = _json_object(body, secret)
    if status >= 400:
        return _refusal(status, headers, envelope, first=first, now=now)
    success = envelope.get("success") if envelope else None
    if envelope is None or not isinstance(success, bool):
        kind = shown(_masked(headers.get("Content-Type") or "no type", secret))
        return unreadable(status, f"no JSON envelope ({len(body)} bytes of {kind})")
    if not success:
        return _refusal(status, headers, envelope, first=first, now=now)
    replayed = headers.get("Idempotent-Replayed", "").lower() == "true"
    return Reply(data=envelope.get("data"), replayed=replayed)


def unpacked(status: int, headers: Mapping[str, str], body: bytes) -> bytes | Failure:
    """The body without its Content-Encoding. We ask for none; some proxies use gzip all the same."""
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        return unreadable(status, "a Content-Encoding that was not asked for")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as stream:
            whole = stream.read(LARGEST_BODY + 1)  # a bomb is not unpacked further
    except (OSError, EOFError, zlib.error):
        return unreadable(status, "gzip that cannot be read")
    return whole if len(whole) <= LARGEST_BODY else unreadable(status, "more than 10 MiB")


def _json_object(body: bytes, secret: str) -> dict[str, Any] | None:
    """The body as a JSON object without ambiguity, or None. Its strings are fit to be stored, logged and shown."""
    try:
        written = body.decode("utf-8-sig")
        containers = written.count("[") + written.count("{")
        if containers > _MOST_CONTAINERS:
            return None
        value = _DECODER.decode(written)
        # Only an escape sequence can hide a secret, or a character that is no text.
        clean = _clean(value, secret) if "\\" in written or secret in written else value
    except (ValueError, RecursionError):  # ValueError covers bad UTF-8; deep nesting ends in RecursionError
        return None
    shallow = containers < _DEEPEST or _is_shallow(clean, _DEEPEST)  # what is deeper cannot be pickled
    return clean if isinstance(clean, dict) and shallow else None


def _is_shallow(value: Any, depth: int) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in items)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two fields with one name, parsers take the first or the last: ``success`` may not depend on that."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError
    return value


def _refused(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity, which Python reads and JSON does not have


_DECODER = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_constant=_refused)


def _clean(value: Any, secret: str) -> Any:
    if isinstance(value, str):
        return _masked(_LONE_SURROGATE_OR_NUL.sub("\ufffd", value), secret)
    if isinstance(value, dict):
        return {_clean(name, secret): _clean(item, secret) for name, item in value.items()}
    return [_clean(item, secret) for item in value] if isinstance(value, list) else value


def _masked(value: str, secret: str) -> str:
    # A shorter "secret" is somebody's stand-in for one, and may well be a part of an id.
    return value.replace(secret, "********") if len(secret) >= _SHORTEST_SECRET else value


def _refusal(
    status: int, headers: Mapping[str, str], envelope: dict[str, Any] | None, *, first: bool, now: float
) -> Failure:
    said = envelope or {}
    detail, code = _detail(said), as_str(said.get("code"))
    attributes: dict[str, Any] = {
        "status_code": status,
        "code": code,
        "detail": detail,
        "data": as_dict(said.get("data")),
    }
    accepted = retries.acceptance(status, code)
    if accepted is False and said.get("success") is not False:
        accepted = None  # a proxy's 404 is not Migma's, and proves nothing about an earlier attempt
    seconds = retries.retry_after(headers.get("Retry-After"), now)
    error = _ERROR_CLASSES.get(status, errors.ServerError if status >= 500 else errors.APIError)
    if error is errors.RateLimited:
        attributes["retry_after"] = seconds
    retried = retries.status_is_retried(status, first=first)
    return Failure(
        error=error,
        what=f"Migma answered {status}{f' {shown(code)}' if code else ''}: {shown(detail) or 'no reason given'}",
        retried=retried,
        accepted=accepted,
        attributes=attributes,
        pause=seconds if retried and status != 409 else None,
    )


def _detail(envelope: dict[str, Any]) -> str:
    error = envelope.get("error")
    return as_str(error) or as_str(as_dict(error).get("message")) or as_str(envelope.get("message"))


def unreadable(status: int, why: str) -> Failure:
    """An answer that is not Migma's. A redirect is final; a broken success may be whole the next time."""
    redirect = 300 <= status < 400
    return Failure(
        error=errors.InvalidResponse,
        what=f"The answer with status {status} is not Migma's: {why}",
        retried=not redirect,
        accepted=True,
        attributes={"status_code": status},
    )
