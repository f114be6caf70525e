"""/emails: the stored emails of the account, each with its variables, a button that sends it, and Python to paste."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django_migma.sandbox import account
from django_migma.sandbox.pages import snippets
from django_migma.sandbox.pages.forms import FieldError, do
from django_migma.sandbox.pages.responses import render
from django_migma.sandbox.placeholders import RenderedEmail
from django_migma.sandbox.validation import send_errors

if TYPE_CHECKING:
    from django.http import HttpResponse

    from django_migma.sandbox.pages.forms import Form
    from django_migma.sandbox.server import Request, Sandbox

_RECIPIENT = "robin@example.com"
_SENDER = {"from": "hello@fernhill.example", "fromName": "Fernhill Coffee"}
_PREFIX = "value-"  # of the fields that hold variables
PATIENCE = 2.0
"""Seconds to wait for the answer, if a fault lets it take its time."""


@dataclass(frozen=True, kw_only=True)
class _Value:
    """One variable in the form of an email."""

    name: str
    text: str

    @property
    def field(self) -> str:
        return _PREFIX + self.name

    @property
    def is_long(self) -> bool:
        return self.name.endswith("_html") or "\n" in self.text


def page(
    request: Request, *, status: int = 200, typed: Form | None = None, errors: Form | None = None
) -> HttpResponse:
    """GET /emails, and what comes back with an error after a form: ``typed`` is what it sent."""
    typed = typed or {}
    projects: dict[str, list[dict[str, Any]]] = {}
    for email_id in account.EMAIL_NAMES:
        form = typed if typed.get("email") == email_id else {}
        shown = _shown(request.sandbox, email_id, form, errors or {})
        projects.setdefault(shown["project"], []).append(shown)
    groups = [
        {"id": project_id, "name": account.find_project(project_id)["name"], "emails": emails}
        for project_id, emails in projects.items()
    ]
    return render(request, "emails.html", area="emails", status=status, projects=groups)


def deed(request: Request) -> HttpResponse:
    """POST /emails."""
    return do(request, {"send": _send}, page)


def _shown(sandbox: Sandbox, email_id: str, typed: Form, errors: Form) -> dict[str, Any]:
    email = account.find_email(email_id)
    conversation = account.find_conversation(email["conversationId"])
    values = [_Value(name=name, text=_value(typed, email_id, name)) for name in _variables(sandbox, email_id)]
    count = len(conversation["result"]["emails"])
    return {
        "id": email_id,
        "name": account.EMAIL_NAMES[email_id],
        "title": conversation["title"] + (f", {email['slot']} of {count}" if count > 1 else ""),
        "subject": email["subject"],
        "preheader": email["preheader"],
        "project": conversation["projectId"],
        "is_layout": email_id == account.LAYOUT,
        "to": typed.get("to", _RECIPIENT),
        "values": values,
        "error": errors.get("to", "") if typed else "",
        "python": snippets.stored_email_code(email, account.SAMPLES[email_id], to=_RECIPIENT),
    }


def _variables(sandbox: Sandbox, email_id: str) -> list[str]:
    email = account.find_email(email_id)
    rendered = RenderedEmail(
        subject_template=email["subject"], html_template=email["html"], variables={}, switches=sandbox.switches
    )
    return rendered.missing_variables()


def _value(form: Form, email_id: str, name: str) -> str:
    """As typed; a form that has no such field, such as the button of the empty inbox, sends the sample."""
    return form.get(_PREFIX + name, account.SAMPLES[email_id].get(name, "")).replace("\r\n", "\n")


def _send(sandbox: Sandbox, form: Form) -> str:
    """Send an email through the API, like any other client. Leads to its mail, whatever has become of that."""
    email = account.find_email(form.get("email", ""))
    values = {name: _value(form, email["id"], name) for name in _variables(sandbox, email["id"])}
    body = {
        **_SENDER,
        "recipientType": "email",
        "recipientEmail": form.get("to", _RECIPIENT).strip(),
        "subject": email["subject"],
        "emailId": email["id"],
        "variables": {name: text for name, text in values.items() if text},
    }
    if any(error.startswith("recipientEmail") for error in send_errors(body, sandbox.switches)):
        raise FieldError("to", "One address, such as robin@example.com.")
    key = f"sandbox-{secrets.token_hex(8)}"
    _post(sandbox, body, key)
    mails = sandbox.store.inbox.mails()
    return next((f"/mail/{mail.id}" for mail in mails if mail.exchanges[0].idempotency_key == key), "/")


def _post(sandbox: Sandbox, body: dict[str, Any], idempotency_key: str) -> None:
    """Over the socket, so that faults strike as they would strike a site. What came of it stands in the inbox."""
    address = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    headers = {
        "Authorization": f"Bearer {sandbox.keys.full}",
        "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key,
        "User-Agent": "Migma sandbox, page of stored emails",
    }
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/v1/sending", json.dumps(body).encode(), headers)
        connection.getresponse()  # its head is enough: a body may drip for minutes
