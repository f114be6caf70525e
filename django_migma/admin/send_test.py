"""The page that sends tests: it asks first, claims what it sends, and then sends outside any transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, router, transaction
from django.db.models import F
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from django_migma.models import StoredEmail
from django_migma.testsends import MOST_CALLS, TestSend, send_tests

from .access import Access
from .columns import title_of
from .connection import Destination, destination
from .forms import SendTestForm, too_many
from .outcomes import noted, summed_up, told

if TYPE_CHECKING:
    from django.http import HttpRequest

    Planned = list[tuple[StoredEmail, TestSend]]

_ID = r"[0-9]{1,18}"


class SendTestPage:
    """One request to the page, by GET (which emails are meant is in ``ids``) or POST (it is in ``seen``).

    ``seen`` holds, for each stored email, its ids at Migma and how many tests of it had begun as the page was made.
    The POST sends only if that still holds, and counts on first: a form that comes twice finds it changed, and so
    does another's form. ``destination`` holds where the page said that it would go.
    """

    def __init__(self, admin: Access, request: HttpRequest) -> None:
        self.admin, self.request = admin, request
        self.seen = set(request.POST.getlist("seen"))
        asked = [seen.partition(":")[0] for seen in self.seen] or request.GET.get("ids", "").split(",")
        self.ids = sorted({int(found) for found in asked if re.fullmatch(_ID, found)})

    def response(self) -> HttpResponse:
        """The page, or a redirect with messages. Raises PermissionDenied."""
        if len(self.ids) > MOST_CALLS:
            return self._redirect(self.admin.admin_url("changelist"), messages.ERROR, too_many(len(self.ids)))
        found = self.admin.get_queryset(self.request).filter(pk__in=self.ids).defer("html")
        emails: list[StoredEmail] = list(found)
        if not all(self.admin.has_send_test_permission(self.request, email) for email in emails):
            raise PermissionDenied
        if not emails:
            text = _("None of the chosen emails is here any more. Choose again.")
            return self._redirect(self.admin.admin_url("changelist"), messages.ERROR, text)
        if self.request.method == "POST":
            return self._confirmed(emails)
        form = SendTestForm(emails=len(emails), initial={"addresses": self._own_address()})
        return self._page(emails, form, destination())

    def _confirmed(self, emails: list[StoredEmail]) -> HttpResponse:
        if {token(email) for email in emails} != self.seen:
            return self._too_late()
        form, target = SendTestForm(self.request.POST, emails=len(emails)), destination()
        if not form.is_valid() or target.config is None:
            return self._page(emails, form, target)
        if self.request.POST.get("destination") != target.seen:
            self._say(
                messages.WARNING,
                _("Nothing was sent: the destination has changed since that page was made. Look again."),
            )
            return self._page(emails, form, target)
        addresses = form.cleaned_data["addresses"]
        planned = [(email, TestSend(stored=email.as_stored(), to=to)) for email in emails for to in addresses]
        try:
            claimed = claim(emails)
        except OperationalError:
            self._say(messages.ERROR, _("Nothing was sent: the database is busy. Try again."))
            return self._page(emails, form, target)
        return self._sent(planned, target) if claimed else self._too_late()

    def _sent(self, planned: Planned, target: Destination) -> HttpResponse:
        config: Any = target.config
        outcomes = []
        made = send_tests(config, [send for _email, send in planned])
        for (email, _send), outcome in zip(planned, made, strict=True):
            self._say(*told(email, outcome, target))
            noted(self.request, email, outcome, target)
            outcomes.append(outcome)
        for message in summed_up(outcomes, target):
            self._say(*message)
        only = len(self.ids) == 1
        url = self.admin.admin_url("change", self.ids[0]) if only else self.admin.admin_url("changelist")
        return HttpResponseRedirect(url)

    def _too_late(self) -> HttpResponse:
        text = _(
            "Nothing was sent: a test of these emails was sent or one of them was changed since that page was made, "
            "or one was deleted. If you want another test, look and confirm it here."
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
            "emails": [(email, title_of(email), token(email)) for email in emails],
            "destination": target,
            "most_calls": MOST_CALLS,
            "most_addresses": MOST_CALLS // len(emails),
            "list_url": self.admin.admin_url("changelist"),
            "page_url": self.admin.send_test_url(email.pk for email in emails),
        }
        self.request.current_app = site.name
        return TemplateResponse(self.request, "admin/django_migma/storedemail/send_test.html", context)


def token(email: StoredEmail) -> str:
    """A stored email, how many tests of it have begun, and what a test of it would send."""
    return f"{email.pk}:{email.test_claim}:{email.email_id or ''}:{email.conversation_id or ''}"


def claim(emails: Iterable[StoredEmail]) -> bool:
    """Count the tests begun of all on, unless one of them has begun in the meantime: then none, and False.

    Raises OperationalError where the database is busy.
    """
    database = router.db_for_write(StoredEmail)
    rows = StoredEmail.objects.using(database)
    with transaction.atomic(using=database):
        # In one order, so that two never wait for each other.
        for email in sorted(emails, key=lambda email: email.pk):
            if not rows.filter(pk=email.pk, test_claim=email.test_claim).update(test_claim=F("test_claim") + 1):
                transaction.set_rollback(True, using=database)
                return False
    return True
