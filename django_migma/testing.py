"""Supported helpers for a site's own tests: a sandbox to send to, and an outbox that refuses what Migma would.

pytest has them as the fixtures ``migma_sandbox``, ``migma_outbox`` and ``migma_stored_emails``.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from django.conf import settings
from django.core import mail
from django.core.mail.backends import locmem
from django.test import override_settings

from .api.connections import close_pools
from .api.credentials import Secret
from .api.types import SendRequest, SendResult
from .backends import direct
from .backends.fallback import fallback_problem
from .conf import Config, has_mailers
from .mailers import is_ours
from .message import attach
from .sandbox.options import Switches
from .sandbox.server import Sandbox

if TYPE_CHECKING:
    from .backends.fallback import FallbackMailer
    from .backends.outgoing import OutgoingMessage
    from .message import MessageStatus
    from .stored_emails import Resolver

    Override = Callable[..., AbstractContextManager[object]]
    """How to override settings. ``_override`` is for the fixtures only, see `pytest_plugin`."""

BACKEND = "django_migma.backends.EmailBackend"
OUTBOX_BACKEND = "django_migma.testing.EmailBackend"
LOCMEM_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


@contextmanager
def sandbox(*, _override: Override = override_settings, **switches: Any) -> Iterator[Sandbox]:
    """Run a sandbox on a free loopback port, point the settings at it, and yield the `Sandbox`.

    Django's test runner replaces every mailer by an in-memory one. The mailers of the settings module that use our
    backend are put back, with the sandbox's address and key and otherwise with their options; if there is none, the
    default mailer becomes ours. Every sender's domain counts as verified and every well-formed id as known, unless
    ``verified_domains`` and ``any_id`` say otherwise. The other switches are those of
    ``django_migma.sandbox.options.Switches``. Proxies of the environment are not used. What goes through the mailer
    of ``FALLBACK`` comes into ``mail.outbox``.
    """
    chosen = Switches(**{"verified_domains": ("*",), "any_id": True, **switches})
    no_proxy = ",".join(filter(None, (os.environ.get("no_proxy"), os.environ.get("NO_PROXY"), "127.0.0.1")))
    with Sandbox(switches=chosen) as running, patch.dict(os.environ, no_proxy=no_proxy):
        connection = {"API_URL": running.api_url, "API_KEY": running.keys.full}
        migma = {**getattr(settings, "MIGMA", {}), **_fallback_in_memory(), **connection}
        try:
            with _override(MIGMA=migma, **_mailers(without=connection)):
                yield running
        finally:
            close_pools()


@contextmanager
def outbox(*, _override: Override = override_settings) -> Iterator[list[Any]]:
    """Replace our backend by `testing.EmailBackend` in every mailer, and yield ``mail.outbox``, emptied.

    The list stays the same object, so it is pytest-django's ``mailoutbox`` too. At the end, earlier messages are put
    back in front of the new ones.
    """
    box: list[Any] = _outbox()
    earlier = box[:]
    box.clear()
    try:
        with _override(**_mailers(backend=OUTBOX_BACKEND)):
            yield box
    finally:
        box[:0] = earlier


def _outbox() -> list[Any]:
    """Django's outbox. Its test runner makes the list; without that runner, the first mail does."""
    if not hasattr(mail, "outbox"):
        mail.outbox = []
    return mail.outbox


