"""Migma's protocol: API keys and their permissions, JSON in, and the envelopes of answers and errors out.

Envelope of Migma's newest OpenAPI excerpt (mid 2026): ``{"success": true, "data": …}``, and
``{"success": false, "error": "<text>", "code"?: "<CODE>", "data"?: {…}}``.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, NoReturn

from django.http import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from django.http import HttpRequest

    View = Callable[..., HttpResponse]

# docs.migma.ai/agent-auth
_CHALLENGE = 'Bearer resource_metadata="https://api.migma.ai/.well-known/oauth-protected-resource"'


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The API keys, the same in every sandbox. They open nothing elsewhere."""

    full: str = "sk_test_sandbox_full"  # every permission
    no_send: str = "sk_test_sandbox_no_send"  # may read everything, may not send
    revoked: str = "sk_test_sandbox_revoked"  # once valid: 401


KEYS = Keys()
_KEY_NAMES = {key: name for name, key in asdict(KEYS).items()}


class ApiError(Exception):
    """An error envelope, raised wherever the reason is found."""

    def __init__(
        self,
        status: int,
        text: str,
        *,
        code: str | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        self._optional = {"code": code, "data": data}
        self.headers = dict(headers or {})

    def response(self) -> HttpResponse:
        envelope = {"success": False, "error": str(self)}
        envelope |= {name: value for name, value in self._optional.items() if value is not None}
        return json_response(envelope, status=self.status, headers=self.headers)


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    # Not Django's JsonResponse: it encodes in the site's DEFAULT_CHARSET.
    return HttpResponse(json.dumps(value).encode(), status=status, content_type="application/json", headers=headers)


def success(data: Any, **beside: Any) -> HttpResponse:
    """The success envelope; ``beside`` holds keys next to ``data``, such as ``count`` of some lists."""
    return json_response({"success": True, "data": data, **beside})


@cache
def path_template(route: str) -> str:
    """A route of Django's as Migma's reference writes it: ``/v1/emails/{emailId}`` for ``v1/emails/<email_id>``."""
    return "/" + re.sub(r"<(\w+)_id>", r"{\1Id}", route)


def new_id() -> str:
    """24 hexadecimal digits, as ids have in Migma's SDK."""
    return secrets.token_hex(12)


def timestamp(moment: datetime) -> str:
    """ISO 8601 as JavaScript writes it, such as ``2026-06-01T09:30:00.000Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def endpoint(permission: str = "") -> Callable[[View], View]:
    """A view that needs an API key with this permission, or any valid key, and a token of the key's rate limit.

    A fault strikes between the two, so that a request with a wrong key uses none up.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        # `request` is a server.Request, which this module cannot name: the server imports it.
        def authorized(request: Any, **ids: Any) -> HttpResponse:
            request.key_name = _key_name(request)
            _check_key(request.key_name, permission)
            struck: HttpResponse | None = request.meet_fault()
            if struck is not None:
                return struck
            request.sandbox.store.rate_limiter.take(request.key_name)
            return view(request, **ids)

        return authorized

    return decorate


def _key_name(request: HttpRequest) -> str:
    scheme, _, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("Missing API key: send it as Authorization: Bearer <key>")
    name = _KEY_NAMES.get(key.strip())
    if name is None:
        raise _unauthorized("Invalid API key")
    return name


def _check_key(name: str, permission: str) -> None:
    if name == "revoked":
        raise _unauthorized("This API key was revoked")
    if name == "no_send" and permission in ("email:send", "campaign:write"):
        raise ApiError(403, f"This API key lacks the permission {permission}")


def _unauthorized(text: str) -> ApiError:
    return ApiError(401, text, headers={"WWW-Authenticate": _CHALLENGE})


def json_object(request: HttpRequest) -> dict[str, Any]:
    """The body, which must be one JSON object declared as such."""
    if request.content_type != "application/json":
        # The only media type in the OpenAPI excerpts. What Migma does with another one is unknown.
        raise ApiError(400, "Content-Type must be application/json")
    try:
        value = json.loads(request.body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ApiError(400, "The request body is not valid JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The request body must be a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity: Python writes them, JSON has none


def query_int(request: HttpRequest, name: str, *, default: int, low: int, high: int | None = None) -> int:
    given = request.GET.get(name)
    if given is None:
        return default
    value = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else -1
    if value < low or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ApiError(400, f"{name} must be a whole number {limits}")
    return value


def query_choice(request: HttpRequest, name: str, words: Sequence[str]) -> str | None:
    given = request.GET.get(name)
    if given is not None and given not in words:
        raise ApiError(400, f"{name} must be one of {', '.join(words)}")
    return given
