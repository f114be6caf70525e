"""One mail through a mailer as the site itself would send it, and what became of each recipient."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core import mail
from django.core.exceptions import ImproperlyConfigured

from .api.errors import APIError, InvalidRequest, InvalidResponse, MigmaError, NoResponse
from .explanations import explained, is_fatal
from .mailers import Mailer
from .message import RecipientStatus, status_of

if TYPE_CHECKING:
    from django.core.mail import EmailMessage


@dataclass(frozen=True, kw_only=True)
class LiveOutcome:
    """What became of one recipient: ``status`` is one of the words of `testsends.Outcome`, ``text`` is for people.

    ``missing_variables`` are those of the message: names that its stored email uses and that somebody did not get.
    ``error`` is what came up, here or, where it was not tried, with an earlier message.
    """

    to: str
    status: str
    text: str
    message_id: str = ""
    missing_variables: tuple[str, ...] = ()
    error: BaseException | None = None


def send_live(mailer: Mailer, message: EmailMessage) -> list[LiveOutcome]:
    """Send a message through a mailer, in its way, and return an outcome for each recipient, at least one.

    Raises nothing: what a faulty message, setting or receiver of the site leads to is an outcome, too.
    """
    refusal: Exception | None = None
    try:
        connection(mailer).send_messages([message])
    except Exception as error:  # noqa: BLE001 - receivers and templates of the site may fail in any way
        refusal = error
    status = status_of(message)
    missing = tuple(sorted(status.missing_variables))
    found = status.recipients or {"": RecipientStatus(status="not_attempted")}
    return [_outcome(to, recipient, refusal, missing) for to, recipient in found.items()]


def send_all_live(mailer: Mailer, messages: Iterable[EmailMessage]) -> Iterator[list[LiveOutcome]]:
    """Send messages, one after the other, and yield for each what `send_live` returns.

    When the key is refused or Migma cannot be reached, the rest is not tried.
    """
    fatal: BaseException | None = None
    for message in messages:
        if fatal:
            text = _told(fatal, "not_sent")
            yield [LiveOutcome(to=to, status="not_sent", text=text, error=fatal) for to in message.recipients()]
            continue
        outcomes = send_live(mailer, message)
        yield outcomes
        fatal = next((outcome.error for outcome in outcomes if is_fatal(outcome.error)), None)


def connection(mailer: Mailer) -> Any:
    """The email backend of a mailer: by its alias, or by ``EMAIL_BACKEND`` where there are no aliases."""
    if mailer.alias is not None:
        return mail.mailers[mailer.alias]
    with warnings.catch_warnings():  # Django 6.1 deprecates the function; the site's own use of the setting warns
        warnings.simplefilter("ignore")
        return mail.get_connection()


def _outcome(to: str, recipient: RecipientStatus, refusal: Exception | None, missing: tuple[str, ...]) -> LiveOutcome:
    id_, error = recipient.message_id, recipient.error or refusal
    if recipient.accepted:
        text = f"Migma has taken it ({recipient.status})."
        return LiveOutcome(to=to, status="sent", text=text, message_id=id_, missing_variables=missing)
    if error is None:
        return LiveOutcome(to=to, status="not_sent", text="A receiver of pre_send cancelled it.")
    word = "unknown" if recipient.in_doubt else "failed"
    return LiveOutcome(
        to=to, status=word, text=_told(error, word), message_id=id_, missing_variables=missing, error=error
    )


def _told(error: BaseException, status: str) -> str:
    """What the API's errors mean to a person; the text of others that were written for people; else the name."""
    if isinstance(error, InvalidRequest):
        return explained(error, status, advice="Correct what Migma names, and try again.")
    if isinstance(error, APIError | NoResponse | InvalidResponse):
        return explained(error, status)
    written = isinstance(error, MigmaError | ImproperlyConfigured | ValueError | TypeError)
    return str(error) if written else f"{type(error).__name__} came up in the site's own code, before it was sent."
