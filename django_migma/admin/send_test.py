"""The page "Send a test": it asks for addresses, claims the emails, and sends outside of any transaction."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import Error as DatabaseError
from django.db import OperationalError, router, transaction
from django.db.models import F
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_migma.api.errors import InvalidAddress
from django_migma.mailers import Destination, current_destination
from django_migma.models import StoredEmail
from django_migma.testsends import (
    MAX_TESTS,
    TestOutcome,
    TestSend,
    parse_addresses,
    record_test,
    send_tests,
    split_addresses,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

    Message = tuple[int, str]
    Sends = list[tuple[StoredEmail, TestSend]]

logger = logging.getLogger("django_migma")
_LEVELS = {"sent": messages.SUCCESS, "failed": messages.ERROR}
_ID = r"[0-9]{1,18}"
_MAX_SHOWN = 80


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
        text = self.cleaned_data["addresses"]
        try:
            addresses = parse_addresses(text)
        except InvalidAddress as error:
            raise ValidationError(f"{_first_invalid(text)} {error}".strip(), code="address") from error
        if not addresses:
            raise ValidationError(_("Give at least one address."), code="required")
        if (count := len(addresses) * self.emails) > MAX_TESTS:
            raise ValidationError(too_many_error(count), code="too_many")
        return addresses


def _first_invalid(text: str) -> str:
    """Return the first invalid address in quotes, or an empty string where there are only too many."""
    for part in split_addresses(text):
        try:
            parse_addresses(part)
        except InvalidAddress:
            return f"“{Truncator(part).chars(_MAX_SHOWN)}”:"
    return ""


def too_many_error(count: int) -> str:
    """Return the error text for more tests than one confirmation may send."""
    text = ngettext(
        "This would be %(count)d test, and at most %(most)d may be sent at a time.",
        "These would be %(count)d tests, and at most %(most)d may be sent at a time.",
        count,
    )
    return f"{text % {'count': count, 'most': MAX_TESTS}} {_('Choose fewer emails or fewer addresses.')}"


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
            return self._redirect(list_url, messages.ERROR, too_many_error(len(self.ids)))
        emails = list(self.admin.get_queryset(self.request).filter(pk__in=self.ids).defer("html"))
        if not all(self.admin.has_send_test_permission(self.request, email) for email in emails):
            raise PermissionDenied
        if not emails:
            return self._redirect(list_url, messages.ERROR, _("None of the chosen emails exists. Choose again."))
        if self.request.method == "POST":
            return self._confirm(emails)
        form = SendTestForm(emails=len(emails), initial={"addresses": self._own_address()})
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
        outcomes = []
        results = send_tests(config, [send for _email, send in sends])
        for (email, send), outcome in zip(sends, results, strict=True):
            self._say(*outcome_message(self.admin.display_title(email), outcome))
            log_test(self.request, email, send, outcome)
            outcomes.append(outcome)
        for message in summary_messages(outcomes, target):
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

    def _own_address(self) -> str:
        user: Any = self.request.user
        return getattr(user, user.get_email_field_name(), "") or ""

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
    """Count up ``test_claim`` of all emails, or of none and return False where another test has begun.

    Raises OperationalError where the database is busy.
    """
    database = router.db_for_write(StoredEmail)
    rows = StoredEmail.objects.using(database)
    with transaction.atomic(using=database):
        # Sorted, so that two requests cannot wait for each other's locks.
        for email in sorted(emails, key=lambda email: email.pk):
            if not rows.filter(pk=email.pk, test_claim=email.test_claim).update(test_claim=F("test_claim") + 1):
                transaction.set_rollback(True, using=database)
                return False
    return True


def outcome_message(title: str, outcome: TestOutcome) -> Message:
    """Return the message for one test."""
    text = _("Test of “%(email)s” to %(to)s: %(outcome)s")
    return _LEVELS.get(outcome.status, messages.WARNING), text % {
        "email": title,
        "to": outcome.to,
        "outcome": outcome.text,
    }


def log_test(request: HttpRequest, email: StoredEmail, send: TestSend, outcome: TestOutcome) -> None:
    """Record the time of the test, and add it to the history of the email.

    A database error is logged and not raised: the test was sent, its message says so, and others are to follow.
    """
    user: Any = request.user
    try:
        record_test(send.stored, outcome)
        LogEntry.objects.log_actions(
            user_id=user.pk,
            queryset=[email],
            action_flag=CHANGE,
            change_message=_("Test to %(to)s: %(outcome)s") % {"to": outcome.to, "outcome": outcome.text},
        )
    except DatabaseError as error:
        logger.warning("A test of the stored email %s is not in its history: %s.", email.pk, type(error).__name__)


def summary_messages(outcomes: Sequence[TestOutcome], target: Destination) -> list[Message]:
    """Return the last messages: the counts of several tests, and a link to the sandbox's inbox.

    They come last, since a storage in a cookie drops the oldest messages where they do not fit.
    """
    counts = Counter(outcome.status for outcome in outcomes)
    found: list[Message] = []
    if len(outcomes) > 1:
        level = messages.SUCCESS if counts["sent"] == len(outcomes) else messages.WARNING
        text = _("%(counts)s. The history of each email has the details.")
        found.append((level, text % {"counts": _counts_text(counts)}))
    if counts["sent"] and target.inbox_url:
        link = format_html('<a href="{}">{}</a>', target.inbox_url, _("See the mail that it accepted."))
        found.append((messages.INFO, format_html("{} {}", _("The sandbox delivers no mail."), link)))
    return found


def _counts_text(counts: Counter[str]) -> str:
    texts = {
        "sent": _("%(count)d sent"),
        "failed": _("%(count)d failed"),
        "unknown": _("%(count)d in doubt"),
        "not_sent": _("%(count)d not sent"),
    }
    return ", ".join(text % {"count": counts[status]} for status, text in texts.items() if counts[status])
