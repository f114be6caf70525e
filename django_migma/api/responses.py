"""From a status and bytes to a `Response`, or to a `Failure` that is not raised yet.

Failures stay values until the last attempt is over: an error raised outside any ``except`` carries no
``__context__``, and so none of the frames below us, which hold the API key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import errors
from .resources import as_dict, as_int, as_str
from .retries import RETRIED_STATUSES, acceptance, parse_retry_after

MAX_BODY = 10 * 1024 * 1024  # bytes of a response that are read, at most
_MIN_SECRET = 8  # characters: a shorter key is a stand-in of a test, and may well be part of an id
_MASK = "********"
_MAX_DETAIL = 300
_MAX_READ = 1_000
_ADDRESS = re.compile(r'(?:"[^"]{0,64}")?\S*(?:@|%40)\S*')
_ERROR_CLASSES: dict[int, type[errors.APIError]] = {
    400: errors.InvalidRequest,
    401: errors.AuthenticationError,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    422: errors.InvalidRequest,
    429: errors.RateLimited,
}


class Response(NamedTuple):
    """A success: ``data`` of the envelope; whether it repeats an earlier response; how many attempts it took.

    ``total`` is the number of items on all pages, which stands beside the data of some lists as ``count``.
    """

    data: Any
    replayed: bool = False
    attempts: int = 1
    total: int | None = None


class Failure(NamedTuple):
    """An attempt without a clear yes, and the error to raise if it is the last.

    ``may_be_accepted``: True if Migma may have accepted the mail in this attempt, False if it is proven that it was
    accepted in none, None if this attempt says nothing about earlier ones. ``is_retried``: another attempt may help.
    ``retry_after``: seconds that the server asked to wait.
    """

    error: errors.MigmaError
    may_be_accepted: bool | None
    is_retried: bool = False
    retry_after: float | None = None


def decode(status: int, headers: Mapping[str, str], body: bytes, *, secret: str, now: float) -> Response | Failure:
    """Read a response. ``now`` is in seconds since 1970, for a ``Retry-After`` that is a date.

    Some servers quote a bad key in their refusal: ``secret`` is masked wherever it stands.
    """
    if len(secret) >= _MIN_SECRET:
        body = body.replace(secret.encode(), _MASK.encode())
    envelope = _json_object(body)
    if status >= 400:
        return _refusal(status, headers, envelope, now)
    success = envelope.get("success")
    if not isinstance(success, bool):
        kind = redact((headers.get("Content-Type") or "no type").replace(secret, _MASK))
        return invalid_response(status, f"no JSON envelope ({len(body)} bytes of {kind})")
    if not success:
        return _refusal(status, headers, envelope, now)
    replayed = headers.get("Idempotent-Replayed", "").lower() == "true"
    return Response(envelope.get("data"), replayed=replayed, total=as_int(envelope.get("count")))


def invalid_response(status: int, why: str) -> Failure:
    """A response that is not Migma's. A redirect is final; a broken success may be whole the next time."""
    error = errors.InvalidResponse(f"The response with status {status} is not Migma's: {why}", status_code=status)
    return Failure(error, may_be_accepted=True, is_retried=not 300 <= status < 400)


def redact(text: str) -> str:
    """Migma's text as it may stand in an error or a log: one line without addresses, 300 characters at most."""
    line = " ".join(text[:_MAX_READ].split())
    if len(text) > _MAX_READ:
        line = line.rpartition(" ")[0] + " …"  # half an address cannot be recognised as one
    line = _ADDRESS.sub("<address>", line)
    start = "".join(character if character.isprintable() else "\ufffd" for character in line[:_MAX_DETAIL])
    return start if len(line) <= _MAX_DETAIL else f"{start}…"


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        return as_dict(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _refusal(status: int, headers: Mapping[str, str], envelope: dict[str, Any], now: float) -> Failure:
    detail, code = _detail(envelope), as_str(envelope.get("code"))
    attributes: dict[str, Any] = {"status_code": status, "code": code, "detail": detail}
    accepted = acceptance(status, code)
    if accepted is False and envelope.get("success") is not False:
        accepted = None  # a proxy's 404 is not Migma's, and proves nothing about an earlier attempt
    seconds = parse_retry_after(headers.get("Retry-After"), now)
    error_class = _ERROR_CLASSES.get(status, errors.ServerError if status >= 500 else errors.APIError)
    if error_class in {errors.RateLimited, errors.ServerError}:
        attributes["retry_after"] = seconds
    error = error_class(
        f"Migma answered {status}{f' {redact(code)}' if code else ''}: {redact(detail) or 'no reason given'}",
        data=as_dict(envelope.get("data")),
        **attributes,
    )
    is_retried = status in RETRIED_STATUSES
    return Failure(error, accepted, is_retried, retry_after=seconds if is_retried else None)


def _detail(envelope: dict[str, Any]) -> str:
    error = envelope.get("error")
    return as_str(error) or as_str(as_dict(error).get("message")) or as_str(envelope.get("message"))
