"""Supported helpers for a site's own tests: a sandbox to send to, and an outbox that refuses what Migma would.

pytest has them as the fixtures ``migma_sandbox`` and ``migma_outbox``.
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

from .api.connections import close_pools
from .api.credentials import Secret
from .api.types import SendRequest, SendResult
from .backends import direct
from .conf import Config
from .mailers import is_ours
from .sandbox.options import Switches
from .sandbox.server import Sandbox

if TYPE_CHECKING:
    from .backends.outgoing import OutgoingMessage

BACKEND = "django_migma.backends.EmailBackend"
OUTBOX_BACKEND = "django_migma.testing.EmailBackend"


@contextmanager
def sandbox(**switches: Any) -> Iterator[Sandbox]:
    """Run a sandbox on a free loopback port, point the settings at it, and yield the `Sandbox`.

    Django's test runner replaces every mailer by an in-memory one. The mailers of the settings module that use our
    backend are put back, with the sandbox's address and key and otherwise with their options; if there is none, the
    default mailer becomes ours. Every sender's domain counts as verified and every well-formed id as known, unless
    ``verified_domains`` and ``any_id`` say otherwise. The other switches are those of
    ``django_migma.sandbox.options.Switches``. Proxies of the environment are not used.
    """
    chosen = Switches(**{"verified_domains": ("*",), "any_id": True, **switches})
    no_proxy = ",".join(filter(None, (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"), "127.0.0.1")))
    with Sandbox(switches=chosen) as running, patch.dict(os.environ, no_proxy=no_proxy):
        connection = {"API_URL": running.api_url, "API_KEY": running.keys.full}
        migma = {**getattr(settings, "MIGMA", {}), **connection}
        try:
            with override_settings(MIGMA=migma, **_mailers(without=connection)):
                yield running
        finally:
            close_pools()


@contextmanager
def outbox() -> Iterator[list[Any]]:
    """Replace our backend by `testing.EmailBackend` in every mailer, and yield an empty ``mail.outbox``."""
    earlier = getattr(mail, "outbox", [])
    mail.outbox = []
    try:
        with override_settings(**_mailers(backend=OUTBOX_BACKEND)):
            yield mail.outbox
    finally:
        mail.outbox = earlier


def _mailers(*, backend: str = "", without: Iterable[str] = ()) -> dict[str, Any]:
    """The setting that puts our backend, or ``backend``, in place, without the options of settings ``without``."""
    if django.VERSION < (6, 1) or not hasattr(settings, "MAILERS"):
        return {"EMAIL_BACKEND": backend or BACKEND}
    dropped = {name.lower() for name in without}
    ours = {alias: mailer for alias, mailer in _configured_mailers().items() if is_ours(mailer.get("BACKEND"))}
    replaced = {
        alias: {
            "BACKEND": backend or (BACKEND if mailer["BACKEND"] == OUTBOX_BACKEND else mailer["BACKEND"]),
            "OPTIONS": {name: value for name, value in mailer.get("OPTIONS", {}).items() if name not in dropped},
        }
        for alias, mailer in (ours or {"default": {"BACKEND": BACKEND}}).items()
    }
    return {"MAILERS": settings.MAILERS | replaced}


def _configured_mailers() -> dict[str, Any]:
    """The mailers of the settings module, which the test runner has replaced, and those that a test has set."""
    module = import_module(os.environ["DJANGO_SETTINGS_MODULE"]) if "DJANGO_SETTINGS_MODULE" in os.environ else None
    mailers = dict(getattr(module, "MAILERS", {}))
    return mailers | {alias: mailer for alias, mailer in settings.MAILERS.items() if is_ours(mailer.get("BACKEND"))}


class _AcceptingClient:
    has_succeeded = True

    def send(self, request: SendRequest, *, idempotency_key: str, **_: Any) -> SendResult:
        return SendResult(id=f"test-{idempotency_key[:12]}", status="queued", provider="outbox", attempts=0)


class EmailBackend(direct.EmailBackend):
    """An in-memory backend that does all that the real one does, but for the network.

    Messages are refused, signals sent and statuses set as by the real backend. No API key is needed. The copies in
    ``django.core.mail.outbox`` carry ``migma_payloads``: the request bodies, one per recipient in order.
    """

    def open_client(self) -> tuple[Config, Any]:
        self.options = {**self.options, "api_key": Secret("testing"), "max_concurrency": 1}
        return self.config(), _AcceptingClient()

    def message_finished(self, outgoing: OutgoingMessage) -> None:
        if not hasattr(mail, "outbox"):
            mail.outbox = []
        if outgoing.calls:
            kept: Any = copy.deepcopy(outgoing.message)
            kept.sent_using = self.alias
            kept.migma_payloads = [call.payload.request.to_json() for call in outgoing.calls]
            mail.outbox.append(kept)
