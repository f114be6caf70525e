"""From the network's errors to failures, and from the last failure to the error that is raised."""

from __future__ import annotations

import ssl
from http.client import HTTPException

import requests
import urllib3

from .effort import Effort
from .errors import MigmaError, NoResponse, RateLimited, Timeout
from .outcomes import Failure

NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError)
"""What sending and reading may raise. Errors while reading are urllib3's, not those of requests."""
_NEVER_CONNECTED = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.LocationParseError,
)
_WRAPPERS = (requests.RequestException, urllib3.exceptions.HTTPError)
_CONNECTION_ENDED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
_MISCONFIGURED = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.ProxySchemeUnknown,
)
_BEFORE_CONNECTING = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "TLS CA certificate bundle")


def of_network(error: Exception, *, answered: bool) -> Failure:
    """The failure that a network error means. Nothing of the error is kept but its kind: it holds the request.

    ``answered`` says that the headers of an answer were here.
    """
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
        unanswered=connected and not answered and isinstance(cause, _CONNECTION_ENDED),
    )


def is_unreached(failure: Failure) -> bool:
    """Whether no connection could be made."""
    return issubclass(failure.error, NoResponse) and failure.accepted is None


def not_waited(what: str, seconds: float, *, ended: bool, status_code: int = 0) -> Failure:
    """The failure of a request that was not made, since a rate limit asks for a longer wait than there is time.

    ``status_code`` is what Migma has answered to an earlier request, if it is Migma's limit.
    """
    why = "beyond RETRY_DEADLINE and, in a call with several messages, RATE_LIMIT_WAIT"
    attributes = {"status_code": status_code, "retry_after": seconds}
    text = f"{what}; the call was interrupted" if ended else f"{what}: {why}"
    return Failure(error=RateLimited, what=text, attributes=attributes, made=0)


def _cause(error: BaseException) -> BaseException:
    """The network's own error inside the wrappers of requests and urllib3."""
    inner = getattr(error, "reason", None) or next(reversed(error.args), None)
    wrapper = isinstance(error, _WRAPPERS) and not isinstance(error, _NEVER_CONNECTED)
    return _cause(inner) if wrapper and isinstance(inner, BaseException) else error


def _told_apart(cause: BaseException) -> str:
    """The text of the faults in set-up that a person has to mend; they come before any byte is sent."""
    if isinstance(cause, _MISCONFIGURED):
        return f"{type(cause).__name__}: see the proxies of the environment"
    if not isinstance(cause, ssl.SSLError) and type(cause) is not OSError:
        return ""  # what a server wrote can stand in the text of other errors
    text = str(cause)
    return text if any(mark in text for mark in _BEFORE_CONNECTING) else ""


def raised(failure: Failure, effort: Effort, idempotency_key: str, *, unreached_since: float) -> MigmaError:
    """The error to raise when the last attempt has failed, with what to do next."""
    error = failure.error(
        failure.what,
        attempts=effort.attempts,
        idempotency_key=idempotency_key,
        may_have_been_accepted=effort.doubtful,
        **failure.attributes,
    )
    error.unreached_since = unreached_since
    return error