@contextmanager
def stored_emails(
    *keys: str, _override: Override = override_settings, **declared: str | Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Declare stored emails for a test, beside those of ``MIGMA["STORED_EMAILS"]``, and yield all of them by key.

    ``stored_emails("welcome")`` gives the key an id that is the same in every test. A keyword has the value that the
    setting would have: ``receipt="665f…"``, or a dict, which may leave out ``email_id``. A mailer with
    ``stored_emails`` among its own options does not see them.
    """
    given = {key: {"email_id": _made_up_id(key)} for key in keys} | {
        key: {"email_id": _made_up_id(key), **entry} if isinstance(entry, Mapping) else entry
        for key, entry in declared.items()
    }
    migma = getattr(settings, "MIGMA", {})
    merged = {**migma.get("STORED_EMAILS", {}), **given}
    with _override(MIGMA={**migma, "STORED_EMAILS": merged}):
        yield merged


def _made_up_id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _mailers(*, backend: str = "", without: Iterable[str] = ()) -> dict[str, Any]:
    """The setting that puts our backend, or ``backend``, in place, without the options of settings ``without``."""
    if not has_mailers():
        return {"EMAIL_BACKEND": backend or BACKEND}
    dropped = {name.lower() for name in without}
    ours = {alias: mailer for alias, mailer in _configured_mailers().items() if is_ours(mailer.get("BACKEND"))}
    replaced: dict[str, dict[str, Any]] = {
        alias: {
            "BACKEND": backend or (BACKEND if mailer["BACKEND"] == OUTBOX_BACKEND else mailer["BACKEND"]),
            "OPTIONS": {name: value for name, value in mailer.get("OPTIONS", {}).items() if name not in dropped},
        }
        for alias, mailer in (ours or {"default": {"BACKEND": BACKEND}}).items()
    }
    usual = getattr(settings, "MIGMA", {}).get("FALLBACK")
    named = {mailer["OPTIONS"].get("fallback") or usual for mailer in replaced.values()}
    in_memory = {alias: {"BACKEND": LOCMEM_BACKEND} for alias in settings.MAILERS if alias in named}
    return {"MAILERS": settings.MAILERS | in_memory | replaced}


def _fallback_in_memory() -> dict[str, str]:
    """The setting that keeps mail of ``FALLBACK`` in this process, where that is the path of a backend."""
    path = getattr(settings, "MIGMA", {}).get("FALLBACK")
    is_usable = path and not has_mailers() and not fallback_problem(path)[0]
    return {"FALLBACK": LOCMEM_BACKEND} if is_usable else {}


def _configured_mailers() -> dict[str, Any]:
    """The mailers of the settings module, which the test runner has replaced, and those that a test has set."""
    module = import_module(os.environ["DJANGO_SETTINGS_MODULE"]) if "DJANGO_SETTINGS_MODULE" in os.environ else None
    mailers = dict(getattr(module, "MAILERS", {}))
    return mailers | {alias: mailer for alias, mailer in settings.MAILERS.items() if is_ours(mailer.get("BACKEND"))}


@dataclass(frozen=True, kw_only=True)
class OutboxMail:
    """A mail to one recipient, in the words of the sandbox's ``mails``. Nothing is rendered."""

    recipient: str
    subject: str
    variables: Mapping[str, Any]

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> OutboxMail:
        return cls(
            recipient=payload["recipientEmail"],
            subject=payload["subject"],
            variables=payload.get("variables", {}),
        )


class _AcceptingClient:
    has_succeeded = True

    def send(self, request: SendRequest, *, idempotency_key: str, **_: Any) -> SendResult:
        return SendResult(id=f"test-{idempotency_key[:12]}", status="queued", provider="outbox", attempts=0)


class EmailBackend(direct.EmailBackend):
    """An in-memory backend that does everything the real one does, except for the network.

    Messages are refused, signals sent and statuses set as by the real backend. No API key is needed. The copies in
    ``django.core.mail.outbox`` carry ``migma_mails``, an `OutboxMail` for each recipient in order, and
    ``migma_payloads``, the request bodies of these. What goes through the mailer of ``FALLBACK`` has none; Django's
    in-memory backend replaces that mailer.
    """

    def open_client(self) -> tuple[Config, Any]:
        self.options = {**self.options, "api_key": Secret("testing"), "max_concurrency": 1}
        return self.config(), _AcceptingClient()

    def resolver(self, config: Config) -> Resolver:
        """Return what finds stored emails by their keys. Those in ``STORED_EMAILS`` need no database."""
        return direct.stored_email_resolver(config, rows_complete_declared=False)

    def open_fallback(self, config: Config) -> FallbackMailer | None:
        fallback = super().open_fallback(config)
        if fallback:
            fallback.connect = locmem.EmailBackend
        return fallback

    def message_finished(self, outgoing: OutgoingMessage) -> None:
        box = _outbox()
        if outgoing.for_fallback and not outgoing.fallback_error:
            self._complete_copy(box[-1], outgoing.status)
        if outgoing.calls:
            kept: Any = copy.deepcopy(outgoing.message)
            kept.sent_using = self.alias
            kept.migma_payloads = [call.payload.request.to_json() for call in outgoing.calls]
            kept.migma_mails = [OutboxMail.of(payload) for payload in kept.migma_payloads]
            box.append(kept)

    def _complete_copy(self, kept: Any, status: MessageStatus) -> None:
        """Add the attributes of our copies to one of Django's in-memory backend, made before the send ended."""
        attach(kept, copy.deepcopy(status))
        kept.sent_using = next(filter(None, (recipient.mailer for recipient in status.recipients.values())))
        kept.migma_payloads, kept.migma_mails = [], []
