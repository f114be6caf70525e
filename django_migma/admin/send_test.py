"""The page "Send a test": it asks for addresses, claims the emails, and sends outside of any transaction."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import Error as DatabaseError
from django.db import OperationalError, router, transaction
from django.db.models import F, Q
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_migma.api.errors import InvalidAddress
from django_migma.mailers import Destination, current_destination
from django_migma.models import StoredEmail
from django_migma.testsends import (
    MAX_TESTS,
    TestOutcome,
    TestSend,
    count_outcomes,
    log_test,
    parse_addresses,
    record_test,
    send_tests,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

    Message = tuple[int, str]
    Sends = list[tuple[StoredEmail, TestSend]]

logger = logging.getLogger("django_migma")
_LEVELS = {"sent": messages.SUCCESS, "failed": messages.ERROR}
_ID = r"[0-9]{1,18}"
_TOO_MANY = gettext_lazy("At most %(most)d tests may be sent at a time. Choose fewer emails or fewer addresses.")


class SendTestForm(forms.Form):
    """Recipients of tests of ``emails`` stored emails. ``cleaned_data["addresses"]`` is a list."""

    addresses = forms.CharField(
        label=gettext_lazy("To"),
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60, "autocomplete": "email", "spellcheck": "false"}),
        help_text=gettext_lazy("One address or several, on lines of their own or separated by commas."),
    )

    def __init__(self, *args: Any, emails: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.emails = emails

    def clean_addresses(self) -> list[str]:
        try:
            addresses = parse_addresses(self.cleaned_data["addresses"], quote=True)
        except InvalidAddress as error:
            raise ValidationError(str(error), code="address") from error
        if not addresses:
            raise ValidationError(_("Give at least one address."), code="required")
        if len(addresses) * self.emails > MAX_TESTS:
            raise ValidationError(_TOO_MANY, code="too_many", params={"most": MAX_TESTS})
        return addresses


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
            return self._redirect(list_url, messages.ERROR, _TOO_MANY % {"most": MAX_TESTS})
        emails = list(self.admin.get_queryset(self.request).filter(pk__in=self.ids))
        if not all(self.admin.has_send_test_permission(self.request, email) for email in emails):
            raise PermissionDenied
        if not emails:
            return self._redirect(list_url, messages.ERROR, _("None of the chosen emails exists. Choose again."))
        if self.request.method == "POST":
            return self._confirm(emails)
        user: Any = self.request.user
        own_address = getattr(user, user.get_email_field_name(), "")
        form = SendTestForm(emails=len(emails), initial={"addresses": own_address})
        return self._page(emails, form, current_destination())

    def _confirm(self, emails: list[StoredEmail]) -> HttpResponse:
        if {form_token(email) for email in emails} != self.tokens:
            return self._outdated()
        form, target = SendTestForm(self.request.POST, emails=len(emails)), current_destination()
        if not form.is_valid() or target.config is None:
            return self._page(emails, form, target)
        if self.request.POST.get("destination") != target.fingerprint:
            text = _("Nothing was sent: the destination has changed since the page was opened. Check it again.")
            self._say(messages.WARNING, text)
            return self._page(emails, form, target)
        addresses = form.cleaned_data["addresses"]
        sends = [(email, TestSend(stored=email.as_stored(), to=to)) for email in emails for to in addresses]
        try:
            is_claimed = claim_tests(emails)
        except OperationalError:
            self._say(messages.ERROR, _("Nothing was sent: the database is busy. Try again."))
            return self._page(emails, form, target)
        return self._send(sends, target) if is_claimed else self._outdated()

    def _send(self, sends: Sends, target: Destination) -> HttpResponse:
        config: Any = target.config
        statuses, batch = [], uuid.uuid4().hex
        results = send_tests(config, [send for _email, send in sends])
        for (email, send), outcome in zip(sends, results, strict=True):
            found = {"email": self.admin.display_title(email), "to": outcome.to, "outcome": outcome.text}
            text = _("Test of “%(email)s” to %(to)s: %(outcome)s") % found
            self._say(_LEVELS.get(outcome.status, messages.WARNING), text)
            self._record(email, send, outcome)
            self._log(email, outcome, target, batch)
            statuses.append(outcome.status)
        for message in summary_messages(statuses, target):
            self._say(*message)
        is_single = len(self.ids) == 1
        url = self.admin.admin_url("change", self.ids[0]) if is_single else self.admin.admin_url("changelist")
        return HttpResponseRedirect(url)

    def _record(self, email: StoredEmail, send: TestSend, outcome: TestOutcome) -> None:
        """A database error is logged and not raised: the test was sent, its message says so, and others follow."""
        text = _("Test to %(to)s: %(outcome)s") % {"to": outcome.to, "outcome": outcome.text}
        try:
            record_test(send.stored, outcome)
            self.admin.log_change(self.request, email, text)
        except DatabaseError as error:
            logger.warning("A test of the stored email %s is not in its history: %s.", email.pk, type(error).__name__)

    def _log(self, email: StoredEmail, outcome: TestOutcome, target: Destination, batch: str) -> None:
        """As above."""
        alias = "" if target.alias == "EMAIL_BACKEND" else target.alias
        try:
            log_test(email.as_stored(), outcome, alias=alias, redirect_to=target.redirect_to, batch=batch)
        except DatabaseError as error:
            logger.warning(
                "A test of the stored email %s is no row of a delivery: %s.", email.pk, type(error).__name__
            )

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
        site, title = self.admin.admin_site, _("Send a test")
        context = {
            **site.each_context(self.request),
            "title": title,
            "original": title,  # the last of the breadcrumbs, where the page of one email has the email
            "opts": self.admin.opts,
            "has_view_permission": True,
            "media": self.admin.media + form.media,
            "errors": form.errors,
            "form": form,
            "emails": [(email, self.admin.display_title(email), form_token(email)) for email in emails],
            "destination": target,
            "max_tests": MAX_TESTS,
            "max_addresses": MAX_TESTS // len(emails),
            "list_url": self.admin.admin_url("changelist"),
            "page_url": self.admin.send_test_url(email.pk for email in emails),
        }
        self.request.current_app = site.name
        return TemplateResponse(self.request, "admin/django_migma/storedemail/send_test.html", context)


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


def summary_messages(statuses: list[str], target: Destination) -> Iterator[Message]:
    """Yield what must come last, since a storage in a cookie drops the oldest messages where they do not fit."""
    if len(statuses) > 1:
        level = messages.SUCCESS if set(statuses) == {"sent"} else messages.WARNING
        yield level, f"{count_outcomes(statuses)} {_('The history of each email has the details.')}"
    if "sent" in statuses and target.inbox_url:
        link = format_html('<a href="{}">{}</a>', target.inbox_url, _("See the mail that it accepted."))
        yield messages.INFO, format_html("{} {}", _("The sandbox delivers no mail."), link)
