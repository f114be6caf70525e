"""From the network's errors to failures, and from the last failure to the error that is raised."""

from __future__ import annotations

from http.client import HTTPException

import requests
import urllib3

from .errors import Conflict, MigmaError, NoResponse, Timeout
from .outcomes import Failure

NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError)
"""What sending and reading may raise. Errors while reading are urllib3's, not those of requests."""
_NEVER_CONNECTED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.LocationParseError,
)
_BEFORE_CONNECTING = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "TLS CA certificate bundle")


def of_network(error: Exception) -> Failure:
    """The failure that a network error means. Nothing of the error is kept but its kind: it holds the request."""
    cause = _cause(error)
    why = _told_apart(cause)
    connected = not why and not isinstance(cause, _NEVER_CONNECTED)
    late = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
    what = "Migma did not answer in time" if late else "The connection to Migma failed"
    return Failure(
        error=Timeout if late else NoResponse,
        what=f"{what} ({'' if connected else 'no connection was made, '}{why or type(cause).__name__})",
        retried=not why,  # no wait mends them
        accepted=True if connected else None,
    )


def _cause(error: BaseException) -> BaseException:
    """The network's own error inside the wrappers of requests and urllib3."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    if isinstance(error, requests.RequestException) and error.args and isinstance(error.args[0], BaseException):
        return _cause(error.args[0])
    return error


def _told_apart(cause: BaseException) -> str:
    """The text of the faults in TLS set-up that a person has to mend; they come before any byte is sent."""
    text = str(cause)
    return text if any(mark in text for mark in _BEFORE_CONNECTING) else ""


def raised(failure: Failure, attempts: int, idempotency_key: str, *, doubtful: bool) -> MigmaError:
    """The error to raise for the last failure, with what to do next."""
    tries = f" (after {attempts} attempts)" if attempts > 1 else ""
    sentences = [f"{failure.what}{tries}.", failure.error.hint]
    if idempotency_key and (doubtful or failure.error is Conflict):
        sentences.append(f"Idempotency key: {idempotency_key}")
    return failure.error(
        " ".join(sentences),
        attempts=attempts,
        idempotency_key=idempotency_key,
        may_have_been_accepted=doubtful,
        **failure.attributes,
    )
