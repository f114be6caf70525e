"""Which endpoint answers which request, who may call it, and what the rest of the world gets."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING

from django_migma.sandbox import batches, control, keys, listings, sending, testsend
from django_migma.sandbox.calls import Call
from django_migma.sandbox.wire import Refusal, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django_migma.sandbox.calls import Site
    from django_migma.sandbox.wire import Answer, Request

# docs.migma.ai/agent-auth
_CHALLENGE = (
    "WWW-Authenticate",
    'Bearer resource_metadata="https://api.migma.ai/.well-known/oauth-protected-resource"',
)


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint; ``permission`` is empty where any valid key will do."""

    method: str
    template: str
    endpoint: Callable[[Call], Answer]
    permission: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def is_control(self) -> bool:
        return not self.template.startswith("/v1/")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.template))


def about(call: Call) -> Answer:
    """What this sandbox is and offers."""
    return json_answer({
        "version": _version(),
        "api_url": f"{call.site.url}/v1",
        "switches": asdict(call.site.switches),
        "keys": asdict(keys.KEYS),
        "messages": len(call.site.store.messages()),
        "stats": call.site.store.stats(),
        "endpoints": [route.name for route in ROUTES],
    })  # fmt: skip


def _version() -> str:
    try:
        return metadata.version("django-migma")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a checkout


# No source states a permission for listing projects, and there is none that would fit.
# Those of the lists of emails, of one email and of webhook events are inferred from their neighbours.
ROUTES = (
    Route(method="POST", template="/v1/sending", endpoint=sending.send, permission="email:send"),
    Route(
        method="GET",
        template="/v1/sending/batches/{batchId}",
        endpoint=batches.batch_status,
        permission="email:read",
    ),
    Route(
        method="POST",
        template="/v1/emails/test/send",
        endpoint=testsend.send_test,
        permission="email:send",
    ),
    Route(method="GET", template="/v1/projects", endpoint=listings.projects),
    Route(method="GET", template="/v1/tags", endpoint=listings.tags, permission="audience:read"),
    Route(
        method="GET",
        template="/v1/segments",
        endpoint=listings.segments,
        permission="audience:read",
    ),
    Route(
        method="GET",
        template="/v1/projects/emails",
        endpoint=listings.emails,
        permission="email:read",
    ),
    Route(
        method="GET",
        template="/v1/projects/emails/{conversationId}/status",
        endpoint=listings.conversation_status,
        permission="email:read",
    ),
    Route(
        method="GET",
        template="/v1/emails/{emailId}",
        endpoint=listings.email,
        permission="email:read",
    ),
    Route(method="GET", template="/v1/domains", endpoint=listings.domains, permission="domain:read"),
    Route(
        method="GET",
        template="/v1/domains/managed",
        endpoint=listings.managed_domains,
        permission="domain:read",
    ),
    Route(
        method="GET",
        template="/v1/webhooks/events",
        endpoint=listings.webhook_events,
        permission="webhook:read",
    ),
    Route(method="GET", template="/", endpoint=control.home),
    Route(method="GET", template="/_sandbox/", endpoint=about),
    Route(method="GET", template="/_sandbox/messages", endpoint=control.messages),
    Route(method="DELETE", template="/_sandbox/messages", endpoint=control.clear_messages),
    Route(method="GET", template="/_sandbox/messages/{messageId}", endpoint=control.message),
    Route(
        method="GET",
        template="/_sandbox/messages/{messageId}/html",
        endpoint=control.message_html,
    ),
    Route(method="GET", template="/_sandbox/stats", endpoint=control.stats),
    Route(method="GET", template="/_sandbox/faults", endpoint=control.faults),
    Route(method="POST", template="/_sandbox/faults", endpoint=control.script_faults),
    Route(method="DELETE", template="/_sandbox/faults", endpoint=control.clear_faults),
)


def answer(site: Site, request: Request) -> Answer:
    """The whole way of a request: route, fault, key, rate limit, permission, endpoint."""
    try:
        route, ids = _route(site, request)
    except Refusal as refusal:
        return refusal.answer()
    fault = site.faults.next_fault(route.name, request)
    if fault is None:
        return _processed(site, request, route, ids)
    site.store.count_fault(fault.word)
    if fault.kind.accepts:
        return fault.applied_to(_processed(site, request, route, ids, delay=fault.delay))
    return fault.applied_to(fault.reply(site.store.clock()))


def _processed(site: Site, request: Request, route: Route, ids: Mapping[str, str], *, delay: float = 0.0) -> Answer:
    try:
        name = _admit(site, route, request)
        return route.endpoint(
            Call(site=site, request=request, endpoint=route.name, ids=ids, key_name=name, delay=delay)
        )
    except Refusal as refusal:
        return refusal.answer()


def _route(site: Site, request: Request) -> tuple[Route, dict[str, str]]:
    here = [(r, m) for r in ROUTES if (m := r.pattern.fullmatch(request.path))]
    for route, match in here:
        if route.method == request.method:
            site.store.count_request(route.name)
            return route, match.groupdict()
    template = here[0][0].template if here else "(unknown path)"
    site.store.count_request(f"{request.method} {template}")
    if not here:
        raise Refusal(404, f"Not found: {request.method} {request.path}")
    allow = ", ".join(route.method for route, _ in here)
    text = f"{request.method} is not allowed here (allowed: {allow})"
    raise Refusal(405, text, headers=(("Allow", allow),))


def _admit(site: Site, route: Route, request: Request) -> str:
    if route.is_control:
        control.refuse_strangers(request, site.host)
        return ""
    name = _key_name(request)
    site.store.limiter.take(name)
    if route.permission and route.permission not in keys.PERMISSIONS[name]:
        raise Refusal(403, f"This API key lacks the permission {route.permission}")
    return name


def _key_name(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("Missing API key: send it as Authorization: Bearer <key>")
    name = keys.name_of(key.strip())
    if name is None:
        raise _unauthorized("Invalid API key")
    if name not in keys.PERMISSIONS:
        raise _unauthorized("This API key was revoked")
    return name


def _unauthorized(text: str) -> Refusal:
    return Refusal(401, text, headers=(_CHALLENGE,))
