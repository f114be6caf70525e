"""What is written down of a confirmed test: the claim, the rows, the history and the samples.

All of it is written in one transaction before the first call, and says then that the outcome is not known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib.admin.models import LogEntry
from django.db import Error as DatabaseError
from django.db import router, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_migma.models import StoredEmail
from django_migma.stored_emails import StoredEmailData
from django_migma.testsends import rows
from django_migma.testsends.outcomes import TestOutcome, count_outcomes
from django_migma.testsends.sending import TestSend

if TYPE_CHECKING:
    from django.http import HttpRequest

logger = logging.getLogger("django_migma")


class TestRecords:
    """The records of one confirmation. ``sends`` is what to send, in the order of the emails."""

    __test__ = False  # keeps pytest from collecting it

    def __init__(self, admin: Any, request: HttpRequest, confirmation: rows.Confirmation) -> None:
        self.confirmation = confirmation
        self.sends: list[TestSend] = []
        self.emails: dict[int, StoredEmail] = {}  # by the row of each send
        self._admin, self._request = admin, request
        self._entries: dict[int, Any] = {}  # entries of the history by email

    def begin(
        self,
        stored: Mapping[StoredEmail, StoredEmailData],
        addresses: Sequence[str],
        samples: Mapping[str, Any] | None = None,
    ) -> bool:
        """Claim the emails and note the tests; False, and nothing is noted, if another test has begun meanwhile.

        ``samples`` are remembered for the one email, if given. Raises the errors of the database.
        """
        with transaction.atomic(using=router.db_for_write(StoredEmail)):
            if not claim_tests(stored):
                return False
            tests = [(email, data, to) for email, data in stored.items() for to in addresses]
            self.sends = rows.begin(tests, self.confirmation)
            self.emails = {send.row: email for send, (email, _data, _to) in zip(self.sends, tests, strict=True)}
            text = _("Test to %(whom)s: begun, and what became of it was not noted. It may have arrived.")
            for email in stored:
                entry = self._admin.log_change(self._request, email, text % {"whom": whom(addresses)})
                self._entries[email.pk] = getattr(entry, "pk", None)  # an admin class of the site may log elsewhere
                if samples is not None:
                    remember(email, samples)
        return True

    def withdraw(self) -> None:
        """Take back the rows and the history: nothing was sent. Raises the errors of the database."""
        rows.withdraw(self.sends)
        LogEntry.objects.filter(pk__in=self._entries.values()).delete()

    def finish(self, send: TestSend, outcome: TestOutcome) -> None:
        """Complete the row of a test.

        A database error is logged and not raised: the test was sent, its message says so, and others follow.
        """
        email = self.emails[send.row]
        try:
            rows.record_test(send.stored, outcome)
            rows.finish(send, outcome)
        except DatabaseError as error:
            self._warn("The row of a test of the stored email %s stays in doubt: %s.", email, error)

    def close(self, email: StoredEmail, done: Sequence[tuple[TestSend, TestOutcome]]) -> None:
        """Complete the history of one email. As above."""
        _send, first = done[0]
        counted = first.text if len(done) == 1 else count_outcomes(outcome.status for _send, outcome in done)
        text = _("Test to %(whom)s: %(outcome)s") % {
            "whom": whom([send.to for send, _found in done]),
            "outcome": counted,
        }
        try:
            LogEntry.objects.filter(pk=self._entries[email.pk]).update(change_message=text)
        except DatabaseError as error:
            self._warn("The outcome of a test of the stored email %s is not in its history: %s.", email, error)

    def _warn(self, text: str, email: StoredEmail, error: Exception) -> None:
        logger.warning(text, email.pk, type(error).__name__)


def whom(addresses: Sequence[str]) -> str:
    """The one address, or how many there are: the rows have all of them."""
    if len(addresses) == 1:
        return addresses[0]
    count = len(addresses)
    return ngettext("%(count)d address", "%(count)d addresses", count) % {"count": count}


def form_token(email: StoredEmail) -> str:
    """Return a text that changes when a test of the email begins, or when its ids change."""
    return f"{email.pk}:{email.test_claim}:{email.email_id or ''}:{email.conversation_id or ''}"


def claim_tests(emails: Iterable[StoredEmail]) -> bool:
    """Count up each ``test_claim``, or none if one has changed. Raises OperationalError if the database is busy."""
    database = router.db_for_write(StoredEmail)
    claims = [Q(pk=email.pk, test_claim=email.test_claim) for email in emails]
    rows = StoredEmail.objects.using(database).filter(Q(*claims, _connector=Q.OR))
    with transaction.atomic(using=database):
        is_claimed = rows.update(test_claim=F("test_claim") + 1) == len(claims)
        transaction.set_rollback(not is_claimed, using=database)
    return is_claimed


def remember(email: StoredEmail, samples: Mapping[str, Any]) -> None:
    """Save values as the samples of an email, where they differ from its own: None takes one away.

    The row is read anew: the claim has locked it, so that no other edit is lost.
    """
    rows = StoredEmail.objects.using(router.db_for_write(StoredEmail)).filter(pk=email.pk)
    before = rows.values_list("sample_variables", flat=True).get()
    after = {name: value for name, value in {**before, **samples}.items() if value is not None}
    if after != before:
        rows.update(sample_variables=after, updated_at=timezone.now())
