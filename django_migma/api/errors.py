"""The errors of the API client and the backends.

    MigmaError
      APIError                 Migma answered and refused
        InvalidRequest         400, 422
        AuthenticationError    401
        Forbidden              403
        NotFound               404
        Conflict               409
        RateLimited            429
        ServerError            5xx
      NoResponse               no answer (also ConnectionError)
        Timeout                no answer in time (also TimeoutError)
      InvalidResponse          a response that is not Migma's
      SendFailed               several failures in one call
        TemporarySendFailed    all of them temporary
      UnsupportedFeature       Migma's API has no field for it (also ValueError)
      InvalidAddress           not one usable address (also ValueError)
      SerializationError       not expressible in JSON (also TypeError)
      StoredEmailNotFound      no stored email of this key (also LookupError)
      UnusableAudience         no segment or tag that could get a batch (also ValueError)
      MissingVariables         a message lacks variables of its stored email or its own text (also ValueError)
      TemporaryError           the same request may succeed later: also a base of RateLimited, ServerError,
                               NoResponse, Timeout, InvalidResponse and TemporarySendFailed

Attributes have defaults and the reason is the only positional argument, so that errors can be pickled and copied. No
error keeps a request, a response or a header, since those hold the API key.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "APIError",
    "AuthenticationError",
    "Conflict",
    "Forbidden",
    "InvalidAddress",
    "InvalidRequest",
    "InvalidResponse",
    "MigmaError",
    "MissingVariables",
    "NoResponse",
    "NotFound",
    "RateLimited",
    "SendFailed",
    "SerializationError",
    "ServerError",
    "StoredEmailNotFound",
    "TemporaryError",
    "TemporarySendFailed",
    "Timeout",
    "UnsupportedFeature",
    "UnusableAudience",
]


class MigmaError(Exception):
    """Base of all errors but `ConfigurationError`. ``fail_silently`` swallows these, and only these.

    ``reason`` says what happened, in one sentence without a full stop. ``hint`` says what to do about it, in whole
    sentences, or is empty. ``str()`` joins them. ``may_have_been_accepted``: Migma may have accepted the mail, so
    that sending it again is only safe with the same ``idempotency_key``, the one that the request carried.
    ``attempts``: how many requests were made.
    """

    hint = ""

    def __init__(
        self,
        reason: str = "",
        *,
        hint: str = "",
        may_have_been_accepted: bool = False,
        idempotency_key: str = "",
        attempts: int = 0,
    ) -> None:
        super().__init__(reason)
        self.reason = reason.removesuffix(".")
        if hint:
            self.hint = hint
        self.may_have_been_accepted = may_have_been_accepted
        self.idempotency_key = idempotency_key
        self.attempts = attempts

    def __str__(self) -> str:
        tries = f" (after {self.attempts} attempts)" if self.attempts > 1 else ""
        sentences = [f"{self.reason}{tries}." if self.reason else "", self.hint]
        if self.idempotency_key and self._shows_key():
            sentences.append(f"Idempotency key: {self.idempotency_key}")
        return " ".join(filter(None, sentences))

    def _shows_key(self) -> bool:
        return self.may_have_been_accepted


class TemporaryError(MigmaError):
    """The same mail may be accepted later: what a task should try again, as in ``autoretry_for=(TemporaryError,)``.

    Never raised itself. A task that runs again builds its message anew, and that is a new mail to Migma unless the
    message has an ``idempotency_key`` or a ``Message-ID`` header that is the same each time.
    """

    hint = "Send again later, with the same idempotency_key or Message-ID header where the message is built anew."


class APIError(MigmaError):
    """Migma answered and refused: an HTTP status of 400 or more, or ``success: false`` under any status.

    ``status_code`` is the HTTP status. ``code`` is Migma's error code (``IDEMPOTENCY_CONFLICT``) or empty,
    ``detail`` Migma's own text (it may name a recipient, so ``str()`` masks addresses in it), ``data`` the structured
    context that Migma sent along.
    """

    hint = "Correct what Migma names; the account's settings are in its dashboard."

    def __init__(
        self,
        reason: str = "",
        *,
        status_code: int = 0,
        code: str = "",
        detail: str = "",
        data: dict[str, Any] | None = None,
        **about: Any,
    ) -> None:
        super().__init__(reason, **about)
        self.status_code = status_code
        self.code = code
        self.detail = detail
        self.data = data or {}


class InvalidRequest(APIError):
    """400 or 422: Migma found a rule broken. Sending the same again will fail the same way."""

    hint = "Correct what Migma names and send again; a repeat without a change fails the same way."


class AuthenticationError(APIError):
    """401: the API key is missing, wrong or revoked."""

    hint = "Check the API key (MIGMA['API_KEY']): it is mistyped, revoked, or belongs to another environment."


class Forbidden(APIError):
    """403: the key is valid but may not do this. Sending needs the permission ``email:send``."""

    hint = "Give the API key the permission in Migma's dashboard; sending needs email:send."


class NotFound(APIError):
    """404: an id in the request is unknown to Migma, or belongs to another workspace than the key."""

    hint = "Check the id, and that it belongs to the workspace of this API key."


class Conflict(APIError):
    """409: with ``IDEMPOTENCY_CONFLICT``, this idempotency key was used for another body within 24 hours.

    Without a code, another request with this key may still be running. The text shows the key.
    """

    hint = (
        "The first request with this idempotency key had another body: use a new key for a changed message, or send "
        "the message unchanged. An explicit Message-ID header is such a key."
    )

    def __init__(self, reason: str = "", *, hint: str = "", code: str = "", **about: Any) -> None:
        # What Migma answers while the first request with a key is still running is not documented.
        running = "Another request with this key may still be running: send again later with the same key."
        super().__init__(reason, hint=hint or (type(self).hint if code else running), code=code, **about)

    def _shows_key(self) -> bool:
        return True


class RateLimited(APIError, TemporaryError):
    """429, or ``RATE_LIMIT`` leaves no time (``status_code`` 0, no request was made).

    ``retry_after``: seconds to wait, or None if Migma did not say.
    """

    hint = "Wait, then send again: the limited requests have sent nothing."

    def __init__(self, reason: str = "", *, retry_after: float | None = None, **about: Any) -> None:
        super().__init__(reason, **about)
        self.retry_after = retry_after


class ServerError(APIError, TemporaryError):
    """5xx: Migma failed. All but 503 leave open whether the mail was accepted.

    ``retry_after``: seconds to wait, or None if Migma did not say.
    """

    hint = "Send again later with the same idempotency key; if it persists, see Migma's status page."

    def __init__(self, reason: str = "", *, retry_after: float | None = None, **about: Any) -> None:
        super().__init__(reason, **about)
        self.retry_after = retry_after


class NoResponse(TemporaryError, ConnectionError):
    """No response: no connection, or one that ended before the response was complete.

    ``may_have_been_accepted`` is False if no attempt made a connection, ``was_sent`` if the last one made none.
    """

    was_sent = True
    hint = "Check API_URL, DNS, proxy and firewall, then send again with the same idempotency key."


class Timeout(NoResponse, TimeoutError):
    """No response in time: connecting or reading took longer than ``TIMEOUT``, or ``RETRY_DEADLINE`` ran out."""

    hint = "Send again with the same idempotency key; raise TIMEOUT or RETRY_DEADLINE if this happens often."


class InvalidResponse(TemporaryError):
    """A response that cannot be Migma's: unreadable, a redirect, or over 10 MiB. The mail may have been accepted.

    ``status_code`` is the HTTP status, or 0 for a success in a form that is not known.
    """

    hint = "Check that API_URL is Migma's API and that no proxy answers in its place."

    def __init__(self, reason: str = "", *, status_code: int = 0, **about: Any) -> None:
        super().__init__(reason, **about)
        self.status_code = status_code


class SendFailed(MigmaError):
    """More than one failure in one ``send_messages()`` call. ``__cause__`` is the first.

    ``sent_count``: messages with at least one accepted recipient. ``failed_count``: failures. ``failures``: the first
    1,000 of them as pairs of message and error. ``may_have_been_accepted`` is True if it is for any failure.
    """

    def __init__(
        self,
        reason: str = "",
        *,
        sent_count: int = 0,
        failed_count: int = 0,
        failures: list[tuple[Any, BaseException]] | None = None,
        **about: Any,
    ) -> None:
        super().__init__(reason, **about)
        self.sent_count = sent_count
        self.failed_count = failed_count
        self.failures = failures or []


class TemporarySendFailed(SendFailed, TemporaryError):
    """A `SendFailed` all of whose failures are temporary, so that trying again makes sense for each of them."""


class UnsupportedFeature(MigmaError, ValueError):
    """The message uses something that Migma's API has no field for. Nothing of it was sent.

    ``features``: the names of all such features, as ``IGNORE_UNSUPPORTED_FEATURES`` takes them. ``feature``: the
    first of them.
    """

    def __init__(self, reason: str = "", *, feature: str = "", features: tuple[str, ...] = (), **about: Any) -> None:
        super().__init__(reason, **about)
        self.features = features or tuple(filter(None, [feature]))
        self.feature = feature or next(iter(features), "")


class InvalidAddress(MigmaError, ValueError):
    """An address that is malformed, or several in one string. The text names its place, not the address."""


class SerializationError(MigmaError, TypeError):
    """A value that JSON cannot express. The text names its path, such as ``merge_global_data['total']``."""


class StoredEmailNotFound(MigmaError, LookupError):
    """``template_id`` is neither an id of 24 hex digits nor the key of a stored email of this site.

    Also raised where the stored email has no id of Migma's.
    """


class UnusableAudience(MigmaError, ValueError):
    """A segment or tag that cannot get a batch: unknown, not the only one of its name, or empty. Nothing was sent."""


class MissingVariables(MigmaError, ValueError):
    """A message lacks variables that its stored email or its own text uses. ``names``: the missing ones.

    Raised only where ``MISSING_VARIABLES`` is ``"raise"``.
    """

    def __init__(self, reason: str = "", *, names: tuple[str, ...] = (), **about: Any) -> None:
        super().__init__(reason, **about)
        self.names = names
