"""Rows of test sends in the delivery log: written before the calls begin, and completed after.

A row that was begun says that the test is in doubt. So a process that is killed in between leaves a row for each test
that may have arrived, and never a gap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext

from django_migma.addresses import parse
from django_migma.api.errors import APIError, MigmaError
from django_migma.error_messages import error_entry
from django_migma.models import Delivery, StoredEmail
from django_migma.models.fields import storable
from django_migma.stored_emails import StoredEmailData

from .outcomes import Status, TestOutcome
from .sending import TestSend


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """One press of the button: who pressed it, its id, and where its tests go.

    ``person`` is the primary key of the user, ``batch`` the id in hex. ``alias`` is the mailer's, ``redirect_to`` the
    address that all mail goes to, if there is one.
    """

    person: str
    batch: str
    alias: str = ""
    redirect_to: str = ""

    def key(self, number: int) -> str:
        """The key of one test, so that a mail with it is sent once."""
        return f"{_beginning(self.person, self.batch)}{number}"

    def rows(self) -> QuerySet[Delivery]:
        """The rows of its tests, without the HTML of their stored emails."""
        rows = rows_of(self.person, self.batch).select_related("stored_email")
        return rows.defer("payload", "stored_email__html").order_by("pk")


def _beginning(person: str, batch: str = "") -> str:
    """How the keys of a person's tests begin, or of those of one confirmation."""
    return f"admin-test/{person}/{batch and f'{batch}/'}"


def rows_of(person: str, batch: str = "") -> QuerySet[Delivery]:
    """Return the rows of all tests that a person has confirmed, or of one confirmation; an index finds them."""
    rows = Delivery.objects.using(router.db_for_write(Delivery))
    return rows.filter(rows.beginning_with("caller_key", _beginning(person, batch)), is_test=True)


def begin(sends: Sequence[tuple[StoredEmail, StoredEmailData, str]], confirmation: Confirmation) -> list[TestSend]:
    """Write a row for each stored email and address, in doubt until `finish`; return what to send.

    Raises the errors of the database.
    """
    now = timezone.now()
    error = MigmaError(gettext("The test was begun, and the process ended before its outcome was known"))
    rows = [
        Delivery(
            **_about(stored, to, confirmation.redirect_to),
            alias=storable(confirmation.alias, 64),
            stored_email=email,
            email_id=stored.email_id or "",
            status=Status.UNKNOWN,
            in_doubt=True,
            errors=[error_entry(error, now)],
            created_at=now,
            batch=confirmation.batch,
            is_test=True,
            caller_key=confirmation.key(number),
        )
        for number, (email, stored, to) in enumerate(sends)
    ]
    database = router.db_for_write(Delivery)
    with transaction.atomic(using=database):
        for row in rows:  # one by one, since not every database returns the ids of many
            row.save(using=database, force_insert=True)
    return [TestSend(stored=stored, to=to, row=row.pk) for (_email, stored, to), row in zip(sends, rows, strict=True)]


def finish(send: TestSend, outcome: TestOutcome) -> None:
    """Complete the row of a test, unless the mailer has already. Raises the errors of the database."""
    rows = Delivery.objects.using(router.db_for_write(Delivery)).filter(pk=send.row, finished_at=None)
    rows.update(**_result(outcome, timezone.now()), email_id=outcome.email_id or send.stored.email_id or "")


def withdraw(sends: Sequence[TestSend]) -> None:
    """Delete the rows of tests that are not sent after all. Raises the errors of the database."""
    Delivery.objects.using(router.db_for_write(Delivery)).filter(pk__in=[send.row for send in sends]).delete()


def log_test(stored: StoredEmailData, outcome: TestOutcome, *, alias: str, redirect_to: str, batch: str) -> None:
    """Write the row of a test by `send_tests` that had none beforehand. Raises the errors of the database."""
    now = timezone.now()
    with transaction.atomic(using=router.db_for_write(Delivery)):
        Delivery.objects.create(
            **_about(stored, outcome.to, redirect_to),
            **_result(outcome, now),
            alias=storable(alias, 64),
            stored_email_id=_emails_of(stored, outcome).values_list("pk", flat=True).first(),
            email_id=outcome.email_id or stored.email_id or "",
            created_at=now,
            batch=batch,
            is_test=True,
        )


def recipient_of(to: str, redirect_to: str) -> str:
    """Return the address that gets a test to this one."""
    return parse(redirect_to, "REDIRECT_TO").addr_spec if redirect_to else to


def _about(stored: StoredEmailData, to: str, redirect_to: str) -> dict[str, Any]:
    return {
        "recipient": storable(recipient_of(to, redirect_to).lower(), 320),
        "subject": storable(stored.subject, 255),
        "from_email": stored.from_email,
    }


def _result(outcome: TestOutcome, now: dt.datetime) -> dict[str, Any]:
    is_untried = outcome.status == Status.NOT_ATTEMPTED  # its error is that of an earlier test, or made no call
    error = None if is_untried else outcome.error
    is_accepted = outcome.status == Status.ACCEPTED
    return {
        "status": outcome.status,
        "in_doubt": outcome.status == Status.UNKNOWN,
        "attempts": error.attempts if isinstance(error, MigmaError) else int(is_accepted),
        "message_id": storable(outcome.message_id, 64),
        "errors": [] if is_accepted else [error_entry(error or MigmaError(outcome.text), now)],
        "finished_at": now,
    }


def record_test(stored: StoredEmailData, outcome: TestOutcome) -> int:
    """Set ``last_tested_at`` of the stored email if the test reached Migma or may have; return the number of rows.

    A refusal by Migma counts as a test. What was not sent, or failed before a connection, does not.
    """
    error = outcome.error
    is_refused = outcome.status == Status.FAILED and isinstance(error, APIError) and error.attempts > 0
    if not is_refused and outcome.status not in {Status.ACCEPTED, Status.UNKNOWN}:
        return 0
    return _emails_of(stored, outcome).update(last_tested_at=timezone.now())


def _emails_of(stored: StoredEmailData, outcome: TestOutcome) -> QuerySet[StoredEmail]:
    by_email = Q(email_id__in=[stored.email_id or outcome.email_id])  # an empty id is none to the database
    by_conversation = Q(email_id=None, conversation_id=stored.conversation_id)  # no row lacks both
    return StoredEmail.objects.filter(by_email | by_conversation)
