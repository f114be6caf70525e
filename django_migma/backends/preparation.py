"""From a message to its calls: ``pre_send``, payloads and a status for each recipient. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django_migma import signals
from django_migma.api.errors import MissingVariables, UnsupportedFeature
from django_migma.message import RecipientStatus, mark_not_attempted, start_status, status_of
from django_migma.payload import build_payloads
from django_migma.unsupported_features import fallback_obstacle

from .outgoing import Call, OutgoingMessage

if TYPE_CHECKING:
    from django.core.mail import EmailMessage

    from django_migma.conf import Config
    from django_migma.stored_emails import Resolver

    from .base import MigmaBackend
    from .fallback import FallbackMailer


class Preparation:
    """Prepares the messages of one ``send_messages()`` call.

    ``wait_for_rate``: the calls wait for rate limits by themselves.
    """

    def __init__(
        self,
        backend: MigmaBackend,
        config: Config,
        resolve: Resolver,
        fallback: FallbackMailer | None,
        *,
        wait_for_rate: bool = False,
    ) -> None:
        self._backend = backend
        self._config = config
        self._resolve = resolve
        self._fallback = fallback
        self._wait_for_rate = wait_for_rate

    def prepare(self, message: EmailMessage, under_way: Iterable[OutgoingMessage] = ()) -> OutgoingMessage | None:
        """Return a message with the calls that it still needs; none if it is refused.

        None if a receiver of ``pre_send`` cancelled it, or if it has no recipients. ``under_way`` are the messages of
        this call that are not finished. Raises what a receiver of ``pre_send`` raises.
        """
        try:
            signals.pre_send.send(type(self._backend), message=message, alias=self._backend.alias)
        except signals.CancelSend:
            status_of(message)
            return None
        except BaseException as error:  # an interrupt says nothing about the message
            mark_not_attempted(message, error if isinstance(error, Exception) else None)
            raise
        outgoing = self._read_or_refuse(message, under_way)
        return outgoing if outgoing.status.recipients or outgoing.refusal else None

    def _read_or_refuse(self, message: EmailMessage, under_way: Iterable[OutgoingMessage]) -> OutgoingMessage:
        """An error concerns this message only, whether it is a refusal of ours or a fault in the site's template or
        message class. The others are sent, and the error is raised at the end.
        """
        try:
            return self._read(message, under_way)
        except Exception as error:  # noqa: BLE001
            status = mark_not_attempted(message, error)
            status.missing_variables = frozenset(error.names) if isinstance(error, MissingVariables) else frozenset()
            return OutgoingMessage(message=message, status=status, refusal=error)

    def _read(self, message: EmailMessage, under_way: Iterable[OutgoingMessage]) -> OutgoingMessage:
        try:
            payloads = build_payloads(message, self._config, self._resolve)
        except UnsupportedFeature:
            if self._fallback is None or fallback_obstacle(message):
                raise
            outgoing = _start_message(message, self._fallback.addresses(message), under_way)
            self._fallback.prepare(outgoing)
            return outgoing
        outgoing = _start_message(message, [payload.address for payload in payloads], under_way)
        status = outgoing.status
        for payload in payloads:
            status.missing_variables |= payload.missing_variables
            status.stored_email, status.dropped_features = payload.stored_email, payload.dropped_features
            if not status.recipients[payload.address].is_done:
                outgoing.calls.append(Call(outgoing, payload, wait_for_rate=self._wait_for_rate))
        outgoing.open = len(outgoing.calls)
        return outgoing


def _start_message(
    message: EmailMessage, addresses: list[str], under_way: Iterable[OutgoingMessage]
) -> OutgoingMessage:
    # The same object may stand twice in a list: that is two mails.
    is_under_way = any(other.status is status_of(message) for other in under_way)
    nonce = status_of(message).nonce
    status = start_status(message, addresses, is_new=is_under_way)
    earlier = status.recipients
    # In one assignment: half of it would forget who has been accepted.
    status.recipients = {
        address: earlier.get(address) or RecipientStatus(status="not_attempted") for address in addresses
    }
    settled = frozenset(address for address, old in earlier.items() if old.is_done)
    return OutgoingMessage(message=message, status=status, is_repeat=status.nonce == nonce, settled=settled)
