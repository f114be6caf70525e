"""Errors of the API for somebody who waits in front of them: what happened, and what to do.

The texts of the errors themselves are for code that sends mail. They advise to send again with the same idempotency
key, which nobody can do from a page or a command.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from .api.errors import (
    APIError,
    AuthenticationError,
    Forbidden,
    InvalidAddress,
    InvalidRequest,
    MigmaError,
    NoResponse,
    NotFound,
    RateLimited,
)
from .api.texts import shown

_REASONS: dict[type[MigmaError], Promise] = {
    InvalidRequest: _("Migma found a fault in it"),
    AuthenticationError: _("Migma does not accept the API key"),
    Forbidden: _("The API key may not send"),
    NotFound: _("Migma does not know this email"),
    RateLimited: _("Migma takes no more calls with this API key for now"),
}
_ADVICE: dict[type[MigmaError], Promise] = {
    InvalidRequest: _("Check the address and the id, and try again."),
    AuthenticationError: _("Check MIGMA['API_KEY']: mistyped, revoked, or of another environment."),
    Forbidden: _("Give the key the permission email:send in Migma's dashboard."),
    NotFound: _("Check the id, and that it belongs to the workspace of the API key; a sync finds new ids."),
    InvalidAddress: _("Write one address, such as bob@example.com."),
}


def is_fatal(error: BaseException | None) -> bool:
    """Whether it would hit every further call alike: the key is refused, or Migma cannot be reached."""
    unreached = isinstance(error, NoResponse) and not error.may_have_been_accepted
    return unreached or isinstance(error, AuthenticationError | Forbidden)


def explained(error: MigmaError, status: str, *, advice: str = "") -> str:
    """What happened to one send and what to do next, in the active language; Migma's own words without addresses.

    ``status`` is one of `testsends.Outcome`. ``advice`` takes the place of the usual one.
    """
    if status == "unknown":
        doubt = gettext("It may have arrived: look into the inbox before you send it again.")
        return f"{doubt} {_reason(error)}"
    told = f"{_reason(error)} {advice or _advice(error)}".rstrip()
    return gettext("Not sent: %(reason)s") % {"reason": told} if status == "not_sent" else told


def _reason(error: MigmaError) -> str:
    """What happened, with Migma's text where it gave one."""
    if isinstance(error, InvalidAddress):
        return gettext("The address is not one that mail can be sent to.")
    if not isinstance(error, APIError):
        return f"{error.reason}."
    if isinstance(error, RateLimited) and not error.status_code:
        return gettext("RATE_LIMIT leaves no call free for now.")
    known = _REASONS.get(type(error))
    text = str(known) if known else gettext("Migma answered %(status)d") % {"status": error.status_code}
    detail = shown(error.detail).rstrip(".")
    return f"{text}: {detail}." if detail else f"{text}."


def _advice(error: MigmaError) -> str:
    """What to do next; empty where the reason says it."""
    if isinstance(error, RateLimited):
        return _wait(error.retry_after)
    if isinstance(error, NoResponse):
        return gettext("Check API_URL, DNS, proxy and firewall, and try again.")
    usual = gettext("Try again later.") if isinstance(error, APIError) else ""
    return str(_ADVICE.get(type(error), usual))


def _wait(seconds: float | None) -> str:
    if not seconds:
        return gettext("Wait a minute, then try again.")
    whole = max(1, round(seconds))
    wait = ngettext("Wait %(seconds)d second, then try again.", "Wait %(seconds)d seconds, then try again.", whole)
    return wait % {"seconds": whole}
