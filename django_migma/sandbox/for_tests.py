"""What tests use of a sandbox: the mails that have come, and what befalls the next ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_migma.sandbox.exchanges import Mail
    from django_migma.sandbox.faults import FaultPlan
    from django_migma.sandbox.store import Store

_NOTHING_CAME = (
    "No request has come. Mail that is sent on commit needs captureOnCommitCallbacks(execute=True) in a TestCase, "
    "and mail of the queue needs a worker."
)


class ForTests:
    """The part of a `Sandbox` that is there for the tests of a site."""

    store: Store
    faults: FaultPlan

    @property
    def mails(self) -> list[Mail]:
        """What readers have got, oldest first. All requests under one idempotency key are one mail."""
        mails = reversed(self.store.inbox.mails())
        return [part for mail in mails if mail.is_accepted for part in _by_message(mail)]

    @property
    def not_accepted(self) -> list[Mail]:
        """What they have not, oldest first: refused, over the rate limit, or met by nothing but faults."""
        return [mail for mail in reversed(self.store.inbox.mails()) if not mail.is_accepted]

    def wait_for(self, number: int, timeout: float = 5.0) -> list[Mail]:
        """Wait until there are this many ``mails``, and return them: for code that sends in a thread or a worker.

        ``timeout`` is in seconds. Raises AssertionError, which says what has come instead.
        """
        self.store.inbox.wait_until(lambda: len(self.mails) >= number, timeout)
        mails = self.mails
        if len(mails) < number:
            came = "\n".join(map(repr, mails + self.not_accepted)) or _NOTHING_CAME
            raise AssertionError(f"After {timeout:g} s, {len(mails)} of {number} mails are accepted.\n{came}")
        return mails

    def fail_next(self, *words: str) -> None:
        """Strike the next sends, one fault each, such as "lost". Raises ValueError for an unknown one."""
        self.faults.script(*words)

    def rate_limit(self, rate: str | None) -> None:
        """Limit the requests of each API key, such as "5/s", from now on. None takes the limit away.

        Raises ValueError, and changes nothing, for a rate that is not understood.
        """
        self.store.limit_rate(rate or "")


def _by_message(mail: Mail) -> list[Mail]:
    """One mail for each message: usually the mail itself, but several where the sandbox ignores keys."""
    if len(mail.messages) < 2:
        return [mail]
    return [
        replace(mail, exchanges=tuple(each for each in mail.exchanges if each.message_id == message.id), dropped=0)
        for message in mail.messages
    ]
