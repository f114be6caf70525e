"""Supported helpers for the tests of sites: a sandbox to send to, and an outbox that refuses what Migma would.

With pytest they are the fixtures ``migma_sandbox`` and ``migma_outbox``.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import django
from django.conf import settings
from django.core import mail
from django.test import override_settings
from django.utils.module_loading import import_string

from .api.connections import close_pools
from .api.credentials import Secret
from .api.types import SendRequest, SendResult
from .backends import direct
from .backends.base import MigmaBackend
from .conf import Config, load_config
from .sandbox.options import Switches
from .sandbox.server import Sandbox

if TYPE_CHECKING:
    from .backends.outgoing import OutgoingMessage

BACKEND = "django_migma.backends.EmailBackend"
OUTBOX_BACKEND = "django_migma.testing.EmailBackend"


@contextmanager
def sandbox(**switches: Any) -> Iterator[Sandbox]:
    """Run a sandbox on a free loopback port and let the settings point at it; yield the `Sandbox`.

    Django's test runner has replaced every mailer by an in-memory one; those that use our backend come back, with
    their options but the sandbox's address and key. Where none does, the default mailer becomes ours. Any sender's
    domain counts as verified and any well-formed id as known, unless ``verified_domains`` and ``any_id`` say
    otherwise; the other switches are those of `django_migma.sandbox.options.Switches`. Proxies of the environment
    are passed by.
    """
    chosen = Switches(**{"verified_domains": ("*",), "any_id": True, **switches})
    passed_by = ",".join(filter(None, (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"), "127.0.0.1")))
    with Sandbox(switches=chosen) as running, patch.dict(os.environ, no_proxy=passed_by):
        reached = {"API_URL": running.api_url, "API_KEY": running.keys.full}
        try:
            with override_settings(MIGMA={**getattr(settings, "MIGMA", {}), **reached}, **_mailers(without=reached)):
                yield running
        finally:
            close_pools()


@contextmanager
def outbox() -> Iterator[list[Any]]:
    """Let every mailer that uses our backend use `testing.EmailBackend`; yield an empty ``mail.outbox``."""
    earlier = getattr(mail, "outbox", [])
    mail.outbox = []
    try:
        with override_settings(**_mailers(backend=OUTBOX_BACKEND)):
            yield mail.outbox
    finally:
        mail.outbox = earlier


def _mailers(*, backend: str = "", without: Iterable[str] = ()) -> dict[str, Any]:
    """The setting that puts our backend in place: ``MAILERS``, or ``EMAIL_BACKEND`` where a site has none.

    ``backend`` replaces the path of ours, ``without`` names settings whose options are left out.
    """
    if django.VERSION < (6, 1) or not hasattr(settings, "MAILERS"):
        return {"EMAIL_BACKEND": backend or BACKEND}
    dropped = {name.lower() for name in without}
    ours = {alias: mailer for alias, mailer in _configured_mailers().items() if _is_ours(mailer)}
    replaced = {
        alias: {
            "BACKEND": backend or (BACKEND if mailer["BACKEND"] == OUTBOX_BACKEND else mailer["BACKEND"]),
            "OPTIONS": {name: value for name, value in mailer.get("OPTIONS", {}).items() if name not in dropped},
        }
        for alias, mailer in (ours or {"default": {"BACKEND": BACKEND}}).items()
    }
    return {"MAILERS": settings.MAILERS | replaced}


def _configured_mailers() -> dict[str, Any]:
    """The mailers of the settings module, which the test runner has replaced, under those that a test has set."""
    module = import_module(os.environ["DJANGO_SETTINGS_MODULE"]) if "DJANGO_SETTINGS_MODULE" in os.environ else None
    mailers = dict(getattr(module, "MAILERS", {}))
    return mailers | {alias: mailer for alias, mailer in settings.MAILERS.items() if _is_ours(mailer)}


def _is_ours(mailer: dict[str, Any]) -> bool:
    found = import_string(mailer["BACKEND"]) if "BACKEND" in mailer else None
    return isinstance(found, type) and issubclass(found, MigmaBackend)


class _AcceptingClient:
    """Stands in for the client: takes every request."""

    has_succeeded = True

    def send(self, request: SendRequest, *, idempotency_key: str, **_: Any) -> SendResult:
        """Accept."""
        return SendResult(id=f"test-{idempotency_key[:12]}", status="queued", provider="outbox", attempts=0)


class EmailBackend(direct.EmailBackend):
    """Like Django's in-memory backend, but everything short of the network happens as in production.

    Messages are refused, signals sent and statuses set as by the real backend; no API key is needed. The copies in
    ``django.core.mail.outbox`` carry ``migma_payloads``: the request bodies, one per recipient in order.
    """

    def open_client(self) -> tuple[Config, Any]:
        """The settings, with any key, and a client that accepts everything."""
        return load_config(
            {**self.options, "api_key": Secret("testing"), "max_concurrency": 1}, self.alias
        ), _AcceptingClient()

    def message_finished(self, outgoing: OutgoingMessage) -> None:
        """Put a message into the outbox unless it was refused."""
        if not hasattr(mail, "outbox"):
            mail.outbox = []
        if outgoing.calls:
            kept: Any = copy.deepcopy(outgoing.message)
            kept.sent_using = self.alias
            kept.migma_payloads = [call.payload.request.to_json() for call in outgoing.calls]
            mail.outbox.append(kept)
