"""Errors as sentences for people who look at a page or a terminal: what happened, and what to do next.

The hints of some errors address code that sends mail: they say to send again with the same idempotency key, which
no page and no command can do.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .api.errors import Conflict, Forbidden, InvalidRequest, MigmaError, NoResponse, RateLimited, ServerError
from .api.responses import redact

_LATER = _("Try again later; if it lasts, see Migma's status page.")
_ADVICE: dict[type[MigmaError], Promise] = {
    InvalidRequest: _("Correct what Migma names, and try again."),
    Conflict: _LATER,
    ServerError: _LATER,
    NoResponse: _("Check API_URL, DNS, proxy and firewall, and try again."),
}
"""Where the error's own hint does not suit. `Forbidden` and `RateLimited` have values to fill in."""


def explain(error: BaseException, *, permission: str = "email:send") -> str:
    """Return what happened and what to do next, in the active language; API texts are shown without addresses.

    ``permission`` is the one that the API key needs for what was tried. Of an error that is neither Migma's nor
    written for people only the type is named, since its text may hold secrets.
    """
    if isinstance(error, MigmaError):
        return f"{_reason(error)}. {_advice(error, permission)}".rstrip()
    if isinstance(error, ImproperlyConfigured | ValueError | TypeError):
        return str(error)
    return gettext("The site's own code raised %(error)s, and nothing was sent.") % {"error": type(error).__name__}


def error_entry(error: BaseException, now: dt.datetime) -> dict[str, Any]:
    """Return an entry for a row's ``errors``: time (ISO 8601), HTTP status or 0, code and text, without addresses."""
    is_readable = isinstance(error, MigmaError | ImproperlyConfigured)  # the text of any other may hold anything
    text = getattr(error, "reason", "") or str(error) if is_readable else type(error).__name__
    status, code = getattr(error, "status_code", 0), getattr(error, "code", "")
    return {"time": now.isoformat(), "status": status, "code": redact(code), "text": text}


def _reason(error: MigmaError) -> str:
    if not isinstance(error, RateLimited) or error.attempts:
        return error.reason
    # No request was made. The error's own reason names settings that bound the wait, for code that sends mail.
    return gettext("Migma's rate limit is used up") if error.status_code else gettext("RATE_LIMIT is used up")


def _advice(error: MigmaError, permission: str) -> str:
    if isinstance(error, Forbidden):
        text = gettext("Give the API key the permission %(permission)s in Migma's dashboard.")
        return text % {"permission": permission}
    if isinstance(error, RateLimited):
        seconds = error.retry_after
        wait = gettext("%(seconds)d s") % {"seconds": max(1, round(seconds))} if seconds else gettext("a minute")
        return gettext("Wait %(wait)s, then try again.") % {"wait": wait}
    return str(next((_ADVICE[found] for found in type(error).__mro__ if found in _ADVICE), error.hint))
