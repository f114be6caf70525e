"""The page "Send a test": it asks for the kind, addresses and values, has them noted, and sends.

What a confirmation will do is noted in one transaction, as doubt. Then the calls are made, outside of any. Then what
became of each is written over the doubt. So a process that is killed leaves no gap.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_migma.conf import Config
from django_migma.mailers import Destination, current_destination, mailer
from django_migma.message import MigmaMessage
from django_migma.models import StoredEmail
from django_migma.testsends.limit import Allowance, allowance
from django_migma.testsends.outcomes import TestOutcome
from django_migma.testsends.rows import Confirmation
from django_migma.testsends.sending import MAX_TESTS, TestSend, live_email, send_live_tests, send_tests

from .preview import make_frame, make_preview
from .sample_values import without_sample
from .send_test_form import CUSTOMERS, TOO_MANY, SendTestForm
from .send_test_records import TestRecords, form_token
from .send_test_results import result_messages

if TYPE_CHECKING:
    from django.http import HttpRequest

MARK = "[Test] "  # before the subject of a test as customers get it
_ID = r"[0-9]{1,18}"
_NOT_NOTED = gettext_lazy(
    "Nothing was sent: the database refused to note the tests (%(error)s). Try again. If that does not help, run "
    "manage.py migrate."
)


class SendTestPage:
    """One request to the page, by GET (the emails are in ``ids``) or by POST (they are in ``tokens``).

    A token holds an email's ids at Migma and its number of tests at the time the page was made. The POST sends only
    if all tokens are still right, and changes them first: a form that is submitted twice sends once. ``destination``
    brings back where the page said that the tests would go.
    """

    def __init__(self, admin: Any, request: HttpRequest) -> None:
        self.admin, self.request = admin, request
        self.tokens = set(request.POST.getlist("token"))
        ids = [token.partition(":")[0] for token in self.tokens] or request.GET.get("ids", "").split(",")
        self.ids = sorted({int(found) for found in ids if re.fullmatch(_ID, found)})

    def response(self) -> HttpResponse:
        """Return the page, or a redirect with messages. Raises PermissionDenied."""
        list_url = self.admin.admin_url("changelist")
        if len(self.ids) > MAX_TESTS:
            return self._redirect(list_url, messages.ERROR, TOO_MANY % {"most": MAX_TESTS})
        emails = self._emails()
        if not all(self.admin.has_send_test_permission(self.request, email) for email in emails):
            raise PermissionDenied
        if not emails:
            return self._redirect(list_url, messages.ERROR, _("None of the chosen emails exists. Choose again."))
        target = current_destination()
        if self.request.method == "POST":
            return self._confirm(emails, target)
        return self._page(emails, self._form(emails, target), target)

    def _emails(self) -> list[StoredEmail]:
        return list(self.admin.get_queryset(self.request).filter(pk__in=self.ids))

    def _form(self, emails: list[StoredEmail], target: Destination) -> SendTestForm:
        user: Any = self.request.user
        return SendTestForm(
            self.request.POST if self.request.method == "POST" else None,
            initial={"addresses": getattr(user, user.get_email_field_name(), "")},
            emails=emails,
            allowance=self._allowance(target),
            why_not_live=why_not_live(self.admin, emails, target),
            may_remember=self.admin.has_change_permission(self.request, emails[0]),
        )

    def _allowance(self, target: Destination) -> Allowance:
        return allowance(str(self.request.user.pk), target.config.test_sends_per_hour if target.config else 0)

    def _confirm(self, emails: list[StoredEmail], target: Destination) -> HttpResponse:
        if {form_token(email) for email in emails} != self.tokens:
            return self._outdated()
        form = self._form(emails, target)
        if not form.is_valid() or target.config is None:
            return self._page(emails, form, target)
        if self.request.POST.get("destination") != target.fingerprint:
            text = _("Nothing was sent: the destination has changed since the page was opened. Check it again.")
            self._say(messages.WARNING, text)
            return self._page(emails, form, target)
        plan = Plan(form, emails, target.config)
        confirmation = Confirmation(
            person=str(self.request.user.pk),
            batch=uuid.uuid4().hex,
            alias=target.alias,
            redirect_to=target.redirect_to,
        )
        records = TestRecords(self.admin, self.request, confirmation)
        try:
            is_claimed = records.begin(plan.stored, form.cleaned_data["addresses"], plan.samples)
            # Counted after they are noted: of two confirmations at once, the one that counts last sees both.
            if is_claimed and (found := self._allowance(target)).used > found.limit:
                records.withdraw()
                self._say(messages.ERROR, found.refusal)
                return self._page(self._emails(), form, target)
        except DatabaseError as error:
            self._say(messages.ERROR, _NOT_NOTED % {"error": type(error).__name__})
            return self._page(emails, form, target)
        return self._send(plan, records, target) if is_claimed else self._outdated()

    def _send(self, plan: Plan, records: TestRecords, target: Destination) -> HttpResponse:
        batch = records.confirmation.batch
        results = zip(records.sends, plan.outcomes(records, target), strict=True)
        done: list[tuple[str, TestSend, TestOutcome]] = []
        for email, group in groupby(results, key=lambda result: records.emails[result[0].row]):
            found = []
            for send, outcome in group:
                records.finish(send, outcome)
                found.append((send, outcome))
            records.close(email, found)
            done += [(self.admin.display_title(email), send, outcome) for send, outcome in found]
        for message in result_messages(done, target, self.admin.admin_url("test_results", batch)):
            self._say(*message)
        is_single = len(self.ids) == 1
        url = self.admin.admin_url("change", self.ids[0]) if is_single else self.admin.admin_url("changelist")
        return HttpResponseRedirect(url)

    def _outdated(self) -> HttpResponse:
        text = _(
            "Nothing was sent: since the page was opened, a test of these emails was sent, or one of them was "
            "changed or deleted. Confirm here to send another test."
        )
        return self._redirect(self.admin.send_test_url(self.ids), messages.WARNING, text)

    def _redirect(self, url: str, level: int, text: str) -> HttpResponse:
        self._say(level, text)
        return HttpResponseRedirect(url)

    def _say(self, level: int, text: str) -> None:
        self.admin.message_user(self.request, text, level)

    def _page(self, emails: list[StoredEmail], form: SendTestForm, target: Destination) -> HttpResponse:
        context = {
            "media": self.admin.media + forms.Media(js=["django_migma/send_test.js"]),
            "errors": form.errors,
            "form": form,
            "emails": sorted((email_row(self.admin, email) for email in emails), key=lambda row: not row["gaps"]),
            "destination": target,
            "sender": sender(emails, target),
            "max_tests": MAX_TESTS,
            "max_addresses": MAX_TESTS // len(emails),
            "allowance": form.allowance,
            "page_url": self.admin.send_test_url(email.pk for email in emails),
            **(self._preview(form.email) if form.email else {}),
        }
        title, template = _("Send a test"), "storedemail/send_test.html"
        page: HttpResponse = self.admin.own_page(self.request, template, title, context)
        return page

    def _preview(self, email: StoredEmail) -> dict[str, Any]:
        url = self.admin.admin_url("preview", email.pk)
        return {"preview": make_preview(email), "frame": make_frame(self.request, email, url), "preview_url": url}


class Plan:
    """What a valid form asks for: the kind, the emails as they go out, and values for the variables.

    ``stored`` has the data of each email, ``samples`` what to remember of the one email, or None.
    """

    def __init__(self, form: SendTestForm, emails: list[StoredEmail], config: Config) -> None:
        self._form, self._live = form, {email.pk: live_email(email, config) for email in emails}
        self.is_live = form.cleaned_data["kind"] == CUSTOMERS
        self.stored = {email: self._live[email.pk].stored if self.is_live else email.as_stored() for email in emails}
        self.samples = form.new_samples if form.cleaned_data.get("remember") else None

    def outcomes(self, records: TestRecords, target: Destination) -> Iterator[TestOutcome]:
        """Send, and yield the outcome of each in order."""
        config: Any = target.config
        if not self.is_live:
            return send_tests(config, records.sends)
        chosen = mailer(target.alias or None)
        batch = records.confirmation.batch
        return send_live_tests(chosen, records.sends, partial(self._message, records), batch=batch)

    def _message(self, records: TestRecords, send: TestSend) -> MigmaMessage:
        live = self._live[records.emails[send.row].pk]
        mark = MARK if self._form.cleaned_data["mark"] else ""
        return MigmaMessage(
            f"{mark}{live.stored.subject}",
            to=[send.to],
            template_id=live.template_id,
            merge_global_data=self._form.values(records.emails[send.row]),
            idempotency_key=records.confirmation.key(records.sends.index(send)),
        )


def why_not_live(admin: Any, emails: list[StoredEmail], target: Destination) -> str:
    """Return why the site's mailer cannot send these, or an empty string."""
    if target.config is None:
        return target.problem
    for email in emails:
        if problem := live_email(email, target.config).problem:
            return f"{admin.display_title(email)}: {problem}"
    return ""


def sender(emails: list[StoredEmail], target: Destination) -> str:
    """The one sender of these emails; empty where they have several, or none that can be used."""
    found = {live_email(email, target.config).sender for email in emails} if target.config else set()
    return found.pop() if len(found) == 1 else ""


def email_row(admin: Any, email: StoredEmail) -> dict[str, Any]:
    """What the page shows of an email."""
    return {
        "email": email,
        "title": admin.display_title(email),
        "token": form_token(email),
        "gaps": without_sample(email),
        "url": admin.admin_url("change", email.pk),
    }
